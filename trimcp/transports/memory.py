"""Two ends of a connection within one process.

Behaves as a pair of pipes does: bytes, a bounded buffer each way, back-pressure, an end of
input; so what passes over it has been encoded and cut like anything on a wire. A client of a
`Server` object in the same process, the tests and the benchmarks connect by it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.framing.lines import DEFAULT_LINE_LIMIT
from trimcp.transports.lines import ByteStream, LineDuplex

DEFAULT_CAPACITY: Final = 65536
"""Bytes on their way in each direction: what a pipe on Linux holds."""


def memory_pair(
    *,
    capacity: int = DEFAULT_CAPACITY,
    limit: int = DEFAULT_LINE_LIMIT,
    description: str = "memory",
) -> tuple[LineDuplex, LineDuplex]:
    """Make two connected ends.

    Args:
        capacity: bytes that each direction buffers before a sender waits.
        limit: bytes that a line may have before it is received as `Oversized`.
        description: what both ends call themselves.
    """
    forth, back = _Pipe(capacity), _Pipe(capacity)
    return (
        LineDuplex(_MemoryStream(back, forth, description), limit=limit),
        LineDuplex(_MemoryStream(forth, back, description), limit=limit),
    )


class _Pipe:
    """One direction: portions of bytes in order, and who waits for them or for room.

    Portions are handed over as they were sent, so a message that fits is never copied
    unless it arrives together with others.
    """

    __slots__ = (
        "capacity",
        "portions",
        "readers",
        "reading",
        "size",
        "writers",
        "writing",
    )

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a pipe must hold one byte at least")
        self.capacity = capacity
        self.portions: deque[bytes] = deque()
        self.size = 0
        self.reading = True
        self.writing = True
        # Parking lots, since an event would have to be made anew for each wait.
        self.readers = trio.lowlevel.ParkingLot()
        self.writers = trio.lowlevel.ParkingLot()

    def check_writable(self) -> None:
        if not self.writing:
            raise ConnectionClosed("this end of the connection has been closed")
        if not self.reading:
            raise ConnectionLost("the other end of the connection has been closed")

    def put(self, data: bytes) -> int:
        """Take what there is room for."""
        room = self.capacity - self.size
        if len(data) > room:
            data = data[:room]
        if data:
            self.portions.append(data)
            self.size += len(data)
            if self.readers:
                self.readers.unpark()
        return len(data)

    def take(self, max_bytes: int) -> bytes:
        """Give what there is, up to `max_bytes`."""
        portions = self.portions
        if self.size <= max_bytes:
            data = portions[0] if len(portions) == 1 else b"".join(portions)
            portions.clear()
        else:
            data = portions.popleft()
            if len(data) > max_bytes:
                portions.appendleft(data[max_bytes:])
                data = data[:max_bytes]
        self.size -= len(data)
        if self.writers:
            self.writers.unpark_all()
        return data

    def end_writing(self) -> None:
        self.writing = False
        self.readers.unpark_all()
        self.writers.unpark_all()

    def end_reading(self) -> None:
        self.reading = False
        self.portions.clear()
        self.size = 0
        self.readers.unpark_all()
        self.writers.unpark_all()


class _MemoryStream(ByteStream):
    def __init__(self, incoming: _Pipe, outgoing: _Pipe, description: str) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._description = description

    async def receive_some(self, max_bytes: int) -> bytes:
        pipe = self._incoming
        if pipe.size or not pipe.writing or not pipe.reading:
            await trio.lowlevel.checkpoint()
        while True:
            if not pipe.reading:
                raise ConnectionClosed("this end of the connection has been closed")
            if pipe.size:
                return pipe.take(max_bytes)
            if not pipe.writing:
                return b""
            await pipe.readers.park()

    def try_send(self, data: bytes) -> int:
        pipe = self._outgoing
        pipe.check_writable()
        return pipe.put(data)

    async def send_all(self, data: bytes) -> None:
        pipe = self._outgoing
        await trio.lowlevel.checkpoint()
        pipe.check_writable()
        sent = pipe.put(data)
        while sent < len(data):
            await pipe.writers.park()
            pipe.check_writable()
            sent += pipe.put(data[sent : sent + pipe.capacity])

    async def wait_writable(self) -> bool:
        pipe = self._outgoing
        if pipe.size < pipe.capacity or not pipe.writing or not pipe.reading:
            await trio.lowlevel.checkpoint()
        else:
            await pipe.writers.park()
        return True

    async def send_eof(self) -> None:
        self._outgoing.end_writing()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._outgoing.end_writing()
        self._incoming.end_reading()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        return self._description
