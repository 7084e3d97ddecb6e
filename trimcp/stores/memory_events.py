"""The event store in memory: bounded by events, bytes and age, and fair to sessions and streams."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import trio

from trimcp.stores.event_store import EventBatch, EventStore, StoredEvents

EVENT_COST: Final = 512
"""Bytes that an event counts for beside its own: about what Python needs to keep one."""


class _Kept:
    """One event."""

    __slots__ = ("at", "cost", "event", "number", "of", "serial")

    def __init__(self, of: _Stream, serial: int, number: int, event: bytes, at: float) -> None:
        self.of = of
        self.serial = serial
        self.number = number
        self.event = event
        self.cost = len(event) + EVENT_COST
        self.at = at


class _Heap:
    """Events in the order they came, and what they cost together."""

    __slots__ = ("cost", "events")

    def __init__(self) -> None:
        # An OrderedDict gives up its first member at once; a dict looks past all that it ever gave up.
        self.events: OrderedDict[int, _Kept] = OrderedDict()
        self.cost = 0

    def add(self, kept: _Kept) -> None:
        self.events[kept.serial] = kept
        self.cost += kept.cost

    def remove(self, kept: _Kept) -> None:
        del self.events[kept.serial]
        self.cost -= kept.cost

    def oldest(self) -> _Kept:
        return next(iter(self.events.values()))

    def is_over(self, events: int, cost: int) -> bool:
        return self.cost > cost or len(self.events) > events


class _Session(_Heap):
    """The events of one session."""

    __slots__ = ("id", "streams")

    def __init__(self, id: str) -> None:
        super().__init__()
        self.id = id
        self.streams: dict[int, _Stream] = {}


class _Stream(_Heap):
    """The latest events of one stream, without gaps. It is there while there are some."""

    __slots__ = ("is_finished", "last", "number", "session")

    def __init__(self, session: _Session, number: int) -> None:
        super().__init__()
        self.session = session
        self.number = number
        self.last = 0
        self.is_finished = False


class MemoryEventStore(EventStore):
    """Keeps events in this process.

    Where there are too many, or they are too long together, the oldest go: of a stream first, then of
    its session, then of all, so that one session cannot take the room of the others. What a bound on
    bytes counts is an event and what it takes to keep it.
    """

    def __init__(
        self,
        *,
        events: int = 10_000,
        bytes: int = 32 * 2**20,
        age: float = 600.0,
        session_share: float = 0.25,
        stream_share: float = 0.5,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        """
        Args:
            events: the most events, of all sessions.
            bytes: the most bytes, of all sessions.
            age: seconds that an event is kept.
            session_share: the part of these that one session may have.
            stream_share: the part of its session's that one stream may have.
            clock: says the time, in seconds, and never an earlier one than before.

        Raises:
            ValueError: bounds that keep nothing.
        """
        if events < 1 or bytes < 1 or not age > 0 or not (0 < session_share <= 1 and 0 < stream_share <= 1):
            raise ValueError("the bounds of a store are above 0, and a share is 1 at most")
        self._bounds = (events, bytes)
        self._session_bounds = _part(events, session_share), _part(bytes, session_share)
        self._stream_bounds = tuple(_part(bound, stream_share) for bound in self._session_bounds)
        self._age = age
        self._clock = clock
        self._serial = 0
        self._all = _Heap()
        self._sessions: dict[str, _Session] = {}

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._all.events)

    @property
    def cost(self) -> int:
        """The bytes that the events count for."""
        return self._all.cost

    @property
    def is_immediate(self) -> bool:
        """Whether its methods are those of this class and cannot fail, so that no task need stand before them."""
        return type(self) is MemoryEventStore and self._clock is trio.current_time

    # --- EventStore -------------------------------------------------------------------

    async def append(self, batches: Sequence[EventBatch]) -> None:
        """See `EventStore`."""
        await trio.lowlevel.checkpoint()
        for batch in batches:
            self.append_nowait(batch.session, batch.stream, batch.first, batch.events)
            if batch.is_last:
                self.finish_nowait(batch.session, batch.stream, batch.last)

    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        """See `EventStore`. Nothing changes between what is returned and the caller's next step."""
        await trio.lowlevel.checkpoint()
        self._expire(self._clock())
        owner = self._sessions.get(session)
        of = None if owner is None else owner.streams.get(stream)
        if of is None or not of.oldest().number - 1 <= after <= of.last:
            return None
        found: list[tuple[int, bytes]] = []
        for kept in reversed(of.events.values()):
            if kept.number <= after:
                break
            found.append((kept.number, kept.event))
        found.reverse()
        return StoredEvents(tuple(found), of.is_finished)

    async def forget(self, session: str) -> None:
        """See `EventStore`."""
        await trio.lowlevel.checkpoint()
        self.forget_nowait(session)

    # --- the same without a wait ------------------------------------------------------

    def append_nowait(self, session: str, stream: int, first: int, events: Sequence[bytes]) -> bool:
        """Keep consecutive events of one stream. Returns True."""
        now = self._clock()
        self._expire(now)
        for number, event in enumerate(events, first):
            owner = self._sessions.get(session)
            if owner is None:
                owner = self._sessions[session] = _Session(session)
            of = owner.streams.get(stream)
            if of is None:
                of = owner.streams[stream] = _Stream(owner, stream)
            elif number <= of.last:
                continue
            elif number != of.last + 1:
                of = self._begin_anew(of)
            of.last = number
            self._serial += 1
            kept = _Kept(of, self._serial, number, event, now)
            for heap in (of, owner, self._all):
                heap.add(kept)
            for heap, (most, cost) in (
                (of, self._stream_bounds),
                (owner, self._session_bounds),
                (self._all, self._bounds),
            ):
                while heap.is_over(most, cost):
                    self._remove(heap.oldest())
        return True

    def finish_nowait(self, session: str, stream: int, last: int) -> None:
        """Note that a stream has ended with the event of number `last`."""
        owner = self._sessions.get(session)
        of = None if owner is None else owner.streams.get(stream)
        if of is None:
            return
        if of.last == last:
            of.is_finished = True
        elif of.last < last:
            self._clear(of)

    def forget_nowait(self, session: str) -> None:
        """Forget a session."""
        owner = self._sessions.pop(session, None)
        if owner is not None:
            for kept in owner.events.values():
                self._all.remove(kept)
            # They refer to each other, and would otherwise stay until the garbage collector comes.
            for of in owner.streams.values():
                of.events.clear()
            owner.streams.clear()

    # --- events in and out ------------------------------------------------------------

    def _begin_anew(self, of: _Stream) -> _Stream:
        """Forget the events of a stream before a gap."""
        owner = of.session
        self._clear(of)
        self._sessions[owner.id] = owner  # it may have gone with its last event
        of = owner.streams[of.number] = _Stream(owner, of.number)
        return of

    def _clear(self, of: _Stream) -> None:
        while of.events:
            self._remove(of.oldest())

    def _expire(self, now: float) -> None:
        events = self._all.events
        while events:
            kept = self._all.oldest()
            if now - kept.at < self._age:
                break
            self._remove(kept)

    def _remove(self, kept: _Kept) -> None:
        """Give up an event, which is the oldest of its stream, and what is empty without it."""
        of = kept.of
        owner = of.session
        for heap in (of, owner, self._all):
            heap.remove(kept)
        if not of.events:
            del owner.streams[of.number]
            if not owner.events:
                del self._sessions[owner.id]


def _part(bound: int, share: float) -> int:
    return max(1, int(bound * share))
