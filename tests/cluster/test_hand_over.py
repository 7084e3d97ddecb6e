"""A node that is told to stop hands its clients over; one that is killed leaves a lost connection and one error."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import LEASE, at, cluster, two_nodes
from tests.cluster.test_messages import LISTS, TOOLS, UPDATED, quiet, subscribed
from tests.cluster.test_streams import begun, texts
from tests.http.clients import DRAINING, Legacy, Modern, initialize
from tests.http.wires import settled
from trimcp.types.jsonrpc import NODE_LOST


async def test_a_call_goes_on_elsewhere_while_its_node_stops(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.stop)
            await answer.ended()  # at once: the client need not wait for the tool
            assert answer.retry == 500
            resumed = await at(client, two).get(answer.last_id)
            await trio.sleep(2)
            one.shop.open("it")
            assert texts(await resumed.messages()) == [2, "it is done"]
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_client_that_comes_back_after_its_node_has_left_finds_the_answer(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.stop)
            await answer.ended()
            one.shop.open("it")
        assert texts(await (await at(client, two).get(answer.last_id)).messages()) == [2, "it is done"]


async def test_a_call_that_outlasts_the_grace_is_answered_so_elsewhere(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        began = trio.current_time()
        report = await one.stop(grace=3)
        assert trio.current_time() - began < LEASE / 2
        assert (report.cancelled, report.lost) == (1, 0)
        (error,) = await (await at(client, two).get(answer.last_id)).messages()
        assert error["error"]["code"] == DRAINING


async def test_get_streams_end_with_a_pause_and_go_on_elsewhere(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        await (await client.ask("resources/subscribe", {"uri": "mem://motd"})).result()
        stream = await client.get()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.stop)
            await stream.ended()
        assert stream.is_complete
        assert stream.retry == 500
        resumed = await at(client, two).get(stream.last_id)
        (told,) = await quiet(resumed)  # what may have changed meanwhile
        assert sorted(told) == sorted({*told}) == sorted({*LISTS, UPDATED})
        two.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(resumed) == [[UPDATED]]


@pytest.mark.parametrize("how", ["killed", "long dead", "stopped", "idle", "idle at the same node", "fenced"])
async def test_changes_while_no_node_has_the_client_are_told_when_it_comes_back(
    autojump_clock: MockClock, how: str
) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        await subscribed(one, client)
        stream = await client.get()
        last = await stream.first_id()
        if how == "stopped":
            await one.stop()
        elif how == "idle":
            await stream.drop()
            await trio.sleep(600)  # the session leaves the memory of the node
        elif how == "idle at the same node":
            await stream.drop()
            await trio.sleep(200)
        elif how == "fenced":
            one.store.link.is_down = True
            await trio.sleep(LEASE)
            one.store.link.is_down = False
            await trio.sleep(LEASE)
        else:
            await one.kill()
        two.shop.server.notify_resource_updated("mem://motd")
        two.shop.server.notify_tools_changed()
        # The node that is asked has heard of the changes before, or does not hear of them.
        await trio.sleep({"long dead": 60, "idle at the same node": 1}.get(how, 0))
        node = one if how == "idle at the same node" else two
        resumed = await at(client, node).get(last)
        (found,) = await quiet(resumed)
        assert found.count(UPDATED) == found.count(TOOLS) == 1
        node.shop.server.notify_tools_changed()
        assert await quiet(resumed) == [[TOOLS]]


async def test_a_stream_that_moves_between_nodes_that_live_has_each_change_once(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        await subscribed(one, client)
        stream = await client.get()
        last = await stream.first_id()
        await stream.drop()
        await settled()
        two.shop.server.notify_resource_updated("mem://motd")
        await settled()
        assert await quiet(await at(client, two).get(last)) == [[UPDATED]]


async def test_nothing_of_a_session_is_forgotten_by_a_node_that_stops(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, _two = those.nodes
        client = await Legacy.open(one.http)
        answer = await client.call("hold", {"name": "it"})
        await one.shop.begun("it")
        await trio.sleep(1)
        await answer.arrived()
        one.store.link.seconds = 0.3  # the last writes take their time
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.stop)
            await settled()
            await (await client.ask("logging/setLevel", {"level": "error"})).ended()  # refused: it stops
            one.shop.open("it")
        assert await those.store.sessions.find(client.id) is not None
        assert await those.store.events.replay(client.id, int(answer.last_id.split(".")[1]), 0) is not None
        assert await those.store.nodes.dead() == frozenset()


async def test_a_session_that_was_opened_a_moment_before_is_not_forgotten(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = Legacy(two.http, "2025-11-25", (await initialize(one.http)).fields["mcp-session-id"])
        await one.stop()
        assert (await client.notify("notifications/initialized")).status == 202
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_node_that_stops_says_so_first_and_serves_on(autojump_clock: MockClock) -> None:
    async with (
        two_nodes(limits={"drain_delay": 10.0}, health=True) as (one, two, client),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(one.stop)
        await trio.sleep(5)
        assert (await one.http.ask("GET", "/health/ready")).status == 503
        assert (await one.http.ask("GET", "/health/live")).status == 200
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert await (await Modern(one.http).call("add", {"a": 1, "b": 1})).text() == "2"
        assert (await two.http.ask("GET", "/health/ready")).status == 200


@pytest.mark.parametrize("is_known", [True, False])
async def test_no_session_is_unknown_to_a_node_that_stops(is_known: bool, autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        busy, client = await Legacy.open(one.http), await Legacy.open(two.http)
        if is_known:
            await (await at(client, one).call("add", {"a": 1, "b": 1})).text()
        await busy.call("hold", {"name": "it"})
        await one.shop.begun("it")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.stop)
            await trio.sleep(1)
            there = at(client, one)
            for answer in (await there.call("add", {"a": 1, "b": 1}), await there.get()):
                await answer.ended()
                assert answer.status == 503
                assert answer.fields["retry-after"] == "1"
            one.shop.open("it")


async def test_after_a_kill_the_next_call_is_answered_and_the_lost_one_is_told_once(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        client = await Legacy.open(those.balancer)
        one = those.nodes[0]
        answer = await begun(at(client, one), one, "it", id=5)
        await one.kill()
        began = trio.current_time()
        assert await (await client.call("add", {"a": 2, "b": 2}, id=6)).text() == "4"
        assert trio.current_time() == began
        (lost,) = await (await client.get(answer.last_id)).messages()
        assert (lost["id"], lost["error"]["code"]) == (5, NODE_LOST)


async def test_all_nodes_are_replaced_one_after_the_other_and_no_client_notices(autojump_clock: MockClock) -> None:
    async with cluster(5) as those:
        for node in those.nodes[2:]:
            node.is_alive = False  # they start later
        clients = [await Legacy.open(those.balancer) for _ in range(4)]
        for old, new in zip(those.nodes, those.nodes[2:], strict=False):
            new.is_alive = True
            await old.stop()
            for client in clients:
                assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert len([node for node in those.nodes if node.is_alive]) == 2
