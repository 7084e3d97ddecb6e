"""Newline-delimited framing: bytes in any portions → the lines they hold.

Owns the rule of what a line is: it ends at a newline, one carriage return before that
belongs to the ending, an empty line is no message. It does no I/O and knows nothing of JSON.
The byte transports and the reader of a server's stderr call it.

The rule and its limit do not depend on how the bytes were cut up on their way.
"""

from __future__ import annotations

from typing import Final

import attrs

DEFAULT_LINE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes that one line may have. A message with an image of 8 MiB, in base64, passes."""


@attrs.frozen
class Oversized:
    """Stands where a frame was that is longer than the limit; its bytes were not kept."""

    limit: int
    """The limit it passed, in bytes."""


Frame = bytes | Oversized
"""The bytes of one line without its ending, or the note that it was too long."""


class LineSplitter:
    """Cuts a stream of bytes into lines, and holds at most one unfinished line.

    What is held never exceeds the limit (and the two bytes that may turn out to be the
    line's ending) by more than the portion being fed. The time is linear in the bytes fed.
    """

    __slots__ = ("_discarding", "_held", "limit")

    def __init__(self, limit: int = DEFAULT_LINE_LIMIT) -> None:
        if limit < 1:
            raise ValueError("a line must be allowed one byte at least")
        self.limit: Final = limit
        """Bytes that a line may have, its ending not counted."""
        self._held = bytearray()
        self._discarding = False

    @property
    def held(self) -> int:
        """Bytes of the unfinished line that wait for the rest of it."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next portion and return the lines that it completes, in order.

        A line that passes the limit is reported as soon as that is certain, and the rest
        of it is skipped as it comes.
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
        """Take the end of the input: a last line without a newline is a line as well."""
        if self._held or self._discarding:
            return self._finish(b"")
        return []

    def _plain(self, data: bytes, lines: list[bytes]) -> list[Frame]:
        # Nearly always no line needs a look: three tests of the whole portion, each in C,
        # stand for one of each line.
        if len(data) <= self.limit and b"\r" not in data and all(lines):
            return lines  # type: ignore[return-value]  # a fresh list, which nobody else holds
        frames: list[Frame] = []
        for line in lines:
            self._append(line, frames)
        return frames

    def _finish(self, rest: bytes) -> list[Frame]:
        # The line that earlier portions began ends with `rest`.
        frames: list[Frame] = []
        if self._discarding:
            self._discarding = False
        elif len(self._held) + len(rest) > self.limit + 1:
            frames.append(Oversized(self.limit))
        else:
            self._append(bytes(self._held) + rest if rest else bytes(self._held), frames)
        self._held = bytearray()
        return frames

    def _append(self, line: bytes, frames: list[Frame]) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if len(line) > self.limit:
            frames.append(Oversized(self.limit))
        elif line:
            frames.append(line)

    def _hold(self, tail: bytes, frames: list[Frame]) -> None:
        if self._discarding:
            return
        # One byte above the limit is not yet too long: it may be the carriage return of the ending.
        if len(self._held) + len(tail) > self.limit + 1:
            self._held = bytearray()
            self._discarding = True
            frames.append(Oversized(self.limit))
        else:
            self._held += tail
