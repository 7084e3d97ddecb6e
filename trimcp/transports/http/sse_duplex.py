"""The server's side of HTTP+SSE (2024-11-05, basic/transports) as a `Duplex`.

Out: events of one response, one message each. In: bodies that were posted elsewhere and are fed
here. The response is the connection: when it is gone, so is the peer. Who may post, and the
address it is told, are the caller's (`endpoint.legacy_sse`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.framing.lines import DEFAULT_LINE_LIMIT
from trimcp.transports.duplex import Duplex, Frame, Oversized
from trimcp.transports.http.door import HttpResponse
from trimcp.transports.websocket_messages import Lines

INBOX_MESSAGES: Final = 64
INBOX_BYTES: Final = 1024 * 1024
"""What was posted and has not been received: over either bound the next is not taken. One message
alone may have more bytes, up to its own limit."""
PIECE: Final = 65536
"""Bytes after which a sender waits until they have left."""


class SseDuplex(Duplex):
    """One event stream, and what is posted for it.

    Args:
        response: the way out; its head has been begun. It is owned, and ended with this.
        description: what it calls itself.
        limit: bytes that a posted message may have; a longer one arrives as `Oversized`.
    """

    half_closes = False

    def __init__(self, response: HttpResponse, description: str, *, limit: int = DEFAULT_LINE_LIMIT) -> None:
        self._response = response
        self._description = description
        self._limit = limit
        self._lines = Lines()
        self._inbox: list[Frame] = []
        self._inbox_bytes = 0
        self._arrived = trio.Event()
        self._cleared = trio.Event()
        self._is_closed = False
        response.on_clear = self._on_clear
        response.on_gone = self._wake

    # --- for the caller ---------------------------------------------------------------

    def open(self, endpoint: str) -> None:
        """Say where to post to: the event that the client waits for, before any other.

        Args:
            endpoint: a URI reference, relative to that of the stream.
        """
        self._response.write(b"event: endpoint\ndata: %s\n\n" % endpoint.encode())

    def feed(self, message: bytes) -> bool:
        """Take a message that was posted; False, and it is not taken, where earlier ones have not been received."""
        if self._is_over:
            return False
        size = len(message)
        if self._inbox and (len(self._inbox) >= INBOX_MESSAGES or self._inbox_bytes + size > INBOX_BYTES):
            return False
        if size > self._limit:
            self._inbox.append(Oversized(self._limit))
        else:
            self._inbox.append(message)
            self._inbox_bytes += size
        self._arrived.set()
        return True

    def keep_alive(self) -> None:
        """Write something that is no event, so that nothing on the way takes the stream for dead."""
        if not self._is_over and not self._response.is_clogged:
            self._response.write(b": \n\n")

    # --- for the session --------------------------------------------------------------

    async def receive(self) -> Sequence[Frame]:
        if self._inbox or self._is_over:
            await trio.lowlevel.checkpoint()
        while not self._inbox and not self._is_over:
            self._arrived = trio.Event()
            await self._arrived.wait()
        if self._is_closed:
            raise self._closed()
        frames, self._inbox, self._inbox_bytes = self._inbox, [], 0
        return frames

    def try_send(self, data: bytes) -> int:
        self._check_sending()
        if self._response.is_clogged:
            return 0
        self._write(self._lines.feed(data))
        return len(data)

    async def send_all(self, data: bytes) -> None:
        self._check_sending()
        await trio.lowlevel.checkpoint()
        messages: list[str] = []
        size = 0
        for message in self._lines.feed(data):
            messages.append(message)
            size += len(message)
            if size >= PIECE:
                await self._write_out(messages)
                messages, size = [], 0
        if messages:
            await self._write_out(messages)

    async def send_eof(self) -> None:
        # The stream is the connection: it ends with `aclose`, not before.
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._inbox.clear()
            self._response.end()
            self._wake()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        return self._description

    async def _write_out(self, messages: list[str]) -> None:
        while True:
            self._check_sending()
            if not self._response.is_clogged:
                break
            self._cleared = trio.Event()
            await self._cleared.wait()
        self._write(messages)

    def _write(self, messages: list[str]) -> None:
        self._response.write(b"".join(b"event: message\ndata: %s\n\n" % message.encode() for message in messages))

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._response.is_gone

    def _on_clear(self) -> None:
        self._cleared.set()

    def _wake(self) -> None:
        self._arrived.set()
        self._cleared.set()

    def _check_sending(self) -> None:
        if self._is_closed:
            raise self._closed()
        if self._response.is_gone:
            raise ConnectionLost(f"the peer of {self._description} has gone")

    def _closed(self) -> ConnectionClosed:
        return ConnectionClosed(f"this side has closed {self._description}")
