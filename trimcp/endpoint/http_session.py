"""A legacy session over HTTP: one peer whose messages come by POST, and leave by several streams.

basic/transports of 2025-03-26 to 2025-11-25. Its supervisor is that of every session; what differs
is the medium: there is nothing to read, since the endpoint brings what is posted, and a connection
that is lost is not the end of anything.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.endpoint.stream_writer import StreamWriter
from trimcp.endpoint.streams import RequestStream, StandingStream, Track
from trimcp.errors import ConnectionClosed
from trimcp.observability import events, log
from trimcp.protocol.cancelling import CancelReason
from trimcp.protocol.principal import key_of
from trimcp.session.admission import Admission
from trimcp.session.delivery import Delivery
from trimcp.session.eras import Eras
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.outlet import Outlet, SessionOutlet
from trimcp.session.router import Router
from trimcp.session.service import Service
from trimcp.session.session import DrainReport, Session
from trimcp.stores.session_store import SessionRecord
from trimcp.transports.http.door import HttpResponse

if TYPE_CHECKING:
    from trimcp.endpoint.event_log import EventLog
    from trimcp.endpoint.live_sessions import LiveSessions
    from trimcp.endpoint.reply import Reply
    from trimcp.session.calls import Way
    from trimcp.types.jsonrpc import RequestId

STANDING: Final = 8
"""Streams opened by GET that one session may have at once."""
STREAMS_BETWEEN_RECORDS: Final = 1024
"""Streams that a session opens until its record is updated for that alone."""
UNCONFIRMED: Final = 60.0
"""Seconds that a session may be idle whose client has said nothing since it opened it: opening costs a client next
to nothing, and sessions are counted."""


class HttpSession(Session):
    """One live peer that is known by the id in its `Mcp-Session-Id`."""

    standing: StandingStream
    """What belongs to no request leaves by it: the same as `writer`."""

    def __init__(
        self,
        id: str,
        service: Service,
        admission: Admission,
        event_log: EventLog,
        live: LiveSessions,
        actors: HandlerActors,
        writer: StreamWriter,
        *,
        tag: bytes,
        peer: str,
        delivery: Delivery,
    ) -> None:
        """
        Args:
            id: what its client shows with each request; nobody else knows it.
            service: what is served.
            admission: the places shared with other sessions.
            event_log: keeps the events of its streams for a client that lost its connection.
            live: keeps its record and its subscriptions.
            actors: the endpoint's handler actors, which run its requests.
            writer: writes the streams of the endpoint.
            tag: what its event ids begin with.
            peer: who opened it, for logs.
            delivery: who opened it: the requests of another sender are not served by it.
        """
        super().__init__(service, admission, delivery=delivery)
        self.id = id
        self.event_log = event_log
        self._live_sessions = live
        self.tag = tag
        self.stream_writer = writer
        self._actors = actors
        self.touched_at = trio.current_time()
        """When its client was last heard of, or listened."""
        self._opened_at = time.time()
        self._peer = peer
        self._streams: dict[int, RequestStream] = {}
        self._orphans: dict[Outlet, float] = {}
        """Since when outlets that cannot be resumed have had no connection."""
        self._unread: set[RequestStream] = set()
        """Streams that were completed during a drain while nobody was there to read them."""
        self._numbers = 0
        self._posted = 0
        # For logs: enough to tell sessions apart, and of no use to anybody who reads it.
        self._name = hashlib.sha256(id.encode()).hexdigest()[:8]

    # --- Session ----------------------------------------------------------------------

    @property
    def description(self) -> str:
        """Where it leads: `http 127.0.0.1:50000, session 1f0c…`."""
        return f"http {self._peer}, session {self._name}"

    def _way_out(self, supervisor: Supervisor) -> tuple[StandingStream, SessionOutlet]:
        standing = self.standing = StandingStream(self)
        return standing, SessionOutlet(standing, self.limits.result_bytes, self.requests)

    def _make_router(self, supervisor: Supervisor) -> Router:
        # In the turn of the POST: a hop of its own costs a tenth of the rate (docs/benchmarks.md).
        eras = Eras(self.service)
        return Router(supervisor, eras, self._actors, self._admission, self.cancellation, in_turn=True)

    async def _listen(self) -> None:
        await trio.sleep_forever()  # what ends it is its client's DELETE, or this side

    async def _close_medium(self) -> None:
        for stream in list(self._streams.values()):
            stream.cut()
        self._streams.clear()
        if hasattr(self, "standing"):
            self.standing.end()
        self._orphans.clear()
        self._unread.clear()

    @property
    def messages_read(self) -> int:
        """Messages that were posted so far."""
        return self._posted

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: Way | None
    ) -> None:
        """See `Session`."""
        if via is None and not self.standing.tracks:
            # It would wait for a stream that may never be opened, and whoever asks with it.
            why = ConnectionClosed(f"{method} cannot be asked: the client has no stream open for it")
            self.calls.failed(id, why)
        else:
            super().send_call(id, method, params, frame, via)

    async def _flushed(self) -> None:
        await super()._flushed()
        for stream in list(self._streams.values()):
            await stream.flushed()

    async def drain(self, deadline: float) -> DrainReport:
        """See `Session`. An answer whose connection was lost is kept for nobody, and counts as lost."""
        if not self.is_running:  # it is still being opened, or over
            return DrainReport()
        in_flight = list(self.requests.in_flight)
        report = await super().drain(deadline)
        missed: set[Outlet] = {*self._unread, *self._orphans}
        unread = sum(request.cancel_reason is None and request.outlet in missed for request in in_flight)
        unread = min(unread, report.finished)
        self.lost = max(self.lost, report.lost + unread)
        return DrainReport(report.finished - unread, report.cancelled, report.lost + unread)

    # --- its streams ------------------------------------------------------------------

    def next_stream(self) -> int:
        """The number of a new stream."""
        self._numbers += 1
        return self._numbers

    def touch(self) -> None:
        """Its client was heard of."""
        self.touched_at = trio.current_time()

    def heard(self, messages: int) -> None:
        """Its client has posted something."""
        self._posted += messages
        self.touch()

    @property
    def batches(self) -> int:
        """Batches that are not answered yet."""
        return sum(stream.is_batch for stream in self._streams.values())

    def open_stream(
        self, response: HttpResponse, owed: int, delivery: Delivery | None = None, *, is_batch: bool = False
    ) -> RequestStream:
        """A stream for the requests in one POST; `delivery`: who sent it."""
        stream = RequestStream(self, response, owed, delivery, is_batch=is_batch)
        self._streams[stream.track.number] = stream
        return stream

    def see_off(self, stream: RequestStream) -> None:
        """Let the head of a stream leave, whose requests were taken: with the answer, where that is there soon."""
        if not stream.is_answered:
            self.stream_writer.open_soon(stream)

    def reply_lost(self, reply: Reply) -> None:
        """The connection of a client that takes JSON alone is gone: no cancel, though nobody gets the answer."""
        reply.lost()
        self.touch()
        if any(request.outlet is reply for request in self.requests.in_flight):
            self._orphans[reply] = trio.current_time()

    def stream_over(self, stream: RequestStream) -> None:
        """The last answer of a stream has left, or is stored."""
        self.stream_writer.closed(stream)
        if self._streams.pop(stream.track.number, None) is not None:
            self.event_log.finish(self.id, stream.track.number, stream.track.sent)
        self.touch()

    def completed_unread(self, stream: RequestStream) -> None:
        """The last answer of a stream is stored, and nobody is there to read it."""
        if self.is_ending:
            self._unread.add(stream)

    def detached(self, stream: RequestStream) -> None:
        """The connection of a stream is gone."""
        self.touch()
        log.debug(events.STREAM_DETACHED, session=self.number, stream=stream.track.number)

    # --- as data ----------------------------------------------------------------------

    @property
    def record_state(self) -> tuple[object, ...]:
        """What its record is updated for: where one of these has changed."""
        level = None if self.client is None else self.client.log_level
        return self.client, level, self.handshake.phase, self._posted > 1, self._numbers // STREAMS_BETWEEN_RECORDS

    def record(self) -> SessionRecord:
        """The session as data, as it is now."""
        return SessionRecord(
            id=self.id,
            principal=key_of(self.principal),
            opened_at=self._opened_at,
            seen_at=time.time() - (trio.current_time() - self.touched_at),
            phase=self.handshake.phase,
            # A copy: a client may set another log level at any time.
            client=None if self.client is None else attrs.evolve(self.client),
            has_posted=self._posted > 1,
            next_stream=self._numbers + 1,
        )

    def subscribed(self, uri: str, *, is_on: bool) -> None:
        """See `KeepsSubscriptions`."""
        self._live_sessions.subscribed(self, uri, is_on=is_on)

    # --- streams by GET, and resuming --------------------------------------------------

    def stand(self, response: HttpResponse) -> None:
        """Open one more stream by GET. Beyond `STANDING`, the one that was opened first ends: a server may do
        that at any time, but must not refuse."""
        if len(self.standing.tracks) >= STANDING:
            self.standing.let_go(self.standing.tracks[0])
        self.standing.open(response)

    async def resume(self, response: HttpResponse, number: int, after: int) -> bool:
        """Carry on with a stream on another connection, after an event that its client has.

        Returns False where what comes after it is not there any more.
        """
        stream = self._streams.get(number)
        standing = self.standing.left(number) if stream is None else None
        track = standing if stream is None else stream.track
        if track is not None:
            if after > track.sent:
                return False
            self._part(stream, track)
            # What it was to take goes elsewhere, or to the store: nobody may wait for it, should this come to nothing.
            (stream or self.standing).move()
        missed = await self._missed(track, number, after)
        if missed is None or self.end is not None:  # it may have ended meanwhile, and nobody would end the response
            return False
        if stream is not None and self._streams.get(number) is not stream:
            return await self.resume(response, number, after)  # it was completed meanwhile
        if track is not None:
            self._part(stream, track)  # its client may have come back twice
        self.standing.resume_head(response, missed)
        if stream is not None:
            stream.carry_on(response)
        elif standing is not None:
            self.standing.carry_on(standing, response)
        else:
            response.end()
            self._unread = {each for each in self._unread if each.track.number != number}
        return True

    def _part(self, stream: RequestStream | None, track: Track) -> None:
        """The connection that it had is dead, or its client would not have come back."""
        if stream is None:
            self.standing.let_go(track)
        else:
            old = track.detach()
            if old is not None:
                old.end()

    async def _missed(self, track: Track | None, number: int, after: int) -> bytes | None:
        """The events of a stream after that number, as they were sent."""
        pieces: list[bytes] = []
        while True:
            stored = await self.event_log.replay(self.id, number, after)
            if stored is None:
                # Nothing may have been sent since, on a stream that goes on.
                return b"".join(pieces) if track is not None and track.sent == after else None
            if stored:
                pieces.extend(event for _, event in stored)
                after = stored[-1][0]
            if track is None or track.sent <= after:  # more may have come while the store was asked
                return b"".join(pieces)
            if not stored:
                return None

    # --- what passes with time --------------------------------------------------------

    @property
    def _may_be_idle(self) -> float:
        idle = self.limits.session_idle
        return idle if self._posted > 1 else min(idle, UNCONFIRMED)

    def tend(self, now: float) -> None:
        """Keep connections alive, and end what nobody has come back to."""
        for stream in list(self._streams.values()):
            stream.keep_alive(stream.track)
            since = stream.track.detached_at
            if stream.track.response is None and since is not None and now - since >= self.limits.detached:
                self._abandon(stream)
        if self._orphans:
            in_flight = {request.outlet for request in self.requests.in_flight}
            for reply, lost_at in list(self._orphans.items()):
                if reply in in_flight and now - lost_at >= self.limits.detached:
                    self._abandon(reply)
                elif reply not in in_flight and not self.is_ending:  # a drain still counts them
                    del self._orphans[reply]
        for track in self.standing.tracks:
            self.standing.keep_alive(track)
        if self.standing.tracks or self._streams or len(self.requests.in_flight):
            self.touched_at = now
        elif now - self.touched_at >= self._may_be_idle:
            log.info(events.SESSION_IDLE, session=self.number, seconds=self._may_be_idle)
            self.close()

    def _abandon(self, outlet: Outlet) -> None:
        """Nobody came back for the answers in time."""
        self.router.cancel_outlet(self.requests, outlet, CancelReason.CONNECTION_LOST)
