"""A client whose streams are lost asks again for what it was to be told, and tells its readers of the gap.

Over HTTP each listen has a stream of its own, and the session goes on where one is lost. Here the streams are lost
within a session in memory; tests/http/client/test_listening.py cuts real ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.client.answering import following
from tests.server.news import acknowledged, newsy
from tests.session.peer import ERAS, MODERN, Peer, RawServer, discovered, error
from trimcp.client.notifications.notices import (
    Interrupted,
    ListenEnd,
    Notices,
    ResourceUpdated,
    SubscriptionsEnded,
    ToolsChanged,
    Topics,
)


@asynccontextmanager
async def staying(server: Any, version: str = MODERN, **options: Any) -> AsyncIterator[trimcp.Client]:
    """A client that stays when a stream is lost."""
    async with trimcp.connect(server, revision=version, **options) as client:
        client._run.stay()
        yield client


def lose(client: Any, *which: Notices) -> None:
    """Lose the streams of these listens, or of all that there are, the shared one included."""
    hub = client._run._hub
    for listen in list(hub._listens.values()):
        if not which or listen.notices in which:
            client.session.calls._outbound.give_up(listen.id)
            listen.call.settle(None, trimcp.ConnectionLost("the stream was lost"))


async def bring_back(client: Any, version: str = MODERN) -> None:
    """Ask again; of a legacy server, which tells by one stream, all of it."""
    await client._run.reconnected(anew=version != MODERN)


async def test_a_listen_goes_on_and_its_reader_is_told_of_the_gap() -> None:
    server = newsy()
    async with server.running(), staying(server) as client:
        async with client.listen(tools=True, uris=["a:1"]) as notices:
            server.notify_resource_updated("a:1")
            await wait_all_tasks_blocked()
            lose(client)
            assert notices.end is None
            assert notices.is_interrupted
            await bring_back(client)
            assert not notices.is_interrupted
            assert notices.acknowledged == Topics(tools=True, uris=("a:1",))
            assert await following(notices) == ResourceUpdated("a:1")  # from before
            assert await following(notices) == Interrupted()
            server.notify_tools_changed()
            assert await following(notices) == ToolsChanged()
        assert notices.end is ListenEnd.CLOSED


@pytest.mark.parametrize("version", ERAS)
async def test_subscriptions_are_made_again_and_those_who_read_everything_are_told(version: str) -> None:
    server = newsy()
    async with server.running(), staying(server, version) as client, client.notices() as notices:
        await client.subscribe("a:1")
        await client.subscribe("a:2")
        await client.unsubscribe("a:1")
        for _ in range(2):
            lose(client)
            await bring_back(client, version)
            server.notify_resource_updated("a:1")
            server.notify_resource_updated("a:2")
            assert await following(notices) == Interrupted()
            assert await following(notices) == ResourceUpdated("a:2")


@pytest.mark.parametrize("version", ERAS)
async def test_a_legacy_server_that_forgot_is_asked_for_the_listens_as_well(version: str) -> None:
    server = newsy()
    async with (
        server.running(),
        staying(server, version) as client,
        client.listen(tools=True, uris=["a:1"]) as notices,
    ):
        lose(client)
        await bring_back(client, version)
        assert await following(notices) == Interrupted()
        server.notify_resource_updated("a:1")
        assert await following(notices) == ResourceUpdated("a:1")


async def test_what_was_kept_is_forgotten_since_a_change_may_have_been_missed() -> None:
    server = trimcp.Server("s", caching=trimcp.Caching(default=trimcp.CacheHint(ttl_ms=10**6)))

    @server.tool
    async def one() -> None: ...

    async with server.running(), staying(server) as client:
        await client.list_tools()

        @server.tool
        async def two() -> None: ...

        assert [tool.name for tool in await client.list_tools()] == ["one"]
        await bring_back(client)
        assert [tool.name for tool in await client.list_tools()] == ["one", "two"]


async def test_when_no_other_stream_follows_readers_are_told_why_and_may_begin_anew() -> None:
    server = newsy()
    async with (
        server.running(),
        staying(server) as client,
        client.listen(tools=True) as notices,
        client.notices() as everything,
    ):
        await client.subscribe("a:1")
        lose(client, notices)
        client._run.gave_up(trimcp.ConnectionLost("five times in vain"))
        for queue in (notices, everything):
            with pytest.raises(trimcp.ConnectionLost, match="five times"):
                await following(queue)
            assert queue.end is ListenEnd.FAILED
        async with client.listen(tools=True) as again:
            server.notify_tools_changed()
            assert await following(again) == ToolsChanged()


@pytest.mark.parametrize("version", ERAS)
async def test_closing_is_the_end_also_of_a_client_that_stays(version: str) -> None:
    server = newsy()
    async with (
        server.running(),
        staying(server, version) as client,
        client.listen(tools=True) as notices,
        client.notices() as everything,
    ):
        lose(client)
        client.close()
        for queue in (notices, everything):
            with pytest.raises(trimcp.ConnectionClosed):
                await following(queue)


async def test_a_listen_that_is_left_meanwhile_is_not_asked_for_again() -> None:
    server = newsy()
    async with server.running(), staying(server) as client:
        async with client.listen(tools=True, uris=["a:1"]) as notices:
            lose(client)
        assert notices.end is ListenEnd.CLOSED
        await bring_back(client)
        await wait_all_tasks_blocked()
        assert server.tree()[0].listens == 1, "the one that was lost, which the server cannot know"


async def test_a_listen_that_is_left_while_it_is_asked_for_again_is_cancelled_on_the_wire() -> None:
    seen: list[Any] = []

    async def serve(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"]))
        first = await peer.receive()
        await peer.send(acknowledged(first["id"], tools=True))
        seen.extend([await peer.receive(), await peer.receive()])
        await peer.rest()

    async with staying(RawServer(serve)) as client, trio.open_nursery() as nursery:
        async with client.listen(tools=True):
            lose(client)
            nursery.start_soon(bring_back, client)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
    assert [message["method"] for message in seen] == ["subscriptions/listen", "notifications/cancelled"]


def granting(*, refused: str) -> Any:
    """A server that acknowledges each listen at first, and later answers as `refused` says."""
    asked: list[str] = []

    async def serve(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"], capabilities={"resources": {"subscribe": True}, "tools": {}}))
        while True:
            try:
                request = await peer.receive()
            except EOFError:
                return
            if "id" not in request:
                continue
            wanted = request["params"]["notifications"]
            kind = "tools" if "toolsListChanged" in wanted else "uris"
            asked.append(kind)
            if asked.count(kind) > (1 if kind == "tools" else 2) and kind == refused:
                await peer.send(error(request["id"], -31001, "Busy"))
            elif kind == "tools":
                await peer.send(acknowledged(request["id"], tools=True))
            else:
                again = asked.count(kind) > 2
                uris = wanted["resourceSubscriptions"]
                await peer.send(acknowledged(request["id"], uris=["a:2"] if again else uris))

    return RawServer(serve)


async def test_what_the_server_refuses_now_ends() -> None:
    async with (
        staying(granting(refused="tools")) as client,
        client.listen(tools=True) as notices,
        client.notices() as everything,
    ):
        await client.subscribe("a:1")
        await client.subscribe("a:2")
        lose(client)
        await bring_back(client)
        with pytest.raises(trimcp.RequestFailed, match="Busy"):
            await following(notices)
        assert await following(everything) == SubscriptionsEnded(("a:1",))
        assert await following(everything) == Interrupted()


async def test_a_stream_that_is_lost_again_at_once_leaves_it_for_the_next() -> None:
    server = newsy()
    async with server.running(), staying(server) as client, client.listen(tools=True) as notices:
        lose(client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bring_back, client)
            while not client._run._hub._listens:  # type: ignore[union-attr]
                await trio.lowlevel.checkpoint()
            lose(client)
        assert notices.is_interrupted
        await bring_back(client)
        assert not notices.is_interrupted
        assert await following(notices) == Interrupted()


async def test_one_stream_that_is_lost_is_asked_for_again_alone() -> None:
    server = newsy()
    async with (
        server.running(),
        staying(server) as client,
        client.listen(tools=True) as one,
        client.listen(tools=True) as other,
    ):
        lose(client, one)
        assert (one.is_interrupted, other.is_interrupted) == (True, False)
        await bring_back(client)
        assert await following(one) == Interrupted()
        with trio.move_on_after(0) as nothing:
            await anext(other)
        assert nothing.cancelled_caught


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
