"""Server-sent events, both ways: messages → the bytes of an event stream → events.

Owns the format (WHATWG HTML, "Server-sent events", sections 9.2.5 and 9.2.6), with a limit on the size
of an event. The result does not depend on how the bytes were split on their way. This file does no
I/O and does not reconnect; it only remembers the stream's wishes for that. The HTTP server writes
with it, the HTTP client reads.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from trimcp.framing.lines import DEFAULT_LINE_LIMIT, HEAD, Oversized

COMMENT: Final = b":\n\n"
"""Keeps an idle stream open; readers ignore it."""

LONGEST_RETRY: Final = 10**12
"""The maximum of `retry` in milliseconds, thirty years; longer ones count as this."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_FIELD_ROOM: Final = len(b"data: ")
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_DIGITS: Final = frozenset(b"0123456789")
_DEFAULT_EVENT: Final = b"message"


@attrs.define
class Event:
    """Holds one event as bytes; UTF-8, unless the peer broke the rules."""

    data: bytes
    """The data lines, joined by newlines."""
    event: bytes = _DEFAULT_EVENT
    """The event type; the default is `message`."""
    id: bytes = b""
    """The last id in the stream up to this event; a client resumes behind the event with it."""


def encode_event(
    data: bytes, *, id: bytes | None = None, event: bytes | None = None, retry: int | None = None
) -> bytes:
    """Write one event.

    Args:
        data: its data. A reader gets each line ending in it as a newline.
        id: the id with which a reader resumes behind this event.
        event: its type; None for `message`.
        retry: the milliseconds that a reader should wait before it reconnects.

    Raises:
        ValueError: the id or the type has a line ending or a NUL, which would change the event; or
            `retry` is negative.
    """
    if b"\n" in data or b"\r" in data:
        data = _LINE_END.sub(b"\ndata: ", data)
    if event is None and retry is None:
        if id is None:
            return b"data: %b\n\n" % data
        _refuse_breaks(id)
        return b"id: %b\ndata: %b\n\n" % (id, data)
    head = b""
    if event is not None:
        _refuse_breaks(event)
        head = b"event: %b\n" % event
    if id is not None:
        _refuse_breaks(id)
        head += b"id: %b\n" % id
    if retry is not None:
        if retry < 0:
            raise ValueError(f"retry is {retry}: it must be at least 0")
        head += b"retry: %d\n" % retry
    return b"%bdata: %b\n\n" % (head, data)


def _refuse_breaks(value: bytes) -> None:
    if b"\n" in value or b"\r" in value or b"\0" in value:
        raise ValueError(f"the event id or type {value!r} has a line ending or a NUL: remove it")


class EventParser:
    """Parses an event stream that arrives in any portions.

    The held bytes (data, type, id, one unfinished line) never exceed four times the limit by more than
    the portion being fed; in a regular stream they stay below the limit. The time is linear in the
    bytes fed.

    Attributes:
        limit: the maximum bytes of the data of an event. An event with a longer line in any field is
            dropped too; a comment may have any length.
        last_event_id: the id to resume with; empty if the stream has none. It is set when the event of
            the id is complete, even if that event is dropped or has no data.
        retry: the milliseconds that the stream asks to wait between connections; None if it does not.
    """

    __slots__ = (
        "_after_return",
        "_data",
        "_discarding",
        "_dropping",
        "_event",
        "_held",
        "_id",
        "_mark",
        "last_event_id",
        "limit",
        "retry",
    )

    def __init__(self, limit: int = DEFAULT_LINE_LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"the event limit is {limit}: it must be at least 1")
        self.limit: Final = limit
        self.last_event_id: bytes = b""
        self.retry: int | None = None
        self._id = b""
        self._begin()

    def _begin(self) -> None:
        self._mark: bytes | None = b""  # a possible start of a byte order mark; None once it is read
        self._after_return = False  # the last portion ended with CR: an LF right behind belongs to it
        self._held = bytearray()  # the unfinished line
        self._discarding = False  # the rest of the unfinished line is skipped
        self._dropping = False  # the unfinished event was too long, and is reported
        self._data: bytes | bytearray | None = None
        self._event = b""

    @property
    def held(self) -> int:
        """The number of bytes held of the unfinished event and line."""
        return len(self._held) + len(self._data or b"") + len(self._event) + len(self._id)

    def feed(self, data: bytes) -> list[Event | Oversized]:
        """Take the next portion; return the events that it completes, in order.

        An event over the limit is reported at once, and its rest is skipped.
        """
        if self._mark is not None:
            data = self._skip_mark(self._mark + data)
        if self._after_return and data:
            self._after_return = False
            if data.startswith(b"\n"):
                data = data[1:]
        if b"\r" in data:
            self._after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        tail = lines.pop()
        found: list[Event | Oversized] = []
        if lines and (self._held or self._discarding):
            self._finish(lines[0], found)
            del lines[0]
        for line in lines:
            if line:
                self._take(line, found)
            else:
                self._dispatch(found)
        if tail:
            self._hold(tail, found)
        return found

    def end(self) -> bool:
        """Take the end of the stream, and prepare for the next connection.

        An incomplete event is discarded. The last id and `retry` are kept.

        Returns:
            Whether there was an incomplete event.
        """
        under_way = bytes(self._held) not in (b"", b":") or self._discarding or self._dropping or self._data is not None
        self._id = self.last_event_id
        self._begin()
        return under_way

    def _skip_mark(self, data: bytes) -> bytes:
        if len(data) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(data):
            self._mark = data
            return b""
        self._mark = None
        return data.removeprefix(_BYTE_ORDER_MARK)

    def _hold(self, tail: bytes, found: list[Event | Oversized]) -> None:
        if self._discarding:
            return
        if self._held[:1] == b":" or (not self._held and tail[:1] == b":"):
            self._held[:] = b":"  # of a comment, only its mark is kept
        elif len(self._held) + len(tail) > self.limit + _FIELD_ROOM:
            head = _data_of(bytes(self._held[:HEAD] + tail[:HEAD]))
            self._held = bytearray()
            self._discarding = True
            self._drop(found, head)
        else:
            self._held += tail

    def _finish(self, rest: bytes, found: list[Event | Oversized]) -> None:
        # `rest` is the end of the unfinished line.
        if self._discarding:
            self._discarding = False
        elif self._held[:1] != b":":
            self._take(bytes(self._held) + rest, found)
        self._held = bytearray()

    def _take(self, line: bytes, found: list[Event | Oversized]) -> None:
        """Take a line that is not empty."""
        if line.startswith(b":"):
            return
        if len(line) > self.limit + _FIELD_ROOM:
            self._drop(found, _data_of(line))
            return
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._take_data(value, found)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value
        elif name == b"retry" and value and _DIGITS.issuperset(value):
            # Python is slow for thousands of digits, or refuses them.
            value = value.lstrip(b"0") or b"0"
            self.retry = LONGEST_RETRY if len(value) > len(str(LONGEST_RETRY)) else min(int(value), LONGEST_RETRY)

    def _take_data(self, value: bytes, found: list[Event | Oversized]) -> None:
        if self._dropping:
            return
        held = self._data
        if held is None:
            if len(value) > self.limit:
                self._drop(found, value)
            else:
                self._data = value
            return
        if len(held) + 1 + len(value) > self.limit:
            self._drop(found, value)
            return
        if not isinstance(held, bytearray):
            # Only from the second line on, so that data of one line is not copied. A list of short lines
            # would take many times the memory.
            held = self._data = bytearray(held)
        held += b"\n"
        held += value

    def _drop(self, found: list[Event | Oversized], data: bytes) -> None:
        before = self._data
        if before is not None:  # the line that is too long is not the first of the event
            data = bytes(before[:HEAD]) + b"\n" + data[:HEAD]
        self._data = None
        if not self._dropping:
            self._dropping = True
            found.append(Oversized(self.limit, data[:HEAD]))

    def _dispatch(self, found: list[Event | Oversized]) -> None:
        self.last_event_id = self._id
        if self._data is not None:
            found.append(Event(bytes(self._data), self._event or _DEFAULT_EVENT, self._id))
            self._data = None
        self._event = b""
        self._dropping = False


def _data_of(line: bytes) -> bytes:
    """Return the data of an unfinished line; none if it is of another field."""
    name, _, value = line[: _FIELD_ROOM + HEAD].partition(b":")
    return value.removeprefix(b" ") if name == b"data" else b""
