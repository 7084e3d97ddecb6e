"""The client under test passes the official conformance suite, with all scenarios of authorization."""

from __future__ import annotations

import pytest

from tests import node
from tests.conformance import client_suite

pytestmark = pytest.mark.interop

COUNTS = {client_suite.OLDEST: (0, 2), "2025-11-25": (18, 7), "2026-07-28": (32, 7)}
"""How many scenarios of each set are scored and not: a list that was misread must not pass for one that was passed."""


@pytest.mark.parametrize("version", COUNTS)
def test_every_scenario_for_clients_passes(version: str) -> None:
    try:
        scenarios = client_suite.run(version)
    except node.Unavailable as why:
        pytest.skip(f"the conformance suite is not to be had: {why}")
    assert client_suite.shortcomings(scenarios) == []
    scored = sum(scenario.scored for scenario in scenarios.values())
    assert (scored, len(scenarios) - scored) == COUNTS[version]
