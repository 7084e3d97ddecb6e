"""One call tells every peer, whatever its era (server/resources, and the list-changed parts of the others)."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.server.news import LISTS, changed, listen, newsy, notify_list, updated
from tests.session.peer import ALL, ERAS, LEGACY, MODERN, notification, served


@pytest.mark.parametrize("kind", LISTS)
async def test_a_changed_list_is_told_to_peers_of_every_revision_by_one_call(kind: str) -> None:
    server = newsy()
    async with server.running(), AsyncExitStack() as stack:
        peers = {version: await stack.enter_async_context(served(server, version)) for version in ALL}
        await peers[MODERN].ask(listen(peers[MODERN], 7, **{kind: True}))
        for peer in peers.values():
            await peer.settled()
        notify_list(server, kind)
        told = {version: await peer.settled() for version, peer in peers.items()}
        assert told == {**{version: [changed(kind)] for version in LEGACY}, MODERN: [changed(kind, id=7)]}


@pytest.mark.parametrize("version", LEGACY)
async def test_a_legacy_session_is_told_nothing_before_it_is_ready(version: str) -> None:
    server = newsy()
    async with served(server, version, opened=False) as peer:
        server.notify_tools_changed()
        assert await peer.settled() == []
        await peer.ask(peer.initialize())
        server.notify_tools_changed()
        assert await peer.settled() == []
        await peer.send(notification("notifications/initialized"))
        await peer.settled()
        server.notify_tools_changed()
        assert await peer.settled() == [changed("tools")]


@pytest.mark.parametrize("version", ERAS)
async def test_a_feature_that_the_server_does_not_have_is_not_told_of(version: str) -> None:
    server = trimcp.Server("tools only")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    async with served(server, version) as peer:
        if version == MODERN:
            await peer.ask(listen(peer, 1, tools=True, prompts=True, resources=True))
        else:
            await peer.settled()
        server.notify_prompts_changed()
        server.notify_resources_changed()
        assert await peer.settled() == []
        server.notify_tools_changed()
        assert len(await peer.settled()) == 1


@pytest.mark.parametrize("version", ALL)
async def test_the_capabilities_say_what_is_told(version: str) -> None:
    server = newsy()
    async with served(server, version, opened=False) as peer:
        opening = peer.request(1, "server/discover") if version == MODERN else peer.initialize()
        capabilities = (await peer.ask(opening))["result"]["capabilities"]
        assert capabilities["tools"] == {"listChanged": True}
        assert capabilities["prompts"] == {"listChanged": True}
        assert capabilities["resources"] == {"listChanged": True, "subscribe": True}


@pytest.mark.parametrize("version", ERAS)
async def test_declaring_and_removing_tell_by_themselves(version: str) -> None:
    server = newsy()
    async with served(server, version) as peer:
        if version == MODERN:
            await peer.ask(listen(peer, 1, tools=True, resources=True))
        else:
            await peer.settled()
        id = 1 if version == MODERN else None

        @server.tool
        async def late() -> None: ...

        assert await peer.settled() == [changed("tools", id=id)]
        server.remove_resource("mem://motd")
        assert await peer.settled() == [changed("resources", id=id)]


@pytest.mark.parametrize("version", LEGACY)
async def test_a_legacy_session_is_told_of_the_resources_it_subscribed_to(version: str) -> None:
    server = newsy()
    async with served(server, version) as peer:
        assert (await peer.ask(peer.request(1, "resources/subscribe", {"uri": "mem://motd"})))["result"] == {}
        server.notify_resource_updated("mem://motd")
        server.notify_resource_updated("mem://other")
        assert await peer.settled() == [updated("mem://motd")]
        assert (await peer.ask(peer.request(2, "resources/unsubscribe", {"uri": "mem://motd"})))["result"] == {}
        server.notify_resource_updated("mem://motd")
        assert await peer.settled() == []


async def test_subscribing_twice_is_as_good_as_once() -> None:
    server = newsy(subscriptions=1)
    async with served(server, "2025-11-25") as peer:
        for id in (1, 2):
            assert "result" in await peer.ask(peer.request(id, "resources/subscribe", {"uri": "mem://motd"}))
        server.notify_resource_updated("mem://motd")
        assert await peer.settled() == [updated("mem://motd")]
        for id in (3, 4):
            assert "result" in await peer.ask(peer.request(id, "resources/unsubscribe", {"uri": "mem://motd"}))
        assert server.tree()[0].subscriptions == 0


async def test_a_session_is_told_of_its_own_subscriptions_alone() -> None:
    server = newsy()
    async with server.running(), served(server, "2025-11-25") as one, served(server, "2025-06-18") as other:
        await one.ask(one.request(1, "resources/subscribe", {"uri": "mem://motd"}))
        await other.ask(other.request(1, "resources/subscribe", {"uri": "mem://b"}))
        server.notify_resource_updated("mem://motd")
        server.notify_resource_updated("mem://b")
        assert await one.settled() == [updated("mem://motd")]
        assert await other.settled() == [updated("mem://b")]


@pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
async def test_a_server_without_resources_takes_no_subscriptions(method: str) -> None:
    async with served(trimcp.Server("empty"), "2025-11-25") as peer:
        answer = await peer.ask(peer.request(1, method, {"uri": "mem://motd"}))
        assert answer["error"]["code"] == -32601


@pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
async def test_the_modern_era_has_no_such_requests(method: str) -> None:
    async with served(newsy(), MODERN) as peer:
        answer = await peer.ask(peer.request(1, method, {"uri": "mem://motd"}))
        assert answer["error"]["code"] == -32601


async def test_a_legacy_session_has_no_listen() -> None:
    async with served(newsy(), "2025-11-25") as peer:
        answer = await peer.ask(listen(peer, 1, tools=True))
        assert answer["error"]["code"] == -32601


async def test_both_eras_on_one_connection_are_told_each_in_its_own_way() -> None:
    server = newsy()
    async with served(server, "2025-11-25") as peer:
        await peer.settled()
        peer.version = MODERN
        await peer.ask(listen(peer, "listening", tools=True, uris=["mem://motd"]))
        server.notify_tools_changed()
        assert await peer.settled() == [changed("tools"), changed("tools", id="listening")]
        server.notify_resource_updated("mem://motd")
        assert await peer.settled() == [updated("mem://motd", id="listening")]


async def test_more_subscriptions_than_a_session_may_have_are_refused_as_busy() -> None:
    server = newsy(subscriptions=2)
    async with served(server, "2025-11-25") as peer:
        for uri in ("a:1", "a:2"):
            assert "result" in await peer.ask(peer.request(uri, "resources/subscribe", {"uri": uri}))
        answer = await peer.ask(peer.request(3, "resources/subscribe", {"uri": "a:3"}))
        assert answer["error"]["code"] == -31001
        assert answer["error"]["data"] == {"reason": "busy", "retryAfterMs": 1000}
        assert "2 subscriptions" in answer["error"]["message"]
        await peer.ask(peer.request(4, "resources/unsubscribe", {"uri": "a:1"}))
        assert "result" in await peer.ask(peer.request(5, "resources/subscribe", {"uri": "a:3"}))


@pytest.mark.parametrize(
    ("uri", "taken"), [("a:" + "x" * 98, True), ("a:" + "x" * 99, False), ("a:" + "ä" * 50, False)]
)
async def test_a_uri_to_subscribe_to_has_a_longest_length(uri: str, taken: bool) -> None:
    async with served(newsy(uri_bytes=100), "2025-11-25") as peer:
        answer = await peer.ask(peer.request(1, "resources/subscribe", {"uri": uri}))
        if taken:
            assert answer["result"] == {}
        else:
            assert answer["error"]["code"] == -32602
            assert answer["error"]["data"] == {"maxBytes": 100}


async def test_nothing_is_kept_of_a_session_that_has_ended() -> None:
    server = newsy()
    async with server.running() as running:
        async with served(server, "2025-11-25") as peer:
            await peer.ask(peer.request(1, "resources/subscribe", {"uri": "mem://motd"}))
            peer.version = MODERN
            await peer.ask(listen(peer, 2, tools=True, uris=["a:1", "a:2"]))
            assert (running.snapshot().listens, running.snapshot().subscriptions) == (1, 3)
        assert (running.snapshot().listens, running.snapshot().subscriptions) == (0, 0)
        server.notify_tools_changed()
        server.notify_resource_updated("mem://motd")


async def test_any_thread_may_tell() -> None:
    server = newsy()
    async with served(server, MODERN) as peer:
        await peer.ask(listen(peer, 1, prompts=True, uris=["mem://motd"]))

        def elsewhere() -> None:
            for _ in range(100):
                server.notify_prompts_changed()
                server.notify_resource_updated("mem://motd")

        await trio.to_thread.run_sync(elsewhere)
        told = await peer.settled()
        assert changed("prompts", id=1) in told
        assert updated("mem://motd", id=1) in told


async def test_a_sync_tool_may_tell() -> None:
    server = newsy()

    @server.tool
    def touch(uri: str) -> None:
        server.notify_resource_updated(uri)

    async with served(server, MODERN) as peer:
        await peer.ask(listen(peer, 1, uris=["mem://motd"]))
        await peer.send(peer.call(2, "touch", {"uri": "mem://motd"}))
        messages = [await peer.receive(), await peer.receive()]
        assert updated("mem://motd", id=1) in messages


def test_telling_while_nothing_runs_tells_nobody() -> None:
    server = newsy()
    server.notify_tools_changed()
    server.notify_resource_updated("mem://motd")


async def test_telling_after_the_end_of_a_run_is_no_error() -> None:
    server = newsy()
    async with served(server, MODERN) as peer:
        await peer.ask(listen(peer, 1, tools=True))
    server.notify_tools_changed()


@pytest.mark.parametrize("version", ERAS)
async def test_a_flood_at_a_peer_that_does_not_read_leaves_as_one_notice_each(
    version: str, autojump_clock: MockClock
) -> None:
    server = newsy(write_timeout=1e6)
    async with served(server, version, capacity=512) as peer:
        if version == MODERN:
            await peer.ask(listen(peer, 1, tools=True, uris=["a:1", "a:2"]))
        else:
            for uri in ("a:1", "a:2"):
                await peer.ask(peer.request(uri, "resources/subscribe", {"uri": uri}))
        assert peer.session is not None
        for _ in range(10_000):
            server.notify_tools_changed()
            server.notify_resource_updated("a:1")
            server.notify_resource_updated("a:2")
        await wait_all_tasks_blocked()
        assert peer.session.writer.waiting_bytes < 1500
        told = await peer.settled()
        id = 1 if version == MODERN else None
        assert len(told) < 20  # what the pipe held, and one of each behind it
        for notice in (changed("tools", id=id), updated("a:1", id=id), updated("a:2", id=id)):
            assert notice in told[-4:]
