"""The output of one HTTP connection: bytes leave at once, or from a task if the client is slow.

Any task that has a response to write calls `send`, which never waits. Bytes that the socket does not take are kept; a
task writes them, and ends when all have left or the client takes nothing for too long. Callers bound how many bytes
wait: they look at `is_clogged`, and the connection is told by `OutputOwner.cleared`.
"""

from __future__ import annotations

import abc
from collections import deque
from typing import Final

import trio

from trimcp.errors import ConnectionEnded
from trimcp.observability import events, log
from trimcp.transports.duplex import write_some
from trimcp.transports.lines import ByteStream

PIECE: Final = 65536
"""Bytes up to which small pieces are joined."""


class OutputOwner(abc.ABC):
    """A connection, as its output sees it."""

    __slots__ = ()

    @abc.abstractmethod
    def cleared(self) -> None:
        """Note that all bytes that had to wait have left."""

    @abc.abstractmethod
    def cut_off(self) -> None:
        """Note that nothing can be written any more. Called once, and maybe within `Output.send`."""


class Output:
    """Writes bytes to the client, in order."""

    __slots__ = (
        "_empty",
        "_nursery",
        "_owner",
        "_stream",
        "_timeout",
        "_waiting",
        "is_clogged",
        "is_over",
    )

    def __init__(self, owner: OutputOwner, stream: ByteStream, timeout: float, nursery: trio.Nursery) -> None:
        """
        Args:
            owner: the connection.
            stream: closed by the owner.
            timeout: seconds for which the client may take nothing.
            nursery: of the task that writes to a slow client.
        """
        self._owner = owner
        self._stream = stream
        self._timeout = timeout
        self._nursery = nursery
        self._waiting: deque[bytes] = deque()
        self._empty: trio.Event | None = None
        self.is_clogged: bool = False
        """Whether bytes wait to leave."""
        self.is_over: bool = False
        """Whether nothing is written any more."""

    def send(self, data: bytes) -> None:
        """Write the bytes that are taken at once, and the rest as soon as the client takes it."""
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
                rest = memoryview(self._take())
                with trio.move_on_after(self._timeout) as scope:
                    while rest:
                        sent = await write_some(self._stream, rest)
                        if sent:
                            scope.deadline = trio.current_time() + self._timeout
                            rest = rest[sent:]
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
            self._owner.cleared()

    def _lose(self) -> None:
        if not self.is_over:
            self.close()
            self._owner.cut_off()

    def close(self) -> None:
        """Drop the bytes that wait, and write nothing more."""
        self.is_over = True
        self._waiting.clear()
        self._wake()

    def _wake(self) -> None:
        if self._empty is not None:
            self._empty.set()
            self._empty = None

    async def emptied(self) -> None:
        """Wait until all bytes have left, or nothing is written any more. For one task at a time."""
        while self.is_clogged and not self.is_over:
            self._empty = trio.Event()
            await self._empty.wait()
