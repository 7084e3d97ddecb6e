"""Events of legacy streams, kept for clients that lose a connection, and the ids by which they ask.

basic/transports of 2025-03-26 to 2025-11-25, "Resumability and Redelivery". Owns the interface of a
store, the one that keeps events in memory, and what an event id says. Who may ask for which session is
decided before: an id is good for the session whose tag it has, and is checked before a store is asked.
"""

from __future__ import annotations

import abc
import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import trio

EVENT_COST: Final = 512
"""Bytes that the memory store counts for an event beside its own: about what Python needs to keep one."""

_TAG_BYTES: Final = 9
_EVENT_ID: Final = re.compile(rb"([A-Za-z0-9_-]{12})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})")


def make_tag(secret: bytes, session: str) -> bytes:
    """What the event ids of a session begin with.

    It tells nothing of the session's id, which is a secret of its client, and nobody makes one
    without `secret` (64 bytes at most).
    """
    digest = hashlib.blake2b(session.encode(), key=secret, digest_size=_TAG_BYTES).digest()
    return base64.urlsafe_b64encode(digest)


def make_event_id(tag: bytes, stream: int, number: int) -> bytes:
    """The id of an event: the session by its tag, the stream, the number there."""
    return b"%b.%d.%d" % (tag, stream, number)


def read_event_id(tag: bytes, text: bytes | str) -> tuple[int, int] | None:
    """The stream and the number that an event id names; None where it is none of this session's."""
    raw = text.encode() if isinstance(text, str) else text
    match = _EVENT_ID.fullmatch(raw)
    if match is None or not hmac.compare_digest(match[1], tag):
        return None
    return int(match[2]), int(match[3])


class EventStore(abc.ABC):
    """Keeps the events of streams for as long as they may be asked for again.

    Streams are numbered in their session, events in their stream, upwards and without gaps. What a
    store cannot keep it may forget: its client is then told that the stream cannot be resumed.
    """

    @abc.abstractmethod
    def append(self, session: str, stream: int, number: int, event: bytes) -> None:
        """Keep an event. Never waits, and raises nothing: a store that writes elsewhere queues, within a bound."""

    @abc.abstractmethod
    async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
        """The events behind that number, with their numbers, in order.

        None where one of them is not there any more, or where the store knows nothing of the
        stream. Nothing has changed in the store between what is returned and the caller's next step.
        """

    @abc.abstractmethod
    def finish(self, session: str, stream: int) -> None:
        """There will be no more events in this stream. They may still be asked for."""

    @abc.abstractmethod
    def forget(self, session: str) -> None:
        """The session is over: nothing of it will be asked for."""


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

    __slots__ = ("last", "number", "session")

    def __init__(self, session: _Session, number: int) -> None:
        super().__init__()
        self.session = session
        self.number = number
        self.last = 0


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
        """How many events there are."""
        return len(self._all.events)

    @property
    def cost(self) -> int:
        """The bytes that they count for."""
        return self._all.cost

    def append(self, session: str, stream: int, number: int, event: bytes) -> None:
        """See `EventStore`.

        A number that does not follow the last begins the stream anew: what was before is forgotten.
        """
        now = self._clock()
        self._expire(now)
        owner = self._sessions.get(session)
        if owner is None:
            owner = self._sessions[session] = _Session(session)
        of = owner.streams.get(stream)
        if of is not None and number != of.last + 1:
            while of.events:
                self._remove(of.oldest())
            self._sessions[session] = owner  # it may have gone with its last event
            of = None
        if of is None:
            of = owner.streams[stream] = _Stream(owner, stream)
        self._serial += 1
        of.last = number
        kept = _Kept(of, self._serial, number, event, now)
        for heap in (of, owner, self._all):
            heap.add(kept)
        for heap, (events, cost) in (
            (of, self._stream_bounds),
            (owner, self._session_bounds),
            (self._all, self._bounds),
        ):
            while heap.is_over(events, cost):
                self._remove(heap.oldest())

    async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
        """See `EventStore`. A checkpoint."""
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
        return found

    def finish(self, session: str, stream: int) -> None:
        """See `EventStore`. Its events go when they are old enough, like all."""
        self._expire(self._clock())

    def forget(self, session: str) -> None:
        """See `EventStore`."""
        owner = self._sessions.pop(session, None)
        if owner is not None:
            for kept in owner.events.values():
                self._all.remove(kept)
            # They refer to each other, and would otherwise stay until somebody looks for such.
            for of in owner.streams.values():
                of.events.clear()
            owner.streams.clear()

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
