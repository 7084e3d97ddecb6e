"""The way out of one HTTP connection: bytes leave at once, or from a task where the peer is slow.

Anybody who has a response to write calls `send`, in whatever task, and never waits. Only what the
socket does not take is kept, and only then there is a task, which ends when all of it has left or
when the peer takes nothing for too long. How much may pile up is the business of whoever writes;
`is_clogged` and `on_clear` are for that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from trimcp.errors import ConnectionEnded
from trimcp.observability import events, log
from trimcp.transports.lines import ByteStream

PIECE: Final = 65536
"""The most that is joined of many small pieces."""
STEP: Final = 8192
"""What a slow peer must take within the write timeout for the connection to count as alive."""


class Output:
    """Bytes to the peer, in order."""

    __slots__ = (
        "_empty",
        "_nursery",
        "_on_clear",
        "_on_lost",
        "_stream",
        "_timeout",
        "_waiting",
        "is_clogged",
        "is_over",
    )

    def __init__(
        self,
        stream: ByteStream,
        timeout: float,
        nursery: trio.Nursery,
        on_clear: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        """`on_clear`: all has left that had to wait. `on_lost`: nothing can be written any more; called once, and
        maybe within `send`."""
        self._stream = stream
        self._timeout = timeout
        self._nursery = nursery
        self._on_clear = on_clear
        self._on_lost = on_lost
        self._waiting: deque[bytes] = deque()
        self._empty: trio.Event | None = None
        self.is_clogged = False
        """Whether something has not left yet."""
        self.is_over = False
        """Whether nothing leaves any more."""

    def send(self, data: bytes) -> None:
        """Write what is taken at once, and the rest as soon as the peer takes it."""
        if self.is_over:
            return
        if self.is_clogged:
            self._waiting.append(data)
            return
        try:
            sent = self._stream.try_send(data)
        except ConnectionEnded:
            self._lose()
            return
        if sent < len(data):
            self._waiting.append(data[sent:])
            self.is_clogged = True
            self._nursery.start_soon(self._write_out, name="trimcp http writer")

    def _take(self) -> bytes:
        waiting = self._waiting
        data = waiting.popleft()
        if not waiting or len(data) >= PIECE:
            return data
        pieces, size = [data], len(data)
        while waiting and size < PIECE:
            pieces.append(waiting.popleft())
            size += len(pieces[-1])
        return b"".join(pieces)

    async def _write_out(self) -> None:
        try:
            while self._waiting:
                data = self._take()
                for start in range(0, len(data), STEP):
                    with trio.move_on_after(self._timeout) as scope:
                        await self._stream.send_all(data[start : start + STEP])
                    if scope.cancelled_caught:
                        log.warning(events.WRITER_BLOCKED, peer=self._stream.description, seconds=self._timeout)
                        self._lose()
                        return
        except ConnectionEnded:
            self._lose()
            return
        if not self.is_over:
            self.is_clogged = False
            self._wake()
            self._on_clear()

    def _lose(self) -> None:
        if not self.is_over:
            self.close()
            self._on_lost()

    def close(self) -> None:
        """Drop what waits, and write nothing more."""
        self.is_over = True
        self._waiting.clear()
        self._wake()

    def _wake(self) -> None:
        if self._empty is not None:
            self._empty.set()
            self._empty = None

    async def emptied(self) -> None:
        """Wait until all has left, or nothing leaves any more. One task at a time."""
        while self.is_clogged and not self.is_over:
            self._empty = trio.Event()
            await self._empty.wait()
