"""The tests of the project. They use nothing but the kit."""

from __future__ import annotations

import pytest
import trio
from hypothesis import strategies as st
from trio.testing import MockClock

import trimcp
from trimcp.testing import FakePeer, Wire, check_server


def test_the_whole_server(server: trimcp.Server) -> None:
    titles = st.sampled_from(["walden", "emma", "ulysses"])
    reports = check_server(
        server,
        examples=10,
        arguments={
            "wait_for": st.fixed_dictionaries({"title": titles}),
            "lend": st.fixed_dictionaries({"title": titles, "reader": st.text()}),
        },
    )
    assert [report.name for report in reports] == ["find", "wait_for", "lend"]
    assert all(report.calls for report in reports)


async def test_a_book_is_found(client: trimcp.Client) -> None:
    assert await client.call_tool("find", {"author": "Austen"}, returns=list[str]) == ["emma", "persuasion"]


async def test_a_reader_waits_until_a_book_is_back(
    client: trimcp.Client, wire: Wire, autojump_clock: MockClock
) -> None:
    await client.call_tool("lend", {"title": "emma", "reader": "Ann"})
    told = []

    async def take_back_later() -> None:
        await trio.sleep(28 * 86400)
        await client.call_tool("take_back", {"title": "emma"})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_back_later)
        result = await client.call_tool(
            "wait_for", {"title": "emma"}, timeout=30 * 86400, on_progress=lambda *report: told.append(report)
        )
    assert result.text == "emma"
    assert told
    wire.record.assert_order("notifications/progress", "result tools/call")
    wire.record.assert_answered()


async def test_a_reader_who_gives_up_is_forgotten(
    client: trimcp.Client, wire: Wire, server: trimcp.Server, autojump_clock: MockClock
) -> None:
    await client.call_tool("lend", {"title": "emma", "reader": "Ann"})
    with trio.move_on_after(60):
        await client.call_tool("wait_for", {"title": "emma"})
    await trio.testing.wait_all_tasks_blocked()
    wire.record.assert_sent("notifications/cancelled", sender="client", times=1)


async def test_an_answer_that_is_lost(client: trimcp.Client, wire: Wire, autojump_clock: MockClock) -> None:
    wire.drop("tools/call", sender="server")
    with pytest.raises(trimcp.RequestTimedOut):
        await client.call_tool("find", {"author": "Austen"}, timeout=10)


async def test_a_raw_request_with_a_wrong_argument(fake_client: FakePeer) -> None:
    answer = await fake_client.ask(fake_client.call(1, "find", {"writer": "Austen"}))
    assert answer["result"]["isError"]
