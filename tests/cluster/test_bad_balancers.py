"""Five nodes behind a balancer that does what it should not."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from tests.cluster.nodes import at, cluster
from tests.http.clients import Legacy, initialize, notification
from tests.http.wires import settled


async def test_requests_of_one_session_reach_all_nodes_at_once(autojump_clock: MockClock) -> None:
    """Each node takes the session up at the same moment; all requests are served, and no change is lost."""
    async with cluster(5) as those:
        client = await Legacy.open(those.nodes[0].http)
        sums: dict[int, str] = {}
        uris = [f"mem://{name}" for name in ("motd", "a", "b", "c", "d")]

        async def call(number: int) -> None:
            node = those.nodes[number % 5]
            sums[number] = await (await at(client, node).call("add", {"a": number, "b": 1}, id=100 + number)).text()

        async def change(number: int) -> None:
            here = at(client, those.nodes[number])
            assert "result" in await _answer(here, "resources/subscribe", {"uri": uris[number]}, 200 + number)
            assert "result" in await _answer(here, "logging/setLevel", {"level": "debug"}, 300 + number)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(call, number)
            for number in range(5):
                nursery.start_soon(change, number)
        assert sums == {number: str(number + 1) for number in range(50)}
        record = await those.store.sessions.find(client.id)
        assert record is not None
        assert record.client is not None
        assert (record.client.log_level, record.has_posted) == ("debug", True)
        assert await those.store.subscriptions.uris_of(client.id) == set(uris)


async def _answer(client: Legacy, method: str, params: dict[str, Any], id: int) -> Any:
    return await (await client.ask(method, params, id=id)).message()


async def test_a_post_that_is_delivered_twice_is_answered_on_the_stream_that_is_left(autojump_clock: MockClock) -> None:
    """The balancer lost the connection to a node, and sent the request to another one."""
    async with cluster(5) as those:
        one, two = those.nodes[:2]
        client = await Legacy.open(one.http)
        first = await client.call("add", {"a": 1, "b": 1}, id=7)
        await first.drop()
        again = await at(client, two).call("add", {"a": 1, "b": 1}, id=7)
        assert [message["id"] for message in await again.messages()] == [7]
        for node in those.nodes:  # notifications and the end of the session may come twice as well
            answer = await at(client, node).post(notification("notifications/initialized"))
            assert (await answer.begun()).status == 202
        ended = [(await at(client, node).delete()).status for node in those.nodes]
        assert set(ended) <= {204, 404}
        await settled()
        assert [(await at(client, node).get()).status for node in those.nodes] == [404] * 5


async def test_an_initialize_that_is_delivered_twice_leaves_no_session_behind(autojump_clock: MockClock) -> None:
    async with cluster(5) as those:
        await (await initialize(those.nodes[0].http)).ended()  # its answer is lost on the way
        client = await Legacy.open(those.nodes[1].http)
        await settled()
        assert sum(len(node.run.sessions) for node in those.nodes) == 2
        for _ in range(8):
            await trio.sleep(60)
            assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert sum(len(node.run.sessions) for node in those.nodes) == 1
        assert len(those.store.sessions._records) == 1  # type: ignore[attr-defined]
