"""The official conformance suite, run against a server: which scenarios there are, and what became of each.

The suite is a released npm package, fetched once (see `tests.node`), or found where CONFORMANCE_DIR says,
and run by node. A set is a frozen list of scenarios that belongs to a revision; some of a set are not
scored, and are run as well. `test_official_suite` asserts on what is found here; run as a program it
prints a table:

    python -m tests.conformance.suite
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tests import node
from tests.conformance.serving import DOORS, serving

PACKAGE: Final = ("@modelcontextprotocol/conformance", "0.2.0-alpha.12")
SETS: Final = ("2025-11-25", "2026-07-28")
UNDECIDED: Final = {"tasks-status-notifications": "its only check is always skipped: docs/project/conformance.md"}
"""Scenarios of the sets in which the suite comes to no verdict, none of them scored, and why. Those of skills are in no
set."""
PATIENCE: Final = 120.0
"""Seconds for one set; it takes about four."""
_STAMP: Final = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")
_EVERYWHERE: Final = "wire-schema-valid"
"""A check that the suite adds to each scenario, and that by itself shows nothing of it."""


@attrs.define
class Scenario:
    """What became of one scenario."""

    name: str
    scored: bool
    passed: int = 0
    failures: list[str] = attrs.Factory(list)
    """Checks that failed, and what the suite said."""
    is_decided: bool = False
    """Whether any check of its own came to a verdict."""

    @property
    def has_passed(self) -> bool:
        return self.is_decided and not self.failures

    def count(self, checks: list[dict[str, Any]]) -> None:
        """Take in the checks that the suite wrote down."""
        for check in checks:
            status, name = check["status"], check["id"]
            # A warning is a verdict, too: of something that should be, but need not.
            self.is_decided |= status in ("SUCCESS", "WARNING") and name != _EVERYWHERE
            self.passed += status == "SUCCESS"
            if status == "FAILURE":
                self.failures.append(f"{name}: {check.get('errorMessage') or check.get('description') or ''}")


def scenarios_of(suite: list[str], version: str, side: str = "server") -> dict[str, Scenario]:
    """The scenarios for servers, or for clients, that a set has, by name; none has passed."""
    found: dict[str, Scenario] = {}
    is_for_side = False
    for line in node.run(*suite, "list", "--requirements", version).decode().splitlines():
        if re.match(r"\S.*:$", line):
            is_for_side = line.startswith(side.title())
        elif outside := re.fullmatch(rf"\s+- (\S+) \[{side}\]", line):
            found[outside[1]] = Scenario(outside[1], scored=False)
        elif is_for_side and (scored := re.fullmatch(r"\s+- (\S+)", line)):
            found[scored[1]] = Scenario(scored[1], scored=True)
    return found


def run(version: str, door: str) -> Mapping[str, Scenario]:
    """Run a set against the server behind a door.

    Raises:
        Unavailable: the suite, or a node for it, is not to be had.
    """
    program, _ = node.node_and_npm()
    folder_of_suite = os.environ.get("CONFORMANCE_DIR") or node.installed(*PACKAGE)
    suite = [program, str(Path(folder_of_suite, "dist", "index.js"))]
    scenarios = scenarios_of(suite, version)
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder, serving(door) as url:
        command = [*suite, "server", "--url", url, "-o", folder, "--requirements", version]
        # Its exit code says no more than the checks do.
        subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE)
        for checks in Path(folder).rglob("checks.json"):
            name = _STAMP.sub("", checks.parent.relative_to(folder).as_posix()).removeprefix("server-")
            scenarios[name].count(json.loads(checks.read_bytes()))
    return scenarios


def shortcomings(scenarios: Mapping[str, Scenario]) -> list[str]:
    """What is not as it should be: scenarios that did not pass, and those that did though nobody expected it."""
    found = []
    for name, scenario in scenarios.items():
        if name in UNDECIDED:
            if scenario.has_passed:
                found.append(f"{name} has passed: UNDECIDED is wrong about it")
        elif scenario.failures:
            found += [f"{name}: {failure}" for failure in scenario.failures]
        elif not scenario.is_decided:
            found.append(f"{name}: the suite came to no verdict")
    return found


def score(scenarios: Mapping[str, Scenario], *, scored: bool) -> str:
    """How many of the scenarios that are scored, or that are not, have passed."""
    counted = [one for one in scenarios.values() if one.scored is scored and one.name not in UNDECIDED]
    return f"{sum(one.has_passed for one in counted)}/{len(counted)}"


NOT_RUN = 75
"""The exit code where the suite cannot be had: nothing is wrong, and nothing was shown (sysexits, EX_TEMPFAIL)."""


def main() -> int:
    """Run all, print the scores and what is wrong; the exit code says whether anything is."""
    row = "{:<12}{:<12}{:>8}{:>12}{:>8}{:>14}".format
    print(row("set", "door", "scored", "not scored", "checks", "undecided"))
    wrong: list[str] = []
    for version in SETS:
        for door in DOORS:
            try:
                scenarios = run(version, door)
            except node.Unavailable as why:
                print(f"not run: {why}")
                return NOT_RUN
            scores = [score(scenarios, scored=scored) for scored in (True, False)]
            checks = sum(one.passed for one in scenarios.values())
            print(row(version, door, *scores, checks, sum(name in UNDECIDED for name in scenarios)), flush=True)
            wrong += [f"{version}, {door}: {what}" for what in shortcomings(scenarios)]
    for what in wrong:
        print(what)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
