"""The server under test passes the official conformance suite, behind both doors."""

from __future__ import annotations

import pytest

from tests import node
from tests.conformance import suite
from tests.conformance.serving import DOORS

pytestmark = pytest.mark.interop

SCORED = {"2025-11-25": 30, "2026-07-28": 37}
"""How many scenarios of each set count: a list that was misread must not pass for one that was passed."""


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("version", suite.SETS)
def test_every_scenario_of_the_official_suite_passes(version: str, door: str) -> None:
    try:
        scenarios = suite.run(version, door)
    except node.Unavailable as why:
        pytest.skip(f"the conformance suite is not to be had: {why}")
    assert suite.shortcomings(scenarios) == []
    assert sum(scenario.scored for scenario in scenarios.values()) == SCORED[version]
    assert not any(scenario.scored for name, scenario in scenarios.items() if name in suite.UNDECIDED)


def test_a_scenario_without_a_verdict_has_not_passed() -> None:
    silent, failed, passed = (suite.Scenario(name, scored=True) for name in ("silent", "failed", "passed"))
    silent.count([{"id": "wire-schema-valid", "status": "SUCCESS"}, {"id": "a", "status": "SKIPPED"}])
    failed.count([{"id": "b", "status": "SUCCESS"}, {"id": "c", "status": "FAILURE", "errorMessage": "no"}])
    passed.count([{"id": "d", "status": "SUCCESS"}])
    unexpected = suite.Scenario("tasks-status-notifications", scored=False)
    unexpected.count([{"id": "e", "status": "SUCCESS"}])
    assert suite.shortcomings({one.name: one for one in (silent, failed, passed, unexpected)}) == [
        "silent: the suite came to no verdict",
        "failed: c: no",
        "tasks-status-notifications has passed: UNDECIDED is wrong about it",
    ]
