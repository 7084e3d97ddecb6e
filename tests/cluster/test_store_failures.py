"""The store is down, slow, frozen or cut off from one node: what each kind of request gets."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import LEASE, Node, at, cluster, two_nodes
from tests.cluster.test_streams import begun, texts
from tests.http.clients import Legacy, Modern, initialize
from tests.http.wires import settled
from tests.session.peer import Logged
from trimcp.types.jsonrpc import NODE_LOST, STORE_UNAVAILABLE

FAILS = ["down", "frozen"]


def fail(node: Node, how: str) -> None:
    """Cut a node off from the store."""
    if how == "down":
        node.store.link.is_down = True
    else:
        node.store.link.freeze()


def mend(node: Node) -> None:
    node.store.link.is_down = False
    node.store.link.thaw()


@pytest.mark.parametrize("how", FAILS)
async def test_a_session_that_is_known_here_is_served(how: str, logged: Logged, autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        client = await Legacy.open(node.http)
        fail(node, how)
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        answer = await client.call("talk", {"name": "it"}, token=1)
        node.shop.open("it")
        assert texts(await answer.messages())[-1] == "it is done"


@pytest.mark.parametrize("how", FAILS)
async def test_its_streams_cannot_be_resumed_where_the_store_has_not_kept_them(
    how: str, logged: Logged, autojump_clock: MockClock
) -> None:
    async with two_nodes() as (one, _two, client):
        answer = await begun(client, one, "it")
        fail(one, how)
        last = answer.last_id
        await answer.drop()
        one.shop.open("it")
        await one.shop.is_over("it")
        assert (await client.get(last)).status in (400, 503)


@pytest.mark.parametrize("how", FAILS)
async def test_no_session_is_opened(how: str, logged: Logged, autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        fail(node, how)
        answer = await initialize(node.http)
        assert answer.status == 503
        assert answer.fields["retry-after"] == "1"
        assert "mcp-session-id" not in answer.fields
        error = await answer.error()
        assert error["code"] == STORE_UNAVAILABLE
        assert error["data"]["reason"] == "store_unavailable"
        await settled()
        assert len(node.run.sessions) == 0


@pytest.mark.parametrize("how", FAILS)
async def test_modern_calls_are_not_affected(how: str, logged: Logged, autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        fail(node, how)
        began = trio.current_time()
        assert await (await Modern(node.http).call("add", {"a": 1, "b": 1})).text() == "2"
        assert trio.current_time() == began
        await trio.sleep(3 * LEASE)  # and after the node has lost its lease
        assert await (await Modern(node.http).call("add", {"a": 1, "b": 1})).text() == "2"


async def test_modern_calls_do_not_ask_the_store_at_all(autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        node.store.link.calls.clear()
        for n in range(5):
            assert await (await Modern(node.http).call("add", {"a": n, "b": 1})).text() == str(n + 1)
        assert node.store.link.calls == []


async def test_a_subscription_that_the_store_has_not_kept_is_not_acknowledged(
    logged: Logged, autojump_clock: MockClock
) -> None:
    """The client may be told of changes at any node, which reads the subscriptions there."""
    async with two_nodes() as (one, two, client):
        one.store.link.is_down = True
        answer = await client.ask("resources/subscribe", {"uri": "mem://motd"})
        assert (await answer.json())["error"]["code"] == STORE_UNAVAILABLE
        assert answer.status == 503
        one.store.link.is_down = False
        await (await client.ask("resources/subscribe", {"uri": "mem://motd"})).result()
        await one.kill()
        stream = await at(client, two).get()
        two.shop.server.notify_resource_updated("mem://motd")
        assert (await stream.message())["method"] == "notifications/resources/updated"


async def test_a_change_that_the_store_has_not_kept_is_kept_later(logged: Logged, autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, _two = those.nodes
        client = await Legacy.open(one.http)
        one.store.link.is_down = True
        await (await client.ask("logging/setLevel", {"level": "debug"})).message()
        one.store.link.is_down = False
        await trio.sleep(31)
        await one.kill()
        record = await those.store.sessions.find(client.id)
        assert record is not None
        assert record.client is not None
        assert record.client.log_level == "debug"


async def test_a_legacy_call_takes_one_round_trip_at_most(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        await settled()
        for node in those.nodes:
            node.store.link.seconds = 0.5
        began = trio.current_time()
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert trio.current_time() == began  # its events are stored behind it
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"
        assert trio.current_time() - began == 0.5  # the record and the subscriptions at the same time
        began = trio.current_time()
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"
        assert trio.current_time() == began


async def test_a_slow_store_makes_streams_begin_late_and_answers_no_later(autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        client = await Legacy.open(node.http)
        await settled()
        node.store.link.seconds = 2.0
        answer = await client.call("talk", {"name": "it"}, token=1)
        await node.shop.begun("it")
        await trio.sleep(1)
        assert await answer.arrived() == []
        node.shop.open("it")
        began = trio.current_time()
        assert texts(await answer.messages()) == [1, 2, "it is done"]
        assert trio.current_time() == began


@pytest.mark.parametrize("how", FAILS)
async def test_a_node_that_cannot_renew_fences_itself_and_joins_again(
    how: str, logged: Logged, autojump_clock: MockClock
) -> None:
    async with two_nodes() as (one, two, client):
        stream, answer, before = await client.get(), await begun(client, one, "it"), one.incarnation
        fail(one, how)
        await trio.sleep(LEASE * 2 / 3 + 1)
        assert stream.is_over or (await stream.ended()).is_complete
        assert answer.is_over or (await answer.ended()).is_complete
        assert len(one.run.sessions) == 0
        # Fenced, it serves no session: another node may settle its streams.
        assert (await (await client.call("add", {"a": 1, "b": 1})).ended()).status == 503
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"
        mend(one)
        await trio.sleep(LEASE)
        assert one.incarnation > before
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_call_that_only_a_fenced_node_knows_is_told_lost_by_it(
    logged: Logged, autojump_clock: MockClock
) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        client = await Legacy.open(node.http)
        fail(node, "frozen")
        answer = await client.call("hold", {"name": "it"}, id="x")
        await node.shop.begun("it")
        (lost,) = await answer.messages()
        assert (lost["id"], lost["error"]["code"]) == ("x", NODE_LOST)
        assert answer.last_id == ""  # no other node knows the stream
        assert await node.shop.is_over("it") is not None


async def test_the_store_comes_back_and_nothing_is_left_of_it(logged: Logged, autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        for node in those.nodes:
            fail(node, "down")
        assert (await (await at(client, two).call("add", {"a": 1, "b": 1})).ended()).status == 503
        await trio.sleep(5)
        for node in those.nodes:
            mend(node)
        await trio.sleep(5)
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"
        stream = await at(client, two).get()
        one.shop.server.notify_tools_changed()
        assert (await stream.message())["method"] == "notifications/tools/list_changed"


async def test_a_request_that_a_fenced_node_refuses_is_one_plain_line(
    logged: Logged, autojump_clock: MockClock
) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        client = await Legacy.open(node.http)
        fail(node, "frozen")
        await trio.sleep(LEASE)
        logged.lines.clear()
        assert (await (await client.call("add", {"a": 1, "b": 1})).ended()).status == 503
        (keys,) = logged.of("request.failed")
        assert keys == {"why": "the node has lost its lease, and has not joined anew", "path": "/mcp", "method": "POST"}
