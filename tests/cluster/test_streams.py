"""Event streams that are resumed at another node: followed while their node lives, settled once when it is dead."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import LEASE, Node, at, cluster, stored, two_nodes
from tests.http.clients import Legacy
from tests.http.wires import Answer, settled
from trimcp.http.server.session_node import writer_of
from trimcp.stores.event_store import EventBatch
from trimcp.types.jsonrpc import NODE_LOST


async def begun(client: Legacy, node: Node, name: str, id: int = 1) -> Answer:
    """Call `talk`, and wait until its first two messages are there."""
    answer = await client.call("talk", {"name": name}, token=1, id=id)
    await node.shop.begun(name)
    await trio.sleep(1)
    await answer.arrived()
    return answer


def texts(messages: list[dict[str, object]]) -> list[object]:
    """The progress and the results among messages."""
    return [
        m["params"]["progress"] if m.get("method") == "notifications/progress" else m["result"]["content"][0]["text"]  # type: ignore[index]
        for m in messages
        if m.get("method") == "notifications/progress" or "result" in m
    ]


async def test_a_stream_of_a_node_that_lives_goes_on_at_another(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        last = answer.last_id
        await answer.drop()
        resumed = await at(client, two).get(last)
        assert resumed.status == 200
        one.shop.open("it")
        assert texts(await resumed.messages()) == [2, "it is done"]
        assert resumed.is_complete


async def test_events_that_were_missed_come_once_and_in_order(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await client.call("talk", {"name": "it"}, token=1)
        await one.shop.begun("it")
        await trio.sleep(1)
        first = (await answer.event(), answer.last_id)[1]
        await answer.drop()
        one.shop.open("it")
        await one.shop.is_over("it")
        for _ in range(2):  # a client whose connection is lost again asks again
            resumed = await at(client, two).get(first)
            assert texts(await resumed.messages()) in ([1, 2, "it is done"], [2, "it is done"])
        # Behind the last event there is nothing: it does not come twice.
        assert (await at(client, two).get(resumed.last_id)).status == 405


async def test_what_happens_while_a_stream_is_followed_arrives_at_once(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        resumed = await at(client, two).get(answer.last_id)
        await trio.sleep(30)
        assert resumed.comments >= 1
        began = trio.current_time()
        one.shop.open("it")
        assert texts(await resumed.messages()) == [2, "it is done"]
        assert trio.current_time() - began < 0.5  # the bus says so, and no poll
        assert answer.is_over or await answer.ended()


async def test_a_stream_is_followed_without_a_bus_too(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        answer = await begun(client, one, "it")
        resumed = await at(client, two).get(answer.last_id)
        those.store.bus._channels.clear()
        one.shop.open("it")
        assert texts(await resumed.messages()) == [2, "it is done"]


async def test_a_followed_request_is_not_abandoned(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        resumed = await at(client, two).get(answer.last_id)
        await trio.sleep(3 * 300)
        one.shop.open("it")
        assert texts(await resumed.messages()) == [2, "it is done"]


async def test_a_stream_of_a_dead_node_is_settled_once(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        one, two, three = those.nodes
        client = await Legacy.open(one.http)
        answer = await begun(client, one, "it", id=7)
        last = answer.last_id
        await one.kill()
        began = trio.current_time()
        resumed = [await at(client, node).get(last) for node in (two, three)]
        for each in resumed:
            messages = await each.messages()
            assert len(messages) == 1
            assert messages[0]["id"] == 7
            assert messages[0]["error"]["code"] == NODE_LOST
            assert messages[0]["error"]["data"] == {"reason": "node_lost"}
        assert trio.current_time() - began <= LEASE + 3
        assert resumed[0].last_id == resumed[1].last_id
        again = await at(client, three).get(last)
        assert [m["id"] for m in await again.messages()] == [7]
        # The session goes on.
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_stream_that_was_answered_before_its_node_died_is_not_settled(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        last = answer.last_id
        await answer.drop()
        one.shop.open("it")
        await one.shop.is_over("it")
        await stored()
        await one.kill()
        assert texts(await (await at(client, two).get(last)).messages()) == [2, "it is done"]


async def test_each_id_of_a_batch_is_answered_once(autojump_clock: MockClock) -> None:
    async with two_nodes("2025-03-26") as (one, two, client):
        calls = [
            {
                "jsonrpc": "2.0",
                "id": "a",
                "method": "tools/call",
                "params": {"name": "add", "arguments": {"a": 1, "b": 1}},
            },
            {
                "jsonrpc": "2.0",
                "id": "b",
                "method": "tools/call",
                "params": {"name": "hold", "arguments": {"name": "it"}},
            },
            {
                "jsonrpc": "2.0",
                "id": 3,
                "method": "tools/call",
                "params": {"name": "hold", "arguments": {"name": "it"}},
            },
        ]
        answer = await client.post(calls)
        assert (await answer.message())["id"] == "a"
        last = answer.last_id
        await stored()
        await one.kill()
        messages = await (await at(client, two).get(last)).messages()
        assert [m["id"] for m in messages] == ["b", 3]
        assert {m["error"]["code"] for m in messages} == {NODE_LOST}


async def test_a_client_has_no_event_id_of_a_stream_that_no_other_node_could_settle(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        one.store.link.seconds = 0.2
        answer = await client.call("hold", {"name": "it"})
        await one.shop.begun("it")
        await trio.sleep(0.1)
        assert answer.body == b""
        await trio.sleep(0.3)
        await answer.arrived()
        assert answer.last_id
        await one.kill()
        assert [m["error"]["code"] for m in await (await at(client, two).get(answer.last_id)).messages()] == [NODE_LOST]


async def test_a_thawed_node_cannot_write_to_a_stream_that_was_settled(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        last, before = answer.last_id, one.incarnation
        one.store.link.freeze()
        messages = await (await at(client, two).get(last)).messages()
        assert [m["error"]["code"] for m in messages] == [NODE_LOST]
        one.shop.open("it")
        one.store.link.thaw()
        await trio.sleep(LEASE)
        # One answer is stored, and the node has another incarnation.
        assert [m["error"]["code"] for m in await (await at(client, one).get(last)).messages()] == [NODE_LOST]
        assert one.incarnation > before
        stream = await begun(client, one, "it")
        assert writer_of(int(stream.last_id.split(".")[1])) == one.incarnation


async def test_a_node_without_a_lease_ends_its_streams_before_others_settle_them(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        last = answer.last_id
        one.store.link.is_down = True
        began = trio.current_time()
        await answer.ended()
        assert answer.is_complete  # without the answer
        assert trio.current_time() - began <= LEASE * 2 / 3 + 1
        assert [m["error"]["code"] for m in await (await at(client, two).get(last)).messages()] == [NODE_LOST]
        assert await one.shop.is_over("it") is not None


@pytest.mark.parametrize("what", ["never was", "of another session"])
async def test_a_stream_that_is_not_there_is_not_resumed(what: str, autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        tag, stream, number = answer.last_id.split(".")
        if what == "never was":
            wrong = f"{tag}.{int(stream) + 100}.{number}"
        else:
            other = await Legacy.open(one.http)
            wrong = (await begun(other, one, "that")).last_id
        assert (await at(client, two).get(wrong)).status == 400


async def test_a_cancelled_stream_has_ended_for_all(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        last = answer.last_id
        await at(client, two).notify("notifications/cancelled", {"requestId": 1, "reason": "enough"})
        assert await one.shop.is_over("it") == "cancelled"
        await settled()
        assert (await at(client, two).get(last)).status == 405


async def test_store_failures_while_a_stream_is_followed_are_bridged(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        resumed = await at(client, two).get(answer.last_id)
        two.store.link.is_down = True
        one.shop.open("it")
        await trio.sleep(5)
        two.store.link.is_down = False
        assert texts(await resumed.messages()) == [2, "it is done"]


async def test_a_client_that_leaves_a_followed_stream_leaves_nothing(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        resumed = await at(client, two).get(answer.last_id)
        await resumed.drop()
        await trio.sleep(5)
        (session,) = two.run.sessions
        assert session.snapshot().tasks == 1
        one.shop.open("it")
        assert texts(await (await client.get(answer.last_id)).messages()) == [2, "it is done"]


@pytest.mark.parametrize(("id", "owed"), [(7, b"7"), ("seven", b'"seven"')])
async def test_a_stream_with_one_answer_and_its_end_are_one_batch(
    id: int | str, owed: bytes, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        await settled()
        append = those.store.events.append
        kept: list[EventBatch] = []

        async def append_and_note(batches: Sequence[EventBatch]) -> None:
            kept.extend(batches)
            await append(batches)

        monkeypatch.setattr(those.store.events, "append", append_and_note)
        answer = await client.call("add", {"a": 1, "b": 1}, id=id)
        assert await answer.text() == "2"
        await trio.sleep(1)
        assert [(each.first, len(each.events), each.is_last, each.owed) for each in kept] == [(1, 1, True, (owed,))]
        assert (await at(client, two).get(answer.last_id)).status == 405
