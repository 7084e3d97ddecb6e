"""The messages between nodes: handed out by kind, and known to be lost where they are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock

from trimcp.actors.supervisor import open_supervisor
from trimcp.stores.bus import Bus, Gap
from trimcp.stores.memory_nodes import MemoryBus, MemoryNodeStore
from trimcp.stores.node_lease import NodeLease
from trimcp.stores.node_messages import CAPACITY, NodeMessages


class Taker:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        if kind == "bad":
            raise ValueError(content)
        self.told.append((sender, kind, *content))

    def take_gap(self) -> None:
        self.told.append("gap")


class Unreliable(Bus):
    """A bus that is down when a test says so."""

    def __init__(self, inner: Bus) -> None:
        self._inner = inner
        self.is_down = False

    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        if self.is_down:
            raise ConnectionError
        await self._inner.publish(message, to=to)

    def subscribe(self, incarnation: int) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[bytes | Gap]]:
        if self.is_down:
            raise ConnectionError
        return self._inner.subscribe(incarnation)


@asynccontextmanager
async def node(bus: Bus, incarnation: int) -> AsyncIterator[tuple[NodeMessages, Taker]]:
    async with open_supervisor("test") as supervisor:
        lease = NodeLease(MemoryNodeStore(), incarnation, trio.current_time())
        messages = supervisor.add(NodeMessages(supervisor, bus, lease))
        taker = Taker()
        messages.add_taker(("news", "bad"), taker)
        supervisor.nursery.start_soon(messages.receive)
        await trio.testing.wait_all_tasks_blocked()
        yield messages, taker


async def test_messages_reach_all_others_or_one_of_them(autojump_clock: MockClock) -> None:
    bus = MemoryBus()
    async with node(bus, 1) as (one, at_one), node(bus, 2) as (_, at_two), node(bus, 3) as (_, at_three):
        one.send("news", "all", {"n": 1})
        one.send("news", "two", to=2)
        one.send("other", "of no taker")
        one.send("news", "itself", to=1)
        await trio.testing.wait_all_tasks_blocked()
        assert at_one.told == []
        assert at_two.told == [(1, "news", "all", {"n": 1}), (1, "news", "two")]
        assert at_three.told == [(1, "news", "all", {"n": 1})]


async def test_a_later_message_with_the_same_key_replaces_one_that_waits(autojump_clock: MockClock) -> None:
    bus = MemoryBus()
    async with node(bus, 1) as (one, _), node(bus, 2) as (_, at_two):
        for n in range(100):
            one.send("news", n, key="n")
        await trio.testing.wait_all_tasks_blocked()
        assert at_two.told == [(1, "news", 99)]


async def test_a_message_that_cannot_be_read_or_taken_costs_no_other(autojump_clock: MockClock) -> None:
    bus = MemoryBus()
    async with node(bus, 1) as (one, _), node(bus, 2) as (_, at_two):
        await bus.publish(b"not json")
        await bus.publish(b"{}")
        await bus.publish(b"[]")
        one.send("bad", 1)
        one.send("news", 2)
        await trio.testing.wait_all_tasks_blocked()
        assert at_two.told == [(1, "news", 2)]


async def test_what_could_not_be_sent_is_told_as_a_gap_when_the_bus_is_back(autojump_clock: MockClock) -> None:
    bus = Unreliable(MemoryBus())
    async with node(bus, 1) as (one, at_one), node(bus, 2) as (_, at_two):
        bus.is_down = True
        one.send("news", "lost")
        await trio.sleep(10)
        bus.is_down = False
        await trio.sleep(5)
        one.send("news", "found")
        await trio.sleep(1)
        assert at_two.told == ["gap", (1, "news", "found")]
        assert at_one.told == []


async def test_messages_beyond_the_bound_become_a_gap(autojump_clock: MockClock) -> None:
    bus = Unreliable(MemoryBus())
    async with node(bus, 1) as (one, _), node(bus, 2) as (_, at_two):
        bus.is_down = True
        for n in range(2 * CAPACITY):
            one.send("news", n)
        await trio.sleep(1)
        bus.is_down = False
        await trio.sleep(10)
        assert at_two.told[0] == "gap"
        assert len(at_two.told) <= CAPACITY + 2


async def test_a_bus_that_is_opened_again_may_have_lost_messages(autojump_clock: MockClock) -> None:
    bus = Unreliable(MemoryBus())
    bus.is_down = True
    async with node(bus, 1) as (one, at_one), node(bus, 2) as (two, _):
        await trio.sleep(10)
        bus.is_down = False
        await trio.sleep(5)
        assert at_one.told == ["gap"]
        two.send("news", 1)
        await trio.sleep(1)
        assert at_one.told[1:] == [(2, "news", 1)]
        one.node_joined(3)
        await trio.sleep(1)
        assert at_one.told[-1] == "gap"
