"""Several nodes in one process, and a balancer in front of them that sends each request to the next."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import trio

from tests.cluster.stores import LinkedStore
from tests.http.clients import Legacy
from tests.http.raw import Http, _behind
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop
from trimcp.server.run import ServerRun
from trimcp.session.drain_report import DrainReport
from trimcp.stores.memory_store import MemoryStore

LEASE = 15.0


class Node:
    """One node: a workshop behind a door, with the store of all."""

    def __init__(self, store: LinkedStore, limits: dict[str, Any], options: dict[str, Any]) -> None:
        self.store = store
        self.shop = Workshop(limits=limits, store=self.store)
        self.http: Http
        self.is_alive = False
        self._options = options
        self._scope = trio.CancelScope()

    @property
    def run(self) -> ServerRun:
        assert self.http.running is not None
        return self.http.running

    @property
    def incarnation(self) -> int:
        assert self.run.node is not None
        return self.run.node.incarnation

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until killed or stopped."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                self.http = Http("direct", self.shop.server, nursery)
                async with _behind(self.http, None, self._options):
                    self.is_alive = True
                    task_status.started()
                    await trio.sleep_forever()

    async def kill(self) -> None:
        """End at once, without a word to the store."""
        self.store.link.is_down = True
        await self.leave()

    async def stop(self, grace: float = 5.0) -> DrainReport:
        """End as SIGTERM does it."""
        report = await self.run.drain(grace)
        await self.leave()
        return report

    async def leave(self) -> None:
        """End without a drain."""
        self.is_alive = False
        await self.http.leave()
        self._scope.cancel()
        await settled()


class Balancer:
    """Sends each request to the next node that lives. Stands in for `Http` where a client sends requests."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._turns = itertools.count()
        self.sent_to: list[int] = []

    async def send(self, method: str, path: str = "/mcp", **given: Any) -> Answer:
        while True:
            index = next(self._turns) % len(self._nodes)
            if self._nodes[index].is_alive:
                self.sent_to.append(index)
                return await self._nodes[index].http.send(method, path, **given)

    async def ask(self, method: str, path: str = "/mcp", **given: Any) -> Answer:
        return await (await self.send(method, path, **given)).begun()


class Cluster:
    """The nodes, and their store."""

    def __init__(self, store: MemoryStore, nodes: list[Node]) -> None:
        self.store = store
        self.nodes = nodes
        self.balancer: Http = cast("Http", Balancer(nodes))


@asynccontextmanager
async def cluster(size: int = 2, *, limits: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Cluster]:
    """Run nodes with one store."""
    store = MemoryStore(shared=True, lease=LEASE)
    with trio.fail_after(100_000):
        async with trio.open_nursery() as nursery:
            nodes = [Node(LinkedStore(store), limits or {}, options) for _ in range(size)]
            for node in nodes:
                await nursery.start(node.serve)
            await settled()
            yield Cluster(store, nodes)
            for node in nodes:
                if node.is_alive:
                    await node.leave()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def two_nodes(
    version: str = "2025-11-25",
    capabilities: dict[str, Any] | None = None,
    principal: str | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Node, Node, Legacy]]:
    """Run a cluster of two, by these options, and open a session at the first node."""
    async with cluster(2, **options) as those:
        one, two = those.nodes
        yield one, two, await Legacy.open(one.http, version, capabilities, principal)


async def stored() -> None:
    """Wait until the events of all nodes are in the store: they wait a moment for others."""
    await trio.sleep(0.01)
    await settled()


def at(client: Any, node: Node) -> Any:
    """The same client, which sends to a node from now on."""
    return type(client)(node.http, client.version, client.id, client.principal)


__all__ = ["LEASE", "Balancer", "Cluster", "Node", "at", "cluster", "stored", "two_nodes"]
