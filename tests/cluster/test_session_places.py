"""The sessions of a principal, counted over all nodes."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.cluster.nodes import at, cluster
from tests.http.clients import Legacy, initialize
from tests.http.workshop import by_name
from trimcp.stores.memory import SESSION_TTL


async def test_a_principal_has_a_bounded_number_of_sessions_on_all_nodes(autojump_clock: MockClock) -> None:
    async with cluster(2, limits={"shared_sender_sessions": 2}, authenticate=by_name) as those:
        one, two = those.nodes
        first = await Legacy.open(one.http, principal="ada")
        await Legacy.open(two.http, principal="ada")
        for node in those.nodes:
            assert (await initialize(node.http, principal="ada")).status == 503
        await Legacy.open(one.http, principal="bob")
        assert (await at(first, two).delete()).status in (200, 204)
        await Legacy.open(two.http, principal="ada")


async def test_while_the_store_does_not_count_each_node_counts_alone(autojump_clock: MockClock) -> None:
    async with cluster(2, limits={"shared_sender_sessions": 1, "sender_sessions": 2}, authenticate=by_name) as those:

        async def take(*_: object, **__: object) -> bool:
            raise ConnectionError("the store is down")

        those.store.admission.take = take  # type: ignore[method-assign]
        for node in those.nodes:
            for _ in range(2):
                await Legacy.open(node.http, principal="ada")
            assert (await initialize(node.http, principal="ada")).status == 503


async def test_a_session_that_is_used_keeps_its_place(autojump_clock: MockClock) -> None:
    async with cluster(2, limits={"shared_sender_sessions": 1}, authenticate=by_name) as those:
        client = await Legacy.open(those.nodes[0].http, principal="ada")
        for _ in range(6):
            await trio.sleep(SESSION_TTL / 4)
            assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert (await initialize(those.nodes[1].http, principal="ada")).status == 503
        await trio.sleep(2 * SESSION_TTL)
        await Legacy.open(those.nodes[1].http, principal="ada")
