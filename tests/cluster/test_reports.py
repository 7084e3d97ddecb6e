"""What users of other servers have reported, each as a test here. The rest of the reports is in the other files.

A wrong replica that says 404 (java-sdk#499, python-sdk#880, fastapi_mcp#56), a session that is restored but not
initialized (mcp-use#1133): `test_sessions`. A replay cache for each node (spring-security#18120):
`auth/server/test_shared_proofs`. A time to live that kills work, polls too early: `tasks/test_both_dialects`. Results
that are lost on a retry: `tasks/test_faults`. Tasks that run twice (docket#245): `tasks/test_cluster`.
"""

from __future__ import annotations

from typing import cast

import trio
from trio.testing import MockClock

from tests.cluster.nodes import LEASE, at, cluster, stored, two_nodes
from tests.cluster.test_streams import begun, texts
from tests.http.clients import Legacy
from trimcp.stores.memory_events import MemoryEventStore


async def test_after_a_restart_a_session_that_is_truly_dead_is_404_and_not_503(autojump_clock: MockClock) -> None:
    """fastmcp#3073: the client must open another session, and not try for ever."""
    async with two_nodes() as (one, two, client):
        await client.delete()
        await one.kill()
        await trio.sleep(2 * LEASE)
        answer = await (await at(client, two).call("add", {"a": 1, "b": 1})).ended()
        assert answer.status == 404
        assert "retry-after" not in answer.fields


async def test_idle_sessions_leave_memory_and_their_clients_do_not_notice(autojump_clock: MockClock) -> None:
    """Reapers of idle sessions either kept all in memory, or killed sessions of clients that came back."""
    async with cluster(2) as those:
        one, two = those.nodes
        clients = [await Legacy.open(those.balancer) for _ in range(10)]
        await (await clients[0].ask("resources/subscribe", {"uri": "mem://motd"})).result()
        await trio.sleep(600)
        assert len(one.run.sessions) + len(two.run.sessions) == 0
        for client in clients:
            assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        stream = await clients[0].get()
        two.shop.server.notify_resource_updated("mem://motd")
        assert (await stream.message())["method"] == "notifications/resources/updated"


async def test_a_client_that_waits_on_a_stream_is_not_idle(autojump_clock: MockClock) -> None:
    async with cluster(1) as those:
        (node,) = those.nodes
        client = await Legacy.open(node.http)
        stream = await client.get()
        await trio.sleep(3600)
        assert not stream.is_over
        node.shop.server.notify_tools_changed()
        assert (await stream.message())["method"] == "notifications/tools/list_changed"


async def test_the_last_event_is_not_replayed_twice(autojump_clock: MockClock) -> None:
    """rust-sdk#1165."""
    async with two_nodes() as (one, two, client):
        answer = await begun(client, one, "it")
        first = await at(client, two).get(answer.last_id)
        await first.drop()
        again = await at(client, two).get(answer.last_id)
        one.shop.open("it")
        assert texts(await again.messages()) == [2, "it is done"]


async def test_the_head_of_a_stream_leaves_at_once_and_quiet_streams_are_kept_alive(autojump_clock: MockClock) -> None:
    """Balancers hold back heads without a body, and cut streams that are quiet for a minute."""
    async with two_nodes() as (_one, two, client):
        began = trio.current_time()
        stream = await at(client, two).get()
        answer = await client.call("hold", {"name": "it"})
        await answer.begun()
        while not answer.body:
            await answer._more()
        assert trio.current_time() - began < 0.1
        followed = await at(client, two).get(answer.last_id)
        bodies = [len(each.body) for each in (stream, followed)]
        for _ in range(4):
            await trio.sleep(16)
            for n, each in enumerate((stream, followed)):
                await each.arrived()
                assert len(each.body) > bodies[n]
                bodies[n] = len(each.body)


async def test_what_is_over_leaves_the_event_store(autojump_clock: MockClock) -> None:
    """mcp-use#1623: an event store that only grows."""
    async with cluster(2) as those:
        one, two = those.nodes
        events = cast("MemoryEventStore", those.store.events)
        clients = [await Legacy.open(one.http) for _ in range(3)]
        for client in clients:
            for n in range(20):
                await (await client.call("add", {"a": 1, "b": 1}, id=n)).text()
        await stored()
        assert len(events) >= 60
        for client in clients[:2]:
            await at(client, two).delete()
        await stored()
        assert len(events) <= 30
        await trio.sleep(3600)  # the last one is not ended: its events are too old
        await (await clients[2].call("add", {"a": 1, "b": 1})).text()
        await stored()
        assert len(events) <= 2
