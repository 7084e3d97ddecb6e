"""Figures: percentiles of buckets, bounds of names, errors of tools."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.protocol.cancel_reason import CancelReason
from trimcp.view.figures import GROWTH, MOST_NAMES, OTHERS, Calls, Figures


@attrs.define
class Ended:
    """A request that has ended."""

    method: str = "tools/call"
    params: dict[str, Any] | None = None
    answer: bytes | None = None
    result: Any = None
    serial: int = 1
    id: int = 1
    size: int = 10
    code: int | None = None
    cancel_reason: CancelReason | None = None
    received_at: float = 0.0
    session_number: int = 1


def counted(*seconds: float) -> Calls:
    """Return the figures of a tool whose calls took so long."""
    figures = Figures()
    for each in seconds:
        figures.ended(Ended(params={"name": "add"}), each)
    return figures._by_method["tools/call"][1]["add"]


@given(st.lists(st.floats(20e-6, 200.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_that_of_a_sorted_list_within_a_bucket(seconds: list[float], share: float) -> None:
    calls = counted(*seconds)
    exact = sorted(seconds)[max(0, -(-len(seconds) * share // 1).__int__() - 1)]
    assert exact / GROWTH <= calls.percentile(share) <= exact * GROWTH
    assert calls.percentile(share) <= calls.durations.longest


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e9])
def test_the_first_and_the_last_bucket_take_the_rest(seconds: float) -> None:
    calls = counted(seconds)
    assert sum(calls.durations.buckets) == 1
    assert calls.shown()["count"] == 1


def test_calls_are_counted_by_tool_with_their_errors() -> None:
    figures = Figures()
    figures.ended(Ended(params={"name": "add"}, answer=b'{"result":{}}'), 0.1)
    failed = b'{"result":{"content":[],"isError":true}}'
    figures.ended(Ended(params={"name": "add"}, answer=failed), 0.1)
    figures.ended(Ended(params={"name": "add"}, code=-32603), 0.1)
    figures.ended(Ended(params={"name": "add"}, cancel_reason=CancelReason.CANCELLED), 0.1)
    figures.ended(Ended(method="ping"), 0.1)
    figures.refused("tools/call", "busy")
    shown = figures.shown()
    assert shown["tools/call add"]["count"] == 4
    assert (shown["tools/call add"]["errors"], shown["tools/call add"]["cancelled"]) == (2, 1)
    assert shown["ping"]["count"] == 1
    assert figures.refusals == 1


def test_names_that_peers_invent_do_not_fill_the_memory() -> None:
    figures = Figures()
    for at in range(MOST_NAMES + 50):
        figures.ended(Ended(params={"name": f"n{at}"}, code=-32603), 0.1)
    shown = figures.shown()
    assert len(shown) == MOST_NAMES + 1
    assert shown[f"tools/call {OTHERS}"]["count"] == 50
