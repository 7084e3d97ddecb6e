"""The bridge of `trimcp run --reload` over memory: what the client sees when its server is started again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import trio
import trio.testing

from trimcp.cli.reload.bridge import MOST_WAITING, RESTARTED, STOPPED, Bridge
from trimcp.errors import ConnectionEnded
from trimcp.transports.duplex import Duplex
from trimcp.transports.memory import memory_pair


def request(id: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def notification(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


class Peer:
    """One end of a connection, by messages."""

    def __init__(self, duplex: Duplex) -> None:
        self.duplex = duplex
        self._frames: list[bytes] = []

    async def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self.duplex.send_all(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Any:
        while not self._frames:
            frames = await self.duplex.receive()
            if not frames:
                return None
            self._frames += frames  # type: ignore[arg-type]
        return json.loads(self._frames.pop(0))


@attrs.define
class FakeChild:
    """A server whose part the test plays."""

    duplex: Duplex
    peer: Peer
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True


@attrs.define
class Stage:
    """A bridge, the client in front of it, and the servers behind it."""

    client: Peer
    changed: trio.MemorySendChannel[str]
    started: trio.MemoryReceiveChannel[FakeChild]
    said: list[str] = attrs.field(factory=list)

    async def next_child(self) -> FakeChild:
        return await self.started.receive()

    async def open_session(self) -> FakeChild:
        """Do the handshake of 2025-11-25."""
        await self.client.send(request(1, "initialize", protocolVersion="2025-11-25"))
        child = await self.next_child()
        assert (await child.peer.receive())["method"] == "initialize"
        capabilities = {"tools": {"listChanged": True}, "prompts": {}}
        await child.peer.send({"jsonrpc": "2.0", "id": 1, "result": {"capabilities": capabilities}})
        assert (await self.client.receive())["id"] == 1
        await self.client.send(notification("notifications/initialized"))
        assert (await child.peer.receive())["method"] == "notifications/initialized"
        return child


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Run a bridge."""
    ours, theirs = memory_pair(limit=2**20)
    changes, changed = trio.open_memory_channel[str](1)
    starts, started = trio.open_memory_channel[FakeChild](10)

    @asynccontextmanager
    async def start() -> AsyncIterator[FakeChild]:
        outer, inner = memory_pair(limit=2**20)
        child = FakeChild(outer, Peer(inner))
        await starts.send(child)
        yield child
        await outer.aclose()

    found = Stage(Peer(ours), changes, started)
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Bridge(theirs, found.said.append).run, start, changed)
            yield found
            nursery.cancel_scope.cancel()


async def test_a_new_server_is_told_what_the_old_one_knew(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as on:
        child = await on.open_session()
        told = [request(2, "logging/setLevel", level="info"), request(3, "resources/subscribe", uri="a:b")]
        told += [request(4, "resources/subscribe", uri="a:c"), request(5, "resources/unsubscribe", uri="a:c")]
        await on.client.send(*told)
        for _ in told:
            message = await child.peer.receive()
            await child.peer.send({"jsonrpc": "2.0", "id": message["id"], "result": {}})
            await on.client.receive()
        await on.changed.send("server.py")
        await trio.testing.wait_all_tasks_blocked()
        assert child.stopped
        await child.peer.duplex.aclose()
        new = await on.next_child()
        repeated = []
        for _ in range(4):
            message = await new.peer.receive()
            repeated.append(message["method"])
            if "id" in message:
                assert message["id"] not in (1, 2, 3)
                await new.peer.send({"jsonrpc": "2.0", "id": message["id"], "result": {}})
        assert repeated == ["initialize", "notifications/initialized", "logging/setLevel", "resources/subscribe"]
        # The client sees none of this, but that the list of tools may be another one.
        assert await on.client.receive() == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        await on.client.send(request("x", "tools/list"))
        assert (await new.peer.receive())["id"] == "x"
    assert on.said == ["server.py changed: the server starts again"]


async def test_requests_wait_for_the_new_server(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as on:
        child = await on.open_session()
        await on.client.send(request(2, "tools/call", name="slow"))
        await child.peer.receive()
        await on.changed.send("server.py")
        await trio.testing.wait_all_tasks_blocked()
        await on.client.send(request(3, "tools/list"), request(4, "tools/list"))
        await on.client.send(notification("notifications/cancelled", requestId=4))
        # The old one drains: it answers what it has, and hears of the cancel.
        assert (await child.peer.receive())["method"] == "notifications/cancelled"
        await child.peer.send({"jsonrpc": "2.0", "id": 2, "result": {"content": []}})
        assert (await on.client.receive())["id"] == 2
        await child.peer.duplex.aclose()
        new = await on.next_child()
        message = await new.peer.receive()
        await new.peer.send({"jsonrpc": "2.0", "id": message["id"], "result": {}})
        assert (await new.peer.receive())["method"] == "notifications/initialized"
        assert (await new.peer.receive())["id"] == 3
        await new.peer.send({"jsonrpc": "2.0", "id": 3, "result": {}})
        received = [await on.client.receive(), await on.client.receive()]
        assert {message.get("id") for message in received} == {3, None}


async def test_what_a_server_leaves_is_answered_and_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as on:
        child = await on.open_session()
        await on.client.send(request(2, "tools/call", name="slow"))
        await child.peer.receive()
        await child.peer.send(request(1, "sampling/createMessage"))
        asked = await on.client.receive()
        await on.changed.send("server.py")
        await trio.testing.wait_all_tasks_blocked()
        await child.peer.duplex.aclose()
        received = [await on.client.receive(), await on.client.receive()]
        assert received[0] == {"jsonrpc": "2.0", "id": 2, "error": {"code": -32603, "message": RESTARTED}}
        assert received[1]["method"] == "notifications/cancelled"
        assert received[1]["params"]["requestId"] == asked["id"]
        # The answer of the client comes too late for the old server, and is not for the new one.
        new = await on.next_child()
        await on.client.send({"jsonrpc": "2.0", "id": asked["id"], "result": {}})
        message = await new.peer.receive()
        assert message["method"] == "initialize"


async def test_answers_of_the_client_reach_the_server_that_asked(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as on:
        child = await on.open_session()
        await child.peer.send(request("q", "roots/list"))
        asked = await on.client.receive()
        assert asked["id"] != "q"
        await on.client.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": []}})
        assert await child.peer.receive() == {"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}
        # A cancel names the request as the client knows it.
        await child.peer.send(request(7, "roots/list"), notification("notifications/cancelled", requestId=7))
        asked = await on.client.receive()
        assert (await on.client.receive())["params"]["requestId"] == asked["id"]


async def test_only_so_many_requests_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as on:
        child = await on.open_session()
        await on.changed.send("server.py")
        await trio.testing.wait_all_tasks_blocked()
        for id in range(MOST_WAITING + 1):
            await on.client.send(request(id, "tools/list"))
        assert (await on.client.receive())["error"]["message"] == STOPPED
        await child.peer.duplex.aclose()


async def test_a_server_that_cannot_start_waits_for_a_change(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as on:
        child = await on.next_child()
        await child.peer.duplex.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert on.said == ["the server has ended: it starts again when a file changes"]
        await on.client.send(request(1, "server/discover"))
        assert (await on.client.receive())["error"]["message"] == STOPPED
        await on.changed.send("server.py")
        child = await on.next_child()
        await on.client.send(request(2, "server/discover"))
        assert (await child.peer.receive())["id"] == 2


async def test_a_modern_client_is_told_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as on:
        child = await on.next_child()
        await on.client.send(request(1, "server/discover"))
        await child.peer.receive()
        await child.peer.send({"jsonrpc": "2.0", "id": 1, "result": {"capabilities": {"tools": {"listChanged": True}}}})
        await on.client.receive()
        await on.changed.send("server.py")
        await trio.testing.wait_all_tasks_blocked()
        await child.peer.duplex.aclose()
        child = await on.next_child()
        await on.client.send(request(2, "tools/list"))
        assert (await child.peer.receive())["id"] == 2
        await child.peer.send({"jsonrpc": "2.0", "id": 2, "result": {}})
        assert (await on.client.receive())["id"] == 2


async def test_the_server_ends_when_the_client_leaves(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as on:
        child = await on.open_session()
        await on.client.duplex.send_eof()
        with suppress(ConnectionEnded):
            assert await child.peer.receive() is None
        await child.peer.duplex.aclose()
        assert await on.client.receive() is None
