"""Newline-delimited framing: bytes in any portions → lines.

A line ends at a newline; one carriage return before the newline belongs to the ending; an empty line
is not a message. The result does not depend on how the bytes were split on their way. This file does
no I/O and knows no JSON. The byte transports and the reader of a server's stderr call it.
"""

from __future__ import annotations

from typing import Final

import attrs

from trimcp.values import FrozenValue

DEFAULT_LINE_LIMIT: Final = 16 * 1024 * 1024
"""The maximum length of a line in bytes. A message with an image of 8 MiB in base64 fits."""
HEAD: Final = 4096
"""Bytes that are kept of a frame over the limit, since they may tell which request it answers."""


@attrs.frozen(eq=False, repr=False)
class Oversized(FrozenValue):
    """Takes the place of a frame over the limit, of which only the head was kept."""

    limit: int
    """The limit in bytes."""
    head: bytes = attrs.field(default=b"", eq=False, repr=False)
    """Its first bytes, at most `HEAD`."""


class Unfinished(bytes):
    """The last line of a stream that ended without a newline: a whole message, or a part of one."""

    __slots__ = ()


Frame = bytes | Oversized
"""The bytes of a line without its ending, or the note that it was too long."""


class LineSplitter:
    """Splits a stream of bytes into lines, and holds at most one unfinished line.

    The held bytes never exceed the limit (and two bytes of a possible line ending) by more than the
    portion being fed. The time is linear in the bytes fed.
    """

    __slots__ = ("_discarding", "_held", "limit")

    def __init__(self, limit: int = DEFAULT_LINE_LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"the line limit is {limit}: it must be at least 1")
        self.limit: Final = limit
        """The maximum bytes of a line without its ending."""
        self._held = bytearray()
        self._discarding = False

    @property
    def held(self) -> int:
        """The number of bytes held of the unfinished line."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next portion; return the lines that it completes, in order.

        A line over the limit is reported at once, and its rest is skipped.
        """
        lines: list[bytes] = data.split(b"\n")
        tail = lines.pop()
        frames: list[Frame]
        if not lines:
            frames = []
        elif self._held or self._discarding:
            frames = self._finish(lines[0])
            del lines[0]
            frames.extend(self._plain(data, lines))
        else:
            frames = self._plain(data, lines)
        if tail:
            self._hold(tail, frames)
        return frames

    def end(self) -> list[Frame]:
        """Take the end of input; return the last line, which needs no newline, as `Unfinished`."""
        frames = self._finish(b"") if self._held or self._discarding else []
        return [Unfinished(frame) if type(frame) is bytes else frame for frame in frames]

    def _plain(self, data: bytes, lines: list[bytes]) -> list[Frame]:
        # Three tests of the whole portion, each in C, usually replace the tests of each line.
        if len(data) <= self.limit and b"\r" not in data and all(lines):
            return lines  # type: ignore[return-value]  # a new list, which has no other owner
        frames: list[Frame] = []
        for line in lines:
            self._append(line, frames)
        return frames

    def _finish(self, rest: bytes) -> list[Frame]:
        # `rest` is the end of the unfinished line.
        frames: list[Frame] = []
        if self._discarding:
            self._discarding = False
        elif len(self._held) + len(rest) > self.limit + 1:
            frames.append(self._oversized(rest))
        else:
            self._append(bytes(self._held) + rest if rest else bytes(self._held), frames)
        self._held = bytearray()
        return frames

    def _append(self, line: bytes, frames: list[Frame]) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if len(line) > self.limit:
            frames.append(Oversized(self.limit, line[:HEAD]))
        elif line:
            frames.append(line)

    def _hold(self, tail: bytes, frames: list[Frame]) -> None:
        if self._discarding:
            return
        # One byte over the limit is allowed: it may be the carriage return of the ending.
        if len(self._held) + len(tail) > self.limit + 1:
            frames.append(self._oversized(tail))
            self._held = bytearray()
            self._discarding = True
        else:
            self._held += tail

    def _oversized(self, rest: bytes) -> Oversized:
        return Oversized(self.limit, bytes(self._held[:HEAD] + rest[:HEAD])[:HEAD])


class LineJoiner:
    """Joins slices of outgoing bytes to lines, for media where each line is one message."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: list[bytes] = []  # of one line, whose size is limited by its sender

    def feed(self, data: bytes) -> list[str]:
        """Take the next slice; return the messages that it completes."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if self._held and lines:
            self._held.append(lines[0])
            lines[0] = b"".join(self._held)
            self._held.clear()
        if rest:
            self._held.append(rest)
        return [line.decode() for line in lines if line]
