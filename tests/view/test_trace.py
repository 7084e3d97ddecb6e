"""The trace records what passes, within bounds, and only while it is open."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

import trimcp
from tests.view.test_figures import Ended
from trimcp.view.trace import LONGEST, MOST_BYTES, MOST_RECORDS, Trace, as_ndjson

ERAS = ["2025-11-25", "2026-07-28"]


def no_tool(name: str) -> None:
    return None


def opened(server: trimcp.Server, trace: Trace) -> None:
    server._runs.instruments.add_meter(trace)
    server._runs.instruments.add_trace(trace)


@pytest.mark.parametrize("version", ERAS)
async def test_requests_come_with_their_answers(version: str, autojump_clock: MockClock) -> None:
    server, trace = trimcp.Server("traced"), Trace()

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    opened(server, trace)
    async with trimcp.connect(server, revision=version) as client:
        await client.call_tool("add", {"a": 1, "b": 2})
        await client.call_tool("add", {"a": "x"})
        with pytest.raises(trimcp.RequestFailed):
            await client.request("no/such")
    calls = [record for record in trace if record.name == "add"]
    assert [record.outcome for record in calls] == ["ok", "tool error"]
    full = calls[0].full(no_tool, trace.mask_of(None))
    assert full["params"]["arguments"] == {"a": 1, "b": 2}
    assert full["answer"]["content"][0]["text"] == "3"
    assert any(record.kind == "refused" and record.method == "no/such" for record in trace)
    if version == "2025-11-25":
        assert next(record.method for record in trace) == "initialize"
        assert any(record.method == "notifications/initialized" for record in trace)


async def test_questions_and_their_answers_are_recorded(autojump_clock: MockClock) -> None:
    server, trace = trimcp.Server("asking"), Trace()

    @server.tool
    async def ask(ctx: trimcp.Context) -> str:
        ctx.log("info", "asking")
        answer = await ctx.elicit("Which?", {"type": "object", "properties": {"password": {"type": "string"}}})
        return f"It is {answer.data['password']}" if answer.data else "none"

    async def answer(question: Any) -> dict[str, str]:
        return {"password": "hunter22"}

    opened(server, trace)
    async with trimcp.connect(server, revision="2025-11-25", elicitation=answer) as client:
        await client.call_tool("ask")
    kinds = [record.kind for record in trace]
    assert "question" in kinds
    assert "answer" in kinds
    lines = as_ndjson(trace, no_tool, trace.mask_of)
    assert "It is •••".encode() in lines
    assert b"hunter22" not in lines


def test_the_ring_has_a_bound_of_records_and_of_bytes() -> None:
    trace = Trace()
    for at in range(MOST_RECORDS + 10):
        trace.ended(Ended(serial=at, size=10), 0.1)
    records = list(trace)
    assert len(records) == MOST_RECORDS
    assert records[0].request == 10
    assert trace.record(records[5].number) == records[5]
    assert trace.record(1) is None
    assert trace.record(trace.last + 1) is None
    for _ in range(2 * MOST_BYTES // LONGEST):
        trace.ended(Ended(size=LONGEST), 0.1)
    assert sum(record.size for record in trace) <= MOST_BYTES


def test_a_long_message_leaves_its_size_alone() -> None:
    trace = Trace()
    trace.ended(Ended(size=LONGEST + 1, params={"name": "big"}), 0.1)
    (record,) = trace
    assert (record.size, record.params, record.name) == (LONGEST + 1, None, "big")


def test_the_newest_records_come_first_where_there_are_too_many() -> None:
    trace = Trace()
    for at in range(10):
        trace.ended(Ended(serial=at), 0.1)
    assert [record.request for record in trace.since(2, 3)] == [7, 8, 9]
    assert [record.request for record in trace.since(8, 3)] == [8, 9]
    assert trace.since(10, 3) == []


@pytest.mark.parametrize("version", ERAS)
async def test_nothing_is_recorded_after_the_trace_was_removed(version: str) -> None:
    server, trace = trimcp.Server("quiet"), Trace()

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    opened(server, trace)
    server._runs.instruments.remove_meter(trace)
    server._runs.instruments.remove_trace(trace)
    async with trimcp.connect(server, revision=version) as client:
        await client.call_tool("add", {"a": 1, "b": 2})
    assert trace.last == 0
