"""Server-sent events, both ways: messages → the bytes of an event stream → events.

Owns the format (WHATWG HTML, "Server-sent events", sections 9.2.5 and 9.2.6) with a bound on what
one event may be. It does no I/O, waits for nothing and does not know when to connect again; it only
remembers what a stream said about that. The HTTP endpoint writes with it, the HTTP client reads.

What an event is and its limit do not depend on how the bytes were cut up on their way.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from trimcp.framing.lines import DEFAULT_LINE_LIMIT, Oversized

COMMENT: Final = b":\n\n"
"""Keeps a quiet stream open: to whoever reads it, nothing."""

LONGEST_RETRY: Final = 10**12
"""Milliseconds. A stream that asks for more is understood to ask for this, which is thirty years."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_FIELD_ROOM: Final = len(b"data: ")
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_DIGITS: Final = frozenset(b"0123456789")
_DEFAULT_EVENT: Final = b"message"


@attrs.define
class Event:
    """One event of a stream, in the bytes that it was sent in; UTF-8, unless the peer broke the rules."""

    data: bytes
    """Its lines joined with a newline."""
    event: bytes = _DEFAULT_EVENT
    """Its type; `message` where the stream did not say."""
    id: bytes = b""
    """The last id that the stream gave, here or before; to resume behind this event, say it."""


def encode_event(
    data: bytes, *, id: bytes | None = None, event: bytes | None = None, retry: int | None = None
) -> bytes:
    """One event.

    Args:
        data: what it carries. A line ending of any kind in it reaches the reader as a newline.
        id: what a reader says to go on behind this event.
        event: its type, where it is not `message`.
        retry: milliseconds that a reader should wait before it connects again.

    Raises:
        ValueError: the id or the type has a line ending or a NUL, or `retry` is negative: a reader
            would see something else.
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
            raise ValueError("a reader cannot wait less than no time")
        head += b"retry: %d\n" % retry
    return b"%bdata: %b\n\n" % (head, data)


def _refuse_breaks(value: bytes) -> None:
    if b"\n" in value or b"\r" in value or b"\0" in value:
        raise ValueError("an event's id or type is one line without NUL")


class EventParser:
    """Reads an event stream in any portions.

    What it holds (data, type, id, one unfinished line) never exceeds four times the limit by more
    than the portion being fed, and in an honest stream not the limit. The time is linear in the bytes fed.

    Attributes:
        limit: bytes that the data of one event may have. An event with a longer line, of whatever
            field, is dropped as well; a comment may have any length.
        last_event_id: the id to resume behind; empty where the stream gave none. It counts once the
            event it came with is complete, even where that event is dropped or has no data.
        retry: milliseconds that the stream wants between connections; None where it did not say.
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
            raise ValueError("an event must be allowed one byte at least")
        self.limit: Final = limit
        self.last_event_id = b""
        self.retry: int | None = None
        self._id = b""
        self._begin()

    def _begin(self) -> None:
        self._mark: bytes | None = b""  # what may be the start of a byte order mark; None once that is settled
        self._after_return = False  # the last portion ended with CR: a LF at once belongs to it
        self._held = bytearray()  # the unfinished line
        self._discarding = False  # the rest of the unfinished line is skipped
        self._dropping = False  # the unfinished event was too long, and that was told
        self._data: bytes | bytearray | None = None
        self._event = b""

    @property
    def held(self) -> int:
        """Bytes of the unfinished event and line that wait for the rest of it."""
        return len(self._held) + len(self._data or b"") + len(self._event) + len(self._id)

    def feed(self, data: bytes) -> list[Event | Oversized]:
        """Take the next portion and return the events that it completes, in order.

        An event that passes the limit is reported as soon as that is certain, and what is left of it
        is skipped as it comes.
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
        """Take the end of the stream, and be ready for the next connection to it.

        An event that is not complete is no event. Ids and the time to wait are kept.

        Returns:
            Whether one was under way.
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
            self._held[:] = b":"  # of a comment, no more than that it is one
        elif len(self._held) + len(tail) > self.limit + _FIELD_ROOM:
            self._held = bytearray()
            self._discarding = True
            self._drop(found)
        else:
            self._held += tail

    def _finish(self, rest: bytes, found: list[Event | Oversized]) -> None:
        # The line that earlier portions began ends with `rest`.
        if self._discarding:
            self._discarding = False
        elif self._held[:1] != b":":
            self._take(bytes(self._held) + rest, found)
        self._held = bytearray()

    def _take(self, line: bytes, found: list[Event | Oversized]) -> None:
        """One line that is not empty."""
        if line.startswith(b":"):
            return
        if len(line) > self.limit + _FIELD_ROOM:
            self._drop(found)
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
            # Python takes its time for thousands of digits, or refuses them.
            value = value.lstrip(b"0") or b"0"
            self.retry = LONGEST_RETRY if len(value) > len(str(LONGEST_RETRY)) else min(int(value), LONGEST_RETRY)

    def _take_data(self, value: bytes, found: list[Event | Oversized]) -> None:
        if self._dropping:
            return
        held = self._data
        if held is None:
            if len(value) > self.limit:
                self._drop(found)
            else:
                self._data = value
            return
        if len(held) + 1 + len(value) > self.limit:
            self._drop(found)
            return
        if not isinstance(held, bytearray):
            # Only here, so that data of one line is not copied; a list would hold many times as much as short lines.
            held = self._data = bytearray(held)
        held += b"\n"
        held += value

    def _drop(self, found: list[Event | Oversized]) -> None:
        self._data = None
        if not self._dropping:
            self._dropping = True
            found.append(Oversized(self.limit))

    def _dispatch(self, found: list[Event | Oversized]) -> None:
        self.last_event_id = self._id
        if self._data is not None:
            found.append(Event(bytes(self._data), self._event or _DEFAULT_EVENT, self._id))
            self._data = None
        self._event = b""
        self._dropping = False
