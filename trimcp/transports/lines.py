"""One message per line over a stream of bytes: the framing of stdio, which sockets have too.

`ByteStream` is the interface of a medium of bytes; `LineDuplex` makes a `Duplex` of it. Memory, stdio, sockets and
subprocesses are built on them. (basic/transports/stdio of 2026-07-28 recommends this framing for sockets.)
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from trimcp.errors import ConnectionLost
from trimcp.framing.lines import DEFAULT_LINE_LIMIT, LineSplitter
from trimcp.observability import events, log
from trimcp.transports.duplex import Duplex, Frame

READ_CHUNK: Final = 65536
"""Bytes asked for by one read: what a pipe on Linux holds."""


_HTTP: Final = re.compile(rb"[A-Z]{3,16} [^\s]{1,8192} HTTP/[0-9.]+\r?\n|HTTP/[0-9.]+ [0-9]{3}[ \r\n]")
"""The first line of a request or response."""


class ByteStream(abc.ABC):
    """A connection that carries bytes. Its methods fail and may be called as those of `Duplex`."""

    @abc.abstractmethod
    def receive_some(self, max_bytes: int) -> Coroutine[Any, Any, bytes]:
        """Wait for bytes; return 1 to `max_bytes` of them, or none at end of input. Cancelling it takes nothing."""

    @abc.abstractmethod
    def try_send(self, data: bytes) -> int:
        """Write the bytes that are taken without waiting; return their number."""

    @abc.abstractmethod
    def send_all(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Write all of it, waiting as long as the peer takes."""

    def wait_writable(self) -> Coroutine[Any, Any, bool]:
        """Wait until `try_send` may take something. Returns False at once where the medium cannot tell."""
        return _cannot_tell()

    @abc.abstractmethod
    async def send_eof(self) -> None:
        """End the outgoing direction; the incoming one goes on. Idempotent."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close both directions, and wake the tasks that wait. Idempotent; does not wait for the peer."""

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """The name of the connection, for logs and errors."""


async def _cannot_tell() -> bool:
    return False


def spoken_protocol(data: bytes) -> str | None:
    """Return the name of another protocol that a connection begins with; None if it may be ours."""
    if data.startswith((b"\x16\x03", b"\x15\x03")):
        return "TLS"
    return "HTTP" if _HTTP.match(data) else None


class LineDuplex(Duplex):
    """Carries one message per line over a byte stream.

    Args:
        stream: the medium; closed with the duplex.
        limit: bytes that an incoming line may have; a longer line arrives as `Oversized`.
    """

    def __init__(self, stream: ByteStream, *, limit: int = DEFAULT_LINE_LIMIT) -> None:
        self._stream = stream
        self._splitter = LineSplitter(limit)
        self._feed: Callable[[bytes], Sequence[Frame]] = self._feed_first

    def _feed_first(self, data: bytes) -> Sequence[Frame]:
        """Take the first bytes of the peer, which show whether it speaks another protocol.

        Raises:
            ConnectionLost: it does.
        """
        self._feed = self._splitter.feed
        mistaken = spoken_protocol(data)
        if mistaken is not None:
            why = f"the peer speaks {mistaken}, and this connection carries one JSON message per line"
            log.warning(events.PROTOCOL_MISTAKEN, peer=self.description, why=why)
            raise ConnectionLost(f"{why}: connect to the address of that protocol")
        return self._feed(data)

    async def receive(self) -> Sequence[Frame]:
        """See `Duplex`."""
        while data := await self._stream.receive_some(READ_CHUNK):
            if frames := self._feed(data):
                return frames
        # The splitter is empty afterwards, so the next receive reports the end itself.
        return self._splitter.end()

    def try_send(self, data: bytes) -> int:
        """See `Duplex`."""
        return self._stream.try_send(data)

    async def send_all(self, data: bytes) -> None:
        """See `Duplex`."""
        await self._stream.send_all(data)

    async def wait_writable(self) -> bool:
        """See `Duplex`."""
        return await self._stream.wait_writable()

    async def send_eof(self) -> None:
        """See `Duplex`."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """See `Duplex`."""
        await self._stream.aclose()

    @property
    def description(self) -> str:
        """See `Duplex`."""
        return self._stream.description
