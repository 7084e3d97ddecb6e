"""Nodes, their bus, proofs and places in memory: for one server, or for several servers of one process."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final

import trio

from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.bus import Bus, BusChannel, Gap
from trimcp.stores.failures import StoreUnavailable
from trimcp.stores.node_store import LEASE, NodeStore
from trimcp.stores.replay_store import ReplayStore

MOST_PROOFS: Final = 2**17
"""Keys that a replay store remembers at once, by default."""
Clock = Callable[[], float]
"""Returns the time in seconds. It must not go back."""


class MemoryNodeStore(NodeStore):
    """Keeps leases in this process."""

    def __init__(self, *, lease: float = LEASE, clock: Clock = trio.current_time) -> None:
        self.lease = lease
        self._clock = clock
        self._newest = 0
        self._leases: dict[int, float] = {}
        """Incarnation to the end of its lease."""

    async def join(self) -> int:
        """See `NodeStore`."""
        await trio.lowlevel.checkpoint()
        self._newest += 1
        self._leases[self._newest] = self._clock() + self.lease
        return self._newest

    async def renew(self, incarnation: int) -> bool:
        """See `NodeStore`."""
        await trio.lowlevel.checkpoint()
        if not self._is_alive(incarnation):
            return False
        self._leases[incarnation] = self._clock() + self.lease
        return True

    async def alive(self, incarnations: Collection[int]) -> frozenset[int]:
        """See `NodeStore`."""
        await trio.lowlevel.checkpoint()
        return frozenset(filter(self._is_alive, incarnations))

    async def dead(self) -> frozenset[int]:
        """See `NodeStore`."""
        await trio.lowlevel.checkpoint()
        return frozenset(each for each in self._leases if not self._is_alive(each))

    async def leave(self, incarnation: int) -> None:
        """See `NodeStore`."""
        await trio.lowlevel.checkpoint()
        self._leases.pop(incarnation, None)

    def _is_alive(self, incarnation: int) -> bool:
        return self._leases.get(incarnation, 0.0) > self._clock()


class MemoryBus(Bus):
    """Carries messages in this process."""

    def __init__(self) -> None:
        self._channels: dict[BusChannel, int] = {}
        """Channel to the incarnation of its subscriber."""

    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        """See `Bus`."""
        await trio.lowlevel.checkpoint()
        for channel, incarnation in self._channels.items():
            if to is None or to == incarnation:
                channel.put(message)

    @asynccontextmanager
    async def subscribe(self, incarnation: int) -> AsyncIterator[trio.MemoryReceiveChannel[bytes | Gap]]:
        """See `Bus`."""
        await trio.lowlevel.checkpoint()
        channel = BusChannel()
        self._channels[channel] = incarnation
        try:
            yield channel.receive
        finally:
            del self._channels[channel]
            channel.close()


class MemoryReplayStore(ReplayStore):
    """Remembers keys in this process."""

    def __init__(self, *, most: int = MOST_PROOFS, clock: Clock = trio.current_time) -> None:
        """
        Args:
            most: keys that are remembered at once; a further one is `StoreUnavailable`.
            clock: returns the time in seconds.
        """
        self._most = most
        self._clock = clock
        self._used: set[str] = set()
        self._ends: list[tuple[float, str]] = []
        """A heap: the key that is forgotten first comes first."""

    async def first_use(self, key: str, seconds: float) -> bool:
        """See `ReplayStore`."""
        await trio.lowlevel.checkpoint()
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            self._used.remove(heapq.heappop(self._ends)[1])
        if key in self._used:
            return False
        if len(self._used) >= self._most:
            raise StoreUnavailable(f"{self._most} proofs are remembered: try again later")
        self._used.add(key)
        heapq.heappush(self._ends, (now + seconds, key))
        return True


class MemoryAdmissionStore(AdmissionStore):
    """Counts places in this process."""

    def __init__(self, *, clock: Clock = trio.current_time) -> None:
        self._clock = clock
        self._taken: dict[str, dict[str, float]] = {}
        """Principal to its places, each with the time until which it is taken."""
        self._ends: list[tuple[float, str, str]] = []
        """A heap of times at which a place of a principal may be free again."""

    async def take(self, principal: str, place: str, *, most: int, seconds: float) -> bool:
        """See `AdmissionStore`."""
        await trio.lowlevel.checkpoint()
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            _, of, ended = heapq.heappop(self._ends)
            if self._taken.get(of, {}).get(ended, now + 1) <= now:
                self._free(of, ended)
        places = self._taken.get(principal, {})
        if len(places) - (place in places) >= most:
            return False
        self._taken.setdefault(principal, {})[place] = now + seconds
        heapq.heappush(self._ends, (now + seconds, principal, place))
        return True

    async def give(self, principal: str, place: str) -> None:
        """See `AdmissionStore`."""
        await trio.lowlevel.checkpoint()
        if place in self._taken.get(principal, ()):
            self._free(principal, place)

    def _free(self, principal: str, place: str) -> None:
        places = self._taken[principal]
        del places[place]
        if not places:
            del self._taken[principal]
