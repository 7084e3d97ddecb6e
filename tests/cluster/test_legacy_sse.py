"""HTTP+SSE on several nodes: the stream is at one, and messages may be posted to any."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.cluster.nodes import LEASE, cluster
from tests.http.clients import request, response
from tests.http.test_http_sse import HEARD, Old
from tests.http.workshop import by_name
from tests.session.peer import Logged


async def test_messages_may_be_posted_to_any_node(autojump_clock: MockClock) -> None:
    async with cluster(3, sse=True) as those:
        client = await Old.open(those.nodes[0].http, {"sampling": {}})
        client.http = those.balancer
        for id in range(1, 7):
            await client.call(id, "add", a=id, b=1)
            message = await client.stream.message()
            assert (message["id"], message["result"]["content"][0]["text"]) == (id, str(id + 1))
        await client.call(7, "think", text="Wéll?")
        question = await client.stream.message()
        await client.post(response(question["id"], HEARD))
        assert (await client.stream.message())["id"] == 7
        await client.post(b'{"jsonrpc": "2.0", "id": 8,\r\n "method": "ping"}')
        assert (await client.stream.message())["id"] == 8


async def test_a_session_of_another_principal_or_of_no_node_is_404_at_every_node(autojump_clock: MockClock) -> None:
    async with cluster(2, sse=True, authenticate=by_name) as those:
        one, two = those.nodes
        client = await Old.open(one.http, principal="ada")
        client.http = two.http
        await client.post(request(1, "ping"))
        assert (await client.stream.message())["id"] == 1
        client.principal = "eve"
        await client.post(request(2, "ping"), 404)
        name, _, id = client.path.partition("=")
        for unknown in (f"1{id}", f"{id}x", "9" * 30 + f"-{id}", "-", "x-y", ""):
            client.path = f"{name}={unknown}"
            await client.post(request(3, "ping"), 404)


async def test_a_message_whose_confirmation_was_lost_is_taken_once(autojump_clock: MockClock) -> None:
    async with cluster(2, sse=True) as those:
        one, two = those.nodes
        client = await Old.open(one.http)
        client.http = two.http
        one.store.link.seconds = 0.2  # that the confirmation takes
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call, 1, "add")
            await trio.sleep(0.1)
            two.store.link.is_down = True
            await trio.sleep(0.5)
            two.store.link.is_down = False
        await client.call(2, "add", a=1, b=1)
        ids = []
        while 2 not in ids:
            message = await client.stream.message()
            ids += [message["id"]] if "id" in message else []  # the gap counts as a change of all lists
        assert ids == [1, 2]


async def test_the_stream_of_a_dead_node_is_404(autojump_clock: MockClock) -> None:
    async with cluster(2, sse=True) as those:
        one, two = those.nodes
        client = await Old.open(one.http)
        client.http = two.http
        await one.kill()
        await client.post(request(1, "ping"), 503)
        await trio.sleep(2 * LEASE)
        await client.post(request(1, "ping"), 404)


async def test_a_fenced_node_ends_its_streams(logged: Logged, autojump_clock: MockClock) -> None:
    async with cluster(2, sse=True) as those:
        one, _ = those.nodes
        client = await Old.open(one.http)
        one.store.link.is_down = True
        await trio.sleep(LEASE)
        assert await client.stream.event() is None
        one.store.link.is_down = False
        await trio.sleep(LEASE)
        again = await Old.open(one.http)
        again.http = those.balancer
        for id in (1, 2):
            await again.post(request(id, "ping"))
            assert (await again.stream.message())["id"] == id
