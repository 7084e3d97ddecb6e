"""Batches: taken apart and answered in one array in 2025-03-26, refused everywhere else."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import LEGACY, META, MODERN, Logged, Peer, cancelled, notification, result, served
from trimcp import Limits

BATCHES = "2025-03-26"


class Gate:
    """A server with a tool that waits until it is let go."""

    def __init__(self, **limits: Any) -> None:
        self.server = trimcp.Server("test", limits=Limits(**limits))
        self.go = trio.Event()
        self.cancelled: list[int] = []

        @self.server.tool
        async def echo(a: int) -> int:
            return a

        @self.server.tool
        async def wait(a: int) -> int:
            try:
                await self.go.wait()
            except trio.Cancelled:
                self.cancelled.append(a)
                raise
            return a


def ids(answers: list[Any]) -> list[Any]:
    return sorted((a.get("id") for a in answers), key=str)


async def still_works(peer: Peer) -> bool:
    return bool((await peer.ask(peer.call("last", "echo", {"a": 1})))["id"] == "last")


async def test_the_answers_of_a_batch_come_as_one_array(autojump_clock: MockClock) -> None:
    async with served(Gate().server, BATCHES) as peer:
        answers = await peer.ask(
            [
                peer.call(1, "echo", {"a": 1}),
                notification("notifications/cancelled", {"requestId": "nobody"}),
                peer.request(2, "ping"),
                peer.request(3, "no/such"),
                peer.call(4, "no_such_tool"),
                result(99),
            ]
        )
        assert ids(answers) == [1, 2, 3, 4]
        by_id = {a["id"]: a for a in answers}
        assert by_id[1]["result"]["content"][0]["text"] == "1"
        assert by_id[2]["result"] == {}
        assert by_id[3]["error"]["code"] == -32601
        assert by_id[4]["error"]["code"] == -32602
        assert await peer.settled() == []


async def test_a_batch_without_a_request_is_not_answered(autojump_clock: MockClock) -> None:
    async with served(Gate().server, BATCHES) as peer:
        await peer.send(
            [notification("notifications/initialized"), notification("x/y"), result(5)],
            [{"jsonrpc": "1.0", "method": "x"}, {"jsonrpc": "2.0", "id": 3, "result": 5}],
        )
        assert await peer.settled() == []
        assert await still_works(peer)


async def test_an_empty_batch_is_one_error(autojump_clock: MockClock) -> None:
    async with served(Gate().server, BATCHES) as peer:
        answer = await peer.ask([])
        assert answer["error"]["code"] == -32600
        assert answer["id"] is None
        assert await still_works(peer)


async def test_a_batch_that_is_too_long_is_one_error_and_nothing_of_it_runs(autojump_clock: MockClock) -> None:
    async with served(Gate(batch_length=3).server, BATCHES) as peer:
        assert len(await peer.ask([peer.request(n, "ping") for n in range(3)])) == 3
        answer = await peer.ask([peer.request(n, "ping") for n in range(4)])
        assert answer["error"]["code"] == -32600
        assert await still_works(peer)


async def test_members_that_are_no_messages_get_an_error_in_their_place(autojump_clock: MockClock) -> None:
    async with served(Gate().server, BATCHES) as peer:
        answers = await peer.ask(
            [1, "x", None, [], {}, {"jsonrpc": "2.0", "id": None, "method": "ping"}, {"id": 8, "method": "ping"}]
        )
        assert ids(answers) == [8, None, None, None, None, None, None]
        assert {a["error"]["code"] for a in answers} == {-32600}
        assert await still_works(peer)


async def test_initialize_in_a_batch_is_refused_and_its_neighbours_are_served(autojump_clock: MockClock) -> None:
    async with served(Gate().server, BATCHES) as peer:
        answers = await peer.ask([peer.initialize(1, "2025-11-25"), peer.call(2, "echo", {"a": 2})])
        by_id = {a["id"]: a for a in answers}
        assert by_id[1]["error"]["code"] == -32600
        assert "result" in by_id[2]
        assert peer.session is not None
        assert peer.session.revision is not None
        assert peer.session.revision.version == BATCHES


async def test_a_batch_with_a_modern_message_is_refused(autojump_clock: MockClock) -> None:
    async with served(Gate().server, BATCHES) as peer:
        modern = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
        answer = await peer.ask([peer.request(2, "ping"), modern])
        assert answer["error"]["code"] == -32600
        assert await still_works(peer)


async def test_a_slow_member_delays_its_batch_and_nobody_else(autojump_clock: MockClock) -> None:
    gate = Gate()
    async with served(gate.server, BATCHES) as peer:
        await peer.send([peer.call(1, "wait", {"a": 1}), peer.request(2, "ping")])
        assert await still_works(peer)
        gate.go.set()
        assert ids(await peer.receive()) == [1, 2]


async def test_progress_of_a_member_does_not_wait_for_the_array(autojump_clock: MockClock) -> None:
    gate = Gate()

    @gate.server.tool
    async def work(ctx: trimcp.Context) -> str:
        await ctx.progress(1)
        ctx.log("info", "at work")
        await gate.go.wait()
        await ctx.progress(2)
        return "done"

    async with served(gate.server, BATCHES) as peer:
        await peer.send([peer.call(1, "work", progressToken="t"), peer.request(2, "ping")])
        [report, *_] = await peer.settled()
        assert report["params"]["progress"] == 1
        gate.go.set()
        *reports, answers = await peer.settled()
        assert reports[-1]["params"]["progress"] == 2
        assert ids(answers) == [1, 2]


async def test_a_member_that_is_cancelled_is_left_out(autojump_clock: MockClock) -> None:
    gate = Gate()
    async with served(gate.server, BATCHES) as peer:
        await peer.send([peer.call(1, "wait", {"a": 1}), peer.request(2, "ping"), peer.call(3, "wait", {"a": 3})])
        assert await peer.settled() == []
        await peer.send(cancelled(1))
        assert await peer.settled() == []
        gate.go.set()
        assert ids(await peer.receive()) == [2, 3]
        assert gate.cancelled == [1]


async def test_a_batch_whose_members_are_all_cancelled_is_not_answered(autojump_clock: MockClock) -> None:
    gate = Gate()
    async with served(gate.server, BATCHES) as peer:
        await peer.send([peer.call(1, "wait", {"a": 1}), peer.call(2, "wait", {"a": 2})])
        await peer.settled()
        await peer.send([cancelled(2), cancelled(1)])
        assert await peer.settled() == []
        # Also where the cancels come before anything has begun to run.
        await peer.send([peer.call(3, "wait", {"a": 3}), cancelled(3)])
        assert await peer.settled() == []
        assert sorted(gate.cancelled) == [1, 2]
        assert await still_works(peer)


async def test_two_members_with_one_id_get_one_answer(logged: Logged, autojump_clock: MockClock) -> None:
    async with served(Gate().server, BATCHES) as peer:
        [answer] = await peer.ask([peer.call(1, "echo", {"a": 5}), peer.call(1, "echo", {"a": 6})])
        assert answer["result"]["content"][0]["text"] == "5"
        assert logged.of("request.duplicated")


async def test_members_that_wait_for_a_place_are_answered_with_the_rest(autojump_clock: MockClock) -> None:
    async with served(Gate(session_requests=1, session_waiting=2).server, BATCHES) as peer:
        answers = await peer.ask([peer.call(n, "echo", {"a": n}) for n in range(5)])
        assert ids(answers) == [0, 1, 2, 3, 4]
        refused = [a for a in answers if "error" in a]
        assert [a["error"]["code"] for a in refused] == [-31001, -31001]


@pytest.mark.parametrize("version", [v for v in (*LEGACY, MODERN) if v != BATCHES])
async def test_a_batch_in_another_revision_is_one_error(version: str, autojump_clock: MockClock) -> None:
    async with served(Gate().server, version) as peer:
        answer = await peer.ask([peer.request(1, "ping"), peer.request(2, "ping")])
        assert answer["error"]["code"] == -32600
        assert answer.get("id") is None
        assert await still_works(peer)


async def test_a_batch_before_initialize_is_one_error(autojump_clock: MockClock) -> None:
    async with served(Gate().server, BATCHES, opened=False) as peer:
        answer = await peer.ask([peer.initialize(1), peer.request(2, "ping")])
        assert answer["error"]["code"] == -32600
        assert "id" not in answer
        await peer.open()
        assert await still_works(peer)
