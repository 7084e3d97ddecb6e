"""The event streams of a legacy HTTP session: one for each POST that asks something, and the standing one.

A stream is numbered in its session, and each of its events in it, so that a client that lost its
connection can have what it missed (basic/transports of 2025-03-26 to 2025-11-25, "Resumability and
Redelivery"). While nobody is attached, what is posted waits here, coalesced; it goes to the event
store where it becomes too much, and when the stream is complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import trio

from trimcp.endpoint.event_store import make_event_id
from trimcp.endpoint.event_stream import EventStream
from trimcp.endpoint.reply import EVENTS, JSON, UNAVAILABLE, fields_of
from trimcp.framing.sse import COMMENT, encode_event
from trimcp.session.delivery import Delivery
from trimcp.transports.http.door import HttpResponse

if TYPE_CHECKING:
    from trimcp.endpoint.http_session import HttpSession

STANDING_LEFT: Final = 4
"""Standing streams of one session without a connection that can still be resumed; the oldest is forgotten first."""


class Track:
    """One numbered sequence of events, and the response that carries it now, if one does."""

    __slots__ = ("begun", "detached_at", "number", "quiet", "response", "sent")

    def __init__(self, number: int, response: HttpResponse) -> None:
        self.number = number
        self.sent = 0
        """The number of the last event."""
        self.response: HttpResponse | None = response
        self.begun = False
        """Whether the head of the response was written."""
        self.quiet = False
        """Whether nothing has left since the last keep-alive."""
        self.detached_at: float | None = None

    def detach(self) -> HttpResponse | None:
        """Part from the response, which is gone, or is to end; return it."""
        response, self.response = self.response, None
        self.begun = False
        self.detached_at = trio.current_time()
        if response is not None:
            response.on_gone = response.on_clear = None
        return response


class NumberedStream(EventStream):
    """A stream whose frames leave as numbered events of a session."""

    def __init__(self, session: HttpSession) -> None:
        super().__init__(session.limits, session.stream_writer, session.description)
        self._session = session

    def _events(self, track: Track, frames: list[bytes]) -> bytes:
        """Frames as events, each numbered and stored."""
        session = self._session
        tag, first = session.tag, track.sent + 1
        track.sent += len(frames)
        events = [
            encode_event(frame, id=make_event_id(tag, track.number, number))
            for number, frame in enumerate(frames, first)
        ]
        session.event_log.append(session.id, track.number, first, events)
        return b"".join(events)

    def _opening(self, track: Track, response: HttpResponse) -> bytes:
        """Begin the response; return what its first piece begins with."""
        track.begun = True
        response.begin(200, EVENTS)
        revision = self._session.revision
        if revision is None or not revision.primes_streams:
            return b""
        # An event without data, whose id a client can come back with before there is any other.
        return encode_event(b"", id=make_event_id(self._session.tag, track.number, track.sent))

    def keep_alive(self, track: Track) -> None:
        """Write a comment on a stream on which nothing has left since the last time."""
        response = track.response
        if response is None or response.is_clogged:
            return
        if not track.begun:
            response.write(self._opening(track, response) or COMMENT)
        elif track.quiet:
            response.write(COMMENT)
        track.quiet = True


class RequestStream(NumberedStream):
    """The stream of one POST: the outlet of the requests in it. It ends with the last of their answers."""

    is_shared: ClassVar[bool] = False

    def __init__(
        self, session: HttpSession, response: HttpResponse, owed: int, delivery: Delivery | None, *, is_batch: bool
    ) -> None:
        """`owed`: the requests in the POST; `delivery`: who sent it; `is_batch`: whether that is a batch."""
        super().__init__(session)
        self.delivery = delivery
        self.is_batch = is_batch
        self._owed = owed
        self.track = Track(session.next_stream(), response)
        self._carry(response)

    def _carry(self, response: HttpResponse) -> None:
        response.on_gone = self._lost
        response.on_clear = self.move
        if response.is_gone:
            self._lost()

    @property
    def room(self) -> int:
        """See `Outlet`. The answers to a batch that wait to leave have it together."""
        return self._limits.result_bytes - (self.outbox.waiting_bytes if self.is_batch else 0)

    @property
    def is_answered(self) -> bool:
        """Whether nothing more will be posted."""
        return self._owed == 0

    @property
    def takes_posts(self) -> bool:
        return True

    # --- Outlet -----------------------------------------------------------------------

    def answer(self, frame: bytes) -> None:
        """Post an answer; the last one leaves in this turn, and takes along what was posted before it."""
        self._owed -= 1
        if self._owed:
            self.post(frame)
        elif not self.outbox.is_closed:
            track, response = self.track, self.track.response
            if response is None or self.outbox.waiting or response.is_clogged:
                self.outbox.post(frame)
                self.move()
            else:
                self._end_with(track, response, [frame])

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        response, status = self.track.response, UNAVAILABLE.get(code)
        if status is None or response is None or self._owed > 1 or self.track.begun or self.outbox.waiting:
            self.answer(frame)
            return
        self._owed = 0
        self.track.detach()
        response.respond(status, fields_of(status, JSON), frame)
        self._over()

    def withdraw(self) -> None:
        """One answer fewer is owed: without the last one, the stream merely ends."""
        self._owed -= 1
        if self._owed == 0:
            self.move()

    # --- moving -----------------------------------------------------------------------

    def move(self) -> None:
        """See `Movable`."""
        track, outbox = self.track, self.outbox
        response = track.response
        if outbox.is_closed:
            return
        if response is None:
            if self._owed == 0 or self.is_over:
                while outbox.waiting:
                    self._events(track, outbox.take())
            if self._owed == 0:
                self._session.completed_unread(self)
                self._over()
            self._moved()
            return
        while not response.is_clogged:
            opens = not track.begun
            data = self._opening(track, response) if opens else b""
            if outbox.waiting:
                data += self._events(track, outbox.take())
            if self._owed == 0 and not outbox.waiting:
                self._end(track, response, data)
                return
            if not data:
                if not opens:
                    break
                data = COMMENT  # a head may leave with the first piece alone
            track.quiet = False
            response.write(data)
        self._moved()

    def _end_with(self, track: Track, response: HttpResponse, frames: list[bytes]) -> None:
        data = b"" if track.begun else self._opening(track, response)
        self._end(track, response, data + self._events(track, frames))

    def _end(self, track: Track, response: HttpResponse, data: bytes) -> None:
        track.detach()
        response.finish(data)
        self._over()

    def _over(self) -> None:
        self._session.stream_over(self)
        self.close()

    def _lost(self) -> None:
        """The connection is gone, and the request goes on: that is no cancel."""
        self.track.detach()
        self._session.detached(self)
        self.move()

    def release(self, retry: float) -> bool:
        """Let go of the connection, and have the client come back for the rest in `retry` seconds.

        Returns False where there is none, or the client does not know how.
        """
        session, track = self._session, self.track
        if track.response is None or session.revision is None or not session.revision.primes_streams:
            return False
        self.move()
        return self._let_go(session, track, retry)

    def _let_go(self, session: HttpSession, track: Track, retry: float) -> bool:
        response = track.response
        if response is None:  # it had ended with what was moved
            return False
        data = b"" if track.begun else self._opening(track, response)
        response.write(data + b"retry: %d\n\n" % int(retry * 1000))
        track.detach()
        session.detached(self)
        response.end()
        self._moved()
        return True

    def carry_on(self, response: HttpResponse) -> None:
        """A client that has come back has what was stored: the rest goes there."""
        track = self.track
        track.response, track.begun, track.quiet = response, True, False
        self._carry(response)
        self.move()

    def cut(self) -> None:
        """The session is over: end without the answers."""
        response = self.track.detach()
        if response is not None:
            response.abort()
        self.close()

    def _has_left(self) -> bool:
        response = self.track.response
        return response is None or (not self.outbox.waiting and not response.is_clogged)

    def _is_behind(self) -> bool:
        response = self.track.response
        return response is None or response.is_clogged


class StandingStream(NumberedStream):
    """What belongs to no request: it leaves by the latest of the streams that the client opened by GET.

    Each message leaves by one of them only. While there is none, notices wait, the newest of each
    kind, and anything else up to `Limits.out_bytes`; what comes then is dropped.
    """

    def __init__(self, session: HttpSession) -> None:
        super().__init__(session)
        self.tracks: list[Track] = []
        """Those with a connection, the latest last."""
        self._left: list[Track] = []

    def open(self, response: HttpResponse) -> None:
        """A client opens a stream."""
        track = Track(self._session.next_stream(), response)
        response.write(self._opening(track, response) or COMMENT)
        self._carry(track, response)

    def _carry(self, track: Track, response: HttpResponse) -> None:
        self.tracks.append(track)
        response.on_gone = lambda: self._lost(track)
        response.on_clear = self.move
        if response.is_gone:
            self._lost(track)
        else:
            self.move()

    def resume_head(self, response: HttpResponse, missed: bytes) -> None:
        """Begin a response with what a client has missed."""
        response.begin(200, EVENTS)
        response.write(missed or COMMENT)

    def left(self, number: int) -> Track | None:
        """The stream of that number, if it is open or can be resumed."""
        return next((track for track in (*self.tracks, *self._left) if track.number == number), None)

    def carry_on(self, track: Track, response: HttpResponse) -> None:
        """A client that has come back has what was stored: the rest goes there."""
        if track in self._left:
            self._left.remove(track)
        track.response, track.begun, track.quiet = response, True, False
        self._carry(track, response)

    def let_go(self, track: Track) -> None:
        """End the connection of a stream."""
        response = track.detach()
        if track in self.tracks:
            self.tracks.remove(track)
            self._left = [*self._left, track][-STANDING_LEFT:]
        if response is not None:
            response.end()

    def _lost(self, track: Track) -> None:
        self.let_go(track)
        self._session.touch()
        self.move()

    def post(self, frame: bytes) -> None:
        """Post a message that is never dropped; without a stream there is a bound to what waits."""
        if self.tracks or not self.is_over:
            super().post(frame)

    def move(self) -> None:
        """See `Movable`."""
        outbox = self.outbox
        if outbox.is_closed:
            return
        if not self.tracks:
            self._moved()
            return
        track = self.tracks[-1]
        response = track.response
        assert response is not None
        while outbox.waiting and not response.is_clogged:
            track.quiet = False
            response.write(self._events(track, outbox.take()))
        self._moved()

    def end(self) -> None:
        """The session is over: end every stream."""
        self.move()
        for track in list(self.tracks):
            self.let_go(track)
        self.close()

    def _has_left(self) -> bool:
        response = self.tracks[-1].response if self.tracks else None
        return response is None or not (self.outbox.waiting or response.is_clogged)

    def _is_behind(self) -> bool:
        response = self.tracks[-1].response if self.tracks else None
        return response is None or response.is_clogged
