"""Two ends of a connection within one process.

They behave as a pair of pipes: bytes, a bounded buffer each way, back-pressure, an end of input. A client of a `Server`
object in the same process, the tests and the benchmarks use them.
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
        limit: bytes that an incoming line may have; a longer line arrives as `Oversized`.
        description: the name of both ends in logs and errors.
    """
    forth, back = _Pipe(capacity), _Pipe(capacity)
    return (
        LineDuplex(_MemoryStream(back, forth, description), limit=limit),
        LineDuplex(_MemoryStream(forth, back, description), limit=limit),
    )


class _Pipe:
    """One direction: portions of bytes in order, and the tasks that wait for them or for room.

    Portions are handed over as they were sent, so a message that fits is only copied if it arrives with others.
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
        self.capacity: int = capacity
        self.portions: deque[bytes] = deque()
        self.size: int = 0
        self.reading: bool = True
        self.writing: bool = True
        # Parking lots, since an event would have to be made anew for each wait.
        self.readers: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self.writers: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()

    def check_writable(self) -> None:
        """Raise if one of the ends is closed."""
        if not self.writing:
            raise ConnectionClosed("this end of the connection has been closed")
        if not self.reading:
            raise ConnectionLost("the other end of the connection has been closed")

    def put(self, data: bytes) -> int:
        """Take the bytes that there is room for; return their number."""
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
        """Return the bytes that there are, up to `max_bytes`."""
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
        """Close the end that is written to."""
        self.writing = False
        self.readers.unpark_all()
        self.writers.unpark_all()

    def end_reading(self) -> None:
        """Close the end that is read from, and drop the bytes."""
        self.reading = False
        self.portions.clear()
        self.size = 0
        self.readers.unpark_all()
        self.writers.unpark_all()


class _MemoryStream(ByteStream):
    """One end of a connection: a pipe to read from, and a pipe to write to."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe, description: str) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._description = description

    async def receive_some(self, max_bytes: int) -> bytes:
        """See `ByteStream`."""
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
        """See `ByteStream`."""
        pipe = self._outgoing
        pipe.check_writable()
        return pipe.put(data)

    async def send_all(self, data: bytes) -> None:
        """See `ByteStream`."""
        pipe = self._outgoing
        await trio.lowlevel.checkpoint()
        pipe.check_writable()
        sent = pipe.put(data)
        while sent < len(data):
            await pipe.writers.park()
            pipe.check_writable()
            sent += pipe.put(data[sent : sent + pipe.capacity])

    async def wait_writable(self) -> bool:
        """See `ByteStream`."""
        pipe = self._outgoing
        if pipe.size < pipe.capacity or not pipe.writing or not pipe.reading:
            await trio.lowlevel.checkpoint()
        else:
            await pipe.writers.park()
        return True

    async def send_eof(self) -> None:
        """See `ByteStream`."""
        self._outgoing.end_writing()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """See `ByteStream`."""
        self._outgoing.end_writing()
        self._incoming.end_reading()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        """See `ByteStream`."""
        return self._description
