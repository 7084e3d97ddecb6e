"""Sessions that every node serves: taken up from the store, ended for all, and never unknown by mistake."""

from __future__ import annotations

import time

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import at, cluster, two_nodes
from tests.http.clients import STREAMABLE, Legacy, initialize
from tests.http.wires import settled
from tests.http.workshop import by_name
from trimcp.types.jsonrpc import STORE_UNAVAILABLE


@pytest.mark.parametrize("version", STREAMABLE)
async def test_each_request_of_a_session_may_go_to_another_node(version: str, autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        client = await Legacy.open(those.balancer, version)
        for n in range(9):
            assert await (await client.call("add", {"a": n, "b": 1}, id=n)).text() == str(n + 1)
        assert {len(node.run.sessions) for node in those.nodes} == {1}


async def test_the_record_is_stored_before_initialize_is_answered(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        answer = await initialize(one.http)
        # Not even a turn later: the client may be faster than this node.
        client = Legacy(two.http, "2025-11-25", answer.fields["mcp-session-id"])
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_session_that_another_node_has_opened_is_initialized(autojump_clock: MockClock) -> None:
    async with two_nodes() as (_one, two, client):
        stream = await at(client, two).get()
        two.shop.server.notify_tools_changed()
        assert (await stream.message())["method"] == "notifications/tools/list_changed"
        await stream.drop()


async def test_what_the_client_has_said_of_itself_is_known_at_every_node(autojump_clock: MockClock) -> None:
    async with two_nodes(capabilities={"elicitation": {}, "roots": {"listChanged": True}}) as (_one, two, client):
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        (session,) = two.run.sessions
        assert session.client is not None
        assert session.client.capabilities.elicitation is not None
        assert session.client.info is not None
        assert session.client.info.name == "raw"
        assert session.revision is not None
        assert session.revision.version == "2025-11-25"


async def test_a_session_is_unknown_to_another_principal_at_every_node(autojump_clock: MockClock) -> None:
    async with two_nodes(principal="ada", authenticate=by_name) as (_one, two, client):
        client.principal = "bob"
        answer = await (await at(client, two).call("add", {"a": 1, "b": 1})).ended()
        assert answer.status == 404
        client.principal = "ada"
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_log_level_that_is_set_at_one_node_holds_at_all(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        for node in those.nodes:
            node.shop.open("it")
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        await (await client.ask("logging/setLevel", {"level": "info"})).result()
        await settled()
        for node in those.nodes:
            messages = await (await at(client, node).call("talk", {"name": "it"})).messages()
            assert [m["params"]["data"] for m in messages if m.get("method") == "notifications/message"] == [
                "it begins"
            ]


async def test_two_nodes_that_change_a_record_at_once_lose_nothing(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        answer = await initialize(one.http)
        client = Legacy(one.http, "2025-11-25", answer.fields["mcp-session-id"])
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        one.store.link.seconds = two.store.link.seconds = 0.5
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.notify, "notifications/initialized")
            nursery.start_soon(at(client, two).ask, "logging/setLevel", {"level": "error"})
        await trio.sleep(5)
        record = await those.store.sessions.find(client.id)
        assert record is not None
        assert record.phase.value == "ready"
        assert record.has_posted
        assert record.client is not None
        assert record.client.log_level == "error"


async def test_a_session_that_is_ended_at_one_node_is_dead_at_all(autojump_clock: MockClock) -> None:
    async with cluster(3) as those:
        one, two, three = those.nodes
        client = await Legacy.open(one.http)
        await (await at(client, two).call("add", {"a": 1, "b": 1})).text()
        assert (await client.delete()).status == 204
        await settled()
        for node in (one, two, three):  # two knew it, three never did
            answer = await (await at(client, node).call("add", {"a": 1, "b": 1})).ended()
            assert answer.status == 404
            assert len(node.run.sessions) == 0
        assert await those.store.sessions.find(client.id) is None


async def test_a_session_that_never_was_is_dead_while_the_store_answers(autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        client = Legacy(node.http, "2025-11-25", "never-was")
        assert (await (await client.call("add", {"a": 1, "b": 1})).ended()).status == 404
        assert (await client.get()).status == 404
        assert (await client.delete()).status == 404


async def test_a_session_outlives_the_restart_of_every_node(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        await one.kill()
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"
        assert (await at(client, two).delete()).status == 204


@pytest.mark.parametrize("fails", ["is_down", "is_frozen"])
async def test_a_session_that_cannot_be_looked_up_is_not_dead(fails: str, autojump_clock: MockClock) -> None:
    async with two_nodes() as (_one, two, client):
        setattr(two.store.link, fails, True)
        elsewhere = at(client, two)
        for send in (
            elsewhere.call("add", {"a": 1, "b": 1}),
            elsewhere.get(),
            elsewhere.http.send("DELETE", fields=elsewhere.fields()),
        ):
            answer = await (await send).ended()
            assert answer.status == 503
            assert answer.fields["retry-after"] == "1"
        assert (await (await elsewhere.call("add", {"a": 1, "b": 1})).error())["code"] == STORE_UNAVAILABLE
        assert (await (await initialize(two.http)).error())["code"] == STORE_UNAVAILABLE


async def test_a_session_that_is_idle_leaves_the_memory_of_a_node_and_lives_on(autojump_clock: MockClock) -> None:
    async with two_nodes() as (one, two, client):
        await trio.sleep(200)
        assert len(one.run.sessions) == 0
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert await (await at(client, two).call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_session_that_was_idle_for_too_long_is_dead_at_all_nodes(autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        client, other = await Legacy.open(node.http), await Legacy.open(node.http)
        await trio.sleep(200)  # it leaves the memory of the node
        await those.store.sessions.touch([client.id], time.time() - 1000)
        await those.store.sessions.touch([other.id], time.time() - 3600)
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert (await (await other.call("add", {"a": 1, "b": 1})).ended()).status == 404


async def test_a_session_that_its_client_never_used_is_forgotten(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        unused, used = [(await initialize(one.http)).fields["mcp-session-id"] for _ in range(2)]
        client = Legacy(two.http, "2025-11-25", used)
        await client.notify("notifications/initialized")
        await trio.sleep(200)
        assert await those.store.sessions.find(unused) is None
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_node_that_is_full_parts_from_what_is_idle(autojump_clock: MockClock) -> None:
    async with cluster(2, limits={"sessions": 3}) as those:
        one, two = those.nodes
        clients = [await Legacy.open(node.http) for node in (one, one, two, two)]
        for node in (one, two):
            for client in clients:
                assert await (await at(client, node).call("add", {"a": 1, "b": 1})).text() == "2"
            assert len(node.run.sessions) == 3


async def test_a_node_that_is_full_of_busy_sessions_does_not_call_another_one_dead(autojump_clock: MockClock) -> None:
    async with cluster(2, limits={"sessions": 2}) as those:
        one, two = those.nodes
        clients = [await Legacy.open(one.http) for _ in range(2)]
        stranger = await Legacy.open(two.http)
        streams = [await client.get() for client in clients]
        answer = await (await at(stranger, one).call("add", {"a": 1, "b": 1})).ended()
        assert answer.status == 503
        assert answer.fields["retry-after"] == "1"
        for stream in streams:
            await stream.drop()
