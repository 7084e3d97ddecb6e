"""The client under test passes the official conformance suite, but for authorization."""

from __future__ import annotations

import pytest

from tests import node
from tests.conformance import client_suite
from tests.conformance.suite import SETS

pytestmark = pytest.mark.interop

SCORED = {"2025-11-25": 4, "2026-07-28": 7}
"""How many scenarios of each set count: a list that was misread must not pass for one that was passed."""


@pytest.mark.parametrize("version", SETS)
def test_every_scenario_for_clients_passes(version: str) -> None:
    try:
        scenarios = client_suite.run(version)
    except node.Unavailable as why:
        pytest.skip(f"the conformance suite is not to be had: {why}")
    assert client_suite.shortcomings(scenarios) == []
    assert sum(scenario.scored for scenario in scenarios.values()) == SCORED[version]
    assert sum(not scenario.scored for scenario in scenarios.values()) == 1
