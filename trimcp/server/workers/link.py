"""The link: the connection between the supervisor and one worker, a pair of sockets that no other process can open.

It carries messages of the bus in both directions, and tells the supervisor that the worker is ready. Its end tells
either side that the other process has gone.
"""

from __future__ import annotations

import enum
import socket
import struct
from collections import deque
from typing import Final

import attrs
import trio

WAITING: Final = 4096
"""Frames that may wait for a process that does not read. One message more, and those that wait become a gap."""
WAITING_BYTES: Final = 16 * 1024 * 1024
"""Bytes of messages that may wait, with the same effect."""
_HEAD: Final = struct.Struct("!BQI")


class Kind(enum.IntEnum):
    """The kinds of frames."""

    READY = 1
    """From a worker: it listens. The data is the line for people: the server and its URL."""
    JOINED = 2
    """From a worker: its node has this incarnation."""
    MESSAGE = 3
    """A message of the bus, for all other nodes or for the node with one incarnation."""
    GAP = 4
    """Messages were lost here."""
    SETTLED = 5
    """From a worker, and back: the supervisor has relayed all that came before."""


@attrs.frozen
class LinkFrame:
    """Holds one frame of a link."""

    kind: Kind
    node: int = 0
    """The incarnation; 0 stands for all nodes."""
    data: bytes = b""


class Link:
    """One end of a link. Posting never waits, and what waits is bounded."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock`: one of a pair of stream sockets; owned from here on."""
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._received = bytearray()
        self._waiting: deque[LinkFrame] = deque()
        self._waiting_bytes = 0
        self._posted = trio.Event()

    def post(self, frame: LinkFrame) -> None:
        """Put a frame behind those that wait to leave. Where there is no room, the messages that wait become a gap.

        Raises:
            ValueError: the message is longer than all that may wait.
        """
        size = len(frame.data)
        if size > WAITING_BYTES:
            raise ValueError(f"A message of {size} bytes is too long for the bus: send at most {WAITING_BYTES}")
        if len(self._waiting) >= WAITING or self._waiting_bytes + size > WAITING_BYTES:
            kept = [each for each in self._waiting if each.kind in (Kind.READY, Kind.JOINED, Kind.SETTLED)]
            self._waiting = deque((*kept, LinkFrame(Kind.GAP)))
            self._waiting_bytes = 0
        self._waiting.append(frame)
        self._waiting_bytes += size
        self._posted.set()

    async def write(self) -> None:
        """Write the frames that are posted, until cancelled or until the other process has gone."""
        try:
            while True:
                await self._posted.wait()
                self._posted = trio.Event()
                frames, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
                await self._stream.send_all(b"".join(map(_encoded, frames)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def receive(self) -> list[LinkFrame]:
        """Wait for frames; return those that have arrived, or none if the other process has gone."""
        while True:
            try:
                data = await self._stream.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return []
            if not data:
                return []
            self._received += data
            if frames := self._taken():
                return frames

    def _taken(self) -> list[LinkFrame]:
        """Take the complete frames out of what was received."""
        frames: list[LinkFrame] = []
        at = 0
        while len(self._received) >= at + _HEAD.size:
            kind, node, size = _HEAD.unpack_from(self._received, at)
            end = at + _HEAD.size + size
            if len(self._received) < end:
                break
            frames.append(LinkFrame(Kind(kind), node, bytes(self._received[at + _HEAD.size : end])))
            at = end
        del self._received[:at]
        return frames

    def close(self) -> None:
        """Close this end. Idempotent."""
        self._stream.socket.close()


def _encoded(frame: LinkFrame) -> bytes:
    return _HEAD.pack(frame.kind, frame.node, len(frame.data)) + frame.data
