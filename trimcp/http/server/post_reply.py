"""The reply to one POST that cannot be resumed: a JSON body, or an event stream after earlier messages.

That is every reply of 2026-07-28 (basic/transports/streamable-http), and the reply to `initialize` of a legacy session.
The table from JSON-RPC error codes to HTTP statuses is here as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from trimcp.codec.envelope import encode_error
from trimcp.framing.sse import COMMENT, encode_event
from trimcp.http.binding import Fields, HttpRequest, HttpResponse
from trimcp.http.server.stream_writer import EventStream, StreamWriter
from trimcp.limits import Limits
from trimcp.session.delivery import Delivery
from trimcp.session.refusals import RETRY_AFTER_MS, retry_data
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import (
    BUSY,
    DRAINING,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CLIENT_CAPABILITY,
    PARSE_ERROR,
    STORE_UNAVAILABLE,
    TOO_MANY_SESSIONS,
    UNSUPPORTED_PROTOCOL_VERSION,
    RequestId,
)

JSON: Final[Fields] = ((b"content-type", b"application/json"),)
EVENTS: Final[Fields] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    # Asks proxies that would collect a response before they pass it on to let events through.
    (b"x-accel-buffering", b"no"),
)
RETRY_AFTER: Final = (b"retry-after", str(-(-RETRY_AFTER_MS // 1000)).encode())

UNAVAILABLE: Final[Mapping[int, int]] = {
    BUSY: 503,
    DRAINING: 503,
    TOO_MANY_SESSIONS: 503,
    STORE_UNAVAILABLE: 503,
}
"""Error codes that invite a later try, to their status, in every revision."""
STATUSES: Final[Mapping[int, int]] = {
    **UNAVAILABLE,
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    HEADER_MISMATCH: 400,
    MISSING_CLIENT_CAPABILITY: 400,
    UNSUPPORTED_PROTOCOL_VERSION: 400,
}
"""Error codes of 2026-07-28 to the status of a response that has not begun; other errors have 200."""


def with_retry_after(status: int, fields: Fields) -> Fields:
    """Return header fields, with `Retry-After` added where the status is 503."""
    return (*fields, RETRY_AFTER) if status == 503 else fields


def respond_error(
    response: HttpResponse,
    status: int,
    code: int,
    text: str,
    data: Any = ABSENT,
    id: RequestId | None = None,
    *,
    fields: Fields = JSON,
) -> None:
    """Answer a request with a status and a JSON-RPC error, before it has reached a session."""
    response.respond(status, with_retry_after(status, fields), encode_error(id, code, text, data, null_id=False))


def respond_encoded(response: HttpResponse) -> None:
    """Answer a request whose body is compressed with 415: a short body could become longer than memory."""
    text = "Unsupported media type: send the body without Content-Encoding"
    respond_error(response, 415, INVALID_REQUEST, text, fields=(*JSON, (b"accept-encoding", b"identity")))


def respond_draining(response: HttpResponse, id: RequestId | None = None) -> None:
    """Answer a request with 503, since the server is stopping."""
    data = retry_data("draining")
    respond_error(response, 503, DRAINING, "The server is stopping and takes no new work", data, id)


def delivery_of(request: HttpRequest) -> Delivery:
    """Return the sender and the header fields of a request, as its handlers see them."""
    return Delivery(request.principal, request.fields, hides_forbidden=request.hides_forbidden)


class OpenReplies(Protocol):
    """The owner of replies, as a reply sees it."""

    def forget(self, reply: PostReply) -> None:
        """Forget a reply that has ended."""
        ...


class PostReply:
    """The reply stream of one request that has a response of its own."""

    __slots__ = (
        *("_fields", "_is_over", "_limits", "_owner", "_statuses", "_stream", "_waited", "_writer"),
        *("delivery", "is_listen", "json", "peer", "response", "sse"),
    )

    is_shared: ClassVar[bool] = False

    def __init__(
        self,
        response: HttpResponse,
        limits: Limits,
        writer: StreamWriter,
        statuses: Mapping[int, int] = STATUSES,
        *,
        owner: OpenReplies | None = None,
        json: bool,
        sse: bool,
        peer: str,
        fields: Fields = (),
        delivery: Delivery,
    ) -> None:
        """
        Args:
            response: where the reply is written.
            limits: of the server.
            writer: writes the event stream, if there is one.
            statuses: error codes to statuses.
            owner: told when the reply has ended; None for the reply of a legacy session.
            json: whether the client accepts a JSON body.
            sse: whether the client accepts an event stream.
            peer: the other end, for logs.
            fields: further header fields of the response.
            delivery: the sender of the request, and its header fields.
        """
        self.response: Final = response
        self.delivery: Final = delivery
        self.json: Final = json
        self.sse: Final = sse
        self._limits = limits
        self._writer = writer
        self._owner = owner
        self._statuses = statuses
        self.peer: Final = peer
        self._fields = fields
        self.is_listen: bool = False
        """Whether it may last as long as the authentication of the sender."""
        self._stream: _ReplyEvents | None = None
        self._is_over = False
        self._waited = False

    @property
    def room(self) -> int:
        """Bytes that an answer may have."""
        return self._limits.result_bytes

    @property
    def takes_posts(self) -> bool:
        """Whether messages may precede the answer."""
        return self.sse

    # --- the answer -------------------------------------------------------------------

    def answer(self, frame: bytes) -> None:
        """Send the answer, and end the response with it."""
        if self._is_over:
            return
        stream = self._stream
        if stream is None and self.json:
            self.end()
            fields = (*JSON, *self._fields) if self._fields else JSON
            self.response.respond(200, fields, frame)
        else:
            (stream or self._open()).finish(frame)

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """Send an error as the answer, with the status of its code if the response has not begun."""
        if self._stream is not None or self._is_over:
            self.answer(frame)
            return
        self._fields = ()  # such as the id of a session, which has not come about
        status = 400 if unfit and code == INVALID_PARAMS else self._statuses.get(code, 200)
        if status == 200:
            self.answer(frame)
        else:
            self.end()
            self.response.respond(status, with_retry_after(status, JSON), frame)

    def withdraw(self) -> None:
        """End an event stream without the answer, since none will come; break any other response off."""
        if self._is_over:
            return
        self.end()
        if self._stream is None:
            self.response.abort()
        else:
            self._stream.leave()

    def end(self) -> None:
        """Note that nothing more will be sent, and leave the owner."""
        self._is_over = True
        self.response.on_gone = None
        if self._owner is not None:
            self._owner.forget(self)

    def expire(self) -> None:
        """Break a listen off, as if its connection were lost: the authentication of the sender has ended."""
        tell_lost = self.response.on_gone
        if self.is_listen and not self._is_over:
            self.response.abort()
            if tell_lost is not None:
                tell_lost()

    def lost(self) -> None:
        """End the reply, since the connection of the client is lost."""
        if not self._is_over:
            self.end()
            if self._stream is not None:
                self._stream.close()

    # --- messages before it -----------------------------------------------------------

    def _open(self) -> _ReplyEvents:
        self._stream = _ReplyEvents(self, self._limits, self._writer)
        return self._stream

    @property
    def head(self) -> Fields:
        """The header fields of the event stream."""
        return (*EVENTS, *self._fields) if self._fields else EVENTS

    def post(self, frame: bytes) -> None:
        """See `ReplyStream`."""
        if self.sse and not self._is_over:
            (self._stream or self._open()).post(frame)

    def write(self, frame: bytes) -> None:
        """See `ReplyStream`."""
        self.post(frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """See `ReplyStream`."""
        if self.sse and not self._is_over:
            (self._stream or self._open()).post_latest(key, frame)

    def post_reports(self, key: Hashable, frames: Sequence[bytes]) -> None:
        """See `ReplyStream`."""
        if self.sse and not self._is_over:
            (self._stream or self._open()).post_reports(key, frames)

    def drop(self, key: Hashable) -> None:
        """See `ReplyStream`."""
        if self._stream is not None:
            self._stream.drop(key)

    def post_log(self, frame: bytes) -> None:
        """See `ReplyStream`."""
        if self.sse and not self._is_over:
            (self._stream or self._open()).post_log(frame)

    def release(self, retry: float) -> bool:
        """Return False: the client cannot come back for the rest."""
        return False

    async def wait_room(self) -> None:
        """See `ReplyStream`."""
        if self._stream is not None:
            await self._stream.wait_room()

    def keep_alive(self) -> None:
        """Write a comment, so that proxies keep the connection."""
        if self.sse and not self._is_over:
            if self._stream is None and not self._waited:
                self._waited = True  # it may have come a moment ago, and become JSON, or an error with its status
                return
            (self._stream or self._open()).keep_alive()


class HeldReply(PostReply):
    """The reply stream of an `initialize`: its answer waits until the session is in the store."""

    __slots__ = ("_held", "_is_let_go")

    def __init__(self, *args: Any, **options: Any) -> None:
        """See `PostReply`."""
        super().__init__(*args, **options)
        self._held: Callable[[], None] | None = None
        self._is_let_go = False

    def answer(self, frame: bytes) -> None:
        """See `PostReply`. Holds the answer."""
        answer = functools.partial(super().answer, frame)
        self._hold(answer)

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """See `PostReply`. Holds the error."""
        refuse = functools.partial(super().refuse, frame, code, unfit=unfit)
        self._hold(refuse)

    def _hold(self, send: Callable[[], None]) -> None:
        if self._is_let_go:
            send()
        else:
            self._held = send

    def let_go(self) -> None:
        """Send what was held."""
        self._is_let_go = True
        if self._held is not None:
            self._held()


class _ReplyEvents(EventStream):
    """The event stream of a reply. Its events have no ids, since it cannot be resumed."""

    def __init__(self, reply: PostReply, limits: Limits, writer: StreamWriter) -> None:
        super().__init__(limits, writer)
        self._reply = reply
        self._response = reply.response
        self._response.on_clear = self.send_waiting
        self._has_begun = False
        self._is_finishing = False

    def _description(self) -> str:
        return self._reply.peer

    def send_waiting(self) -> None:
        """See `WritableStream`."""
        if self.is_closed:
            return
        response, outbox = self._response, self.outbox
        while outbox.waiting and not response.is_clogged:
            data = b"".join([encode_event(frame) for frame in outbox.take()])
            self._begin()
            if self._is_finishing and not outbox.waiting:
                self._reply.end()
                self.close()
                response.finish(data)
                return
            response.write(data)
        self._wake_waiting()

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._response.begin(200, self._reply.head)

    def leave(self) -> None:
        """End the response without the answer."""
        self._begin()
        self.close()
        self._response.end()

    def finish(self, frame: bytes) -> None:
        """Send the answer, and end the response with it, in this turn if the response is not clogged."""
        if self._waits or self._response.is_clogged:
            self._is_finishing = True
            self.outbox.post(frame)
            self.send_waiting()
            return
        self._begin()
        self._reply.end()
        self.close()
        self._response.finish(encode_event(frame))

    def keep_alive(self) -> None:
        """Write a comment."""
        self._begin()
        if not self._response.is_clogged:
            self._response.write(COMMENT)

    def _has_left(self) -> bool:
        return not (self._waits or self._response.is_clogged)

    def _is_behind(self) -> bool:
        return self._response.is_clogged
