"""`client.notices()`: what the server tells, as a stream of small objects."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.answering import following
from tests.server.news import changed, newsy, updated
from tests.session.peer import ERAS, LEGACY, MODERN, Peer, RawServer, discovered, notification, result
from trimcp.client.notifications.hub import notice_of
from trimcp.client.notifications.notices import (
    ExtensionNotice,
    ListenEnd,
    LogMessage,
    Notice,
    Notices,
    PromptsChanged,
    ResourcesChanged,
    ResourceUpdated,
    ToolsChanged,
    Topics,
)


@pytest.mark.parametrize("version", LEGACY)
async def test_a_legacy_server_tells_of_its_lists_unasked(version: str) -> None:
    server = newsy()
    async with trimcp.connect(server, revision=version) as client, client.notices() as notices:
        await client.ping()
        server.notify_tools_changed()
        assert await following(notices) == ToolsChanged()
        server.notify_prompts_changed()
        assert await following(notices) == PromptsChanged()
        server.notify_resources_changed()
        assert await following(notices) == ResourcesChanged()


@pytest.mark.parametrize("version", ERAS)
async def test_what_was_subscribed_to_arrives_with_every_reader(version: str) -> None:
    server = newsy()
    async with (
        trimcp.connect(server, revision=version) as client,
        client.notices() as one,
        client.notices() as other,
    ):
        await client.subscribe("mem://motd")
        server.notify_resource_updated("mem://motd")
        assert await following(one) == ResourceUpdated("mem://motd")
        assert await following(other) == ResourceUpdated("mem://motd")
        await client.unsubscribe("mem://motd")
        await wait_all_tasks_blocked()
        server.notify_resource_updated("mem://motd")
        await wait_all_tasks_blocked()
        with trio.move_on_after(0) as nothing:
            await anext(one)
        assert nothing.cancelled_caught


@pytest.mark.parametrize("version", ERAS)
async def test_what_is_subscribed_to_grows_and_shrinks_without_a_gap(version: str) -> None:
    server = newsy()
    async with trimcp.connect(server, revision=version) as client, client.notices() as notices:
        for uri in ("a:1", "a:2", "a:3", "a:2"):
            await client.subscribe(uri)
        await client.unsubscribe("a:1")
        await client.unsubscribe("a:never")
        await wait_all_tasks_blocked()
        snapshot = server.tree()[0]
        assert (snapshot.listens, snapshot.subscriptions) == (1 if version == MODERN else 0, 2)
        for uri in ("a:1", "a:2", "a:3"):
            server.notify_resource_updated(uri)
        assert await following(notices) == ResourceUpdated("a:2")
        assert await following(notices) == ResourceUpdated("a:3")
        await client.unsubscribe("a:2")
        await client.unsubscribe("a:3")
        await wait_all_tasks_blocked()
        assert server.tree()[0].subscriptions == 0


@pytest.mark.parametrize("version", ERAS)
async def test_many_tasks_may_subscribe_at_once(version: str) -> None:
    server = newsy()
    async with trimcp.connect(server, revision=version) as client:
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(client.subscribe, f"a:{n % 10}")
        await wait_all_tasks_blocked()
        assert server.tree()[0].subscriptions == 10


@pytest.mark.parametrize("version", ERAS)
async def test_subscribing_needs_a_server_that_tells_of_resources(version: str) -> None:
    async with trimcp.connect(trimcp.Server("empty"), revision=version) as client:
        with pytest.raises(trimcp.UsageError, match="did not declare"):
            await client.subscribe("a:1")


@pytest.mark.parametrize("version", ERAS)
async def test_a_subscription_that_is_refused_raises_and_leaves_the_others(version: str) -> None:
    server = newsy(subscriptions=2, uri_bytes=20)
    async with trimcp.connect(server, revision=version) as client:
        await client.subscribe("a:1")
        with pytest.raises(trimcp.RequestFailed):
            await client.subscribe("a:" + "x" * 30)
        await wait_all_tasks_blocked()
        assert server.tree()[0].subscriptions == 1


async def test_a_subscription_that_the_server_leaves_out_raises() -> None:
    async def script(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"], capabilities={"resources": {"subscribe": True}}))
        request = await peer.receive()
        await peer.send(
            notification(
                "notifications/subscriptions/acknowledged",
                {"_meta": {"io.modelcontextprotocol/subscriptionId": request["id"]}, "notifications": {}},
            )
        )
        await peer.rest()

    async with trimcp.connect(RawServer(script)) as client:
        with pytest.raises(trimcp.RequestFailed, match="did not agree"):
            await client.subscribe("a:1")


@pytest.mark.parametrize("version", ERAS)
async def test_readers_raise_when_the_connection_is_lost(version: str) -> None:
    server = newsy()
    async with trimcp.connect(server, revision=version) as client, client.notices() as notices:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain)
            with pytest.raises(trimcp.ConnectionLost):
                await following(notices)
        assert notices.end is ListenEnd.FAILED
        with pytest.raises(trimcp.ConnectionLost):
            await following(notices)
        await client.session.wait_over()
        with pytest.raises(trimcp.ConnectionLost):
            async with client.notices():
                pytest.fail("the connection is gone")


@pytest.mark.parametrize("version", ERAS)
async def test_readers_raise_when_this_side_closes(version: str) -> None:
    async with trimcp.connect(newsy(), revision=version) as client, client.notices() as notices:
        client.close()
        with pytest.raises(trimcp.ConnectionClosed):
            await following(notices)


@pytest.mark.parametrize("version", ERAS)
async def test_readers_that_begin_after_the_end_are_told_so(version: str) -> None:
    async with trimcp.connect(newsy(), revision=version) as client:
        client.close()
        with pytest.raises(trimcp.ConnectionClosed):
            async with client.notices():
                pytest.fail("the connection is gone")
        with pytest.raises(trimcp.ConnectionClosed):
            async with client.listen(tools=True, uris=["a:1"]):
                pytest.fail("the connection is gone")
        with pytest.raises(trimcp.ConnectionClosed):
            await client.subscribe("a:1")


async def test_a_reader_that_has_left_reads_to_the_end_of_what_waits() -> None:
    server = newsy()
    async with trimcp.connect(server, revision="2025-11-25") as client:
        async with client.notices() as notices:
            await client.ping()
            server.notify_tools_changed()
            await wait_all_tasks_blocked()
        server.notify_prompts_changed()
        await wait_all_tasks_blocked()
        assert [notice async for notice in notices] == [ToolsChanged()]
        assert notices.end is ListenEnd.CLOSED


# --- the queue ----------------------------------------------------------------------------


async def test_a_slow_reader_gets_each_notice_once_in_order_of_its_first() -> None:
    notices = Notices(10)
    for _ in range(1000):
        notices.put(ResourceUpdated("a:1"))
        notices.put(ToolsChanged())
        notices.put(ResourceUpdated("a:2"))
    notices.finish(ListenEnd.FINISHED)
    assert [notice async for notice in notices] == [ResourceUpdated("a:1"), ToolsChanged(), ResourceUpdated("a:2")]
    assert notices.dropped == 0


async def test_what_is_read_may_come_again() -> None:
    notices = Notices(10)
    for _ in range(3):
        notices.put(ToolsChanged())
        assert await following(notices) == ToolsChanged()


async def test_over_its_bound_a_queue_drops_the_oldest_and_counts() -> None:
    notices = Notices(3)
    for n in range(10):
        notices.put(ResourceUpdated(f"a:{n}"))
    notices.finish(ListenEnd.FINISHED)
    assert [notice async for notice in notices] == [ResourceUpdated(f"a:{n}") for n in (7, 8, 9)]
    assert notices.dropped == 7


async def test_a_reader_that_is_cancelled_loses_no_notice() -> None:
    notices = Notices(10)
    notices.put(ToolsChanged())
    with trio.move_on_after(0) as scope:
        scope.cancel()
        await anext(notices)
    assert scope.cancelled_caught
    assert await following(notices) == ToolsChanged()


async def test_a_reader_is_woken_by_a_notice_and_by_the_end(autojump_clock: MockClock) -> None:
    notices = Notices(10)
    read: list[Notice] = []

    async def reader() -> None:
        read.extend([notice async for notice in notices])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await wait_all_tasks_blocked()
        notices.put(ToolsChanged())
        await wait_all_tasks_blocked()
        notices.finish(ListenEnd.FINISHED)
        notices.put(PromptsChanged())
    assert read == [ToolsChanged()]


async def test_a_second_task_that_reads_the_same_notices_is_told_better() -> None:
    notices = Notices(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(following, notices)
        await wait_all_tasks_blocked()
        with pytest.raises(trimcp.UsageError, match="another task reads"):
            await anext(notices)
        notices.put(ToolsChanged())
        await wait_all_tasks_blocked()
    notices.put(PromptsChanged())
    assert await following(notices) == PromptsChanged()


async def test_the_places_of_what_was_dropped_are_used_again_and_the_order_stays() -> None:
    notices = Notices(2)
    notices.put(ToolsChanged())
    for n in range(1000):
        notices.put(LogMessage("info", n))
        if n == 900:
            notices.put(PromptsChanged())
    assert notices._mailbox.waiting <= notices._mailbox.capacity == 8
    notices.finish(ListenEnd.FINISHED)
    read = [n.data if isinstance(n, LogMessage) else n for n in [notice async for notice in notices]]
    assert read == [ToolsChanged(), PromptsChanged(), 998, 999]
    assert notices.dropped == 998


async def test_a_notice_that_is_dropped_on_its_way_to_a_waiting_reader_is_not_read() -> None:
    notices = Notices(1)
    read: list[Notice] = []

    async def reader() -> None:
        read.extend([notice async for notice in notices])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await wait_all_tasks_blocked()
        notices.put(ResourceUpdated("a:1"))  # in the reader's hand
        notices.put(ResourceUpdated("a:2"))  # one more than may wait
        notices.put(ResourceUpdated("a:2"))
        await wait_all_tasks_blocked()
        notices.finish(ListenEnd.FINISHED)
    assert read == [ResourceUpdated("a:2")]
    assert notices.dropped == 1


async def test_what_ended_a_queue_is_raised_again_and_again_with_its_cause() -> None:
    notices = Notices(1)
    cause, error = OSError("cut"), trimcp.ConnectionLost("gone")
    error.__cause__ = cause
    notices.put(ToolsChanged())
    notices.finish(ListenEnd.FAILED, error)
    assert await following(notices) == ToolsChanged()
    for _ in range(2):
        with pytest.raises(trimcp.ConnectionLost, match="gone") as caught:
            await following(notices)
        assert caught.value.__cause__ is cause


async def test_nothing_goes_into_a_queue_after_its_end_and_the_first_end_stays() -> None:
    notices = Notices(10)
    notices.finish(ListenEnd.CANCELLED)
    notices.finish(ListenEnd.FAILED, trimcp.ConnectionLost("gone"))
    notices.put(ToolsChanged())
    assert [notice async for notice in notices] == []
    assert notices.end is ListenEnd.CANCELLED


@pytest.mark.parametrize(
    ("method", "params", "notice"),
    [
        ("notifications/tools/list_changed", None, ToolsChanged()),
        ("notifications/prompts/list_changed", {}, PromptsChanged()),
        ("notifications/resources/list_changed", {"_meta": {}}, ResourcesChanged()),
        ("notifications/resources/updated", {"uri": "a:1"}, ResourceUpdated("a:1")),
        ("notifications/resources/updated", {"uri": 1}, None),
        ("notifications/resources/updated", {}, None),
        ("notifications/resources/updated", None, None),
        ("notifications/roots/list_changed", None, None),
        ("notifications/nobody/knows", {"uri": "a:1"}, None),
    ],
)
def test_a_notification_is_a_notice_or_none(method: str, params: dict[str, Any] | None, notice: Notice | None) -> None:
    assert notice_of(method, params) == notice


@pytest.mark.parametrize(
    ("notice", "covered"),
    [
        (ResourceUpdated("file:///d"), True),
        (ResourceUpdated("file:///d/part"), True),
        (ResourceUpdated("file:///dozen"), False),
        (ResourceUpdated("file:///e/part"), True),
        (ResourceUpdated("file:///"), False),
        (ToolsChanged(), True),
        (PromptsChanged(), False),
        (ResourcesChanged(), False),
    ],
)
def test_topics_cover_what_they_name_and_its_parts(notice: Notice, covered: bool) -> None:
    assert Topics(tools=True, uris=("file:///d", "file:///e/")).cover(notice) is covered


async def test_what_a_server_sends_that_is_no_notice_is_ignored() -> None:
    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"name": "raw", "version": "1"}
        await peer.send(
            result(opening["id"], {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": about})
        )
        assert (await peer.receive())["method"] == "notifications/initialized"
        assert (await peer.receive())["method"] == "notifications/custom"
        await peer.send(
            notification("notifications/resources/updated", {"uri": None}),
            notification("notifications/resources/updated"),
            notification("notifications/subscriptions/acknowledged"),
            notification("notifications/subscriptions/acknowledged", {"_meta": {}, "notifications": {}}),
            updated("a:1"),
            changed("tools"),
        )
        await peer.rest()

    async with trimcp.connect(RawServer(script), revision="2025-11-25") as client, client.notices() as notices:
        client.notify("notifications/custom")
        assert await following(notices) == ResourceUpdated("a:1")
        assert await following(notices) == ToolsChanged()


async def test_a_flood_of_log_messages_takes_no_place_of_a_change() -> None:
    notices = Notices(3)
    notices.put(ToolsChanged())
    for n in range(100):
        notices.put(LogMessage("info", n))
        notices.put(ExtensionNotice("notifications/x", n))
    notices.put(ResourceUpdated("a:1"))
    notices.finish(ListenEnd.FINISHED)
    read = [notice async for notice in notices]
    assert read[0] == ToolsChanged()
    assert read[-1] == ResourceUpdated("a:1")
    assert [n.data for n in read if isinstance(n, LogMessage)] == [97, 98, 99]
    assert [n.params for n in read if isinstance(n, ExtensionNotice)] == [97, 98, 99]
    assert [type(n) for n in read[1:-1]] == [LogMessage, ExtensionNotice] * 3  # in order of arrival
    assert notices.dropped == 2 * 97
