"""What a meter counts: requests by method and outcome, refusals, cancels, durations."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

import trimcp
from trimcp.observability.instruments import Timing

ERAS = ["2025-11-25", "2026-07-28"]


@pytest.mark.parametrize("version", ERAS)
async def test_a_meter_counts_requests_by_method_and_outcome(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("counted", limits=trimcp.Limits(session_requests=1, session_waiting=1))

    @server.tool
    async def sleep(seconds: float) -> None:
        await trio.sleep(seconds)

    async with trimcp.connect(server, revision=version) as client:
        await client.call_tool("sleep", {"seconds": 1.0})  # before the meter is opened
        with server.measure() as meter:
            await client.call_tool("sleep", {"seconds": 2.0})
            await client.call_tool("sleep", {"seconds": 3.0})
            with pytest.raises(trimcp.RequestFailed):
                await client.call_tool("unknown")
            with pytest.raises(trimcp.RequestFailed):
                await client.request("no/such")
            with trio.move_on_after(1):
                await client.call_tool("sleep", {"seconds": 9.0})
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(client.call_tool, "sleep", {"seconds": 1.0})
                    await trio.sleep(0.01)
                with pytest.raises(trimcp.RequestFailed, match="Busy"):
                    await client.call_tool("sleep", {"seconds": 1.0})
        figures = meter.read()
        await client.call_tool("sleep", {"seconds": 1.0})  # after it was closed
    assert figures.requests == {
        ("tools/call", "ok"): 4,
        ("tools/call", "error"): 1,
        ("tools/call", "cancelled"): 1,
    }
    assert figures.refused == {("no/such", "unfit"): 1, ("tools/call", "busy"): 1}
    assert figures.cancelled == {"cancelled": 1}
    timing = figures.timings["tools/call"]
    assert isinstance(timing, Timing)
    assert timing.number == 6
    assert timing.longest == pytest.approx(3)
    assert figures.bytes_read > 0
    assert meter.read() == figures


async def test_each_open_meter_counts(autojump_clock: MockClock) -> None:
    server = trimcp.Server("counted")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    async def call() -> None:
        await client.call_tool("add", {"a": 1, "b": 2})

    async with trimcp.connect(server) as client:
        await call()
        with server.measure() as first:
            await call()
            with server.measure() as second:
                await call()
            await call()
        await call()
    assert (first.read().requests, second.read().requests) == (
        {("tools/call", "ok"): 3},
        {("tools/call", "ok"): 1},
    )
