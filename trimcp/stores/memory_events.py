"""The event store in memory: bounded by events, bytes and age, and fair to sessions and streams."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import trio

from trimcp.stores.event_store import SETTLED, AppendFailed, EventBatch, SharedEventStore, StoredEvents

EVENT_COST: Final = 512
"""Bytes that an event counts for beside its own: about what Python needs to keep one."""


class _Kept:
    """Holds one event."""

    __slots__ = ("at", "event", "following", "number", "of")

    def __init__(self, of: _Stream, number: int, event: bytes, at: float) -> None:
        self.of: _Stream = of
        self.number: int = number
        self.event: bytes = event
        self.at: float = at
        self.following: _Kept | None = None
        """The next event of its stream."""


class _Heap:
    """Holds events in the order in which they came, and their cost."""

    __slots__ = ("cost", "kept")

    def __init__(self) -> None:
        self.kept: OrderedDict[_Kept, None] = OrderedDict()
        self.cost: int = 0
        """Of all of them, in bytes."""


class _Session(_Heap):
    """Holds the events of one session."""

    __slots__ = ("id", "streams")

    def __init__(self, id: str) -> None:
        super().__init__()
        self.id: str = id
        self.streams: dict[int, _Stream] = {}


class _Stream:
    """Holds the latest events of one stream, without gaps. It goes with its last event."""

    __slots__ = ("cost", "incarnation", "is_finished", "newest", "number", "oldest", "owed", "session", "size")

    def __init__(self, session: _Session, number: int) -> None:
        self.session: _Session = session
        self.number: int = number
        self.oldest: _Kept | None = None
        self.newest: _Kept | None = None
        self.size: int = 0
        """Events from the oldest to the newest."""
        self.cost: int = 0
        self.is_finished: bool = False
        self.incarnation: int = 0
        self.owed: tuple[bytes, ...] = ()

    @property
    def last(self) -> int:
        """The number of its newest event."""
        return 0 if self.newest is None else self.newest.number

    def __iter__(self) -> Iterator[_Kept]:
        """Iterate over the events, the oldest first."""
        kept = self.oldest
        while kept is not None:
            yield kept
            kept = kept.following


class MemoryEventStore(SharedEventStore):
    """Keeps events in this process.

    Over a bound, the oldest events go: of the stream first, then of its session, then of all, so that one session
    cannot take the room of the others. A bound on bytes counts an event and the memory to keep it.
    """

    def __init__(
        self,
        *,
        events: int = 10_000,
        bytes: int = 32 * 2**20,
        age: float = 600.0,
        session_share: float = 0.25,
        stream_share: float = 0.5,
        shared: bool = False,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        """
        Args:
            events: the most events, of all sessions.
            bytes: the most bytes, of all sessions.
            age: seconds that an event is kept.
            session_share: the part of these that one session may have.
            stream_share: the part of its session's that one stream may have.
            shared: whether several nodes of this process use it, so that each stream has one writer.
            clock: returns the time in seconds; it must not go back.

        Raises:
            ValueError: a bound is 0 or less, or a share is not between 0 and 1.
        """
        if events < 1 or bytes < 1 or not age > 0 or not (0 < session_share <= 1 and 0 < stream_share <= 1):
            raise ValueError("Invalid bounds of MemoryEventStore: give bounds above 0, and shares above 0 and up to 1")
        self._bounds = (events, bytes)
        self._session_bounds = _part(events, session_share), _part(bytes, session_share)
        self._stream_bounds = tuple(_part(bound, stream_share) for bound in self._session_bounds)
        self._age = age
        self._shared = shared
        self._clock = clock
        self._next_expiry = -math.inf
        """A time before which no event is too old."""
        self._all = _Heap()
        self._sessions: dict[str, _Session] = {}

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._all.kept)

    @property
    def cost(self) -> int:
        """The cost of all events in bytes."""
        return self._all.cost

    @property
    def is_immediate(self) -> bool:
        """Whether its methods are those of this class and cannot fail, so that they need no containment."""
        return type(self) is MemoryEventStore and not self._shared and self._clock is trio.current_time

    # --- EventStore -------------------------------------------------------------------

    async def append(self, batches: Sequence[EventBatch]) -> None:
        """See `EventStore`."""
        await trio.lowlevel.checkpoint()
        refused = [batch for batch in batches if not self._append(batch)]
        if refused:
            raise AppendFailed(refused)

    def _append(self, batch: EventBatch) -> bool:
        """Append one batch. Returns False where the stream has another writer."""
        self._expire(self._clock())
        of = self._stream(batch.session, batch.stream)
        if of is not None and of.incarnation != batch.incarnation:
            return False
        is_opening = batch.first == 1 and not batch.events and not batch.is_last
        # The event before the first one, which is empty and which no client asks for, keeps the stream.
        first, events = (batch.first - 1, (b"",)) if is_opening and of is None else (batch.first, batch.events)
        self.append_nowait(batch.session, batch.stream, first, events)
        if of is None and (of := self._stream(batch.session, batch.stream)) is not None:
            of.incarnation, of.owed = batch.incarnation, batch.owed
        if batch.is_last:
            self.finish_nowait(batch.session, batch.stream, batch.last)
        return True

    async def settle(self, session: str, stream: int, incarnation: int, events: Sequence[bytes]) -> bool:
        """See `SharedEventStore`."""
        await trio.lowlevel.checkpoint()
        self._expire(self._clock())
        of = self._stream(session, stream)
        if of is None or of.is_finished or of.incarnation != incarnation:
            return False
        self.append_nowait(session, stream, of.last + 1, events)
        of.is_finished, of.incarnation = True, SETTLED
        return True

    def _stream(self, session: str, stream: int) -> _Stream | None:
        owner = self._sessions.get(session)
        return None if owner is None else owner.streams.get(stream)

    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        """See `EventStore`. Nothing changes between what is returned and the caller's next step."""
        await trio.lowlevel.checkpoint()
        self._expire(self._clock())
        of = self._stream(session, stream)
        if of is None or after < 0 or not of.last - of.size <= after <= of.last:
            return None
        found = tuple((kept.number, kept.event) for kept in of if kept.number > after)
        return StoredEvents(found, of.is_finished, of.incarnation, of.owed)

    async def forget(self, session: str) -> None:
        """See `EventStore`."""
        await trio.lowlevel.checkpoint()
        self.forget_nowait(session)

    # --- the same without a wait ------------------------------------------------------

    def append_nowait(
        self, session: str, stream: int, first: int, events: Sequence[bytes], is_last: bool = False
    ) -> bool:
        """Keep consecutive events of one stream, and note whether it ends with them.

        Returns True, as `EventLog.append` does where it has kept them.
        """
        now = self._clock()
        if now >= self._next_expiry:
            self._expire(now)
        every = self._all
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
            of.is_finished = is_last or of.is_finished
            kept = _Kept(of, number, event, now)
            if of.newest is None:
                of.oldest = kept
            else:
                of.newest.following = kept
            of.newest = kept
            of.size += 1
            owner.kept[kept] = every.kept[kept] = None
            cost = len(event) + EVENT_COST
            of.cost += cost
            owner.cost += cost
            every.cost += cost
            self._keep_bounds(of, owner)
        return True

    def _keep_bounds(self, of: _Stream, owner: _Session) -> None:
        """Give up the oldest events while a stream, its session or all have too many."""
        most, cost = self._stream_bounds
        while of.oldest is not None and (of.cost > cost or of.size > most):
            self._remove(of.oldest)
        most, cost = self._session_bounds
        while owner.cost > cost or len(owner.kept) > most:
            self._remove(next(iter(owner.kept)))
        every = self._all
        most, cost = self._bounds
        while every.cost > cost or len(every.kept) > most:
            self._remove(next(iter(every.kept)))

    def finish_nowait(self, session: str, stream: int, last: int) -> None:
        """Note that a stream has ended with the event of number `last`."""
        of = self._stream(session, stream)
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
            for kept in owner.kept:
                del self._all.kept[kept]
                # They refer to each other, and would otherwise stay until the garbage collector comes.
                kept.of.oldest = kept.of.newest = None
            self._all.cost -= owner.cost

    # --- events in and out ------------------------------------------------------------

    def _begin_anew(self, of: _Stream) -> _Stream:
        """Forget the events of a stream before a gap."""
        owner = of.session
        self._clear(of)
        self._sessions[owner.id] = owner  # it may have gone with its last event
        anew = owner.streams[of.number] = _Stream(owner, of.number)
        anew.incarnation, anew.owed = of.incarnation, of.owed
        return anew

    def _clear(self, of: _Stream) -> None:
        while of.oldest is not None:
            self._remove(of.oldest)

    def _expire(self, now: float) -> None:
        """Give up the events that are too old."""
        self._next_expiry = now + self._age
        every = self._all.kept
        while every:
            oldest = next(iter(every))
            if now - oldest.at < self._age:
                self._next_expiry = oldest.at + self._age
                return
            self._remove(oldest)

    def _remove(self, kept: _Kept) -> None:
        """Give up an event, which is the oldest of its stream, and what is empty without it."""
        of, every = kept.of, self._all
        owner = of.session
        cost = len(kept.event) + EVENT_COST
        of.size -= 1
        of.cost -= cost
        owner.cost -= cost
        every.cost -= cost
        del owner.kept[kept], every.kept[kept]
        of.oldest = kept.following
        if of.oldest is None:
            of.newest = None
            del owner.streams[of.number]
            if not owner.streams:
                del self._sessions[owner.id]


def _part(bound: int, share: float) -> int:
    return max(1, int(bound * share))
