"""A handle over lost connections: it is asked again, for as long as a server may be silent, and no longer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.client.tasks.task_server import BOTH, CORE, TaskServer, tasks_served
from tests.client.test_calls import Outcome
from tests.session.peer import MODERN, PATIENCE, Peer, RawServer
from trimcp import Restarts, Timeouts


@pytest.mark.parametrize("code", [-31001, -31010, -31011])
@pytest.mark.parametrize("version", BOTH)
async def test_a_busy_server_is_asked_again(version: str, code: int, autojump_clock: MockClock) -> None:
    """Also one whose store does not answer, or whose node was lost with the request."""
    server = TaskServer(version)
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        server.refuse["tasks/get"] = {"code": code, "message": "busy", "data": {"retryAfterMs": 4000}}
        await trio.sleep(20)
        times = server.times("tasks/get")
        assert 3 <= len(times) <= 6
        assert times[1] - times[0] >= 4
        server.refuse.clear()
        await server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"


@pytest.mark.parametrize("code", [-31010, -31011])
async def test_the_result_of_a_completed_task_is_asked_for_again(code: int, autojump_clock: MockClock) -> None:
    server = TaskServer(CORE)
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        server.refuse["tasks/result"] = {"code": code, "message": "not now"}
        await server.becomes("task-1", "completed")
        await trio.sleep(4)
        server.refuse.clear()
        assert (await waiting.done()).value.text == "done"


async def test_a_task_that_failed_with_its_node_has_that_error(autojump_clock: MockClock) -> None:
    server = TaskServer(CORE)
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        server.refuse["tasks/result"] = {"code": -31010, "message": "the node is lost"}
        await server.becomes("task-1", "failed")
        error = (await waiting.done()).error
        assert isinstance(error, trimcp.RequestFailed)
        assert error.code == -31010
        assert len(server.times("tasks/result")) == 1


@pytest.mark.parametrize("version", BOTH)
async def test_a_server_that_stays_away_is_given_up(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server, timeouts=Timeouts(request=30)) as client:
        task = await client.call_tool("slow", task=True)
        server.refuse["tasks/get"] = {"code": -31001, "message": "busy"}
        began = trio.current_time()
        with trio.fail_after(PATIENCE), pytest.raises(trimcp.RequestFailed, match="busy"):
            await task.result()
        # Up to five pauses take 15.5 s, and the sixth is 8 to 16 s long: it may not fit into the 30 s any more.
        assert 30 - 16 < trio.current_time() - began <= 31


@pytest.mark.parametrize("version", BOTH)
async def test_a_client_whose_connection_is_gone_says_so_at_once(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client:
        task = await client.call_tool("slow", task=True)
        await server.peer.end()
        began = trio.current_time()
        with trio.fail_after(PATIENCE), pytest.raises(trimcp.ConnectionLost):
            await task.result()
        assert trio.current_time() - began < 5


class Restarted:
    """A server with tasks that keeps them over connections, each of which the test ends."""

    def __init__(self, version: str) -> None:
        self.server = TaskServer(version)
        self.connections = 0

    async def script(self, peer: Peer) -> None:
        self.connections += 1
        peer.version = self.server.version
        await self.server.serve(peer)


@asynccontextmanager
async def in_group(restarted: Restarted) -> AsyncIterator[trimcp.Group]:
    target = RawServer(*[restarted.script] * 3)
    options: dict[str, Any] = {"revision": restarted.server.version, "restarts": Restarts(first=1, longest=5)}
    async with trimcp.open_group() as group:
        await group.add("shop", target, **options)
        await group.wait_ready("shop")
        yield group


@pytest.mark.parametrize("version", [CORE, MODERN])
async def test_in_a_group_the_handle_goes_on_over_the_next_connection(version: str, autojump_clock: MockClock) -> None:
    restarted = Restarted(version)
    async with in_group(restarted) as group, trio.open_nursery() as nursery:
        task = await group.call_tool("shop__slow", task=True)
        assert task.id is not None
        waiting = Outcome(nursery, task.result)
        other = Outcome(nursery, group.task("shop", task.id).result)
        await trio.sleep(2.5)
        await restarted.server.peer.end()
        await trio.sleep(20)
        assert restarted.connections == 2
        await restarted.server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"
        assert (await other.done()).value.text == "done"
        assert len(restarted.server.times("tools/call")) == 1
