"""`subscriptions/listen` on the wire (basic/patterns/subscriptions of 2026-07-28)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.server.news import LISTS, SUBSCRIPTION, acknowledged, changed, listen, newsy, notify_list, updated
from tests.session.peer import PATIENCE, Peer, cancelled, served
from trimcp.server.features.subscriptions.register import APART


@pytest.mark.parametrize("id", [0, 1, -5, "one", "1", "", 'ä\n"', 2**53])
async def test_every_message_of_a_listen_carries_its_id_as_it_was_written(id: Any) -> None:
    server = newsy()
    async with served(server) as peer:
        assert await peer.ask(listen(peer, id, tools=True, uris=["mem://motd"])) == acknowledged(
            id, tools=True, uris=["mem://motd"]
        )
        server.notify_tools_changed()
        server.notify_resource_updated("mem://motd")
        assert await peer.settled() == [changed("tools", id=id), updated("mem://motd", id=id)]


@pytest.mark.parametrize(
    ("wanted", "granted"),
    [
        ({}, {}),
        ({"tools": True}, {"tools": True}),
        ({"tools": False, "prompts": True}, {"prompts": True}),
        ({"uris": []}, {"uris": []}),
        ({"uris": ["a:1", "a:2", "a:1"]}, {"uris": ["a:1", "a:2"]}),
        (dict.fromkeys(LISTS, True), dict.fromkeys(LISTS, True)),
    ],
)
async def test_what_is_asked_for_is_granted_and_nothing_else(wanted: dict[str, Any], granted: dict[str, Any]) -> None:
    async with served(newsy()) as peer:
        assert await peer.ask(listen(peer, 1, **wanted)) == acknowledged(1, **granted)


async def test_what_the_server_does_not_have_is_left_out_of_the_acknowledgement() -> None:
    async with served(trimcp.Server("empty")) as peer:
        everything: dict[str, Any] = {**dict.fromkeys(LISTS, True), "uris": ["a:1"]}
        assert await peer.ask(listen(peer, 1, **everything)) == acknowledged(1)


@pytest.mark.parametrize("kind", LISTS)
async def test_only_what_was_asked_for_is_told(kind: str) -> None:
    server = newsy()
    async with served(server) as peer:
        await peer.ask(listen(peer, 1, **{kind: True}))
        for other in LISTS:
            notify_list(server, other)
        server.notify_resource_updated("mem://motd")
        assert await peer.settled() == [changed(kind, id=1)]


async def test_a_uri_is_told_by_its_exact_text() -> None:
    server = newsy()
    async with served(server) as peer:
        odd = 'a:"@"\u2028\\'
        await peer.ask(listen(peer, 1, uris=["@", odd]))
        for uri in ("@", odd, "@/", "a:"):
            server.notify_resource_updated(uri)
        assert await peer.settled() == [updated("@", id=1), updated(odd, id=1)]


async def test_two_listens_of_one_session_are_told_each_what_it_asked_for() -> None:
    server = newsy()
    async with served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True, uris=["a:1", "a:both"]))
        await peer.ask(listen(peer, 2, prompts=True, uris=["a:2", "a:both"]))
        for uri in ("a:1", "a:2", "a:both"):
            server.notify_resource_updated(uri)
        server.notify_tools_changed()
        server.notify_prompts_changed()
        assert await peer.settled() == [
            updated("a:1", id=1),
            updated("a:2", id=2),
            updated("a:both", id=1),
            updated("a:both", id=2),
            changed("tools", id=1),
            changed("prompts", id=2),
        ]
        await peer.send(cancelled(1))
        await peer.settled()
        server.notify_resource_updated("a:both")
        server.notify_tools_changed()
        assert await peer.settled() == [updated("a:both", id=2)]


async def test_the_acknowledgement_comes_before_a_notice_of_the_same_turn() -> None:
    server = newsy()

    @server.tool
    async def touch() -> None:
        server.notify_tools_changed()

    async with served(server) as peer:
        await peer.send(listen(peer, 1, tools=True), peer.call(2, "touch"))
        messages = await peer.settled()
        assert messages[:2] == [acknowledged(1, tools=True), changed("tools", id=1)]


# --- ends ---------------------------------------------------------------------------------


async def test_after_a_cancel_nothing_more_of_it_is_sent() -> None:
    server = newsy()
    async with served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        await peer.send(cancelled(1))
        assert await peer.settled() == []
        server.notify_tools_changed()
        assert await peer.settled() == []
        assert server.tree()[0].listens == 0
        # The id is free again.
        assert await peer.ask(listen(peer, 1, prompts=True)) == acknowledged(1, prompts=True)


async def test_a_cancel_takes_back_the_notices_that_have_not_left(autojump_clock: MockClock) -> None:
    server = newsy(write_timeout=1e6)
    async with served(server, capacity=256) as peer:
        await peer.ask(listen(peer, 1, tools=True, uris=["a:1"]))
        await peer.ask(listen(peer, 2, prompts=True))
        for _ in range(5):  # until the pipe is full, and then into the queue
            server.notify_tools_changed()
            server.notify_prompts_changed()
            server.notify_resource_updated("a:1")
            await wait_all_tasks_blocked()
        assert peer.session is not None
        before = peer.session.writer.waiting_bytes
        await peer.send(cancelled(1))
        await wait_all_tasks_blocked()
        taken_back = [changed("tools", id=1), updated("a:1", id=1)]
        size = sum(len(json.dumps(notice, separators=(",", ":"))) for notice in taken_back)
        assert before - peer.session.writer.waiting_bytes == size
        assert (await peer.settled())[-1] == changed("prompts", id=2)
        server.notify_prompts_changed()
        assert await peer.settled() == [changed("prompts", id=2)]


async def test_a_server_that_drains_ends_each_listen_by_its_result_and_then_a_cancel() -> None:
    server = newsy()
    async with served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        await peer.ask(listen(peer, "two", prompts=True))
        with trio.fail_after(PATIENCE):
            report = await server.drain()
        assert (report.finished, report.cancelled, report.lost) == (0, 0, 0)
        messages = await peer.rest()
        assert len(messages) == 4
        for id, result, cancel in zip((1, "two"), messages[:2], messages[2:], strict=True):
            assert result["id"] == id
            assert result["result"]["resultType"] == "complete"
            assert result["result"]["_meta"][SUBSCRIPTION] == id
            assert cancel["method"] == "notifications/cancelled"
            assert cancel["params"]["requestId"] == id


async def test_a_drain_ends_listens_first_and_waits_for_work(autojump_clock: MockClock) -> None:
    server = newsy()

    @server.tool
    async def slow() -> str:
        await trio.sleep(3)
        return "done"

    async with served(server) as peer, trio.open_nursery() as nursery:
        await peer.ask(listen(peer, 1, tools=True))
        await peer.send(peer.call(2, "slow"))
        await peer.settled()
        nursery.start_soon(server.drain)
        assert (await peer.receive())["id"] == 1
        assert (await peer.receive())["params"]["requestId"] == 1
        # While it drains, a new one is refused, and nobody is told anything.
        assert (await peer.ask(listen(peer, 3, tools=True)))["error"]["code"] == -31002
        server.notify_tools_changed()
        assert (await peer.receive())["id"] == 2


async def test_the_cancel_comes_a_moment_after_the_result(autojump_clock: MockClock) -> None:
    # One piece of both is read by the official client as a subscription that was lost.
    server = newsy()
    async with served(server) as peer, trio.open_nursery() as nursery:
        await peer.ask(listen(peer, 1, tools=True))
        nursery.start_soon(server.drain)
        await peer.receive()
        ended = trio.current_time()
        assert (await peer.receive())["method"] == "notifications/cancelled"
        assert trio.current_time() - ended == pytest.approx(APART)


async def test_a_drain_without_time_still_sends_both() -> None:
    server = newsy()
    async with served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        await server.drain(0)
        result, cancel = await peer.rest()
        assert (result["id"], cancel["params"]["requestId"]) == (1, 1)


async def test_what_was_told_before_leaves_before_the_result() -> None:
    server = newsy()
    async with served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        server.notify_tools_changed()
        await server.drain()
        first, second, *_ = await peer.rest()
        assert first == changed("tools", id=1)
        assert second["id"] == 1


async def test_the_end_of_input_ends_listens_in_good_order() -> None:
    async with served(newsy()) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        await peer.end()
        result, cancel = await peer.rest()
        assert result["id"] == 1
        assert cancel["params"]["requestId"] == 1


async def test_a_lost_connection_ends_listens_without_a_word() -> None:
    server = newsy()
    async with server.running() as running, served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        assert peer.session is not None
        peer.session.close()
        await peer.session.wait_over()
        assert running.snapshot().listens == 0
        assert peer.session.lost == 0  # nobody waited for an answer
        assert await peer.rest() == []


# --- bounds -------------------------------------------------------------------------------


async def test_a_listen_takes_no_place_and_no_task(autojump_clock: MockClock) -> None:
    server = newsy(session_requests=1, session_waiting=0, listens=100)
    async with served(server) as peer:
        await peer.ask(listen(peer, 0, tools=True))
        assert peer.session is not None
        tasks = peer.session.snapshot().tasks
        for id in range(1, 50):
            await peer.ask(listen(peer, id, tools=True))
        snapshot = peer.session.snapshot()
        assert [request.state for request in snapshot.requests] == ["long-lived"] * 50
        assert snapshot.tasks == tasks
        assert server.tree()[0].supervisor.tasks == ()
        assert (await peer.ask(peer.call("work", "add", {"a": 1, "b": 2})))["result"]["structuredContent"] == {
            "result": 3
        }


async def test_more_listens_than_a_session_may_have_are_refused_as_busy() -> None:
    server = newsy(listens=2)
    async with server.running(), served(server) as peer, served(server) as other:
        for id in (1, 2):
            await peer.ask(listen(peer, id, tools=True))
        answer = await peer.ask(listen(peer, 3, tools=True))
        assert (answer["id"], answer["error"]["code"]) == (3, -31001)
        assert answer["error"]["data"] == {"reason": "busy", "retryAfterMs": 1000}
        assert await other.ask(listen(other, 3, tools=True)) == acknowledged(3, tools=True)
        await peer.send(cancelled(1))
        assert await peer.ask(listen(peer, 3, tools=True)) == acknowledged(3, tools=True)


async def test_more_listens_than_a_server_may_have_are_refused_as_busy() -> None:
    server = newsy(server_listens=2)
    async with server.running(), served(server) as peer, served(server) as other:
        await peer.ask(listen(peer, 1, tools=True))
        await other.ask(listen(other, 1, tools=True))
        assert (await peer.ask(listen(peer, 2, tools=True)))["error"]["code"] == -31001
        await other.duplex.aclose()
        await wait_all_tasks_blocked()
        assert await peer.ask(listen(peer, 2, tools=True)) == acknowledged(2, tools=True)


async def test_the_resources_of_all_listens_of_a_session_are_bounded_together() -> None:
    server = newsy(subscriptions=3)
    async with served(server) as peer:
        await peer.ask(listen(peer, 1, uris=["a:1", "a:2"]))
        answer = await peer.ask(listen(peer, 2, uris=["a:1", "a:2"]))
        assert answer["error"]["code"] == -31001
        answer = await peer.ask(listen(peer, 2, uris=[f"a:{n}" for n in range(4)]))
        assert (answer["error"]["code"], answer["error"]["data"]) == (-32602, {"most": 3})
        assert await peer.ask(listen(peer, 2, uris=["a:1"])) == acknowledged(2, uris=["a:1"])
        assert server.tree()[0].subscriptions == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda request: request["params"]["notifications"].update(resourceSubscriptions=["x" * 200]),
        lambda request: request["params"]["notifications"].update(resourceSubscriptions="a:1"),
        lambda request: request["params"]["notifications"].update(toolsListChanged=1),
        lambda request: request["params"].pop("notifications"),
        lambda request: request.update(id="x" * 200),
    ],
    ids=["long uri", "uris that are none", "flag that is none", "no filter", "long id"],
)
async def test_a_listen_that_cannot_be_is_refused_and_leaves_nothing(spoil: Callable[[dict[str, Any]], Any]) -> None:
    server = newsy(uri_bytes=100)
    async with served(server) as peer:
        request = listen(peer, 1, tools=True)
        spoil(request)
        answer = await peer.ask(request)
        assert (answer["id"], answer["error"]["code"]) == (request["id"], -32602)
        assert server.tree()[0].listens == 0
        assert peer.session is not None
        assert peer.session.snapshot().requests == ()


async def test_an_id_in_use_by_a_listen_is_a_duplicate() -> None:
    async with served(newsy()) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        answer = await peer.ask(peer.call(1, "add", {"a": 1, "b": 2}))
        assert "id" not in answer
        assert answer["error"]["code"] == -32600


async def test_a_listener_that_never_reads_harms_no_other(autojump_clock: MockClock) -> None:
    server = newsy(write_timeout=5.0)
    async with server.running() as running, served(server, capacity=256) as deaf, served(server) as peer:
        await deaf.ask(listen(deaf, 1, uris=[f"a:{n}" for n in range(20)]))
        await peer.ask(listen(peer, 1, tools=True))
        for n in range(1000):
            server.notify_resource_updated(f"a:{n % 20}")
        await wait_all_tasks_blocked()
        server.notify_tools_changed()
        assert await peer.receive() == changed("tools", id=1)
        # It read nothing for as long as may be: its session ends, and with it its listen.
        await trio.sleep(6)
        assert running.snapshot().listens == 1
        server.notify_tools_changed()
        assert await peer.receive() == changed("tools", id=1)


async def test_a_listen_does_not_keep_large_requests_out() -> None:
    server = newsy(session_request_bytes=1000, message_bytes=10_000)

    @server.tool
    async def size(text: str) -> int:
        return len(text)

    async with served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        answer = await peer.ask(peer.call(2, "size", {"text": "x" * 5000}))
        assert answer["result"]["structuredContent"] == {"result": 5000}


def test_the_bound_of_memory_counts_what_is_subscribed_to() -> None:
    less, more = newsy(subscriptions=10), newsy(subscriptions=20)
    assert more.memory_bound() - less.memory_bound() > less.limits.sessions * 10 * less.limits.uri_bytes


def filter_of(peer: Peer, **wanted: Any) -> dict[str, Any]:
    """The params of a listen without the request around them."""
    params: dict[str, Any] = listen(peer, 0, **wanted)["params"]
    return params


async def test_the_filter_may_hold_what_a_later_revision_adds() -> None:
    async with served(newsy()) as peer:
        params = filter_of(peer, tools=True)
        params["notifications"]["tasksListChanged"] = True
        answer = await peer.ask({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params})
        assert answer == acknowledged(1, tools=True)
