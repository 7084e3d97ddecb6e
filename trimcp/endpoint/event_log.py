"""The event log: the actor that owns the event store of an endpoint.

Streams tell it the events that they send, and never wait: a store of a user's may take its time, fail or hang, and
that costs clients their resumption and nothing else. What has come together is one call of the store. The memory
store needs no task: its own methods stand in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.actors.reply import Reply
from trimcp.actors.supervisor import Supervisor
from trimcp.observability import events as log_events
from trimcp.observability import log
from trimcp.session.limits import Limits
from trimcp.stores.contained import READ_SECONDS, ContainedEventStore, StoreCalls, StoreFailed
from trimcp.stores.event_store import AppendFailed, EventBatch, EventStore
from trimcp.stores.memory_events import EVENT_COST, MemoryEventStore

ROUND_BYTES: Final = 2**20
"""Bytes of events that go to the store in one call: more would take it long, and its time is limited."""
ROUND_MESSAGES: Final = 512
"""Messages that are taken for one call of the store."""
LOSSES: Final = 16
"""Streams of one session of which the log knows that they miss events: its client comes back to the latest."""


# --- messages -----------------------------------------------------------------------------


@attrs.frozen
class _Append:
    """Keep these events."""

    batch: EventBatch
    size: int


@attrs.frozen
class _Finish:
    """The stream has ended with event `last`."""

    session: str
    stream: int
    last: int


@attrs.frozen
class _Forget:
    """The session is over."""

    session: str


@attrs.frozen
class _Flush:
    """Say when what was told before has gone to the store; False where it cannot go there any more."""

    reply: Reply[bool]


_Message = _Append | _Finish | _Forget | _Flush


class EventLog(Actor[_Message]):
    """Keeps the events of all sessions of an endpoint. Made by `open_event_log`.

    What waits for the store is bounded by `Limits.stored_bytes` and `stored_events`. Events beyond are not kept, and
    their streams cannot be resumed from before them.
    """

    name = "event log"

    append: Callable[[str, int, int, Sequence[bytes]], bool]
    """`append(session, stream, first, events)`: keep consecutive events of a stream, of which the first has the number
    `first`. Never waits. Returns False where they are not kept, so that the stream cannot be resumed before them."""
    finish: Callable[[str, int, int], None]
    """`finish(session, stream, last)`: there are no events after that number. Never waits."""
    forget: Callable[[str], None]
    """`forget(session)`: the session is over, and nothing of it will be asked for. Never waits."""

    def __init__(self, owner: Owner, store: EventStore, limits: Limits) -> None:
        """
        Args:
            owner: the supervisor.
            store: the memory store, or one that is contained.
            limits: of the server.
        """
        self.store = store
        self._most_bytes = limits.stored_bytes
        self._most_events = limits.stored_events
        self._losses: dict[str, _Losses] = {}
        self._waiting_bytes = 0
        self._waiting_events = 0
        self._is_over = False
        self._is_storing = False
        self._failures = 0
        immediate = store if isinstance(store, MemoryEventStore) and store.is_immediate else None
        # Beside the events there are ends of streams and sessions, which may be dropped: events also go with age.
        super().__init__(owner, Mailbox(3 * limits.stored_events), in_turn=immediate is not None)
        if immediate is None:
            self.append, self.finish, self.forget = self._tell_append, self._tell_finish, self._tell_forget
        else:
            self.append, self.finish = immediate.append_nowait, immediate.finish_nowait
            self.forget = immediate.forget_nowait

    # --- told by sessions and their streams -------------------------------------------

    def _tell_append(self, session: str, stream: int, first: int, events: Sequence[bytes]) -> bool:
        batch = EventBatch(session, stream, first, tuple(events))
        size = sum(map(len, events)) + EVENT_COST * len(events)
        if (
            self._waiting_bytes + size > self._most_bytes
            or self._waiting_events + len(events) > self._most_events
            or not self._told(_Append(batch, size))
        ):
            self._lose(batch)
            if not self._is_over:
                self._is_over = True
                log.warning(log_events.EVENTS_NOT_KEPT, waiting=self._waiting_events, bytes=self._waiting_bytes)
            return False
        return True

    def _tell_finish(self, session: str, stream: int, last: int) -> None:
        if last:
            self._told(_Finish(session, stream, last))

    def _tell_forget(self, session: str) -> None:
        self._losses.pop(session, None)
        self._told(_Forget(session))

    def _told(self, message: _Message) -> bool:
        if type(message) is _Append:
            self._waiting_bytes += message.size
            self._waiting_events += len(message.batch.events)
        try:
            self.tell(message)
        except MailboxFull:
            self._took(message)
            return False
        return True

    def _took(self, message: _Message) -> None:
        """A message waits no more."""
        if type(message) is _Append:
            self._waiting_bytes -= message.size
            self._waiting_events -= len(message.batch.events)

    async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
        """Return the events of a stream behind a number, with their numbers; those told before are among them.

        Returns None where one of them was not kept. With the memory store, nothing changes between what is returned
        and the caller's next step.

        Raises:
            StoreFailed: the store raised, took too long, or returned garbage.
        """
        await self.flush()
        found = await self.store.replay(session, stream, after)
        losses = self._losses.get(session)
        if found is None or (losses is not None and losses.concern(stream, after)):
            return None
        return list(found.events)

    async def flush(self) -> None:
        """Wait until all that was told before has gone to the store.

        Raises:
            StoreFailed: that took too long, or the endpoint is ending.
        """
        if not self._is_storing and not self.mailbox.waiting:
            return
        reply: Reply[bool] = Reply()
        with trio.move_on_after(READ_SECONDS):
            if not self._told(_Flush(reply)) or not await reply.wait():
                raise StoreFailed("the event log takes nothing more")
            return
        raise StoreFailed(f"what was told before has not gone to the event store in {READ_SECONDS:g} s")

    # --- the actor --------------------------------------------------------------------

    async def run(self) -> None:
        """Hand on to the store what has come since the last time, until cancelled."""
        mailbox = self.mailbox
        while True:
            taken = [await mailbox.receive()]
            size = _size_of(taken[0])
            while mailbox.waiting and len(taken) < ROUND_MESSAGES and size < ROUND_BYTES:
                taken.append(mailbox.receive_nowait())
                size += _size_of(taken[-1])
            await self._keep(taken)

    def handle(self, message: _Message) -> None:
        """See `Actor`. The log has ended: there is no waiting for the store any more."""
        self._took(message)
        if type(message) is _Append:
            self._lose(message.batch)
        elif type(message) is _Flush:
            message.reply.set(False)

    async def _keep(self, taken: list[_Message]) -> None:
        is_kept = False
        self._is_storing = True
        try:
            forgotten = dict.fromkeys(message.session for message in taken if type(message) is _Forget)
            batches = merged(taken, forgotten)
            if batches:
                await self._append(batches)
            for session in forgotten:
                await self._forget(session)
            is_kept = True
        finally:
            self._is_storing = False
            for message in taken:
                self._took(message)
                if type(message) is _Flush:
                    message.reply.set(is_kept)
            if 2 * self._waiting_bytes <= self._most_bytes and 2 * self._waiting_events <= self._most_events:
                self._is_over = False

    async def _append(self, batches: list[EventBatch]) -> None:
        try:
            await self.store.append(batches)
        except AppendFailed as exc:
            self._failed(exc, exc.batches)
        except StoreFailed as exc:
            self._failed(exc, batches)

    async def _forget(self, session: str) -> None:
        try:
            await self.store.forget(session)
        except StoreFailed as exc:
            self._failed(exc, ())

    def _failed(self, exc: Exception, lost: Iterable[EventBatch]) -> None:
        for batch in lost:
            self._lose(batch)
        self._failures += 1
        if log.is_worth_saying(self._failures):
            log.error(log_events.STORE_FAILED, exc_info=exc, count=self._failures)

    def _lose(self, batch: EventBatch) -> None:
        if batch.events:
            losses = self._losses.get(batch.session)
            if losses is None:
                losses = self._losses[batch.session] = _Losses()
            losses.note(batch.stream, batch.last)


def _size_of(message: _Message) -> int:
    return message.size if type(message) is _Append else 0


class _Losses:
    """The streams of one session that miss events in the store. Old ones become a mark below which none is known."""

    __slots__ = ("_mark", "_streams")

    def __init__(self) -> None:
        self._streams: dict[int, int] = {}
        """Stream to the number of the last event that it misses; the one that lost something latest is the last."""
        self._mark = -1

    def note(self, stream: int, last: int) -> None:
        """The events of a stream up to a number are not all in the store."""
        self._streams.pop(stream, None)
        self._streams[stream] = last
        if len(self._streams) > LOSSES:
            oldest = next(iter(self._streams))
            del self._streams[oldest]
            self._mark = max(self._mark, oldest)

    def concern(self, stream: int, after: int) -> bool:
        """Whether an event of that stream behind that number may be missing."""
        last = self._streams.get(stream)
        return stream <= self._mark if last is None else after < last


def merged(messages: Iterable[_Message], forgotten: Iterable[str]) -> list[EventBatch]:
    """Join the events of each stream, and its end, into one batch, where nothing is missing between them."""
    over = set(forgotten)
    parts: list[tuple[EventBatch, list[bytes]]] = []
    latest: dict[tuple[str, int], int] = {}
    ended: set[int] = set()
    for message in messages:
        if type(message) is _Append:
            batch = message.batch
        elif type(message) is _Finish:
            batch = EventBatch(message.session, message.stream, message.last + 1, ())
        else:
            continue
        if batch.session in over:
            continue
        key = batch.session, batch.stream
        place = latest.get(key, -1)
        if place >= 0 and parts[place][0].first + len(parts[place][1]) == batch.first:
            parts[place][1].extend(batch.events)
        else:
            place = latest[key] = len(parts)
            parts.append((batch, list(batch.events)))
        if type(message) is _Finish:
            ended.add(place)
    return [
        EventBatch(head.session, head.stream, head.first, tuple(events), place in ended)
        for place, (head, events) in enumerate(parts)
    ]


def open_event_log(supervisor: Supervisor, store: EventStore | None, limits: Limits) -> EventLog:
    """Make the event log of an endpoint; its supervisor owns it.

    Args:
        supervisor: of the endpoint.
        store: a store of the user's; one in memory, with the bounds of `limits`, if None.
        limits: of the server.
    """
    if store is None:
        store = MemoryEventStore(events=limits.stored_events, bytes=limits.stored_bytes, age=limits.stored_age)
    if not (isinstance(store, MemoryEventStore) and store.is_immediate):
        store = ContainedEventStore(store, StoreCalls("event store", supervisor))
    return supervisor.add(EventLog(supervisor, store, limits))
