"""A real Valkey that is flushed, full, frozen, or killed and started again, under two nodes."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from tests.cluster.nodes import Node, at
from tests.cluster.stores import LinkedStore
from tests.http.clients import Legacy, Modern, initialize
from tests.session.peer import Logged
from tests.stores.valkey import ValkeyProcess, running_valkey
from trimcp.stores.valkey.store import Valkey
from trimcp.types.jsonrpc import STORE_UNAVAILABLE

LEASE = 4.0
PATIENCE = 60.0


@attrs.frozen
class There:
    """Two nodes, and a session that was opened at the first."""

    valkey: ValkeyProcess
    one: Node
    two: Node
    client: Legacy

    async def statuses(self, node: Node) -> tuple[int, int, int]:
        """The statuses of a call in the session, of an `initialize`, and of a call of 2026-07-28."""
        sum_ = {"name": "add", "arguments": {"a": 1, "b": 1}}
        call = await (await at(self.client, node).call("add", {"a": 1, "b": 1})).ended()
        opened = await initialize(node.http)
        modern = await (await Modern(node.http).ask("tools/call", sum_)).ended()
        for answer in (call, opened):
            if answer.status == 503:
                assert (await answer.json())["error"]["code"] == STORE_UNAVAILABLE
                assert answer.fields["retry-after"]
        return call.status, opened.status, modern.status

    async def becomes(self, node: Node, *wanted: int) -> None:
        """Wait until these are the statuses. Meanwhile no session is unknown, unless that is wanted."""
        with trio.fail_after(PATIENCE):
            while (found := await self.statuses(node)) != wanted:
                assert wanted[0] == 404 or found[0] != 404
                await trio.sleep(0.1)


@asynccontextmanager
async def there(*options: str) -> AsyncIterator[There]:
    with running_valkey(*options) as valkey, trio.fail_after(2 * PATIENCE):
        one, two = nodes = [Node(LinkedStore(Valkey(valkey.url, lease=LEASE, deadline=1.0)), {}, {}) for _ in range(2)]
        async with trio.open_nursery() as nursery:
            for node in nodes:
                await nursery.start(node.serve)
            yield There(valkey, one, two, await Legacy.open(one.http))
            for node in nodes:
                await node.leave()
            nursery.cancel_scope.cancel()


async def test_after_a_flush_all_sessions_are_dead_and_new_ones_are_opened(logged: Logged) -> None:
    async with there() as those:
        those.valkey.command("FLUSHALL")
        answer = await (await at(those.client, those.two).call("add", {"a": 1, "b": 1})).ended()
        assert answer.status in (404, 503)  # 503 for the moment in which the node has no lease
        for node in (those.one, those.two):
            await those.becomes(node, 404, 200, 200)
        client = await Legacy.open(those.one.http)
        assert await (await at(client, those.two).call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_full_server_serves_the_sessions_that_it_has(logged: Logged) -> None:
    async with there() as those:
        those.valkey.command("CONFIG", "SET", "maxmemory", "1")
        for node in (those.one, those.two):
            assert await those.statuses(node) == (200, 503, 200)
        await trio.sleep(LEASE)
        assert not those.one.run.node.is_fenced  # type: ignore[union-attr]
        failures = logged.of("store.failed")
        assert any("batches of events were not kept: Valkey failed: OOM" in each.get("why", "") for each in failures)
        assert not any("exc_info" in each for each in failures)
        those.valkey.command("CONFIG", "SET", "maxmemory", "0")
        for node in (those.one, those.two):
            await those.becomes(node, 200, 200, 200)


async def test_a_frozen_server_costs_what_needs_it(logged: Logged) -> None:
    async with there() as those:
        those.valkey.signal(signal.SIGSTOP)
        assert await those.statuses(those.one) == (200, 503, 200)
        assert await those.statuses(those.two) == (503, 503, 200)
        await trio.sleep(LEASE)
        assert await those.statuses(those.one) == (503, 503, 200)  # the node has fenced itself
        those.valkey.signal(signal.SIGCONT)
        for node in (those.one, those.two):
            await those.becomes(node, 200, 200, 200)


async def test_a_server_that_is_killed_and_comes_back_has_the_sessions(logged: Logged) -> None:
    async with there("--appendonly", "yes") as those:
        await trio.sleep(1.5)  # so long may the last second be lost
        those.valkey.stop()
        assert await those.statuses(those.two) == (503, 503, 200)
        those.valkey.start()
        for node in (those.one, those.two):
            await those.becomes(node, 200, 200, 200)
