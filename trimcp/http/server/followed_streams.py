"""Event streams of other nodes, for clients that have resumed them here.

The events come from the store. A node that lives is asked to put all events of the stream there, and tells when there
are more. The streams of a dead node are settled: each request without an answer gets the error `node_lost`, once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import attrs
import trio

from trimcp.codec.jsontext import dumps, loads
from trimcp.framing.sse import COMMENT, encode_event
from trimcp.http.binding import HttpResponse
from trimcp.http.server.event_ids import make_event_id
from trimcp.http.server.event_log import MORE
from trimcp.http.server.legacy_sessions import Resumed
from trimcp.http.server.served_run import ServedRun
from trimcp.http.server.session_node import is_get_stream, lost_answer, writer_of
from trimcp.http.server.shared_session import SharedSession
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.stores.contained import ContainedSharedEventStore, StoreFailed, log_failure
from trimcp.stores.event_store import StoredEvents
from trimcp.stores.node_messages import NodeMessages

FOLLOW: Final = "follow"
"""The kind of message that asks the writer of a stream to put all its events into the store."""
POLL: Final = 1.0
"""Seconds after which the store is read again without word of the writer."""
ASK_AGAIN: Final = 5.0
"""Seconds after which the writer is asked again, so that it knows that the stream is still followed."""
LOST_FROM: Final = 10**15
"""Added to the numbers in the ids of `node_lost`: a client may have had events that the store does not have, and no id
comes twice."""
ANSWER: Final = 0.5
"""Seconds that the writer of a stream has to put its events into the store, before they are read the first time."""


class FollowedStreams:
    """Sends streams of other nodes to clients, each in a task of its session."""

    def __init__(
        self,
        event_store: ContainedSharedEventStore,
        messages: NodeMessages,
        limits: Limits,
        served: ServedRun,
    ) -> None:
        self._events = event_store
        self._served = served
        self._messages = messages
        self._keep_alive = limits.keep_alive
        self._more: dict[tuple[str, int], trio.Event] = {}
        self._over: set[tuple[str, int]] = set()
        """Streams whose writers have said that nothing follows what the store has."""
        messages.add_taker((MORE,), self)

    # --- MessageTaker -----------------------------------------------------------------

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        """See `MessageTaker`."""
        digest, stream, *is_over = content
        more = self._more.get((digest, stream))
        if more is not None:
            more.set()
            if any(is_over):
                self._over.add((digest, stream))

    def take_gap(self) -> None:
        """See `MessageTaker`."""
        for more in self._more.values():
            more.set()

    # --- resuming ---------------------------------------------------------------------

    async def resume(self, session: SharedSession, response: HttpResponse, stream: int, after: int) -> Resumed:
        """Go on here with a stream of another node, behind an event that its client has.

        Raises:
            StoreFailed: the store does not answer.
        """
        after %= LOST_FROM
        has_writer = await self._is_alive(stream) and await self._caught_up(session, stream)
        found = await self._read(session.id, stream, after)
        if session.end is not None:
            return Resumed.LOST
        if is_get_stream(stream):
            missed = () if found is None else found.events
            session.get_stream.continue_from(response, b"".join(event for _, event in missed))
            if not has_writer:  # no node had the changes of the meantime for this client
                self._served.missed_changes(session)
            return Resumed.YES
        if found is None:
            return Resumed.LOST
        if found.is_finished and not found.events:
            return Resumed.ENDED
        session.get_stream.resume_head(response, b"".join(event for _, event in found.events))
        if found.is_finished:
            response.end()
        else:
            last = found.events[-1][0] if found.events else after
            name = f"{session.supervisor.name}: followed stream"
            session.supervisor.start_soon(self._follow, session, response, stream, last, name=name)
        return Resumed.YES

    async def _is_alive(self, stream: int) -> bool:
        return await self._messages.lease.is_alive(writer_of(stream))

    async def _caught_up(self, session: SharedSession, stream: int) -> bool:
        """Wait a moment until the writer has put its events into the store. Returns whether it has the stream."""
        key = session.node.digest, stream
        more = self._more.setdefault(key, trio.Event())
        self._ask(key)
        with trio.move_on_after(ANSWER):
            await more.wait()
        has_stream = more.is_set() and key not in self._over
        if self._more.get(key) is more:
            del self._more[key]
            self._over.discard(key)
        return has_stream

    def _ask(self, key: tuple[str, int]) -> None:
        self._messages.send(FOLLOW, *key, to=writer_of(key[1]), key=(FOLLOW, *key))

    # --- the task of one stream -------------------------------------------------------

    async def _follow(self, session: SharedSession, response: HttpResponse, stream: int, after: int) -> None:
        """Write the further events of a stream, until its end or until the client leaves."""
        key = session.node.digest, stream
        session.followers += 1
        try:
            with trio.CancelScope() as scope:
                response.on_gone = scope.cancel
                if response.is_gone:
                    return
                await self._write_events(session, response, key, after)
        finally:
            session.followers -= 1
            session.touch()
            self._more.pop(key, None)
            self._over.discard(key)
            response.on_gone = None
            response.end()

    async def _write_events(
        self, session: SharedSession, response: HttpResponse, key: tuple[str, int], after: int
    ) -> None:
        stream = key[1]
        asked_at = written_at = trio.current_time()
        is_alive = True
        while True:
            more = self._more[key] = trio.Event()
            if trio.current_time() - asked_at >= ASK_AGAIN:
                asked_at = trio.current_time()
                self._ask(key)
            with trio.move_on_after(POLL):
                await more.wait()
            if response.is_clogged:
                continue
            try:
                is_over = key in self._over
                found = await self._read(session.id, stream, after)
                if found is None or not found.is_finished:
                    is_alive = await self._is_alive(stream)
                    if not is_alive and found is not None:
                        after = min(after, await self._settle(session, stream))
                        found = await self._events.replay(session.id, stream, after)
            except StoreFailed as exc:
                log_failure(exc)
                continue
            if found is None:
                if is_alive and not is_over:  # its events are too old, and others may come
                    continue
                return
            now = trio.current_time()
            if found.events:
                response.write(b"".join(event for _, event in found.events))
                after, written_at = found.events[-1][0], now
            elif now - written_at >= self._keep_alive - POLL:
                response.write(COMMENT)
                written_at = now
            if found.is_finished or is_over:
                return

    async def _read(self, session: str, stream: int, after: int) -> StoredEvents | None:
        """Return the events behind a number: none, where the client has events that the store does not have yet."""
        found = await self._events.replay(session, stream, after)
        if found is None and after:
            whole = await self._events.replay(session, stream, 0)
            if whole is not None and not whole.is_finished and len(whole.events) < after:
                return attrs.evolve(whole, events=())
        return found

    async def _settle(self, session: SharedSession, stream: int) -> int:
        """Answer what a dead node owes with errors, and finish its stream. Another node may do the same meanwhile.

        Returns the number of the last event that the dead node has stored, or of a later one.
        """
        found = await self._events.replay(session.id, stream, 0)
        if found is None or found.is_finished:
            return sys.maxsize
        answered = answered_ids(found)
        last = found.events[-1][0] if found.events else 0
        lost: list[bytes] = []
        for id in found.owed:
            if id not in answered:
                event_id = make_event_id(session.tags.newest, stream, LOST_FROM + last + len(lost) + 1)
                lost.append(encode_event(lost_answer(loads(id)), id=event_id))
        if await self._events.settle(session.id, stream, writer_of(stream), lost):
            log.warning(events.STREAM_SETTLED, session=session.number, stream=stream, lost=len(lost))
        return last


def answered_ids(found: StoredEvents) -> set[bytes]:
    """Return the ids of the requests that are answered by these events, as JSON."""
    answered: set[bytes] = set()
    for _, event in found.events:
        for message in _messages(event):
            if "method" not in message and "id" in message:
                answered.add(dumps(message["id"]))
    return answered


def _messages(event: bytes) -> Sequence[dict[str, Any]]:
    data = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
    value = loads(data) if data else {}
    return value if type(value) is list else [value]
