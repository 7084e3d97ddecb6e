"""The bus loses messages: what a node has acknowledged reaches the node that it is for all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import Cluster, at, cluster, two_nodes
from tests.cluster.test_messages import ELICITS, gap
from tests.cluster.test_store_failures import fail
from tests.cluster.test_streams import begun, texts
from tests.http.clients import Legacy
from tests.http.wires import Answer, settled
from tests.session.peer import Logged
from trimcp.stores.event_store import AppendFailed, EventBatch
from trimcp.types.jsonrpc import NODE_LOST, STORE_UNAVAILABLE

ADA = {"action": "accept", "content": {"name": "Ada"}}


async def asked(client: Legacy) -> tuple[Answer, Any]:
    """Call a tool that asks the client; return its stream, and the id of the question."""
    answer = await client.call("ask")
    return answer, (await answer.message())["id"]


def cut(those: Cluster) -> dict[Any, int]:
    """Have the bus lose all messages without a word; return what brings it back."""
    channels = dict(those.store.bus._channels)
    those.store.bus._channels.clear()
    return channels


async def test_an_answer_that_the_bus_has_lost_is_read_from_the_store(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http, capabilities=ELICITS)
        answer, question = await asked(client)
        cut(those)
        assert (await at(client, two).respond(question, ADA)).status == 202
        began = trio.current_time()
        assert await answer.text() == "Hello Ada."
        assert trio.current_time() - began <= 10


async def test_an_answer_that_a_gap_has_swallowed_is_read_at_once(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http, capabilities=ELICITS)
        answer, question = await asked(client)
        channels = cut(those)
        await at(client, two).respond(question, ADA)
        await settled()
        those.store.bus._channels.update(channels)
        began = trio.current_time()
        await gap(those)
        assert await answer.text() == "Hello Ada."
        assert trio.current_time() == began


async def test_an_answer_outlives_the_node_that_has_taken_it(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http, capabilities=ELICITS)
        answer, question = await asked(client)
        cut(those)
        assert (await at(client, two).respond(question, ADA)).status == 202
        await two.kill()
        assert await answer.text() == "Hello Ada."


@pytest.mark.parametrize("how", ["down", "frozen"])
async def test_an_answer_that_no_store_keeps_is_not_acknowledged(
    how: str, logged: Logged, autojump_clock: MockClock
) -> None:
    async with two_nodes(capabilities=ELICITS) as (_one, two, client):
        answer, question = await asked(client)
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"
        fail(two, how)
        refused = await at(client, two).respond(question, ADA)
        assert (refused.status, refused.fields["retry-after"]) == (503, "1")
        assert (await refused.error())["code"] == STORE_UNAVAILABLE
        assert (await client.respond(question, ADA)).status == 202
        assert await answer.text() == "Hello Ada."


@pytest.mark.parametrize("is_lost", [False, True])
async def test_answers_in_a_batch_reach_the_node_that_asked(is_lost: bool, autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http, "2025-03-26", capabilities={"sampling": {}})
        (session,) = one.run.sessions
        results: list[object] = []

        async def ping() -> None:
            results.append(await session.calls.call("ping", None, timeout=60))

        stream = await client.get()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(ping)
            ids = [(await stream.message())["id"] for _ in range(2)]
            if is_lost:
                cut(those)
            batch = [{"jsonrpc": "2.0", "id": id, "result": {}} for id in ids]
            assert (await (await at(client, two).post(batch)).begun()).status == 202
        assert results == [{}, {}]


async def test_an_answer_is_taken_once(autojump_clock: MockClock) -> None:
    async with two_nodes(capabilities=ELICITS) as (_one, two, client):
        answer, question = await asked(client)
        for name in ("Ada", "Bob"):
            assert (await at(client, two).respond(question, {**ADA, "content": {"name": name}})).status == 202
        assert await answer.text() == "Hello Ada."


@pytest.mark.parametrize("id", ["999999999999999999-1", "1-999999999999999999", "12345-7"])
async def test_an_answer_to_a_node_that_never_was_is_taken_and_ignored(id: str, autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        client = await Legacy.open(those.nodes[0].http)
        assert (await client.respond(id, {})).status == 202


async def test_nodes_without_questions_do_not_read_the_store(autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        await Legacy.open(node.http)
        await trio.sleep(60)
        assert "events.replay" not in node.store.link.calls


# --- events of streams --------------------------------------------------------------------


async def test_an_answer_that_the_store_did_not_take_at_first_reaches_a_client_elsewhere(
    logged: Logged, autojump_clock: MockClock
) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        resumed = await at(client, two).get(answer.last_id)
        await trio.sleep(1)
        one.store.link.is_down = True
        one.shop.open("it")
        await one.shop.is_over("it")
        await trio.sleep(3)
        one.store.link.is_down = False
        assert texts(await resumed.messages()) == [2, "it is done"]


async def test_a_client_elsewhere_is_not_left_waiting_for_events_that_no_store_has(
    logged: Logged, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        answer = await begun(client, one, "it")
        resumed = await at(client, two).get(answer.last_id)
        await trio.sleep(1)
        append = those.store.events.append

        async def refuse(batches: Sequence[EventBatch]) -> None:
            await append([batch for batch in batches if not batch.events])
            lost = [batch for batch in batches if batch.events]
            if lost:
                raise AppendFailed(lost)

        monkeypatch.setattr(those.store.events, "append", refuse)
        one.shop.open("it")
        assert await (await resumed.ended()).messages() == []
        assert (await at(client, two).get(answer.last_id)).status == 400


@pytest.mark.parametrize("dies", [False, True])
async def test_a_client_that_has_more_than_the_store_gets_the_rest(
    dies: bool, logged: Logged, autojump_clock: MockClock
) -> None:
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it", id=7)
        one.store.link.freeze()
        tag, stream, number = answer.last_id.split(".")
        ahead = f"{tag}.{stream}.{int(number) + 1}"  # an event that has left in the last milliseconds before the kill
        if dies:
            await one.kill()
            resumed = await at(client, two).get(ahead)
            (lost,) = await resumed.messages()
            assert (lost["id"], lost["error"]["code"]) == (7, NODE_LOST)
            assert resumed.last_id not in (answer.last_id, ahead)  # no event id comes twice
            assert (await at(client, two).get(resumed.last_id)).status == 405  # the stream is over
        else:
            resumed = await at(client, two).get(ahead)
            assert resumed.status == 200
            one.store.link.thaw()
            one.shop.open("it")
            assert texts(await resumed.messages())[-1] == "it is done"
