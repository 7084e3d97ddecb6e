"""The event streams of a legacy HTTP session: one for each POST with requests. `legacy_get_stream` has its own one.

Streams are numbered in their session, and events in their stream, so that a client that lost its connection can ask for
the events it missed (basic/transports of 2025-03-26 to 2025-11-25, "Resumability and Redelivery"). While a stream has
no connection, frames wait in its outbox, coalesced. They go to the event store when they are too many, and when the
stream is complete.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Protocol

import trio

from trimcp.codec.jsontext import dumps
from trimcp.framing.sse import COMMENT, encode_event
from trimcp.http.binding import HttpResponse
from trimcp.http.server.event_ids import SessionTags, numbered_event
from trimcp.http.server.event_log import EventLog
from trimcp.http.server.event_messages import StoredStream
from trimcp.http.server.post_reply import EVENTS, JSON, UNAVAILABLE, with_retry_after
from trimcp.http.server.session_node import SessionNode, lost_answer
from trimcp.http.server.sse_stream import SseStream
from trimcp.http.server.stream_writer import EventStream, StreamWriter
from trimcp.limits import Limits
from trimcp.session.delivery import Delivery
from trimcp.types.revisions import Revision

FOLLOWED: Final = 15.0
"""Seconds after which a stream counts as left, whose follower at another node was not heard of."""


class StreamOwner(Protocol):
    """The session, as its streams see it."""

    id: str
    tags: SessionTags
    limits: Limits
    is_over: bool
    event_log: EventLog
    stream_writer: StreamWriter
    revision: Revision | None

    @property
    def node(self) -> SessionNode | None:
        """Its link to other nodes, where they share the store."""
        ...

    @property
    def description(self) -> str:
        """The other end, for logs."""
        ...

    def next_stream(self, *, is_get: bool) -> int:
        """Return the number of a new stream."""
        ...

    def touch(self) -> None:
        """Note that the client was heard of."""
        ...

    def detached(self, stream: LegacyPostStream) -> None:
        """Note that the connection of a stream is lost."""
        ...

    def completed_unread(self, stream: LegacyPostStream) -> None:
        """Note that the last answer of a stream was stored while it had no connection."""
        ...

    def stream_over(self, stream: LegacyPostStream) -> None:
        """Forget a stream whose last answer was sent or stored."""
        ...


class ResumableStream(EventStream):
    """An outbox whose frames leave as numbered events of a session."""

    def __init__(self, session: StreamOwner) -> None:
        super().__init__(session.limits, session.stream_writer)
        self._session = session
        self._is_private = False
        """Whether the client gets no event ids, since no other node could settle the stream."""

    def _description(self) -> str:
        return self._session.description

    def _events(self, sse: SseStream, frames: list[bytes]) -> bytes:
        """Number frames, store them as events, and return the events."""
        if self._is_private:
            return b"".join(map(encode_event, frames))
        tag, stream, first = self._session.tags.newest, sse.number, sse.sent + 1
        sse.sent += len(frames)
        events = [numbered_event(tag, stream, number, frame) for number, frame in enumerate(frames, first)]
        self._store(stream, first, events)
        return b"".join(events)

    def _store(self, stream: int, first: int, events: list[bytes]) -> None:
        self._session.event_log.append(self._session.id, stream, first, events)

    def _begin(self, sse: SseStream, response: HttpResponse, missed: bytes = b"") -> bytes:
        """Write the head of the response, and return the first bytes of its body; `missed`: events before them."""
        sse.has_begun = True
        response.begin(200, EVENTS)
        return missed + self._first_event(sse)

    def _first_event(self, sse: SseStream) -> bytes:
        """Return an event without data, which gives the client an id to come back with from the start."""
        revision = self._session.revision
        if revision is None or not revision.primes_streams or self._is_private:
            return b""
        return numbered_event(self._session.tags.newest, sse.number, sse.sent, b"")

    def _may_begin(self) -> bool:
        """Whether a client may get an event id of this stream, by which it comes back."""
        return True

    def keep_alive(self, sse: SseStream) -> None:
        """Write a comment, so that a quiet stream has one every `Limits.keep_alive` seconds."""
        response = sse.response
        if response is None or response.is_clogged or not self._may_begin():
            return
        response.write((b"" if sse.has_begun else self._begin(sse, response)) or COMMENT)


class LegacyPostStream(ResumableStream):
    """The reply stream of the requests in one POST. It ends with the last of their answers.

    Where the store is shared, the stream is in the store, with the ids that it owes answers to, before the client gets
    an event id: otherwise no other node could settle it.
    """

    is_shared: ClassVar[bool] = False
    _stored_at: float = -math.inf
    _followed_at: float = -math.inf

    def __init__(
        self, session: StreamOwner, response: HttpResponse, owed: Sequence[Any], delivery: Delivery, *, is_batch: bool
    ) -> None:
        """`owed`: the ids of the requests in the POST; `delivery`: its sender; `is_batch`: whether it is a batch."""
        # Not through super().__init__: two calls fewer for each request.
        self._session = session
        self._limits = session.limits
        self._writer = session.stream_writer
        self._outbox = None
        self.is_closed = self._is_private = False
        self.delivery: Final = delivery
        self.is_batch: Final = is_batch
        self._owed = len(owed)
        self._owed_ids = owed
        self.lacks_answers: bool = False
        """Whether a request will not be answered, such as one that was cancelled."""
        self._node = session.node
        self._is_opened = self._is_stored = self._node is None
        self._is_ended = False
        if not self._is_stored:
            self._stored_at = trio.current_time()
        self.sse: Final = SseStream(session.next_stream(is_get=False), response)
        self._carry(response)

    def _carry(self, response: HttpResponse) -> None:
        response.on_gone = self._lost
        response.on_clear = self.send_waiting
        if response.is_gone:
            self._lost()

    @property
    def room(self) -> int:
        """See `ReplyStream`. The waiting answers to a batch share it."""
        return self._limits.result_bytes - (self.outbox.waiting_bytes if self.is_batch else 0)

    def begin_soon(self) -> None:
        """Have the head leave soon, or with the answer if that comes first."""
        if self._owed:
            self._writer.begin_soon(self)

    @property
    def takes_posts(self) -> bool:
        """See `ReplyStream`."""
        return True

    # --- other nodes ------------------------------------------------------------------

    @property
    def lacks_end(self) -> bool:
        """Whether the store was told of the stream, and not of its end."""
        return self._is_opened and not self._is_ended

    def _open_in_store(self, waiter: StoredStream | None = None) -> None:
        if not self._is_opened:
            self._is_opened = True
            session = self._session
            session.event_log.open(session.id, self.sse.number, self.sse.sent, self._owed_json(), waiter)

    def _owed_json(self) -> tuple[bytes, ...]:
        return tuple(b"%d" % id if type(id) is int else dumps(id) for id in self._owed_ids)

    def _may_begin(self) -> bool:
        if not self._is_stored:
            self._open_in_store(self)
        return self._is_stored

    def stored(self, *, is_kept: bool) -> None:
        """See `StoredStream`. A stream that no other node knows gives its client no event ids."""
        self._is_stored = True
        self._is_private = not is_kept and not self.sse.sent
        self._writer.send_soon(self)

    def _store(self, stream: int, first: int, events: list[bytes]) -> None:
        session = self._session
        is_last = self._owed == 0 and not self._waits
        if self._node is None:
            self._is_ended = session.event_log.append(session.id, stream, first, events, is_last) and is_last
            return
        self._stored_at = trio.current_time()
        if self._is_opened:
            session.event_log.append(session.id, stream, first, events)
        else:
            self._is_opened = True
            self._is_ended = is_last
            session.event_log.begin(session.id, stream, first, events, self._owed_json(), is_last=is_last)

    def renew(self, now: float) -> None:
        """Open a quiet stream in the store anew, which forgets old events: other nodes must be able to settle it."""
        if self._is_stored and now - self._stored_at >= self._limits.stored_age / 2 and self._node is not None:
            self._is_opened = False
            self._open_in_store()

    def follow(self) -> None:
        """Have all events go to the store, since the client has resumed the stream at another node."""
        self._followed_at = trio.current_time()
        self._open_in_store()
        response = self.sse.detach()
        if response is not None:
            response.end()
        self.send_waiting()

    @property
    def is_followed(self) -> bool:
        """Whether the client reads the events at another node."""
        return trio.current_time() - self._followed_at < FOLLOWED

    # --- ReplyStream ------------------------------------------------------------------

    def answer(self, frame: bytes) -> None:
        """Post an answer. The last one leaves in this turn, behind the frames that were posted before it."""
        self._owed -= 1
        if self._owed:
            self.post(frame)
        elif not self.is_closed:
            sse, response = self.sse, self.sse.response
            if response is None or self._waits or response.is_clogged:
                self.outbox.post(frame)
                self.send_waiting()
            else:
                data = b"" if sse.has_begun else self._first_event(sse)
                self._end(sse, response, data + self._events(sse, [frame]))

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """Post an error as an answer, with a status of its own if it is the whole response."""
        response, status = self.sse.response, UNAVAILABLE.get(code)
        if status is None or response is None or self._owed > 1 or self.sse.has_begun or self._waits:
            self.answer(frame)
            return
        self._owed = 0
        self.sse.end(response)
        response.respond(status, with_retry_after(status, JSON), frame)
        self._over()

    def withdraw(self) -> None:
        """Note that one request will not be answered; the stream ends after the last request."""
        self.lacks_answers = True
        self._owed -= 1
        if self._owed == 0:
            self.send_waiting()

    # --- sending ----------------------------------------------------------------------

    def send_waiting(self) -> None:
        """See `WritableStream`."""
        if self.is_closed:
            return
        sse = self.sse
        response = sse.response
        if response is None:
            if self._owed == 0 or self.is_followed or self.is_over:
                while self._waits:
                    self._events(sse, self.outbox.take())
            if self._owed == 0:
                self._session.completed_unread(self)
                self._over()
            self._wake_waiting()
            return
        if self._owed and not self._may_begin():
            return
        while not response.is_clogged:
            opens = not sse.has_begun
            data = self._begin(sse, response) if opens else b""
            if self._waits:
                data += self._events(sse, self.outbox.take())
            if self._owed == 0 and not self._waits:
                self._end(sse, response, data)
                return
            if not data:
                if not opens:
                    break
                data = COMMENT  # a head may leave with the first piece alone
            response.write(data)
        self._wake_waiting()

    def _end(self, sse: SseStream, response: HttpResponse, data: bytes) -> None:
        sse.end(response)
        if sse.has_begun:
            response.finish(data)
        else:
            response.respond(200, EVENTS, data)
        self._over()

    def _over(self) -> None:
        self._session.stream_over(self)
        self.close()

    def _lost(self) -> None:
        """Part from a lost connection. The request goes on: a lost connection does not cancel it."""
        self.sse.detach()
        self._session.detached(self)
        self.send_waiting()

    def release(self, retry: float) -> bool:
        """End the connection, and tell the client to come back for the rest in `retry` seconds.

        Returns False if there is no connection, or the client cannot come back in its revision.
        """
        session, sse = self._session, self.sse
        if sse.response is None or session.revision is None or not session.revision.primes_streams or self._is_private:
            return False
        self.send_waiting()
        response = self.sse.response
        if response is None:  # it has ended with the frames that waited
            return False
        self._open_in_store()
        data = b"" if sse.has_begun else self._begin(sse, response)
        response.write(data + b"retry: %d\n\n" % int(retry * 1000))
        sse.detach()
        session.detached(self)
        response.end()
        self._wake_waiting()
        return True

    def resume(self, response: HttpResponse) -> None:
        """Go on with the response of a client that has come back, behind the stored events."""
        self.sse.attach(response)
        self._carry(response)
        self.send_waiting()

    def leave(self) -> None:
        """End the response without the answers that are missing, since the session is over, or leaves this node."""
        sse, response = self.sse, self.sse.response
        if response is not None:
            is_settled = self._is_private or not self._is_stored  # no other node can do it
            self._is_private = is_settled
            data = b"" if sse.has_begun else self._begin(sse, response)
            if is_settled and not self._session.is_over and self._owed == len(self._owed_ids):
                data += b"".join(encode_event(lost_answer(id)) for id in self._owed_ids)
            sse.detach()
            response.finish(data)
        self.close()

    def _has_left(self) -> bool:
        response = self.sse.response
        return response is None or not (self._waits or response.is_clogged)

    def _is_behind(self) -> bool:
        response = self.sse.response
        return response is None or response.is_clogged
