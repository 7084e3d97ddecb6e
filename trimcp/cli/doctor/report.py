"""Shows the verdicts of an examination, to people by section, and to programs as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from trimcp.cli.doctor.examination import Examination, Status, Verdict
from trimcp.cli.terminal import BOLD, DIM, show

SITE: Final = "https://modelcontextprotocol.io"
GREEN, RED, YELLOW = "32", "31", "33"
_MARKS: Final[dict[Status, tuple[str, str | None]]] = {
    "passed": ("passed ", GREEN),
    "failed": ("FAILED ", RED),
    "warning": ("warning", YELLOW),
    "not applicable": ("n/a    ", DIM),
}


@attrs.frozen
class EraReport:
    """The verdicts of one era; None if the server does not speak it.

    Where the server wants a token, they are those that need no handshake.
    """

    examination: Examination
    verdicts: Sequence[Verdict] | None
    why_not: str = ""
    """Why there was no handshake; empty if there was one."""

    @property
    def is_spoken(self) -> bool:
        """Whether the server speaks the era with us."""
        return not self.why_not

    @property
    def name(self) -> str:
        """The revision and the era, for people."""
        transport = f", {self.examination.transport}" if self.examination.transport else ""
        return f"{self.examination.revision.version} ({self.examination.era.value} era{transport})"

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        base = {
            "era": self.examination.era.value,
            "protocolVersion": self.examination.revision.version,
            **({"transport": self.examination.transport} if self.examination.transport else {}),
            "spoken": self.is_spoken,
            **({} if self.is_spoken else {"reason": self.why_not}),
        }
        if self.verdicts is None:
            return base
        checks = [
            {
                "section": verdict.check.section,
                "url": _page(self.examination.revision.version, verdict.check.section),
                "rule": verdict.check.rule,
                "level": "MUST" if verdict.check.must else "SHOULD",
                "status": verdict.status,
                **({"detail": verdict.detail} if verdict.detail else {}),
            }
            for verdict in self.verdicts
        ]
        return {**base, "checks": checks}


def _page(version: str, section: str) -> str:
    """Return the address of a section; extensions are documented apart from the revisions."""
    return f"{SITE}/{section}" if section.startswith("extensions/") else f"{SITE}/specification/{version}/{section}"


def counted(reports: Iterable[EraReport]) -> Counter[Status]:
    """Return how many checks had each outcome."""
    return Counter(verdict.status for report in reports for verdict in report.verdicts or ())


def show_report(report: EraReport) -> None:
    """Show the verdicts of one era, by section."""
    show()
    show(report.name, BOLD)
    if not report.is_spoken:
        show(f"  not spoken: {report.why_not}", DIM)
    verdicts = report.verdicts or ()
    for section in dict.fromkeys(verdict.check.section for verdict in verdicts):
        show(f"  {section}")
        _show_section([verdict for verdict in verdicts if verdict.check.section == section])


def _show_section(verdicts: Sequence[Verdict]) -> None:
    """Show the verdicts of one section; one line where no rule of it applies, for one reason."""
    reasons = {verdict.detail for verdict in verdicts if verdict.status == "not applicable"}
    if len(reasons) == 1 and all(verdict.status == "not applicable" for verdict in verdicts):
        rules = f"{len(verdicts)} rule{'s' if len(verdicts) > 1 else ''}"
        show(f"    {_MARKS['not applicable'][0]}  {rules}: {reasons.pop()}", DIM)
        return
    for verdict in verdicts:
        mark, style = _MARKS[verdict.status]
        level = "MUST  " if verdict.check.must else "SHOULD"
        show(f"    {mark}  {level}  {verdict.check.rule}", style)
        if verdict.detail:
            show(f"                     {verdict.detail}", None if verdict.status == "failed" else DIM)


def show_sum(reports: Iterable[EraReport]) -> None:
    """Show how many checks had each outcome."""
    counts = counted(reports)
    show()
    text = ", ".join(f"{counts[status]} {status}" for status in _MARKS)
    if counts["warning"] != 1:
        text = text.replace("warning", "warnings")
    show(text, RED if counts["failed"] else GREEN)
