"""One message per line over a stream of bytes: the framing of stdio, which every byte medium shares.

Owns `ByteStream`, the little that a medium of bytes must offer, and `LineDuplex`, which makes
a `Duplex` of it (basic/transports/stdio of 2026-07-28 says that sockets should keep this
framing). Memory, stdio, sockets and subprocesses are built on it.
"""

from __future__ import annotations

import abc
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from trimcp.framing.lines import DEFAULT_LINE_LIMIT, LineSplitter
from trimcp.transports.duplex import Duplex, Frame

READ_CHUNK: Final = 65536
"""Bytes asked for by one read: what a pipe on Linux holds."""


class ByteStream(abc.ABC):
    """A connection that carries bytes, with the errors and the manners of `Duplex`."""

    @abc.abstractmethod
    def receive_some(self, max_bytes: int) -> Coroutine[Any, Any, bytes]:
        """Wait for bytes: 1 to `max_bytes` of them, none at end of input. Cancelling it takes nothing."""

    @abc.abstractmethod
    def try_send(self, data: bytes) -> int:
        """Write what is taken without waiting; return how many bytes that was."""

    @abc.abstractmethod
    def send_all(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Write all of it, waiting as long as that takes."""

    def wait_writable(self) -> Coroutine[Any, Any, bool]:
        """Wait until `try_send` may take something. Returns False at once where the medium cannot tell."""
        return _cannot_tell()

    @abc.abstractmethod
    async def send_eof(self) -> None:
        """End the outgoing direction; the incoming one goes on. Idempotent."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close both directions and wake whoever waits. Idempotent; waits for nobody."""

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """Where it leads, for logs and errors."""


async def _cannot_tell() -> bool:
    return False


class LineDuplex(Duplex):
    """A `Duplex` over a byte stream, one message per line.

    Args:
        stream: the medium; it is owned, and closed with this.
        limit: bytes that an incoming line may have; a longer one arrives as `Oversized`.
    """

    def __init__(self, stream: ByteStream, *, limit: int = DEFAULT_LINE_LIMIT) -> None:
        self._stream = stream
        self._splitter = LineSplitter(limit)

    async def receive(self) -> Sequence[Frame]:
        while data := await self._stream.receive_some(READ_CHUNK):
            if frames := self._splitter.feed(data):
                return frames
        # The splitter is empty afterwards, so the next receive reports the end itself.
        return self._splitter.end()

    def try_send(self, data: bytes) -> int:
        return self._stream.try_send(data)

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def wait_writable(self) -> bool:
        return await self._stream.wait_writable()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    def description(self) -> str:
        return self._stream.description
