"""What belongs to another node reaches it: answers, cancels, progress, messages for the GET stream, and changes."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.cluster.nodes import Cluster, Node, at, cluster, stored, two_nodes
from tests.http.clients import Legacy, Modern
from tests.http.wires import Answer, settled
from trimcp.stores.bus import Gap

ELICITS = {"elicitation": {}, "sampling": {}}
TOOLS = "notifications/tools/list_changed"
LISTS = [f"notifications/{kind}/list_changed" for kind in ("prompts", "resources", "tools")]
UPDATED = "notifications/resources/updated"


def methods(messages: list[dict[str, object]]) -> list[object]:
    """The methods of notifications."""
    return [message.get("method") for message in messages]


async def subscribed(node: Node, client: Legacy, uri: str = "mem://motd") -> None:
    """Subscribe at a node."""
    await (await at(client, node).ask("resources/subscribe", {"uri": uri})).result()


async def quiet(*streams: Answer) -> list[list[object]]:
    """The methods that have come on each stream once nothing more comes."""
    await trio.sleep(1)
    return [methods(await stream.arrived()) for stream in streams]


# --- answers, cancels, progress -----------------------------------------------------------


async def test_an_answer_that_is_posted_to_another_node_reaches_the_one_that_asked(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        one, _two, three = those.nodes
        client = await Legacy.open(one.http, capabilities=ELICITS)
        answer = await client.call("ask")
        question = await answer.message()
        assert question["id"].startswith(f"{one.incarnation}-")
        result = {"action": "accept", "content": {"name": "Ada"}}
        assert (await at(client, three).respond(question["id"], result)).status == 202
        assert await answer.text() == "Hello Ada."


async def test_questions_of_two_nodes_have_different_ids(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        client = await Legacy.open(those.balancer, capabilities=ELICITS)
        answers = [await client.call("ask", id=n) for n in range(6)]
        ids = [(await answer.message())["id"] for answer in answers]
        assert len(set(ids)) == 6
        for n, id in enumerate(ids):
            await client.respond(id, {"action": "accept", "content": {"name": f"no. {n}"}})
        assert [await answer.text() for answer in answers] == [f"Hello no. {n}." for n in range(6)]


async def test_ids_of_a_session_are_not_used_again_by_a_node_that_takes_it_up_again(autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        client = await Legacy.open(node.http, capabilities=ELICITS)
        seen: list[tuple[str, str]] = []
        for _ in range(2):
            answer = await client.call("ask")
            id = (await answer.message())["id"]
            await client.respond(id, {"action": "decline"})
            await answer.text()
            seen.append((id, answer.last_id.split(".")[1]))
            await trio.sleep(300)
            assert len(node.run.sessions) == 0
        assert len({id for id, _ in seen}) == len({stream for _, stream in seen}) == 2


async def test_an_answer_to_a_dead_node_is_taken_and_ignored(autojump_clock: MockClock) -> None:
    async with two_nodes(capabilities=ELICITS) as (one, two, client):
        question = await (await client.call("ask")).message()
        await one.kill()
        assert (await at(client, two).respond(question["id"], {"action": "decline"})).status == 202


async def test_a_cancel_that_is_posted_to_another_node_cancels_the_request(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        one, _two, three = those.nodes
        client = await Legacy.open(one.http)
        await client.call("hold", {"name": "it"}, id="x")
        await one.shop.begun("it")
        await at(client, three).notify("notifications/cancelled", {"requestId": "x"})
        assert await one.shop.is_over("it") == "cancelled"


async def test_another_client_cannot_cancel_it(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client, other = await Legacy.open(one.http), await Legacy.open(one.http)
        answer = await client.call("hold", {"name": "it"}, id="x")
        await one.shop.begun("it")
        await at(other, two).notify("notifications/cancelled", {"requestId": "x"})
        await trio.sleep(1)
        one.shop.open("it")
        assert await answer.text() == "it"


# --- the GET stream -----------------------------------------------------------------------


async def test_a_resource_that_changes_at_one_node_is_told_at_all(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        one, two, three = those.nodes
        clients = [await Legacy.open(node.http) for node in those.nodes]
        streams = []
        for client, node in zip(clients, (two, three, one), strict=True):
            await subscribed(node, client)
            streams.append(await client.get())
        await settled()  # a node learns from the bus of subscriptions made at others
        three.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(*streams) == [[UPDATED]] * 3
        one.shop.server.notify_resource_updated("mem://grüße")
        assert await quiet(*streams) == [[]] * 3


async def test_a_client_that_unsubscribes_at_one_node_is_told_no_more_by_any(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        stream = await at(client, two).get()
        await subscribed(one, client)
        await settled()
        await (await client.ask("resources/unsubscribe", {"uri": "mem://motd"})).result()
        await settled()
        for node in those.nodes:
            node.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[]]


async def test_a_subscription_of_a_dead_node_lives_on(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        one, two, three = those.nodes
        client = await Legacy.open(one.http)
        await subscribed(one, client)
        await one.kill()
        stream = await at(client, two).get()
        three.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[UPDATED]]


async def test_a_session_that_several_nodes_know_is_told_once(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        client = await Legacy.open(those.balancer)
        for n in range(3):
            await (await client.call("add", {"a": 1, "b": 1}, id=n)).text()
        stream = await at(client, those.nodes[1]).get()
        await settled()
        those.nodes[0].shop.server.notify_tools_changed()
        assert await quiet(stream) == [[TOOLS]]


async def test_what_waited_for_a_stream_at_several_nodes_is_told_once(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        client = await Legacy.open(those.balancer)
        for n in range(3):
            await (await client.call("add", {"a": 1, "b": 1}, id=n)).text()
        those.nodes[0].shop.server.notify_tools_changed()
        await settled()
        stream = await at(client, those.nodes[1]).get()
        assert await quiet(stream) == [[TOOLS]]


async def test_a_question_outside_of_requests_leaves_by_the_stream_at_another_node(autojump_clock: MockClock) -> None:
    async with two_nodes(capabilities=ELICITS) as (one, two, client):
        stream = await at(client, two).get()
        await settled()
        (session,) = one.run.sessions
        answers: list[object] = []

        async def ask() -> None:
            answers.append(await session.calls.call("ping", None, timeout=10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            question = await stream.message()
            assert question["method"] == "ping"
            await at(client, two).respond(question["id"], {})
        assert answers == [{}]


async def test_messages_follow_a_client_that_opens_its_stream_elsewhere_and_back(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        first = await client.get()
        second = await at(client, two).get()
        await settled()
        one.shop.server.notify_tools_changed()
        assert await quiet(first, second) == [[], [TOOLS]]
        await second.drop()
        await settled()
        two.shop.server.notify_tools_changed()
        assert await quiet(first) == [[TOOLS]]


async def test_a_get_stream_is_resumed_at_another_node(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        stream = await client.get()
        one.shop.server.notify_tools_changed()
        assert (await stream.message())["method"] == TOOLS
        last = stream.last_id
        one.shop.server.notify_prompts_changed()  # which is lost on its way
        await stored()
        await one.kill()
        resumed = await at(client, two).get(last)
        (found,) = await quiet(resumed)
        assert found[0] == "notifications/prompts/list_changed"  # and then what may have changed meanwhile
        two.shop.server.notify_tools_changed()
        assert await quiet(resumed) == [[TOOLS]]
        again = await at(client, two).get(resumed.last_id)
        assert await quiet(again) == [[]]  # the last event does not come twice


# --- modern listens, gaps -----------------------------------------------------------------


async def test_listens_of_2026_get_the_changes_of_all_nodes(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        listen = await Modern(one.http).listen(toolsListChanged=True, resourceSubscriptions=["mem://motd"])
        await listen.message()
        two.shop.server.notify_tools_changed()
        assert (await listen.message())["method"] == TOOLS
        two.shop.server.notify_resource_updated("mem://motd")
        assert (await listen.message())["method"] == UPDATED


async def gap(those: Cluster) -> None:
    """Lose messages on their way to each node."""
    for channel in list(those.store.bus._channels):
        channel.put(Gap())
    await settled()


async def test_after_a_gap_everything_that_is_watched_counts_as_changed(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        await subscribed(one, client)
        stream = await at(client, two).get()
        listen = await Modern(two.http).listen(toolsListChanged=True, resourceSubscriptions=["mem://motd"])
        await listen.message()
        await gap(those)
        (found,) = await quiet(stream)
        assert TOOLS in found
        assert found.count(UPDATED) == 1
        assert methods(await listen.arrived()) == [TOOLS, UPDATED]


async def test_changes_that_were_lost_with_the_bus_are_told_when_it_is_back(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(two.http)
        await subscribed(two, client)
        stream = await client.get()
        one.store.link.is_down = True
        one.shop.server.notify_resource_updated("mem://motd")
        assert await quiet(stream) == [[]]
        one.store.link.is_down = False
        await trio.sleep(5)
        (found,) = await quiet(stream)
        assert UPDATED in found


async def test_a_session_that_was_ended_during_a_gap_is_dead_at_all_nodes(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        those.store.bus._channels.clear()
        await client.delete()
        assert two.run.messages is not None
        two.run.messages._hand_out(Gap())
        assert (await (await at(client, two).call("add", {"a": 1, "b": 1})).ended()).status == 404


async def test_after_a_gap_the_nodes_know_again_where_clients_listen(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        one, two, three = those.nodes
        client = await Legacy.open(one.http)
        await (await at(client, three).call("add", {"a": 1, "b": 1})).text()
        channels = dict(those.store.bus._channels)
        those.store.bus._channels.clear()
        stream = await at(client, two).get()
        those.store.bus._channels.update(channels)
        await gap(those)
        await quiet(stream)
        for node in those.nodes:
            node.shop.server.notify_tools_changed()
            assert await quiet(stream) == [[TOOLS]]
