"""A reply: the outlet of one request that is answered on its own response, and where nothing can be resumed.

It is the answer as JSON, or, as soon as something precedes the answer and the client takes event
streams, a stream of server-sent events that the answer ends. That is all of a modern exchange
(basic/transports/streamable-http of 2026-07-28), and what opens a legacy session.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import ClassVar, Final

from trimcp.endpoint.event_stream import EventStream
from trimcp.endpoint.stream_writer import StreamWriter
from trimcp.framing.sse import COMMENT, encode_event
from trimcp.session.delivery import Delivery
from trimcp.session.limits import Limits
from trimcp.session.refusals import RETRY_AFTER_MS
from trimcp.transports.http.door import Fields, HttpResponse
from trimcp.types.jsonrpc import (
    BUSY,
    DRAINING,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CLIENT_CAPABILITY,
    PARSE_ERROR,
    TOO_MANY_SESSIONS,
    UNSUPPORTED_PROTOCOL_VERSION,
)

JSON: Final[Fields] = ((b"content-type", b"application/json"),)
EVENTS: Final[Fields] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    # Asks proxies that would collect a response before they pass it on to let events through.
    (b"x-accel-buffering", b"no"),
)
RETRY_AFTER: Final = (b"retry-after", str(-(-RETRY_AFTER_MS // 1000)).encode())

UNAVAILABLE: Final[Mapping[int, int]] = {BUSY: 503, DRAINING: 503, TOO_MANY_SESSIONS: 503}
"""The status of errors that say that another time is better, in every revision."""
STATUSES: Final[Mapping[int, int]] = {
    **UNAVAILABLE,
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    HEADER_MISMATCH: 400,
    MISSING_CLIENT_CAPABILITY: 400,
    UNSUPPORTED_PROTOCOL_VERSION: 400,
}
"""The status of an error of 2026-07-28 that is answered before anything else; of others it is 200."""


def fields_of(status: int, fields: Fields) -> Fields:
    """Header fields of a response with that status."""
    return (*fields, RETRY_AFTER) if status == 503 else fields


class Reply:
    """The outlet of one request that has a response of its own."""

    __slots__ = (
        *("_fields", "_limits", "_over", "_peer", "_statuses", "_stream", "_waited", "_when_over", "_writer"),
        *("delivery", "json", "response", "sse"),
    )

    is_shared: ClassVar[bool] = False

    def __init__(
        self,
        response: HttpResponse,
        limits: Limits,
        writer: StreamWriter,
        when_over: Callable[[Reply], None],
        statuses: Mapping[int, int] = STATUSES,
        *,
        json: bool,
        sse: bool,
        peer: str,
        fields: Fields = (),
        delivery: Delivery | None = None,
    ) -> None:
        """
        Args:
            response: where it goes.
            limits: of the server.
            writer: writes the event stream, where there is one.
            when_over: told, once, that nothing more will leave.
            statuses: of errors, by their codes.
            json: whether the client takes a JSON body.
            sse: whether it takes an event stream.
            peer: who it is, for logs.
            fields: further header fields of the response.
            delivery: who sent the request, and with which header fields.
        """
        self.response = response
        self.delivery = delivery
        self.json = json
        self.sse = sse
        self._limits = limits
        self._writer = writer
        self._when_over = when_over
        self._statuses = statuses
        self._peer = peer
        self._fields = fields
        self._stream: _ReplyStream | None = None
        self._over = False
        self._waited = False

    @property
    def room(self) -> int:
        """Bytes that an answer may have."""
        return self._limits.result_bytes

    @property
    def takes_posts(self) -> bool:
        """Whether anything may precede the answer."""
        return self.sse

    # --- the answer -------------------------------------------------------------------

    def answer(self, frame: bytes) -> None:
        if self._over:
            return
        stream = self._stream
        if stream is None and self.json:
            self._end()
            fields = (*JSON, *self._fields) if self._fields else JSON
            self.response.respond(200, fields, frame)
        else:
            (stream or self._open()).finish(frame)

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        if self._stream is not None or self._over:
            self.answer(frame)
            return
        self._fields = ()  # there is nothing to know of what has not come about
        status = 400 if unfit and code == INVALID_PARAMS else self._statuses.get(code, 200)
        if status == 200:
            self.answer(frame)
        else:
            self._end()
            self.response.respond(status, fields_of(status, JSON), frame)

    def withdraw(self) -> None:
        """No answer will come: what the peer sees is a response that breaks off."""
        if not self._over:
            self._end()
            self.response.abort()

    def _end(self) -> None:
        self._over = True
        self.response.on_gone = None
        self._when_over(self)

    def lost(self) -> None:
        """The peer is gone: nothing more will leave."""
        if not self._over:
            self._end()
            if self._stream is not None:
                self._stream.close()

    # --- what precedes it -------------------------------------------------------------

    def _open(self) -> _ReplyStream:
        self._stream = _ReplyStream(self, self._limits, self._writer, self._peer)
        return self._stream

    @property
    def head(self) -> Fields:
        """The header fields of an event stream."""
        return (*EVENTS, *self._fields) if self._fields else EVENTS

    def post(self, frame: bytes) -> None:
        if self.sse and not self._over:
            (self._stream or self._open()).post(frame)

    def write(self, frame: bytes) -> None:
        self.post(frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        if self.sse and not self._over:
            (self._stream or self._open()).post_latest(key, frame)

    def post_report(self, key: Hashable, frame: bytes) -> None:
        if self.sse and not self._over:
            (self._stream or self._open()).post_report(key, frame)

    def drop(self, key: Hashable) -> None:
        if self._stream is not None:
            self._stream.drop(key)

    def post_log(self, frame: bytes) -> None:
        if self.sse and not self._over:
            (self._stream or self._open()).post_log(frame)

    def release(self, retry: float) -> bool:
        return False

    async def wait_room(self) -> None:
        if self._stream is not None:
            await self._stream.wait_room()

    def keep_alive(self) -> None:
        """Another while has passed: where nothing has left in one, a comment keeps proxies from giving up."""
        if self.sse and not self._over:
            if self._stream is None and not self._waited:
                self._waited = True  # it may have come a moment ago, and become JSON, or an error with its status
                return
            (self._stream or self._open()).keep_alive()


class _ReplyStream(EventStream):
    """The event stream of a reply: without ids, since it cannot be resumed."""

    def __init__(self, reply: Reply, limits: Limits, writer: StreamWriter, peer: str) -> None:
        super().__init__(limits, writer, peer)
        self._reply = reply
        self._response = reply.response
        self._response.on_clear = self.move
        self._begun = False
        self._finishing = False
        self._quiet = False

    def move(self) -> None:
        """See `Movable`."""
        response, outbox = self._response, self.outbox
        if outbox.is_closed:
            return
        while outbox.waiting and not response.is_clogged:
            data = b"".join([encode_event(frame) for frame in outbox.take()])
            self._begin()
            self._quiet = False
            if self._finishing and not outbox.waiting:
                self._reply._end()
                self.close()
                response.finish(data)
                return
            response.write(data)
        self._moved()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._response.begin(200, self._reply.head)

    def finish(self, frame: bytes) -> None:
        """Post the answer, and end with it, in this turn."""
        if self.outbox.waiting or self._response.is_clogged:
            self._finishing = True
            self.outbox.post(frame)
            self.move()
            return
        self._begin()
        self._reply._end()
        self.close()
        self._response.finish(encode_event(frame))

    def keep_alive(self) -> None:
        """Write a comment, where nothing has left since the last time."""
        if self._quiet or not self._begun:
            self._begin()
            if not self._response.is_clogged:
                self._response.write(COMMENT)
        self._quiet = True

    def _has_left(self) -> bool:
        return not self.outbox.waiting and not self._response.is_clogged

    def _is_behind(self) -> bool:
        return self._response.is_clogged
