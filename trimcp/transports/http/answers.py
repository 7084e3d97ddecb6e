"""Responses as bytes: status line, fields, chunks (RFC 9112). Pure, but for the clock of the `date` field."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Final

from trimcp.transports.http.door import Fields

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


def date_field(now: float) -> bytes:
    """The `date` field at that time (seconds since the epoch), as a line."""
    global _date_second, _date
    second = int(now)
    if second != _date_second:
        when = time.gmtime(second)
        # Not by strftime, which speaks the language of the process.
        text = (
            f"{_DAYS[when.tm_wday]}, {when.tm_mday:02} {_MONTHS[when.tm_mon - 1]} {when.tm_year}"
            f" {when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02} GMT"
        )
        _date_second, _date = second, b"date: %s\r\n" % text.encode("ascii")
    return _date


def head(status: int, fields: Fields, framing: bytes) -> bytes:
    """A whole head. `framing` is what the door adds: lines about the body's length and the connection.

    A field that would not stay one line is left out: whoever could write a line end into a value
    could write a second response.
    """
    lines = b"".join([b"%s: %s\r\n" % field for field in fields])
    if lines.count(b"\n") != len(fields) or lines.count(b"\r") != len(fields) or b"\0" in lines:
        lines = b"".join([b"%s: %s\r\n" % field for field in fields if not _splits(*field)])
    start = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"%s%s%s%s\r\n" % (start, date_field(time.time()), lines, framing)


def _splits(name: bytes, value: bytes) -> bool:
    return any(mark in part for part in (name, value) for mark in (b"\r", b"\n", b"\0"))


def has_no_body(status: int) -> bool:
    """Whether responses of that status never have a body (RFC 9110, 6.4.1)."""
    return status in (204, 304) or status < 200


def length_field(status: int, size: int) -> bytes:
    """The `content-length` field as a line, where such a response has one."""
    return b"" if has_no_body(status) else b"content-length: %d\r\n" % size


def chunk(data: bytes) -> bytes:
    """A piece of a body in chunked transfer coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)
