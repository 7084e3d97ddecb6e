"""The lease of a node: it renews, fences itself, joins anew, settles what dead nodes left, and leaves."""

from __future__ import annotations

import trio
import trio.testing

import trimcp
from trimcp.stores import MemoryStore
from trimcp.stores.memory_nodes import MemoryNodeStore
from trimcp.stores.node_lease import NodeLease, NodeObserver, joined
from trimcp.stores.node_store import LEASE


class Observed(NodeObserver):
    """Notes what it is told, with the time since its start."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.failures = 0

    def node_fenced(self, incarnation: int) -> None:
        self.told.append(("fenced", incarnation))

    def node_joined(self, incarnation: int) -> None:
        self.told.append(("joined", incarnation))

    async def settle(self, incarnation: int) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the store is down")
        self.told.append(("settled", incarnation))


class Breakable(MemoryNodeStore):
    """A node store that hangs, or fails, as long as a test says so."""

    is_down = False
    hangs = False

    async def renew(self, incarnation: int) -> bool:
        await self._check()
        return await super().renew(incarnation)

    async def join(self) -> int:
        await self._check()
        return await super().join()

    async def _check(self) -> None:
        if self.hangs:
            await trio.sleep_forever()
        if self.is_down:
            raise OSError("no connection")


def watched(lease: NodeLease) -> Observed:
    observed = Observed()
    lease.observe(observed)
    return observed


async def test_a_node_that_renews_lives_and_one_that_leaves_is_not_dead(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    store = MemoryNodeStore()
    async with joined(store) as lease:
        observed = watched(lease)
        scope = trio.CancelScope()
        nursery.start_soon(run_in, scope, lease)
        await trio.sleep(10 * LEASE)
        assert await store.alive([lease.incarnation]) == {lease.incarnation}
        assert not observed.told
        scope.cancel()
    assert observed.told == [("settled", 1)]
    assert await store.alive([1]) == await store.dead() == frozenset()


async def run_in(scope: trio.CancelScope, lease: NodeLease) -> None:
    with scope:
        await lease.run()


async def test_a_node_that_cannot_renew_fences_itself_before_others_count_it_as_dead(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    for broken in ("is_down", "hangs"):
        store = Breakable()
        async with joined(store) as lease:
            observed = watched(lease)
            nursery.start_soon(lease.run)
            await trio.sleep(LEASE + 0.1)
            setattr(store, broken, True)
            await trio.sleep(LEASE * 2 / 3 - 0.2)
            assert observed.told == []
            await trio.sleep(0.2)
            assert observed.told == [("fenced", 1)]
            assert await store.alive([1]) == {1}
            setattr(store, broken, False)
            await trio.sleep(LEASE * 2)
            assert (lease.is_fenced, lease.incarnation) == (False, 2)
            # What the fenced incarnation left behind is settled as that of any dead node.
            assert observed.told == [("fenced", 1), ("joined", 2), ("settled", 1)]
            assert await store.dead() == frozenset()


async def test_a_node_whose_lease_has_run_out_fences_itself_at_once(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    store = MemoryNodeStore()
    async with joined(store) as lease:
        observed = watched(lease)
        nursery.start_soon(lease.run)
        await trio.sleep(LEASE)
        await store.leave(lease.incarnation)  # as another node does after it has settled the work
        await trio.sleep(LEASE / 2)
        assert observed.told == [("fenced", 1), ("joined", 2)]


async def test_the_work_of_a_dead_node_is_settled_until_it_succeeds(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    store = MemoryNodeStore()
    await store.join()
    async with joined(store) as lease:
        observed = watched(lease)
        observed.failures = 2
        nursery.start_soon(lease.run)
        await trio.sleep(LEASE - 0.1)
        assert not observed.told
        await trio.sleep(LEASE)
        assert observed.told == [("settled", 1)]
        assert await store.dead() == frozenset()


async def test_a_server_with_a_shared_store_is_a_node_while_it_runs() -> None:
    store = MemoryStore(shared=True)
    servers = [trimcp.Server(f"s{n}", store=store) for n in range(2)]
    async with servers[0].running() as first, servers[1].running() as second:
        assert first.node is not None
        assert second.node is not None
        assert (first.node.incarnation, second.node.incarnation) == (1, 2)
        assert await store.nodes.alive([1, 2]) == {1, 2}
        assert servers[0].keys.current == servers[1].keys.current == await store.secrets.read()
    assert await store.nodes.alive([1, 2]) == await store.nodes.dead() == frozenset()


async def test_a_server_whose_store_is_not_shared_is_no_node() -> None:
    server = trimcp.Server("s", store=MemoryStore())
    async with server.running() as run:
        assert run.node is None


async def test_a_new_secret_is_read_by_all_nodes_before_one_makes_with_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = MemoryStore(shared=True)
    servers = [trimcp.Server(f"s{n}", store=store) for n in range(2)]
    async with servers[0].running(), servers[1].running():
        old = servers[0].keys.current.values[0]
        new = (await servers[1].keys.rotate()).values[0]
        await trio.sleep(4)
        for server in servers:
            assert server.keys.current.values == (old, new)
        await trio.sleep(10)
        for server in servers:
            assert server.keys.current.values == (new, old)


async def test_secrets_that_are_given_stay_with_a_store() -> None:
    server = trimcp.Server("s", keys=[b"k" * 32], store=MemoryStore())
    async with server.running():
        assert server.keys.current.values == (b"k" * 32,)
