"""A legacy session over HTTP: one peer whose messages come by POST, and leave by several streams.

basic/transports of 2025-03-26 to 2025-11-25. It is a supervisor like every session. Its medium differs: there is
nothing to read, since the endpoint hands it the posted messages, and a lost connection does not end it.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.actors.loop import current_clock
from trimcp.actors.supervisor import Supervisor
from trimcp.errors import ConnectionClosed
from trimcp.http.binding import HttpResponse
from trimcp.http.server.event_ids import SessionTags
from trimcp.http.server.event_log import EventLog
from trimcp.http.server.legacy_get_stream import LegacyGetStream
from trimcp.http.server.legacy_streams import LegacyPostStream
from trimcp.http.server.post_reply import PostReply
from trimcp.http.server.session_node import SessionNode
from trimcp.http.server.sse_stream import SseStream
from trimcp.http.server.stream_snapshots import stream_snapshots
from trimcp.http.server.stream_writer import StreamWriter
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.protocol.principal import key_of
from trimcp.session.admission import Admission
from trimcp.session.call import CallRoute
from trimcp.session.delivery import Delivery
from trimcp.session.drain_report import DrainReport
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.reply_stream import ReplyStream, SessionReplyStream
from trimcp.session.router import Router
from trimcp.session.session import Service, Session
from trimcp.session.snapshot import SessionSnapshot
from trimcp.stores.session_store import SessionRecord
from trimcp.types.jsonrpc import RequestId

GET_STREAMS: Final = 8
"""Streams opened by GET that one session may have at once."""
STREAMS_BETWEEN_RECORDS: Final = 1024
"""Streams that a session opens until its record is updated for that alone."""
ENDED_STREAMS: Final = 64
"""Streams of one session that ended without an answer and are remembered, so that clients do not try to resume them."""
UNCONFIRMED: Final = 60.0
"""Seconds that a session may be idle whose client has sent nothing since `initialize`, which costs it nothing."""


class SessionRecords(Protocol):
    """The records of sessions and their subscriptions, as a session sees them."""

    def save(self, session: LegacySession) -> None:
        """Update the record of a session. Never waits."""
        ...

    async def subscribed(self, session: LegacySession, uri: str, *, is_on: bool) -> None:
        """Record that a session has subscribed to a resource, or has unsubscribed.

        Raises:
            RequestFailed: nodes share the store, and it has not kept it.
        """
        ...


class LegacySession(Session):
    """One live peer, known by the id in its `Mcp-Session-Id`."""

    get_stream: LegacyGetStream
    """The session's own stream: the same as `writer`."""
    is_over: bool = True
    """Whether its record, its subscriptions and its events are removed at its end."""

    def __init__(
        self,
        id: str,
        service: Service,
        admission: Admission,
        event_log: EventLog,
        records: SessionRecords,
        actors: HandlerActors,
        writer: StreamWriter,
        *,
        tags: SessionTags,
        peer: str,
        delivery: Delivery,
    ) -> None:
        """
        Args:
            id: the secret that its client shows with each request.
            service: handles its requests.
            admission: the places shared with other sessions.
            event_log: keeps the events of its streams for a client that lost its connection.
            records: keeps its record and its subscriptions.
            actors: the handler actors of the endpoint.
            writer: writes the streams of the endpoint.
            tags: make the beginning of its event ids.
            peer: the other end, for logs.
            delivery: its sender; requests of other senders do not find it.
        """
        super().__init__(service, admission, delivery=delivery)
        self.id: str = id
        self.event_log: EventLog = event_log
        self._records = records
        self.tags: SessionTags = tags
        self.stream_writer: StreamWriter = writer
        self._actors = actors
        self._read_clock = current_clock()
        self.touched_at: float = self._read_clock()
        """When its client last sent a request or had a stream."""
        self._opened_at = time.time()
        self._peer = peer
        self._streams: dict[int, LegacyPostStream] = {}
        self._orphans: dict[ReplyStream, float] = {}
        """Replies that cannot be resumed, to the time at which their connection was lost."""
        self._unread: set[LegacyPostStream] = set()
        """Streams that were completed during a drain while they had no connection."""
        self._ended: deque[int] = deque(maxlen=ENDED_STREAMS)
        self._numbers = self._posted = 0
        # For logs: enough to tell sessions apart, and useless as an id.
        self._name = hashlib.sha256(id.encode()).hexdigest()[:8]

    @property
    def node(self) -> SessionNode | None:
        """Its link to other nodes, where they share the store: see `SharedSession`."""
        return None

    # --- Session ----------------------------------------------------------------------

    @property
    def description(self) -> str:
        """The other end, for logs: `http 127.0.0.1:50000, session 1f0c…`."""
        return f"http {self._peer}, session {self._name}"

    def _open_streams(self, supervisor: Supervisor) -> tuple[LegacyGetStream, SessionReplyStream]:
        stream = self.get_stream = LegacyGetStream(self)
        return stream, SessionReplyStream(stream, self.limits.result_bytes, self.requests)

    def _make_router(self, supervisor: Supervisor) -> Router:
        # In the turn of the POST: a hop of its own costs a tenth of the rate (docs/benchmarks.md).
        return Router(supervisor, self.service, self._actors, self._admission, self.cancellation, in_turn=True)

    async def _listen(self) -> None:
        await trio.sleep_forever()  # the client ends it by DELETE, or this side does

    async def _close_medium(self) -> None:
        for stream in list(self._streams.values()):
            stream.leave()
        self._streams.clear()
        if hasattr(self, "get_stream"):
            self.get_stream.end()
        self._orphans.clear()
        self._unread.clear()

    @property
    def messages_read(self) -> int:
        """Messages that were posted so far."""
        return self._posted

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: CallRoute | None
    ) -> None:
        """See `Session`."""
        if via is None and not self.get_stream.has_listener:
            # It would wait for a stream that may never be opened, and its caller with it.
            why = ConnectionClosed(f"Cannot send {method}: the client has no GET stream open")
            self.calls.failed(id, why)
        else:
            super().send_call(id, method, params, frame, via)

    async def _wait_flushed(self) -> None:
        await super()._wait_flushed()
        for stream in list(self._streams.values()):
            await stream.flushed()

    async def drain(self, deadline: float) -> DrainReport:
        """See `Session`. Answers whose connection was lost count as lost."""
        in_flight = list(self.requests.in_flight) if self.is_running else []  # else it is not open yet, or over
        report = await super().drain(deadline)
        missed: set[ReplyStream] = {*self._unread, *self._orphans}
        unread = min(report.finished, sum(r.cancel_reason is None and r.reply_stream in missed for r in in_flight))
        self.lost: int = max(self.lost, report.lost + unread)
        return DrainReport(report.finished - unread, report.cancelled, report.lost + unread)

    # --- its streams ------------------------------------------------------------------

    def next_stream(self, *, is_get: bool) -> int:
        """See `StreamOwner`."""
        self._numbers += 1
        return self._numbers

    def touch(self) -> None:
        """See `StreamOwner`."""
        self.touched_at = trio.current_time()

    def count_posted(self, messages: int, now: float) -> None:
        """Count messages that the client has posted now."""
        was_confirmed = self._posted > 1
        self._posted += messages
        self.touched_at = now
        if not was_confirmed and self._posted > 1:
            self._records.save(self)

    @property
    def batches(self) -> int:
        """Batches that are not answered yet."""
        return sum(stream.is_batch for stream in self._streams.values())

    def open_post_stream(
        self, response: HttpResponse, owed: Sequence[Any], delivery: Delivery, *, is_batch: bool = False
    ) -> LegacyPostStream:
        """Open a stream for the requests in one POST, with the ids `owed`; `delivery`: its sender."""
        stream = LegacyPostStream(self, response, owed, delivery, is_batch=is_batch)
        self._streams[stream.sse.number] = stream
        return stream

    def reply_lost(self, reply: PostReply) -> None:
        """Part from the lost connection of a JSON reply. The request goes on, and its answer is lost."""
        reply.lost()
        self.touch()
        if any(request.reply_stream is reply for request in self.requests.in_flight):
            self._orphans[reply] = trio.current_time()

    def stream_over(self, stream: LegacyPostStream) -> None:
        """See `StreamOwner`."""
        self.stream_writer.forget(stream)
        if stream.lacks_answers:
            self._ended.append(stream.sse.number)
        if self._streams.pop(stream.sse.number, None) is not None and stream.lacks_end:
            self.event_log.finish(self.id, stream.sse.number, stream.sse.sent)
        self.touched_at = self._read_clock()

    def completed_unread(self, stream: LegacyPostStream) -> None:
        """See `StreamOwner`."""
        if self.is_ending:
            self._unread.add(stream)

    def detached(self, stream: LegacyPostStream) -> None:
        """See `StreamOwner`."""
        self.touch()
        log.debug(events.STREAM_DETACHED, session=self.number, stream=stream.sse.number)

    # --- as data ----------------------------------------------------------------------

    def snapshot(self) -> SessionSnapshot:
        """See `Session`."""
        streams = stream_snapshots(self.get_stream, self._streams.values(), self.requests) if self.is_running else ()
        return attrs.evolve(super().snapshot(), streams=tuple(streams))

    @property
    def is_confirmed(self) -> bool:
        """Whether the client has sent something since it opened the session."""
        return self._posted > 1

    @property
    def record_state(self) -> tuple[object, ...]:
        """The facts whose change makes an update of the record necessary."""
        level = None if self.client is None else self.client.log_level
        return self.client, level, self.handshake.phase, self.is_confirmed, self._numbers // STREAMS_BETWEEN_RECORDS

    def record(self) -> SessionRecord:
        """Return the session as data, as it is now."""
        return SessionRecord(
            id=self.id,
            principal=key_of(self.principal),
            opened_at=self._opened_at,
            seen_at=time.time() - (trio.current_time() - self.touched_at),
            phase=self.handshake.phase,
            # A copy: a client may set another log level at any time.
            client=None if self.client is None else attrs.evolve(self.client),
            has_posted=self.is_confirmed,
            next_stream=self._numbers + 1,
        )

    def profile_changed(self) -> None:
        """See `Peer`."""
        self._records.save(self)

    async def subscribed(self, uri: str, *, is_on: bool) -> None:
        """See `KeepsSubscriptions`."""
        await self._records.subscribed(self, uri, is_on=is_on)

    # --- GET streams, and resuming ----------------------------------------------------

    def open_get_stream(self, response: HttpResponse) -> None:
        """Open one more GET stream, and end the oldest beyond `GET_STREAMS`, since a server must not refuse."""
        if len(self.get_stream.connected) >= GET_STREAMS:
            self.get_stream.let_go(self.get_stream.connected[0])
        self.get_stream.open(response)

    async def resume(self, response: HttpResponse, number: int, after: int) -> bool:
        """Go on with a stream on another connection, behind an event that its client has.

        Returns False if an event behind that one is lost, or the stream has ended without an answer (`has_ended`).
        """
        post = self._streams.get(number)
        sse = self.get_stream.find(number) if post is None else post.sse
        if sse is not None:
            if after > sse.sent:
                return False
            self._part(post, sse)
            # Its frames go to another stream or to the store, in case this stream is not resumed after all.
            (post or self.get_stream).send_waiting()
        missed = await self._missed(sse, number, after)
        if missed is None or (not missed and self.has_ended(number)):
            return False
        if self.end is not None:  # a session that has ended meanwhile would not end the response
            return False
        if post is not None and self._streams.get(number) is not post:
            return await self.resume(response, number, after)  # it was completed meanwhile
        if sse is not None:
            self._part(post, sse)  # its client may have come back twice
        self.get_stream.resume_head(response, missed)
        if post is not None:
            post.resume(response)
        elif sse is not None:
            self.get_stream.resume(sse, response)
        else:
            response.end()
            self._unread = {each for each in self._unread if each.sse.number != number}
        return True

    def has_ended(self, number: int) -> bool:
        """Return whether a stream has ended without an answer, so that nothing can be resumed."""
        return number in self._ended

    def _part(self, post: LegacyPostStream | None, sse: SseStream) -> None:
        """End the old connection of a stream: it is dead, or its client would not have come back."""
        if post is None:
            self.get_stream.let_go(sse)
        else:
            old = sse.detach()
            if old is not None:
                old.end()

    async def _missed(self, sse: SseStream | None, number: int, after: int) -> bytes | None:
        """Return the events of a stream behind a number, as they were sent; None if one is lost."""
        pieces: list[bytes] = []
        while True:
            sent = after if sse is None else sse.sent
            stored = await self.event_log.replay(self.id, number, after)
            if stored is None:
                # Nothing may have been sent since, on a stream that goes on.
                return b"".join(pieces) if sse is not None and sse.sent == after else None
            if stored:
                pieces.extend(event for _, event in stored)
                after = stored[-1][0]
            if sse is None or sse.sent <= after:  # more may have been sent while the store was read
                return b"".join(pieces)
            if not stored and sent > after:  # it was sent before, and not kept
                return None

    # --- times ------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether the client has a stream or a request here, or frames wait for it."""
        return bool(self.get_stream.connected or self._streams or len(self.requests.in_flight))

    @property
    def _may_be_idle(self) -> float:
        idle = self.limits.session_idle
        return idle if self.is_confirmed else min(idle, UNCONFIRMED)

    def check_times(self, now: float) -> None:
        """Keep connections alive, cancel requests whose client has not come back, and end an idle session."""
        for stream in list(self._streams.values()):
            stream.keep_alive(stream.sse)
            stream.renew(now)
            since = stream.sse.detached_at
            if stream.sse.response is None and since is not None and now - since >= self.limits.detached:
                self._abandon(stream)
        if self._orphans:
            in_flight = {request.reply_stream for request in self.requests.in_flight}
            for reply, lost_at in list(self._orphans.items()):
                if reply in in_flight and now - lost_at >= self.limits.detached:
                    self._abandon(reply)
                elif reply not in in_flight and not self.is_ending:  # a drain still counts them
                    del self._orphans[reply]
        wall_clock = time.time()
        for sse in list(self.get_stream.connected):
            if sse.response is not None and sse.response.expires_at <= wall_clock:
                self.get_stream.let_go(sse)  # the client may come back with a new token
            else:
                self.get_stream.keep_alive(sse)
        if self.is_busy:
            self.touched_at = now
        elif now - self.touched_at >= self._may_be_idle:
            log.info(events.SESSION_IDLE, session=self.number, seconds=self._may_be_idle)
            self.close()

    def _abandon(self, reply_stream: ReplyStream) -> None:
        """Cancel the requests of a reply stream whose client has not come back in time."""
        self.router.cancel_reply_stream(self.requests, reply_stream, CancelReason.CONNECTION_LOST)
