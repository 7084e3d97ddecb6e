"""A client that outlives its connection asks again for what it was to be told, and tells its readers of the gap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.server.news import acknowledged, newsy
from tests.session.peer import ERAS, MODERN, PATIENCE, Peer, RawServer, discovered, error
from trimcp.client.handlers import Handlers
from trimcp.client.negotiation import Offer, negotiate
from trimcp.client.notices import (
    Interrupted,
    ListenEnd,
    Notice,
    Notices,
    PromptsChanged,
    ResourceUpdated,
    SubscriptionsEnded,
    ToolsChanged,
    Topics,
)
from trimcp.client.service import ClientService
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.limits import Limits
from trimcp.transports.memory import memory_pair
from trimcp.types import BY_VERSION, Implementation


async def following(notices: Notices) -> Notice:
    """The next notice."""
    with trio.fail_after(PATIENCE):
        return await anext(notices)


class Line:
    """A client, the server's end of its connection, and another connection when it is asked for."""

    def __init__(self, client: trimcp.Client, end: Any, nursery: trio.Nursery) -> None:
        self.client = client
        self._end = end
        self._nursery = nursery

    async def cut(self) -> None:
        """Lose the connection."""
        await self._end.aclose()
        await wait_all_tasks_blocked()

    async def mend(self, server: Any, version: str) -> None:
        """Have another connection."""
        revision = BY_VERSION[version]
        ours, self._end = memory_pair()
        await self._nursery.start(server.serve, self._end)
        service = ClientService(Limits(), [revision], Handlers(), self.client.noticed, self.client.ended)
        session = DuplexSession(ours, service)
        await self._nursery.start(session.run)
        info = Implementation("t", "1")
        offer = Offer(
            revisions=[revision],
            info=info,
            capabilities=Handlers().capabilities(),
            probe_timeout=PATIENCE,
            timeout=PATIENCE,
        )
        await self.client.reconnected(session, await negotiate(session, offer))


@asynccontextmanager
async def staying(server: Any, version: str, **options: Any) -> AsyncIterator[Line]:
    """A client that stays when its connection is lost."""
    ours, theirs = memory_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, theirs)
        async with trimcp.connect(ours, revision=version, **options) as client:
            client.stay()
            yield Line(client, theirs, nursery)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("version", ERAS)
async def test_a_listen_goes_on_over_another_connection_and_its_reader_is_told_of_the_gap(version: str) -> None:
    server = newsy()
    async with server.running(), staying(server, version) as line:
        async with line.client.listen(tools=True, uris=["a:1"]) as notices:
            server.notify_resource_updated("a:1")
            await line.client.ping()
            await line.cut()
            assert notices.end is None
            assert notices.is_interrupted
            server.notify_tools_changed()  # nobody is told
            await line.mend(server, version)
            assert not notices.is_interrupted
            assert notices.acknowledged == Topics(tools=True, uris=("a:1",))
            assert await following(notices) == ResourceUpdated("a:1")  # from before
            assert await following(notices) == Interrupted()
            server.notify_tools_changed()
            server.notify_resource_updated("a:1")
            assert [await following(notices), await following(notices)] == [ToolsChanged(), ResourceUpdated("a:1")]
        assert notices.end is ListenEnd.CLOSED
        await wait_all_tasks_blocked()
        assert (server.tree()[0].listens, server.tree()[0].subscriptions) == (0, 0)


@pytest.mark.parametrize("version", ERAS)
async def test_a_reader_that_waits_goes_on_waiting(version: str) -> None:
    server = newsy()
    read: list[Notice] = []
    async with server.running(), staying(server, version) as line, line.client.listen(tools=True) as notices:

        async def reader() -> None:
            async for notice in notices:
                read.append(notice)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader)
            await line.cut()
            assert read == []
            await line.mend(server, version)
            await wait_all_tasks_blocked()
            assert read == [Interrupted()]
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("version", ERAS)
async def test_subscriptions_are_made_again_and_those_who_read_everything_are_told(version: str) -> None:
    server = newsy()
    async with server.running(), staying(server, version) as line, line.client.notices() as notices:
        await line.client.subscribe("a:1")
        await line.client.subscribe("a:2")
        await line.client.unsubscribe("a:1")
        for _ in range(2):
            await line.cut()
            assert notices.is_interrupted
            await line.mend(server, version)
            assert server.tree()[0].subscriptions == 1
            server.notify_resource_updated("a:1")
            server.notify_resource_updated("a:2")
            assert await following(notices) == Interrupted()
            assert await following(notices) == ResourceUpdated("a:2")
        await line.client.unsubscribe("a:2")
        await wait_all_tasks_blocked()
        assert server.tree()[0].subscriptions == 0


async def test_a_client_may_come_back_to_a_server_of_another_era() -> None:
    server = newsy()
    async with (
        server.running(),
        staying(server, MODERN) as line,
        line.client.listen(prompts=True, uris=["a:1"]) as notices,
    ):
        await line.client.subscribe("a:2")
        for version in ("2025-11-25", MODERN):
            await line.cut()
            await line.mend(server, version)
            assert line.client.protocol_version == version
            server.notify_prompts_changed()
            server.notify_resource_updated("a:1")
            assert [await following(notices) for _ in range(3)] == [
                Interrupted(),
                PromptsChanged(),
                ResourceUpdated("a:1"),
            ]
            assert server.tree()[0].subscriptions == 2


@pytest.mark.parametrize("version", ERAS)
async def test_calls_fail_while_there_is_no_connection_and_work_afterwards(version: str) -> None:
    server = newsy()
    async with server.running(), staying(server, version) as line:
        await line.cut()
        with pytest.raises(trimcp.ConnectionLost):
            await line.client.list_tools()
        with pytest.raises(trimcp.ConnectionLost):
            async with line.client.listen(uris=["a:1"]):
                pytest.fail("there is no connection")
        await line.mend(server, version)
        await line.client.list_tools()
        async with line.client.listen(tools=True) as notices, line.client.notices() as everything:
            server.notify_tools_changed()
            assert await following(notices) == await following(everything) == ToolsChanged()


async def test_what_was_kept_is_forgotten_since_a_change_may_have_been_missed() -> None:
    server = trimcp.Server("s", caching=trimcp.Caching(default=trimcp.CacheHint(ttl_ms=10**6)))

    @server.tool
    async def one() -> None: ...

    async with server.running(), staying(server, MODERN) as line:
        await line.client.list_tools()
        await line.cut()

        @server.tool
        async def two() -> None: ...

        await line.mend(server, MODERN)
        assert [tool.name for tool in await line.client.list_tools()] == ["one", "two"]


@pytest.mark.parametrize("version", ERAS)
async def test_when_there_will_be_no_other_connection_readers_are_told_why(version: str) -> None:
    server = newsy()
    async with (
        server.running(),
        staying(server, version) as line,
        line.client.listen(tools=True) as notices,
        line.client.notices() as everything,
    ):
        await line.cut()
        line.client.gave_up(trimcp.ConnectionLost("five times in vain"))
        for queue in (notices, everything):
            with pytest.raises(trimcp.ConnectionLost, match="five times"):
                await following(queue)
            assert queue.end is ListenEnd.FAILED


@pytest.mark.parametrize("version", ERAS)
async def test_closing_is_the_end_also_of_a_client_that_stays(version: str) -> None:
    server = newsy()
    async with (
        server.running(),
        staying(server, version) as line,
        line.client.listen(tools=True) as notices,
        line.client.notices() as everything,
    ):
        line.client.close()
        for queue in (notices, everything):
            with pytest.raises(trimcp.ConnectionClosed):
                await following(queue)


@pytest.mark.parametrize("version", ERAS)
async def test_a_listen_that_is_left_meanwhile_is_not_asked_for_again(version: str) -> None:
    server = newsy()
    async with server.running(), staying(server, version) as line:
        async with line.client.listen(tools=True, uris=["a:1"]) as notices:
            await line.cut()
        assert notices.end is ListenEnd.CLOSED
        await line.mend(server, version)
        await wait_all_tasks_blocked()
        assert (server.tree()[0].listens, server.tree()[0].subscriptions) == (0, 0)


async def test_a_listen_that_is_left_while_it_is_asked_for_again_is_cancelled_on_the_wire() -> None:
    rest: list[Any] = []

    async def slow(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"]))
        rest.extend([await peer.receive(), await peer.receive()])

    server = newsy()
    async with server.running(), staying(server, MODERN) as line, trio.open_nursery() as nursery:
        async with line.client.listen(tools=True):
            await line.cut()
            nursery.start_soon(line.mend, RawServer(slow), MODERN)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
    assert [message["method"] for message in rest] == ["subscriptions/listen", "notifications/cancelled"]


async def test_what_the_server_refuses_now_ends() -> None:
    async def stubborn(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"]))
        while True:
            try:
                request = await peer.receive()
            except EOFError:
                return
            if "id" not in request:
                continue
            wanted = request["params"]["notifications"]
            if "toolsListChanged" in wanted:
                await peer.send(error(request["id"], -31001, "Busy"))
            else:
                await peer.send(acknowledged(request["id"], uris=["a:2"]))

    server = newsy()
    async with (
        server.running(),
        staying(server, MODERN) as line,
        line.client.listen(tools=True) as notices,
        line.client.notices() as everything,
    ):
        await line.client.subscribe("a:1")
        await line.client.subscribe("a:2")
        await line.cut()
        await line.mend(RawServer(stubborn), MODERN)
        with pytest.raises(trimcp.RequestFailed, match="Busy"):
            await following(notices)
        assert await following(everything) == SubscriptionsEnded(("a:1",))
        assert await following(everything) == Interrupted()


async def test_a_connection_that_is_lost_again_at_once_leaves_it_for_the_next() -> None:
    async def hasty(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"]))
        await peer.receive()
        await peer.duplex.aclose()

    server = newsy()
    async with server.running(), staying(server, MODERN) as line, line.client.listen(tools=True) as notices:
        await line.client.subscribe("a:1")
        await line.cut()
        await line.mend(RawServer(hasty), MODERN)
        assert notices.is_interrupted
        await line.mend(server, MODERN)
        assert await following(notices) == Interrupted()
        assert server.tree()[0].subscriptions == 1


async def test_one_stream_that_is_lost_is_asked_for_again_alone() -> None:
    # As over HTTP, where each listen has a stream of its own: the session goes on.
    seen: list[Any] = []

    async def serve(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"]))
        while True:
            try:
                request = await peer.receive()
            except EOFError:
                return
            seen.append(request)
            if "id" in request:
                wanted = request["params"]["notifications"]
                await peer.send(acknowledged(request["id"], tools="toolsListChanged" in wanted))

    async with staying(RawServer(serve), MODERN) as line:
        client = line.client
        async with client.listen(tools=True) as one, client.listen(tools=True) as other:
            call = _listen_of(client, one)
            client.session.calls._outbound.give_up(call.id)  # what a stream that is lost does
            call.settle(None, trimcp.ConnectionLost("the stream was lost"))
            assert (one.is_interrupted, other.is_interrupted) == (True, False)
            await client.reconnected()
            assert await following(one) == Interrupted()
            with trio.move_on_after(0) as nothing:
                await anext(other)
            assert nothing.cancelled_caught
    assert [message["method"] for message in seen[:3]] == ["subscriptions/listen"] * 3


def _listen_of(client: Any, notices: Notices) -> Any:
    (opened,) = [opened for opened in client._subscriptions._opened if opened.notices is notices]
    return opened.listen.call


async def test_subscriptions_that_the_server_answers_with_an_error_do_not_end_in_silence() -> None:
    async def serve(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"], capabilities={"resources": {"subscribe": True}}))
        listen = await peer.receive()
        await peer.send(acknowledged(listen["id"], uris=["a:1"]))
        ping = await peer.receive()
        await peer.send(error(listen["id"], -32603, "Broken"), discovered(ping["id"]))
        await peer.rest()

    async with trimcp.connect(RawServer(serve)) as client, client.notices() as notices:
        await client.subscribe("a:1")
        await client.ping()
        assert await following(notices) == SubscriptionsEnded(("a:1",))
