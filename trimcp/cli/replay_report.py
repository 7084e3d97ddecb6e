"""Shows how a replay went: to people request by request, to programs as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from trimcp.cli.terminal import BOLD, DIM, show
from trimcp.codec.jsontext import dumps
from trimcp.framing.headers import named_param
from trimcp.recording.differences import ABSENT, Difference
from trimcp.recording.replaying import ReplayedStep
from trimcp.view.masking import MASKED

GREEN, RED, YELLOW = "32", "31", "33"
LONGEST: Final = 400
"""Characters of a value that are shown to people."""


@attrs.frozen
class SessionReport:
    """The steps of one replayed session."""

    number: int
    steps: Sequence[ReplayedStep]
    masked_answers: Sequence[str] = ()
    """Questions of the server whose answer was sent with a mask."""

    @property
    def compared(self) -> list[ReplayedStep]:
        """The steps that say something: requests, and notifications that the server answered differently."""
        return [step for step in self.steps if step.recorded.is_request or step.differences]

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        found: dict[str, Any] = {"session": self.number, "requests": [_as_json(step) for step in self.compared]}
        return {**found, "maskedAnswers": [*self.masked_answers]} if self.masked_answers else found

    @property
    def masked(self) -> int:
        """How many messages were sent with a mask in the place of a value."""
        return len(self.masked_answers) + sum(bool(step.masks) for step in self.compared)


def _as_json(step: ReplayedStep) -> dict[str, Any]:
    found: dict[str, Any] = {"method": step.recorded.method, "at": round(step.recorded.sent.at, 6)}
    name = named_param(step.recorded.method, step.recorded.params)
    if name is not None:
        found["name"] = name
    found |= {"same": step.is_same, "compared": _is_compared(step), "masked": bool(step.masks)}
    if step.masks:
        found["masks"] = step.masks
    if step.problem is not None:
        found["problem"] = step.problem
    return {**found, "differences": [each.as_json() for each in step.differences]}


def _is_compared(step: ReplayedStep) -> bool:
    """Whether there was an answer when it was recorded: a request that was cancelled has none."""
    return step.recorded.answer is not None


def counts_of(reports: Iterable[SessionReport]) -> dict[str, int]:
    """Return how many requests had each outcome."""
    steps = [step for report in reports for step in report.compared]
    different = sum(not step.is_same for step in steps)
    unanswered = sum(step.is_same and not _is_compared(step) for step in steps)
    same = len(steps) - different - unanswered
    return {"same": same, "different": different, "not compared": unanswered}


def show_report(report: SessionReport) -> None:
    """Show one session, request by request."""
    show(f"session {report.number}", BOLD)
    for step in report.compared:
        name = named_param(step.recorded.method, step.recorded.params)
        title = f"{step.recorded.method}{'' if name is None else f' {name}'}"
        if not step.is_same:
            show(f"  differs  {title}", RED)
        elif _is_compared(step):
            show(f"  same     {title}", GREEN)
        else:
            show(f"  -        {title}: it had no answer when it was recorded", DIM)
        if step.masks:
            show(f"             it was sent with {MASKED} for {', '.join(step.masks)}", YELLOW)
        if step.problem is not None:
            show(f"             {step.problem}")
        for difference in step.differences:
            _show_difference(difference)
    for answer in report.masked_answers:
        show(f"  an answer to the server was sent with {MASKED}, to {answer}", YELLOW)


def _show_difference(difference: Difference) -> None:
    show(f"           {difference.path}")
    if difference.recorded is not ABSENT:
        show(f"             - {_shown(difference.recorded)}", RED)
    if difference.replayed is not ABSENT:
        show(f"             + {_shown(difference.replayed)}", GREEN)


def _shown(value: Any) -> str:
    text = dumps(value).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def show_sum(counts: dict[str, int], masked: int) -> None:
    """Show how many requests had each outcome, and how many messages were sent with a mask."""
    show()
    show(", ".join(f"{number} {name}" for name, number in counts.items()), RED if counts["different"] else GREEN)
    if masked:
        which = "1 message was" if masked == 1 else f"{masked} messages were"
        show(f"{which} sent with {MASKED} in the place of a value: give it by --fill NAME=@FILE", YELLOW)
