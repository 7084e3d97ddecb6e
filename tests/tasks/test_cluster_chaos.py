"""Random kills, cancels and answers over nodes that share a store: every task ends, once, and nothing is left over."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from tests.tasks.test_cluster import Node
from tests.tasks.workshop import FINAL, accepted
from trimcp.extensions.tasks import lifecycle
from trimcp.stores import MemoryStore
from trimcp.stores.memory_nodes import MemoryBus, MemoryNodeStore
from trimcp.stores.memory_tasks import MemoryTaskStore
from trimcp.stores.task_store import TaskRecord

T = TypeVar("T")

ROUNDS = 60
TOOLS = ("work", "once", "ask", "fail")


class Unreliable(MemoryTaskStore):
    """Loses calls at random: before they are done, or their answers."""

    def __init__(self, seed: int) -> None:
        super().__init__(clock=lambda: lifecycle.now())
        self.random = random.Random(seed)
        self.loses = 0.0

    async def create(self, record: TaskRecord, *, most: int) -> bool:
        return await self._maybe(lambda: MemoryTaskStore.create(self, record, most=most))

    async def find(self, id: str) -> TaskRecord | None:
        return await self._maybe(lambda: MemoryTaskStore.find(self, id))

    async def update(self, record: TaskRecord) -> TaskRecord | None:
        return await self._maybe(lambda: MemoryTaskStore.update(self, record))

    async def unfinished(self, incarnation: int) -> Sequence[TaskRecord]:
        return await self._maybe(lambda: MemoryTaskStore.unfinished(self, incarnation))

    async def _maybe(self, call: Callable[[], Awaitable[T]]) -> T:
        if self.random.random() < self.loses:
            await trio.lowlevel.checkpoint()
            raise ConnectionError("lost before")
        value = await call()
        if self.random.random() < self.loses:
            raise ConnectionError("lost after")
        return value


class Chaos:
    """Does something at random to a few nodes, and knows the tasks that it has begun."""

    def __init__(self, seed: int, store: MemoryStore, nursery: trio.Nursery) -> None:
        self.random = random.Random(seed)
        self.store = store
        self.nursery = nursery
        self.nodes: list[Node] = []
        self.ids: list[str] = []

    async def add_node(self) -> None:
        node = Node(self.store)
        await self.nursery.start(node.run)
        self.nodes.append(node)

    async def step(self) -> None:
        node = self.random.choice(self.nodes)
        what = self.random.choice(("begin", "begin", "begin", "cancel", "answer", "release", "kill", "drain", "wait"))
        if what == "begin":
            async with node.client() as client:
                tool = self.random.choice(TOOLS)
                with trio.move_on_after(2):  # a call that cannot become a task waits to be released
                    answer = await client.call(tool, {"how": "tool"} if tool == "fail" else {})
                    if "taskId" in answer.get("result", {}):
                        self.ids.append(answer["result"]["taskId"])
        elif what == "cancel" and self.ids:
            async with node.client() as client:
                await client.cancel(self.random.choice(self.ids))
        elif what == "answer" and self.ids:
            await self.answer(node, self.random.choice(self.ids))
        elif what == "release":
            node.workshop.release.set()
            node.workshop.release = trio.Event()
        elif what in ("kill", "drain"):
            self.nodes.remove(node)
            if what == "kill":
                await node.kill()
            else:
                await node.workshop.server.drain(self.random.random())
                node.life.cancel()
            await self.add_node()
        else:
            await trio.sleep(self.random.choice((0.1, 1, 10, 30)))

    async def answer(self, node: Node, id: str) -> None:
        async with node.client() as client:
            answer = await client.ask("tasks/get", {"taskId": id})
            asked = answer.get("result", {}).get("inputRequests") or {}
            answers = {key: accepted("Ada") for key in asked}
            if answers:
                await client.ask("tasks/update", {"taskId": id, "inputResponses": answers})

    async def finish(self) -> None:
        """Let all tasks end: those of dead nodes are settled first."""
        await trio.sleep(120)
        for _ in range(6):
            for node in self.nodes:
                node.workshop.release.set()
            for id in self.ids:
                await self.answer(self.random.choice(self.nodes), id)
            await trio.sleep(10)


@pytest.mark.parametrize("loses", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(3))
async def test_every_task_ends_and_nothing_is_left(autojump_clock: MockClock, seed: int, loses: float) -> None:
    store = MemoryStore(shared=True, clock=lambda: lifecycle.now())
    store.tasks = tasks = Unreliable(seed)
    store.nodes = nodes = MemoryNodeStore()
    store.bus = bus = MemoryBus()
    async with trio.open_nursery() as nursery:
        chaos = Chaos(seed, store, nursery)
        for _ in range(3):
            await chaos.add_node()
        tasks.loses = loses
        for _ in range(ROUNDS):
            await chaos.step()
        tasks.loses = 0.0
        await chaos.finish()
        for id in chaos.ids:
            record = await store.tasks.find(id)
            assert record is not None
            assert record.status in FINAL, record
        for node in chaos.nodes:
            (run,) = node.workshop.server._runs._runs
            manager = run.tasks.manager  # type: ignore[union-attr]
            left = manager._running.keys() if loses else ()  # tasks whose creation no store could take back
            assert not manager._running.keys() & chaos.ids
            assert manager._running.keys() == set(left)
            assert len(manager._works) == len(left)
            assert not manager._watches
        assert not await nodes.dead()
        assert len(nodes._leases) == len(chaos.nodes)
        assert len(bus._channels) == len(chaos.nodes)
        nursery.cancel_scope.cancel()
    assert not bus._channels
    assert not nodes._leases
