"""A connection that is watched: what passes it is written down, and faults are made on it.

`WatchedDuplex` wraps either end of a connection. Used by the state machine's scripts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs
import trio

from trimcp.transports.duplex import Duplex, Frame

Direction = Literal["in", "out"]


@attrs.frozen
class Line:
    """One message as it passed this end."""

    direction: Direction
    message: Any
    alone: bool
    """Whether nothing waited to leave when it passed, and nothing was read with it that might be
    answered first: so what follows was not posted before it."""
    time: float
    """When it passed. A message that is read crosses what is written before the clock moves on."""


class WatchedDuplex(Duplex):
    """One end of a connection: keeps what it read and wrote, and lets a test interfere."""

    def __init__(self, inner: Duplex) -> None:
        self._inner = inner
        self._unfinished = b""
        self._injected: list[bytes] = []
        self._cut_after: int | None = None
        self._paused: trio.Event | None = None
        self._waiting: trio.CancelScope | None = None
        self._sending = False
        self.waiting_bytes: Callable[[], int] = lambda: 0
        """What still waits above this end to be written."""
        self.lines: list[Line] = []
        """Every whole message, in order; what is written, from when its writing began."""
        self.writes_failed = False
        """Whether a write was cut short, so that what arrived is not known."""

    # --- faults -----------------------------------------------------------------------

    def inject(self, line: bytes) -> None:
        """Have this end read this line next."""
        self._injected.append(line)
        self._wake()

    def cut_input(self, after: int) -> None:
        """End the input of this end after so many further messages, in the middle of the next."""
        if self._cut_after is None:
            self._cut_after = after
            self._wake()

    def pause(self) -> None:
        """Read nothing more until `resume`."""
        if self._paused is None:
            self._paused = trio.Event()
            self._wake()

    def resume(self) -> None:
        """Read again."""
        if self._paused is not None:
            self._paused.set()
            self._paused = None

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    # --- Duplex -----------------------------------------------------------------------

    async def receive(self) -> Sequence[Frame]:
        while True:
            if self._paused is not None:
                await self._paused.wait()
            frames: Sequence[Frame] = ()
            ended = False
            if self._injected:
                await trio.lowlevel.checkpoint()
                frames, self._injected = self._injected, []
            elif self._cut_after == 0:
                await trio.lowlevel.checkpoint()
                ended = True
            else:
                with trio.CancelScope() as self._waiting:
                    frames = await self._inner.receive()
                    ended = not frames
                self._waiting = None
            if frames or ended:
                return self._read(self._cut(frames))

    def _cut(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        left = self._cut_after
        if left is None:
            return frames
        if len(frames) <= left:
            self._cut_after = left - len(frames)
            return frames
        self._cut_after = 0
        half = frames[left]
        assert isinstance(half, bytes)
        return [*frames[:left], half[: len(half) // 2] or b"{"]

    def _read(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        for number, frame in enumerate(frames):
            if isinstance(frame, bytes):
                self._note("in", frame, is_first=number == 0)
        return frames

    def _note(self, direction: Direction, frame: bytes, *, is_first: bool) -> None:
        try:
            value = json.loads(frame)
        except ValueError:
            assert direction == "in", f"no JSON was written: {frame!r}"
            return
        alone = is_first and not self._sending and self.waiting_bytes() == 0
        for message in value if isinstance(value, list) else [value]:
            if isinstance(message, dict):
                self.lines.append(Line(direction, message, alone, trio.current_time()))

    def _written(self, data: bytes) -> None:
        *whole, self._unfinished = (self._unfinished + data).split(b"\n")
        for frame in whole:
            self._note("out", frame, is_first=False)

    def try_send(self, data: bytes) -> int:
        sent = self._inner.try_send(data)
        self._written(data[:sent])
        return sent

    async def send_all(self, data: bytes) -> None:
        self._written(data)
        self._sending = True
        try:
            await self._inner.send_all(data)
        except BaseException:
            self.writes_failed = True
            raise
        self._sending = False

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        self.resume()
        await self._inner.aclose()

    @property
    def description(self) -> str:
        return self._inner.description
