"""`client.listen(…)`: the same words in both eras, and what they are on the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.answering import following
from tests.server.news import SUBSCRIPTION, acknowledged, changed, newsy, updated
from tests.session.peer import (
    ERAS,
    MODERN,
    PATIENCE,
    Peer,
    RawServer,
    cancelled,
    discovered,
    error,
    notification,
    result,
)
from trimcp.client.notifications.notices import (
    ListenEnd,
    PromptsChanged,
    ResourceUpdated,
    SubscriptionsEnded,
    ToolsChanged,
    Topics,
)
from trimcp.transports.memory import memory_pair

LEGACY = "2025-11-25"


def modern(serve: Callable[[Peer, Any], Awaitable[None]]) -> RawServer:
    """A modern server by hand, from its first `subscriptions/listen` on."""

    async def script(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"], capabilities={"tools": {}, "resources": {"subscribe": True}}))
        request = await peer.receive()
        assert request["method"] == "subscriptions/listen"
        await serve(peer, request)

    return RawServer(script)


def ended(id: Any) -> dict[str, Any]:
    """The result that ends a listen in good order."""
    return result(id, {"resultType": "complete", "_meta": {SUBSCRIPTION: id}})


def legacy(serve: Callable[[Peer], Awaitable[None]], **capabilities: Any) -> RawServer:
    """A legacy server by hand, from the end of its handshake on."""

    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"name": "raw", "version": "1"}
        await peer.send(
            result(opening["id"], {"protocolVersion": LEGACY, "capabilities": capabilities, "serverInfo": about})
        )
        await peer.receive()
        await serve(peer)

    return RawServer(script)


# --- the same in both eras ----------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_listener_is_told_what_it_asked_for(version: str) -> None:
    server = newsy()
    async with (
        trimcp.connect(server, revision=version) as client,
        client.listen(tools=True, uris=["a:1"]) as notices,
    ):
        assert notices.asked == notices.acknowledged == Topics(tools=True, uris=("a:1",))
        server.notify_prompts_changed()
        server.notify_resources_changed()
        server.notify_resource_updated("a:2")
        server.notify_tools_changed()
        server.notify_resource_updated("a:1")
        assert await following(notices) == ToolsChanged()
        assert await following(notices) == ResourceUpdated("a:1")


@pytest.mark.parametrize("version", ERAS)
async def test_two_listeners_are_told_each_what_it_asked_for(version: str) -> None:
    server = newsy()
    async with trimcp.connect(server, revision=version) as client:
        async with client.listen(tools=True, uris=["a:1", "a:2"]) as one:
            async with client.listen(prompts=True, uris=["a:2"]) as other:
                server.notify_tools_changed()
                server.notify_prompts_changed()
                server.notify_resource_updated("a:1")
                server.notify_resource_updated("a:2")
                assert [await following(one) for _ in range(3)] == [
                    ToolsChanged(),
                    ResourceUpdated("a:1"),
                    ResourceUpdated("a:2"),
                ]
                assert [await following(other) for _ in range(2)] == [PromptsChanged(), ResourceUpdated("a:2")]
            await client.ping()
            server.notify_resource_updated("a:2")  # the other one's end has not taken it away
            assert await following(one) == ResourceUpdated("a:2")
        await wait_all_tasks_blocked()
        assert server.tree()[0].subscriptions == 0


@pytest.mark.parametrize("version", ERAS)
async def test_leaving_tells_the_server_without_waiting(version: str) -> None:
    server = newsy()
    async with trimcp.connect(server, revision=version) as client:
        async with client.listen(tools=True, uris=["a:1"]) as notices:
            assert server.tree()[0].subscriptions == 1
        assert notices.end is ListenEnd.CLOSED
        await wait_all_tasks_blocked()
        assert (server.tree()[0].listens, server.tree()[0].subscriptions) == (0, 0)


@pytest.mark.parametrize("version", ERAS)
async def test_a_listener_that_is_cancelled_tells_the_server(version: str) -> None:
    server = newsy()
    async with trimcp.connect(server, revision=version) as client:
        with trio.CancelScope() as scope:
            async with client.listen(uris=["a:1"]) as notices:
                scope.cancel()
                await following(notices)
        await wait_all_tasks_blocked()
        assert (server.tree()[0].listens, server.tree()[0].subscriptions) == (0, 0)


@pytest.mark.parametrize("version", ERAS)
async def test_what_the_server_cannot_tell_is_not_acknowledged(version: str) -> None:
    server = trimcp.Server("tools only")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    everything: dict[str, Any] = {"tools": True, "prompts": True, "resources": True, "uris": ["a:1"]}
    async with trimcp.connect(server, revision=version) as client, client.listen(**everything) as notices:
        assert notices.asked == Topics(True, True, True, ("a:1",))
        assert notices.acknowledged == Topics(tools=True)


@pytest.mark.parametrize("version", ERAS)
async def test_listening_to_nothing_is_a_mistake(version: str) -> None:
    async with trimcp.connect(newsy(), revision=version) as client:
        with pytest.raises(trimcp.UsageError, match="nothing to listen to"):
            client.listen()
        with pytest.raises(trimcp.UsageError, match="list of URIs"):
            client.listen(uris="a:1")
        wrong: Any = ["a:1"]
        with pytest.raises(trimcp.UsageError, match="URIs of resources as `uris`"):
            client.listen(resources=wrong)


@pytest.mark.parametrize("version", ERAS)
async def test_a_lost_connection_ends_reading_with_an_exception(version: str) -> None:
    ours, theirs = memory_pair()
    server = newsy()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, theirs)
        async with trimcp.connect(ours, revision=version) as client, client.listen(tools=True) as notices:
            await client.ping()
            server.notify_tools_changed()
            await wait_all_tasks_blocked()
            await theirs.aclose()
            assert await following(notices) == ToolsChanged()
            with pytest.raises(trimcp.ConnectionLost):
                await following(notices)
            assert notices.end is ListenEnd.FAILED


@pytest.mark.parametrize("version", ERAS)
async def test_a_flood_reaches_a_slow_listener_once(version: str) -> None:
    server = newsy()
    async with trimcp.connect(server, revision=version) as client, client.listen(uris=["a:1", "a:2"]) as notices:
        for _ in range(200):
            for _ in range(10):
                server.notify_resource_updated("a:1")
                server.notify_resource_updated("a:2")
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert [await following(notices), await following(notices)] == [ResourceUpdated("a:1"), ResourceUpdated("a:2")]
        with trio.move_on_after(0) as nothing:
            await anext(notices)
        assert nothing.cancelled_caught


# --- 2026-07-28 on the wire ---------------------------------------------------------------


async def test_a_listen_is_one_request_without_a_deadline_and_its_end_one_cancel(autojump_clock: MockClock) -> None:
    seen: list[Any] = []

    async def serve(peer: Peer, request: Any) -> None:
        seen.append(request)
        await peer.send(acknowledged(request["id"], tools=True, uris=["a:1"]))
        seen.extend(await peer.rest())

    async with trimcp.connect(modern(serve)) as client:
        async with client.listen(tools=True, uris=["a:1", "a:1"]):
            await trio.sleep(PATIENCE - 1)
            assert client.session.snapshot().calls == 1
        assert client.session.snapshot().calls == 0
        await wait_all_tasks_blocked()
    request, cancel = seen
    assert request["params"]["notifications"] == {"toolsListChanged": True, "resourceSubscriptions": ["a:1"]}
    assert request["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN
    assert cancel["method"] == "notifications/cancelled"
    assert cancel["params"]["requestId"] == request["id"]


async def test_notices_go_to_the_listen_whose_id_they_carry() -> None:
    async def serve(peer: Peer, first: Any) -> None:
        await peer.send(acknowledged(first["id"], tools=True))
        second = await peer.receive()
        await peer.send(
            acknowledged(second["id"], tools=True),
            changed("tools", id=second["id"]),
            updated("a:1", id=first["id"]),
            changed("tools", id="nobody"),
            changed("prompts"),
        )
        await peer.rest()

    async with (
        trimcp.connect(modern(serve)) as client,
        client.notices() as everything,
        client.listen(tools=True) as one,
        client.listen(tools=True) as other,
    ):
        assert await following(other) == ToolsChanged()
        assert await following(one) == ResourceUpdated("a:1")  # not asked for, but this server says it is for it
        assert [await following(everything) for _ in range(3)] == [
            ToolsChanged(),
            ResourceUpdated("a:1"),
            PromptsChanged(),
        ]


@pytest.mark.parametrize("cancel_too", [False, True])
async def test_a_listen_that_the_server_ends_in_good_order_ends_reading(cancel_too: bool) -> None:
    async def serve(peer: Peer, request: Any) -> None:
        id = request["id"]
        await peer.send(acknowledged(id, tools=True), changed("tools", id=id), ended(id))
        if cancel_too:
            await peer.send(cancelled(id))
        await peer.send(changed("tools", id=id))
        assert await peer.rest() == []  # and it is not cancelled from here

    async with trimcp.connect(modern(serve)) as client, client.listen(tools=True) as notices:
        assert [notice async for notice in notices] == [ToolsChanged()]
        assert notices.end is ListenEnd.FINISHED
        assert [notice async for notice in notices] == []


async def test_a_listen_that_the_server_only_cancels_ends_reading_as_well() -> None:
    async def serve(peer: Peer, request: Any) -> None:
        await peer.send(acknowledged(request["id"], tools=True), cancelled(request["id"], reason="tired"))
        assert await peer.rest() == []

    async with trimcp.connect(modern(serve)) as client, client.listen(tools=True) as notices:
        assert [notice async for notice in notices] == []
        assert notices.end is ListenEnd.CANCELLED


async def test_a_server_of_ours_that_drains_ends_a_listen_in_good_order() -> None:
    server = newsy()
    async with (
        trimcp.connect(server) as client,
        client.listen(tools=True) as notices,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(server.drain)
        assert [notice async for notice in notices] == []
        assert notices.end is ListenEnd.FINISHED


async def test_a_listen_that_is_refused_raises() -> None:
    async def serve(peer: Peer, request: Any) -> None:
        await peer.send(error(request["id"], -31001, "Busy"))
        await peer.rest()

    async with trimcp.connect(modern(serve)) as client:
        with pytest.raises(trimcp.RequestFailed, match="Busy"):
            async with client.listen(tools=True):
                pytest.fail("it was refused")


async def test_more_listens_than_the_server_allows_raise() -> None:
    async with trimcp.connect(newsy(listens=1)) as client, client.listen(tools=True):
        with pytest.raises(trimcp.RequestFailed, match="Busy"):
            async with client.listen(tools=True):
                pytest.fail("it was refused")


async def test_a_listen_that_fails_later_raises_where_it_is_read() -> None:
    async def serve(peer: Peer, request: Any) -> None:
        await peer.send(acknowledged(request["id"], tools=True), error(request["id"], -32603, "Broken"))
        await peer.rest()

    async with trimcp.connect(modern(serve)) as client, client.listen(tools=True) as notices:
        with pytest.raises(trimcp.RequestFailed, match="Broken"):
            await following(notices)
        assert notices.end is ListenEnd.FAILED


async def test_a_listen_that_ends_before_it_is_acknowledged_is_over() -> None:
    async def serve(peer: Peer, request: Any) -> None:
        await peer.send(ended(request["id"]))
        await peer.rest()

    async with trimcp.connect(modern(serve)) as client, client.listen(tools=True) as notices:
        assert notices.acknowledged == Topics()
        assert [notice async for notice in notices] == []


async def test_a_listen_that_is_not_acknowledged_in_time_is_given_up(autojump_clock: MockClock) -> None:
    rest: list[Any] = []

    async def serve(peer: Peer, request: Any) -> None:
        rest.extend(await peer.rest())

    async with trimcp.connect(modern(serve), timeouts=trimcp.Timeouts(request=5)) as client:
        start = trio.current_time()
        with pytest.raises(trimcp.RequestTimedOut, match="within 5 s"):
            async with client.listen(tools=True):
                pytest.fail("it was not acknowledged")
        assert trio.current_time() - start == pytest.approx(5)
        await wait_all_tasks_blocked()
    assert [message["method"] for message in rest] == ["notifications/cancelled"]


async def test_an_acknowledgement_that_breaks_its_schema_raises() -> None:
    async def serve(peer: Peer, request: Any) -> None:
        ack = acknowledged(request["id"], tools=True)
        ack["params"]["notifications"]["toolsListChanged"] = "yes"
        await peer.send(ack)
        await peer.rest()

    async with trimcp.connect(modern(serve)) as client:
        with pytest.raises(trimcp.InvalidResult, match="toolsListChanged"):
            async with client.listen(tools=True):
                pytest.fail("it was not acknowledged")


async def test_a_listen_that_is_cancelled_while_it_opens_is_cancelled_on_the_wire() -> None:
    rest: list[Any] = []

    async def serve(peer: Peer, request: Any) -> None:
        rest.extend(await peer.rest())

    async with trimcp.connect(modern(serve)) as client:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when_blocked, scope)
                async with client.listen(tools=True):
                    pytest.fail("it was not acknowledged")
        await wait_all_tasks_blocked()
    assert [message["method"] for message in rest] == ["notifications/cancelled"]


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_a_cancel_of_the_servers_for_anything_else_is_ignored() -> None:
    async def serve(peer: Peer, request: Any) -> None:
        await peer.send(acknowledged(request["id"], tools=True))
        call = await peer.receive()
        await peer.send(
            cancelled(call["id"]),
            cancelled(99),
            cancelled(str(request["id"])),
            cancelled(True),
            notification("notifications/cancelled"),
            result(call["id"], {"resultType": "complete", "tools": [], "ttlMs": 0, "cacheScope": "private"}),
            changed("tools", id=request["id"]),
        )
        await peer.rest()

    async with trimcp.connect(modern(serve)) as client, client.listen(tools=True) as notices:
        assert await client.list_tools() == []
        assert await following(notices) == ToolsChanged()


async def test_one_listen_stands_for_all_subscriptions_and_the_next_is_there_before_the_last_goes() -> None:
    seen: list[Any] = []

    async def serve(peer: Peer, request: Any) -> None:
        seen.append(request)
        while True:
            if request["method"] == "subscriptions/listen":
                uris = request["params"]["notifications"]["resourceSubscriptions"]
                await peer.send(acknowledged(request["id"], uris=uris))
            try:
                request = await peer.receive()
            except EOFError:
                return
            seen.append(request)

    async with trimcp.connect(modern(serve)) as client:
        await client.subscribe("a:1")
        await client.subscribe("a:2")
        await client.unsubscribe("a:1")
        await client.unsubscribe("a:2")
        await wait_all_tasks_blocked()
    told = [
        message["params"]["notifications"]["resourceSubscriptions"]
        if message["method"] == "subscriptions/listen"
        else message["params"]["requestId"]
        for message in seen
    ]
    ids = [message["id"] for message in seen if "id" in message]
    assert told == [["a:1"], ["a:1", "a:2"], ids[0], ["a:2"], ids[1], ids[2]]


@pytest.mark.parametrize("end", [ended, cancelled], ids=["finished", "cancelled"])
async def test_subscriptions_that_the_server_ends_are_told_and_may_be_made_again(
    end: Callable[[Any], dict[str, Any]],
) -> None:
    async def serve(peer: Peer, request: Any) -> None:
        await peer.send(acknowledged(request["id"], uris=["a:1"]))
        ping = await peer.receive()
        await peer.send(end(request["id"]), discovered(ping["id"]))
        again = await peer.receive()
        assert again["params"]["notifications"] == {"resourceSubscriptions": ["a:1"]}
        await peer.send(acknowledged(again["id"], uris=["a:1"]), updated("a:1", id=again["id"]))
        await peer.rest()

    async with trimcp.connect(modern(serve)) as client, client.notices() as notices:
        await client.subscribe("a:1")
        await client.ping()
        assert await following(notices) == SubscriptionsEnded(("a:1",))
        await client.subscribe("a:1")
        assert await following(notices) == ResourceUpdated("a:1")


# --- the legacy era on the wire -----------------------------------------------------------

RESOURCES = {"resources": {"subscribe": True, "listChanged": True}}


async def test_in_the_legacy_era_resources_are_subscribed_to_all_at_once_and_once_for_all() -> None:
    seen: list[Any] = []

    async def serve(peer: Peer) -> None:
        first, second = await peer.receive(), await peer.receive()  # neither waits for the other's answer
        seen.extend([first, second])
        await peer.send(result(second["id"]), result(first["id"]))
        while True:
            try:
                request = await peer.receive()
            except EOFError:
                return
            seen.append(request)
            await peer.send(result(request["id"]))

    async with trimcp.connect(legacy(serve, **RESOURCES), revision=LEGACY) as client:
        async with client.listen(uris=["a:1", "a:2"]):
            await client.subscribe("a:1")
            async with client.listen(uris=["a:1", "a:3"]):
                pass
        await client.unsubscribe("a:1")
        await wait_all_tasks_blocked()
    told = [(message["method"].removeprefix("resources/"), message["params"]["uri"]) for message in seen]
    assert sorted(told[:2]) == [("subscribe", "a:1"), ("subscribe", "a:2")]
    assert told[2:] == [
        ("subscribe", "a:3"),
        ("unsubscribe", "a:3"),
        ("unsubscribe", "a:2"),
        ("unsubscribe", "a:1"),
    ]


async def test_in_the_legacy_era_a_resource_that_is_refused_is_not_acknowledged() -> None:
    async def serve(peer: Peer) -> None:
        for _ in range(2):
            request = await peer.receive()
            refused = request["params"]["uri"] == "a:2"
            await peer.send(error(request["id"], -32002) if refused else result(request["id"]))
        assert [m["params"]["uri"] for m in await peer.rest()] == ["a:1"]  # unsubscribed from alone

    async with (
        trimcp.connect(legacy(serve, **RESOURCES), revision=LEGACY) as client,
        client.listen(uris=["a:1", "a:2"]) as notices,
    ):
        assert notices.acknowledged == Topics(uris=("a:1",))


async def test_in_the_legacy_era_what_no_server_answers_is_taken_back(autojump_clock: MockClock) -> None:
    rest: list[Any] = []

    async def serve(peer: Peer) -> None:
        rest.extend(await peer.rest())

    async with trimcp.connect(
        legacy(serve, **RESOURCES), revision=LEGACY, timeouts=trimcp.Timeouts(request=5)
    ) as client:
        with pytest.raises(trimcp.RequestTimedOut):
            async with client.listen(uris=["a:1"]):
                pytest.fail("it was not answered")
        await wait_all_tasks_blocked()
    assert [message["method"] for message in rest] == [
        "resources/subscribe",
        "notifications/cancelled",
        "resources/unsubscribe",
    ]


async def test_in_the_legacy_era_an_update_of_a_part_is_the_listeners_of_the_whole() -> None:
    async def serve(peer: Peer) -> None:
        request = await peer.receive()
        await peer.send(result(request["id"]), updated("file:///d/part"), updated("file:///e"))
        await peer.rest()

    async with (
        trimcp.connect(legacy(serve, **RESOURCES), revision=LEGACY) as client,
        client.listen(uris=["file:///d"]) as notices,
    ):
        assert await following(notices) == ResourceUpdated("file:///d/part")
        with trio.move_on_after(0) as nothing:
            await anext(notices)
        assert nothing.cancelled_caught


@pytest.mark.parametrize("how", ["granted less", "ended at once"])
async def test_what_the_next_listen_does_not_cover_any_more_is_told(how: str) -> None:
    async def serve(peer: Peer, request: Any) -> None:
        await peer.send(acknowledged(request["id"], uris=["a:1"]))
        again = await peer.receive()
        if how == "granted less":
            await peer.send(acknowledged(again["id"], uris=["a:2"]))
        else:
            await peer.send(acknowledged(again["id"], uris=["a:1", "a:2"]), ended(again["id"]))
        cancel = await peer.receive()
        assert cancel["params"]["requestId"] == request["id"]
        await peer.rest()

    async with trimcp.connect(modern(serve)) as client, client.notices() as notices:
        await client.subscribe("a:1")
        if how == "granted less":
            await client.subscribe("a:2")
        else:
            with pytest.raises(trimcp.RequestFailed, match="did not agree"):
                await client.subscribe("a:2")
        assert await following(notices) == SubscriptionsEnded(("a:1",))


async def test_a_listen_for_subscriptions_that_fails_leaves_the_one_before(autojump_clock: MockClock) -> None:
    async def serve(peer: Peer, request: Any) -> None:
        await peer.send(acknowledged(request["id"], uris=["a:1"]))
        again = await peer.receive()
        await peer.send(error(again["id"], -31001, "Busy"), updated("a:1", id=request["id"]))
        await peer.rest()

    async with trimcp.connect(modern(serve)) as client, client.notices() as notices:
        await client.subscribe("a:1")
        with pytest.raises(trimcp.RequestFailed, match="Busy"):
            await client.subscribe("a:2")
        assert await following(notices) == ResourceUpdated("a:1")
