"""The responses of the built-in server: their bytes (RFC 9112), and when each is over.

A response adds the fields that belong to the connection (length or chunks, keep-alive or close), and hands its bytes to
the connection's `Output`. The connection decides what happens after the last of them.
"""

from __future__ import annotations

import abc
import math
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from trimcp.http.binding import Fields, HttpResponse
from trimcp.http.h1.output import Output, OutputOwner
from trimcp.http.h1.request_parser import IncomingRequest

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
CLOSE: Final = b"connection: close\r\n"
KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
CHUNKED: Final = b"transfer-encoding: chunked\r\n"

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode("ascii")) for status in HTTPStatus
}

_date_second = -1
_date = b""
_beginnings: Final[dict[tuple[int, Fields], bytes]] = {}
"""The beginnings of heads of the current second: most responses have the same fields."""
_MOST_BEGINNINGS: Final = 64

_NEW: Final = 0
_BEGUN: Final = 1
_OVER: Final = 2


class ResponseOwner(OutputOwner):
    """A connection, as a response sees it."""

    __slots__ = ("is_last", "output")

    output: Output
    is_last: bool
    """Whether the connection ends after the current response."""

    @abc.abstractmethod
    def finished(self, *, cut: bool) -> None:
        """Note that the response is over. `cut`: it was broken off, so no other response may follow."""


class Http1Response(HttpResponse):
    """Writes the response to one request. See `HttpResponse`.

    A client of HTTP/1.0, which has no chunks, gets a body that ends with the connection. It cannot tell that a
    response was broken off.
    """

    __slots__ = ("_has_body", "_held", "_incoming", "_is_chunked", "_owner", "_state")

    on_gone: Callable[[], None] | None
    on_clear: Callable[[], None] | None

    def __init__(self, owner: ResponseOwner, incoming: IncomingRequest) -> None:
        # Not through super().__init__: one call fewer for each request.
        self.on_gone = self.on_clear = None
        self.is_gone = False
        self.further: Fields = ()
        self.expires_at: float = math.inf
        self._owner = owner
        self._incoming = incoming
        self._state = _NEW
        self._held: tuple[int, Fields] | None = None  # status and fields of a head that waits for the first piece
        self._has_body = True
        self._is_chunked = True

    @property
    def is_clogged(self) -> bool:
        """See `HttpResponse`."""
        return self._owner.output.is_clogged

    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        """See `HttpResponse`."""
        if self._state == _NEW and not self.is_gone:
            self._send_whole(status, fields, body)

    def _send_whole(self, status: int, fields: Fields, body: bytes) -> None:
        self._state = _OVER
        if self.further:
            fields = (*fields, *self.further)
        self._owner.output.send(whole(self._owner, self._incoming, status, fields, body))
        self._finish(cut=False)

    def begin(self, status: int, fields: Fields) -> None:
        """See `HttpResponse`."""
        if self._state == _NEW and not self.is_gone:
            self._state = _BEGUN
            self._held = status, fields

    def _take_head(self) -> bytes:
        """Return the head of a body in pieces, if it has not left yet."""
        if self._held is None:
            return b""
        (status, fields), self._held = self._held, None
        incoming, owner = self._incoming, self._owner
        may_have_body = not has_no_body(status)
        self._has_body = may_have_body and incoming.method != "HEAD"
        self._is_chunked = not incoming.is_old
        if incoming.is_old and self._has_body:
            owner.is_last = True
        framing = connection_field(owner, incoming)
        if self._is_chunked and may_have_body:
            framing += CHUNKED
        return head(status, (*fields, *self.further) if self.further else fields, framing)

    def write(self, data: bytes) -> None:
        """See `HttpResponse`."""
        if self._state != _BEGUN or self.is_gone:
            return
        start = self._take_head()
        if not self._has_body or not data:
            data = b""
        elif self._is_chunked:
            data = chunk(data)
        if start or data:
            self._owner.output.send(start + data)

    def end(self) -> None:
        """See `HttpResponse`."""
        self.finish(b"")

    def finish(self, data: bytes) -> None:
        """See `HttpResponse`."""
        if self._state != _BEGUN or self.is_gone:
            return
        if self._held is not None:
            # The length of the body is known, and costs both ends less than chunks.
            self._send_whole(*self._held, data)
            return
        self._state = _OVER
        if not self._has_body:
            data = b""
        elif self._is_chunked:
            # As `chunk` does, without a copy.
            data = b"%x\r\n%s\r\n%s" % (len(data), data, LAST_CHUNK) if data else LAST_CHUNK
        if data:
            self._owner.output.send(data)
        self._finish(cut=False)

    def abort(self) -> None:
        """See `HttpResponse`."""
        if self._state == _OVER or self.is_gone:
            return
        self._state = _OVER
        self._finish(cut=True)

    def _finish(self, *, cut: bool) -> None:
        self.on_gone = self.on_clear = None
        self._owner.finished(cut=cut)

    def cleared(self) -> None:
        """Tell the handler that all bytes that had to wait have left."""
        if self.on_clear is not None:
            self.on_clear()


def whole(owner: ResponseOwner, incoming: IncomingRequest | None, status: int, fields: Fields, body: bytes) -> bytes:
    """Return a whole response. `incoming`: its request; None if the bytes were no valid request."""
    if has_no_body(status):
        return head(status, fields, connection_field(owner, incoming))
    start = head(status, fields, b"content-length: %d\r\n%s" % (len(body), connection_field(owner, incoming)))
    return start if incoming is not None and incoming.method == "HEAD" else start + body


def connection_field(owner: ResponseOwner, incoming: IncomingRequest | None) -> bytes:
    """Return the `connection` field, as a line, where HTTP does not imply its value."""
    if owner.is_last or incoming is None or not incoming.keeps_alive:
        owner.is_last = True
        return CLOSE
    return KEEP_ALIVE if incoming.is_old else b""


def date_field(now: float) -> bytes:
    """Return the `date` field, as a line. `now`: seconds since the epoch."""
    global _date_second, _date
    second = int(now)
    if second != _date_second:
        when = time.gmtime(second)
        # Not by strftime, which uses the language of the process.
        text = (
            f"{_DAYS[when.tm_wday]}, {when.tm_mday:02} {_MONTHS[when.tm_mon - 1]} {when.tm_year}"
            f" {when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02} GMT"
        )
        _date_second, _date = second, b"date: %s\r\n" % text.encode("ascii")
        _beginnings.clear()
    return _date


def head(status: int, fields: Fields, framing: bytes) -> bytes:
    """Return a whole head. `framing`: the lines about the body's length and the connection."""
    date = date_field(time.time())
    key = (status, fields if type(fields) is tuple else tuple(fields))
    beginning = _beginnings.get(key)
    if beginning is None:
        if len(_beginnings) >= _MOST_BEGINNINGS:
            _beginnings.clear()
        beginning = _beginnings[key] = _beginning(status, fields, date)
    return b"%s%s\r\n" % (beginning, framing)


def _beginning(status: int, fields: Fields, date: bytes) -> bytes:
    """Return the status line and the fields of a response.

    A field with a line end in it is left out, since it could begin a second response.
    """
    lines = b"".join([b"%s: %s\r\n" % field for field in fields])
    if lines.count(b"\n") != len(fields) or lines.count(b"\r") != len(fields) or b"\0" in lines:
        lines = b"".join([b"%s: %s\r\n" % field for field in fields if not _splits(*field)])
    start = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"%s%s%s" % (start, date, lines)


def _splits(name: bytes, value: bytes) -> bool:
    return any(mark in part for part in (name, value) for mark in (b"\r", b"\n", b"\0"))


def has_no_body(status: int) -> bool:
    """Return whether responses with that status never have a body (RFC 9110, section 6.4.1)."""
    return status in (204, 304) or status < 200


def chunk(data: bytes) -> bytes:
    """Return a piece of a body in chunked transfer coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)
