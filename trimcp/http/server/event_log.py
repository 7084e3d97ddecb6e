"""The event log: the actor that owns the event store of an endpoint.

Streams tell it their events and never wait: a store of the user may take its time, fail or hang, and that costs clients
the resumption of streams and nothing else. Events that come together are one call of the store. The memory store needs
no task: streams call its methods directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.actors.reply import Reply
from trimcp.actors.supervisor import Supervisor
from trimcp.http.server.event_losses import EventLosses
from trimcp.http.server.event_messages import (
    Append,
    EventMessage,
    Finish,
    Flush,
    Follow,
    Forget,
    StoredStream,
    is_awaited,
    merged,
    size_of,
    tell_waiters,
)
from trimcp.http.server.session_node import digest_of, writer_of
from trimcp.limits import Limits
from trimcp.observability import events as log_events
from trimcp.observability import log
from trimcp.stores.contained import READ_SECONDS, ContainedEventStore, StoreCalls, StoreFailed, log_failure
from trimcp.stores.event_store import AppendFailed, EventBatch, EventStore
from trimcp.stores.memory_events import EVENT_COST, MemoryEventStore
from trimcp.stores.node_messages import NodeMessages

ROUND_BYTES: Final = 2**20
"""Bytes of events that go to the store in one call: more could exceed the time that a call has."""
ROUND_MESSAGES: Final = 512
"""Messages that one call of the store covers."""


LINGER: Final = 0.002
"""Seconds that events wait for others on the way to a shared store: a call of the store costs more than an event."""
OPENING_COST: Final = 256
"""Bytes that the beginning of a stream counts for, while it waits."""
FOLLOWED_STREAMS: Final = 4096
"""Streams whose followers at other nodes are remembered; the others ask the store from time to time."""
KEEP_SECONDS: Final = 15.0
"""Seconds for which a shared store is tried again that does not take events: a client may read them elsewhere."""
KEEP_PAUSE: Final = 0.5
"""Seconds between two tries."""
MORE: Final = "more"
"""The kind of message that tells a follower of a stream that the store has more events, or that none will follow."""


class _Append(Protocol):
    def __call__(
        self, session: str, stream: int, first: int, events: Sequence[bytes], is_last: bool = False
    ) -> bool: ...


class EventLog(Actor[EventMessage]):
    """The actor that writes the events of all sessions of an endpoint to the store. Made by `open_event_log`.

    Events that wait for the store are bounded by `Limits.stored_bytes` and `stored_events`. Further events are not
    kept, and their streams cannot be resumed from before them.
    """

    name = "event log"

    append: _Append
    """`append(session, stream, first, events, is_last=False)`: keep consecutive events of a stream, of which the first
    has the number `first`; `is_last`: whether the stream ends with them, so that `finish` is not called. Never waits.
    Returns False if they are not kept. The stream sends them all the same, with their ids: the log remembers the loss,
    refuses a client that missed them, and lets a client that has them go on behind them."""
    finish: Callable[[str, int, int], None]
    """`finish(session, stream, last)`: note that the stream has ended with event `last`. Never waits."""
    forget: Callable[[str], None]
    """`forget(session)`: remove the events of a session that is over. Never waits."""

    def __init__(self, owner: Owner, store: EventStore, limits: Limits, messages: NodeMessages | None = None) -> None:
        """
        Args:
            owner: the supervisor.
            store: the memory store, or one that is contained.
            limits: of the server.
            messages: to other nodes, where they share the store.
        """
        self._messages = messages
        self._followers: dict[tuple[str, int], int] = {}
        self.store: EventStore = store
        self._most_bytes = limits.stored_bytes
        self._most_events = limits.stored_events
        self._losses: dict[str, EventLosses] = {}
        """By session, in the order of their latest losses. Bounded, since sessions also leave without a word."""
        self._most_losing = limits.sessions
        self._waiting_bytes = 0
        self._waiting_events = 0
        self._is_over = False
        self._is_storing = False
        immediate = store if isinstance(store, MemoryEventStore) and store.is_immediate else None
        # Beside the events there are ends of streams and sessions, which may be dropped: events also go with age.
        super().__init__(owner, Mailbox(3 * limits.stored_events), in_turn=immediate is not None)
        if immediate is None:
            self.append, self.finish, self.forget = self._tell_append, self._tell_finish, self._tell_forget
        else:
            self.append, self.finish = immediate.append_nowait, immediate.finish_nowait
            self.forget = immediate.forget_nowait

    # --- told by sessions and their streams -------------------------------------------

    def open(self, session: str, stream: int, last: int, owed: tuple[bytes, ...], waiter: StoredStream | None) -> None:
        """Keep a stream in a shared store before its next event. Never waits.

        Args:
            session: the id of the session.
            stream: the number of the stream.
            last: the number of its last event so far.
            owed: the ids of the requests that it answers, as JSON.
            waiter: told when the store has it.
        """
        batch = EventBatch(session, stream, last + 1, (), incarnation=writer_of(stream), owed=owed)
        message = Append(batch, OPENING_COST, waiter)
        if not (self._has_room(message) and self._told(message)) and waiter is not None:
            waiter.stored(is_kept=False)

    def begin(
        self,
        session: str,
        stream: int,
        first: int,
        events: Sequence[bytes],
        owed: tuple[bytes, ...],
        *,
        is_last: bool = False,
    ) -> None:
        """Keep a stream in a shared store, together with its first events: see `open` and `append`. Never waits.

        `is_last`: whether the stream ends with them, as most do: `finish` is not called then.
        """
        self._tell_batch(EventBatch(session, stream, first, tuple(events), is_last, writer_of(stream), owed))

    def follow(self, session: str, stream: int, follower: int, *, is_over: bool) -> None:
        """Tell a node of events that the store has from now on; `is_over`: that nothing follows those it has."""
        if len(self._followers) >= FOLLOWED_STREAMS:
            del self._followers[next(iter(self._followers))]
        self._followers[session, stream] = follower
        self._told(Follow(session, stream, is_over))

    def _tell_append(
        self, session: str, stream: int, first: int, events: Sequence[bytes], is_last: bool = False
    ) -> bool:
        incarnation = 0 if self._messages is None else writer_of(stream)
        return self._tell_batch(EventBatch(session, stream, first, tuple(events), is_last, incarnation))

    def _tell_batch(self, batch: EventBatch) -> bool:
        message = Append(batch, sum(map(len, batch.events)) + EVENT_COST * len(batch.events))
        if not (self._has_room(message) and self._told(message)):
            self._lose(batch)
            if not self._is_over:
                self._is_over = True
                log.warning(log_events.EVENTS_NOT_KEPT, waiting=self._waiting_events, bytes=self._waiting_bytes)
            return False
        return True

    def _has_room(self, message: Append) -> bool:
        return (
            self._waiting_bytes + message.size <= self._most_bytes
            and self._waiting_events + len(message.batch.events) <= self._most_events
        )

    def _tell_finish(self, session: str, stream: int, last: int) -> None:
        if last or self._messages is not None:
            self._told(Finish(session, stream, last, 0 if self._messages is None else writer_of(stream)))

    def _tell_forget(self, session: str) -> None:
        self._losses.pop(session, None)
        self._told(Forget(session))

    def _told(self, message: EventMessage) -> bool:
        if type(message) is Append:
            self._waiting_bytes += message.size
            self._waiting_events += len(message.batch.events)
        try:
            self.tell(message)
        except MailboxFull:
            self._took(message)
            return False
        return True

    def _took(self, message: EventMessage) -> None:
        """Count a message that does not wait any more."""
        if type(message) is Append:
            self._waiting_bytes -= message.size
            self._waiting_events -= len(message.batch.events)

    async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
        """Return the events of a stream behind a number, with their numbers, after a flush.

        Returns None if one of them was not kept. With the memory store, nothing changes between the return and the
        caller's next step.

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
        """Wait until the store has every event that was told before.

        Raises:
            StoreFailed: the store took too long, or the endpoint is ending.
        """
        if not self._is_storing and not self.mailbox.waiting:
            return
        reply: Reply[bool] = Reply()
        with trio.move_on_after(READ_SECONDS):
            if not self._told(Flush(reply)) or not await reply.wait():
                raise StoreFailed("the event log has ended")
            return
        raise StoreFailed(f"the event store has not taken earlier events in {READ_SECONDS:g} s")

    def facts(self) -> Mapping[str, int]:
        """See `Actor`. What the store itself holds is known of the one in memory alone."""
        store = self.store
        held = {"events": len(store), "bytes": store.cost} if isinstance(store, MemoryEventStore) else {}
        waiting = {"events that wait": self._waiting_events, "bytes that wait": self._waiting_bytes}
        return {**held, **waiting, "most events": self._most_events, "most bytes": self._most_bytes}

    # --- the actor --------------------------------------------------------------------

    async def run(self) -> None:
        """Write the messages that have come together to the store, until cancelled."""
        mailbox = self.mailbox
        while True:
            taken = [await mailbox.receive()]
            if self._messages is not None and not is_awaited(taken[0]):
                await trio.sleep(LINGER)
            size = size_of(taken[0])
            while mailbox.waiting and len(taken) < ROUND_MESSAGES and size < ROUND_BYTES:
                taken.append(mailbox.receive_nowait())
                size += size_of(taken[-1])
            await self._keep(taken)

    def handle(self, message: EventMessage) -> None:
        """See `Actor`. The log has ended, so events are lost."""
        self._took(message)
        if type(message) is Append:
            self._lose(message.batch)
            if message.waiter is not None:
                message.waiter.stored(is_kept=False)
        elif type(message) is Flush:
            message.reply.set(False)

    async def _keep(self, taken: list[EventMessage]) -> None:
        forgotten = dict.fromkeys(message.session for message in taken if type(message) is Forget)
        batches = merged(taken, forgotten)
        lost: Sequence[EventBatch] | None = None
        is_kept = False
        self._is_storing = True
        try:
            lost = await self._append(batches) if batches else ()
            tell_waiters(taken, lost)  # at the first try, since their clients wait
            if lost:
                await self._append_again(lost)
            for session in forgotten:
                await self._forget(session)
            is_kept = True
        finally:
            self._is_storing = False
            for message in taken:
                self._took(message)
                if type(message) is Flush:
                    message.reply.set(is_kept)
            if lost is None:
                tell_waiters(taken, batches)
            if self._followers:
                self._tell_followers(taken)
            if 2 * self._waiting_bytes <= self._most_bytes and 2 * self._waiting_events <= self._most_events:
                self._is_over = False

    def _tell_followers(self, taken: Iterable[EventMessage]) -> None:
        """Tell the nodes that follow streams that the store has more of them."""
        assert self._messages is not None
        told: set[tuple[str, int]] = set()
        for message in taken:
            if type(message) is Append:
                key = message.batch.session, message.batch.stream
            elif type(message) is Finish or type(message) is Follow:
                key = message.session, message.stream
            else:
                continue
            follower = self._followers.get(key)
            if follower is not None and key not in told:
                told.add(key)
                is_over = type(message) is Follow and message.is_over
                self._messages.send(MORE, digest_of(key[0]), key[1], is_over, to=follower, key=(MORE, *key))
        for message in taken:
            if type(message) is Finish:
                self._followers.pop((message.session, message.stream), None)

    async def _append(self, batches: Sequence[EventBatch]) -> Sequence[EventBatch]:
        """Return the batches that the store has not kept."""
        try:
            await self.store.append(batches)
        except AppendFailed as exc:
            log_failure(exc)
            return exc.batches
        except StoreFailed as exc:
            log_failure(exc)
            return batches
        return ()

    async def _append_again(self, lost: Sequence[EventBatch]) -> None:
        """Try the batches again that a shared store has not kept, while this node may write them; then lose them."""
        ends_at = trio.current_time() + KEEP_SECONDS
        while lost and self._may_write(lost) and trio.current_time() < ends_at:
            await trio.sleep(KEEP_PAUSE)
            lost = await self._append(lost)
        for batch in lost:
            self._lose(batch)
            if batch.is_last and batch.events and self._messages is not None:
                # The end alone has the store forget the stream, so that no client waits for it elsewhere.
                self._told(Finish(batch.session, batch.stream, batch.last, batch.incarnation))

    def _may_write(self, batches: Iterable[EventBatch]) -> bool:
        """Whether another try may have the store keep some of these: the streams of a fenced node are settled."""
        if self._messages is None:
            return False
        lease = self._messages.lease
        return not lease.is_fenced and any(batch.incarnation == lease.incarnation for batch in batches)

    async def _forget(self, session: str) -> None:
        try:
            await self.store.forget(session)
        except StoreFailed as exc:
            log_failure(exc)

    def _lose(self, batch: EventBatch) -> None:
        if batch.events:
            losses = self._losses.pop(batch.session, None)
            if losses is None:
                losses = EventLosses()
            losses.note(batch.stream, batch.last)
            self._losses[batch.session] = losses
            if len(self._losses) > self._most_losing:
                del self._losses[next(iter(self._losses))]


def open_event_log(
    supervisor: Supervisor, store: EventStore | None, limits: Limits, messages: NodeMessages | None = None
) -> EventLog:
    """Make the event log of an endpoint.

    Args:
        supervisor: of the endpoint.
        store: of the user; None for one in memory, with the bounds of `limits`.
        limits: of the server.
        messages: to other nodes, where they share the store.
    """
    if store is None:
        store = MemoryEventStore(events=limits.stored_events, bytes=limits.stored_bytes, age=limits.stored_age)
    if not (isinstance(store, ContainedEventStore) or (isinstance(store, MemoryEventStore) and store.is_immediate)):
        store = ContainedEventStore(store, StoreCalls("event store", supervisor))
    return supervisor.add(EventLog(supervisor, store, limits, messages))
