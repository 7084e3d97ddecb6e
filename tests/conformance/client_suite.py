"""The official conformance suite, run against a client: each scenario by itself, and what became of it.

A scenario by itself has, beside its checks, to see the client end in time and in good order; the
suite's own run of all of them has not.

Run as a program it prints a table:

    python -m tests.conformance.client_suite
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests import node
from tests.conformance.suite import PACKAGE, SETS, Scenario, scenarios_of, score
from tests.process.children import environment

CLIENT: Final = Path(__file__).with_name("everything_client.py")
MAY_FAIL: Final = frozenset(
    (
        "http-invalid-tool-headers",
        "auth/scope-retry-limit",
        "auth/resource-mismatch",
        "auth/metadata-issuer-mismatch",
        *(f"auth/iss-{what}" for what in ("supported-missing", "wrong-issuer", "unexpected", "normalized")),
    )
)
"""Scenarios in which a client may end with an error."""
OLDEST: Final = "2025-03-26"
BACKWARDS: Final = ("auth/2025-03-26-oauth-metadata-backcompat", "auth/2025-03-26-oauth-endpoint-fallback")
"""Scenarios of the oldest revision with authorization, which has no set."""
AT_ONCE: Final = 2
PATIENCE: Final = 120.0
"""Seconds for one scenario, on a machine that does other things as well; it takes about one."""
_TIMEOUT: Final = 60_000
"""Milliseconds that the client has."""


def run(version: str) -> Mapping[str, Scenario]:
    """Run a set against the client under test.

    Raises:
        Unavailable: the suite, or a node for it, is not to be had.
    """
    program, _ = node.node_and_npm()
    suite = [program, str(node.installed(*PACKAGE) / "dist" / "index.js")]
    if version == OLDEST:
        scenarios = {name: Scenario(name, scored=False) for name in BACKWARDS}
    else:
        scenarios = scenarios_of(suite, version, "client")

    def run_one(scenario: Scenario) -> None:
        _run(suite, version, scenario)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run_one, scenarios.values()))
    return scenarios


def _run(suite: list[str], version: str, scenario: Scenario) -> None:
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        under_test = f"exec {sys.executable} {CLIENT}"
        command = [*suite, "client", "--command", under_test, "--scenario", scenario.name, "-o", folder]
        command += ["--timeout", str(_TIMEOUT)]
        if scenario.scored or not scenario.name.startswith("auth/") or version == OLDEST:  # extensions have no revision
            command += ["--spec-version", version]
        done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE, env=environment())
        for checks in Path(folder).rglob("checks.json"):
            scenario.count(json.loads(checks.read_bytes()))
        if done.returncode and not scenario.failures and scenario.name not in MAY_FAIL:
            scenario.failures.append(f"the client did not end well: {done.stderr.decode()[-2000:]}")


def shortcomings(scenarios: Mapping[str, Scenario]) -> list[str]:
    """What is not as it should be."""
    found = [f"{name}: {failure}" for name, scenario in scenarios.items() for failure in scenario.failures]
    return found + [f"{name}: the suite came to no verdict" for name, s in scenarios.items() if not s.is_decided]


def main() -> int:
    """Run all, print the scores and what is wrong; the exit code says whether anything is."""
    row = "{:<12}{:>8}{:>12}{:>8}".format
    print(row("set", "scored", "not scored", "checks"))
    wrong: list[str] = []
    for version in (OLDEST, *SETS):
        try:
            scenarios = run(version)
        except node.Unavailable as why:
            print(f"not run: {why}")
            return 2
        scores = [score(scenarios, scored=scored) for scored in (True, False)]
        print(row(version, *scores, sum(one.passed for one in scenarios.values())), flush=True)
        wrong += [f"{version}: {what}" for what in shortcomings(scenarios)]
    for what in wrong:
        print(what)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
