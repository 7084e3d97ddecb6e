"""What all nodes know once a request is answered: subscriptions, the end of a session, and where its stream is."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import at, cluster, two_nodes
from tests.cluster.test_lost_messages import cut
from tests.cluster.test_messages import UPDATED, gap, quiet, subscribed
from tests.http.clients import Legacy
from tests.http.wires import settled
from tests.session.peer import Logged
from trimcp.codec.jsontext import dumps


async def test_a_change_at_a_third_node_right_after_the_answer_is_told(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        one, two, three = those.nodes
        client = await Legacy.open(two.http)
        stream = await client.get()
        await (await at(client, one).call("add", {"a": 1, "b": 1})).text()
        await trio.sleep(1)
        one.store.link.seconds = 0.4  # the other nodes are told late of what this one does
        await subscribed(one, client)
        three.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[UPDATED]]


async def test_a_subscription_is_answered_while_the_bus_is_down(logged: Logged, autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(two.http)
        stream = await client.get()
        await (await at(client, one).call("add", {"a": 1, "b": 1})).text()
        await trio.sleep(1)
        one.store.bus.is_down = True
        began = trio.current_time()
        await subscribed(one, client)
        assert trio.current_time() - began <= 1
        two.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[]]
        one.store.bus.is_down = False
        await trio.sleep(5)
        (found,) = await quiet(stream)
        assert found.count(UPDATED) == 1  # after the gap, new subscriptions count as changed


async def test_a_subscription_that_was_lost_in_a_gap_is_read_from_the_store(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(two.http)
        stream = await client.get()
        channels = cut(those)
        await subscribed(one, client)
        two.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[]]
        those.store.bus._channels.update(channels)
        await gap(those)
        (found,) = await quiet(stream)
        assert UPDATED in found
        two.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[UPDATED]]


@pytest.mark.parametrize("is_on", [True, False])
async def test_what_happens_while_a_node_reads_a_session_is_known_there(
    is_on: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with two_nodes() as (one, two, client):
        if not is_on:
            await subscribed(one, client)
        load = two.store.load_session

        async def load_late(id: str) -> Any:
            stored = await load(id)
            await trio.sleep(1)
            return stored

        monkeypatch.setattr(two.store, "load_session", load_late)
        opened = []

        async def open_stream() -> None:
            opened.append(await at(client, two).get())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_stream)
            await trio.sleep(0.5)
            method = "resources/subscribe" if is_on else "resources/unsubscribe"
            await (await client.ask(method, {"uri": "mem://motd"})).result()
        await settled()
        one.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(*opened) == [[UPDATED] if is_on else []]
        loads = two.store.link.calls.count("load_session")
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        assert two.store.link.calls.count("load_session") == loads  # it knows all, and need not read again


async def test_the_first_call_at_a_node_waits_for_one_read_and_sends_no_message(autojump_clock: MockClock) -> None:
    async with two_nodes() as (_one, two, client):
        await settled()
        del two.store.link.calls[:]
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"
        assert two.store.link.calls == ["load_session"]
        await trio.sleep(0.5)
        assert two.store.link.calls.count("bus.publish") == 1  # where the GET stream is, after the answer


async def test_sessions_that_come_together_ask_for_their_streams_together(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        clients = [await Legacy.open(one.http) for _ in range(20)]
        streams = [await client.get() for client in clients]
        await settled()
        del two.store.link.calls[:]
        for client in clients:
            await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        await trio.sleep(0.5)
        assert two.store.link.calls.count("bus.publish") == 1
        two.shop.server.notify_tools_changed()
        assert all(len(found) == 1 for found in await quiet(*streams))


async def test_a_change_made_by_the_first_call_at_a_node_is_told_once(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        stream = await client.get()
        await subscribed(one, client)
        await settled()
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        two.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[UPDATED]]
        two.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[UPDATED]]


async def test_a_question_right_after_the_first_call_at_a_node_reaches_the_client(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        stream = await client.get()
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        (session,) = two.run.sessions
        answers: list[object] = []

        async def ask() -> None:
            answers.append(await session.calls.call("ping", None, timeout=10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            question = await stream.message()
            await at(client, one).respond(question["id"], {})
        assert answers == [{}]


async def test_a_session_is_gone_at_all_nodes_when_its_end_is_answered(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        await trio.sleep(1)
        one.store.link.seconds = 0.4
        assert (await client.delete()).status == 204
        await settled()
        assert (await (await at(client, two).call("add", {"a": 1, "b": 1})).ended()).status == 404


async def test_a_request_right_behind_the_end_of_its_session_elsewhere_is_told_so(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        await client.delete()
        (session,) = two.run.sessions
        (sessions,) = two.run.flushed
        assert two.run.messages is not None
        two.run.messages._hand_out(dumps([one.incarnation, "ended", session.node.digest]))
        assert session.end is not None and session.is_running  # it is on its way out
        assert await sessions.find(client.id.encode(), None, "") is None
