"""A WebSocket as a `Duplex`: the rules of messages and of the close, whatever library holds the connection.

The specification defines no WebSocket transport, so these are trimcp's own rules for a custom transport: the
subprotocol is `mcp`; one text message carries one JSON-RPC message or batch; binary messages are refused.
`trio_duplex.py` has the connections of trio-websocket, `http/asgi/websocket.py` those of an ASGI server.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost
from trimcp.framing.lines import DEFAULT_LINE_LIMIT, LineJoiner
from trimcp.http.binding import PLAIN, Refusal
from trimcp.transports.duplex import Duplex, Frame

SUBPROTOCOL: Final = "mcp"

MESSAGE_BYTES: Final = DEFAULT_LINE_LIMIT
"""Bytes that one message may have by default."""

CLOSING: Final = 1.0
"""Seconds that a peer has for its part of a close."""

# RFC 6455, section 7.4.1.
NORMAL: Final = 1000
GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
NO_STATUS: Final = 1005
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

ORDERLY: Final = frozenset({NORMAL, GOING_AWAY, NO_STATUS})
"""Codes by which a peer ends the input in good order."""

EARLY_DATA: Final = Refusal(400, PLAIN, b"Early data: wait for the answer to the upgrade.\n")
"""RFC 6455, section 4.1. The library would lose the data, and then read frames from their middle."""
NO_COMMON_SUBPROTOCOL: Final = Refusal(400, PLAIN, b"No common WebSocket subprotocol: offer `mcp`.\n")


def speaks_mcp(offered: Sequence[str]) -> bool:
    """Return whether a client that offers these subprotocols can be served.

    A client that offers none is served, as browsers do by default. One that offers others expects another protocol.
    """
    return not offered or SUBPROTOCOL in offered


def select(offered: Sequence[str]) -> str | None:
    """Return the subprotocol to answer with; None if none was offered, as RFC 6455 demands."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


class WebSocketEnded(Exception):
    """The connection beneath has ended: the text says why, `code` is that of the close, if there was one."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code: Final = code


class WebSocketDuplex(Duplex):
    """An open WebSocket. Subclasses have the connection of a library or a server beneath.

    Args:
        description: the other end, for logs and errors.
        message_bytes: bytes that an incoming message may have; a longer one ends the connection.
    """

    half_closes = False

    def __init__(self, description: str, message_bytes: int) -> None:
        self._description = description
        self._message_bytes = message_bytes
        self._lines = LineJoiner()
        self._receiving: trio.CancelScope | None = None
        self._sending: trio.CancelScope | None = None
        self._end: ConnectionEnded | None = None
        self._is_orderly = False
        self._is_closed = False
        self.close_code: int = NORMAL
        """The code that `aclose` sends: set `GOING_AWAY` or `POLICY_VIOLATION` before, if one of them fits."""

    # --- the connection beneath -------------------------------------------------------

    @abc.abstractmethod
    async def _receive_message(self) -> str | bytes:
        """Wait for the next message.

        Raises:
            WebSocketEnded: the connection has ended.
        """

    @abc.abstractmethod
    async def _send_message(self, message: str) -> None:
        """Send one message.

        Raises:
            WebSocketEnded: the connection has ended.
        """

    @abc.abstractmethod
    async def _begin_close(self, code: int) -> None:
        """Close the connection with this code. Never waits for the peer."""

    @abc.abstractmethod
    async def farewell(self) -> None:
        """Wait for the peer's part of the close."""

    # --- Duplex -----------------------------------------------------------------------

    async def receive(self) -> Sequence[Frame]:
        """See `Duplex`."""
        while self._end is None:
            frame = await self._next_frame()
            if frame:
                return [frame]
        await trio.lowlevel.checkpoint()
        if self._is_orderly and not self._is_closed:
            return []
        raise self._end.again()

    async def _next_frame(self) -> bytes:
        """Return the next message; an empty one if the connection has ended instead."""
        message: str | bytes = ""
        try:
            with trio.CancelScope() as self._receiving:
                message = await self._receive_message()
        except WebSocketEnded as exc:
            if self._end is None:
                self._is_orderly = exc.code in ORDERLY
                await self._finish(ConnectionLost(str(exc)), NORMAL)
            return b""
        finally:
            self._receiving = None
        if self._end is not None:
            return b""  # closed meanwhile
        if isinstance(message, bytes):
            await self._break_off(UNSUPPORTED_DATA, "sent a binary message")
            return b""
        frame = message.encode()
        if len(frame) > self._message_bytes:
            # A library may count characters, as they come, so it may have let through a little more.
            await self._break_off(MESSAGE_TOO_BIG, f"sent a message of more than {self._message_bytes} bytes")
            return b""
        return frame

    def try_send(self, data: bytes) -> int:
        """See `Duplex`. Takes nothing, since no library sends without waiting."""
        self._check_sending()
        return 0

    async def send_all(self, data: bytes) -> None:
        """See `Duplex`. A message leaves whole, so a deadline on a write covers all of it."""
        self._check_sending()
        await trio.lowlevel.checkpoint()  # not every `_send_message` is one, least of all when the peer has gone
        for message in self._lines.feed(data):
            self._check_sending()
            try:
                with trio.CancelScope() as self._sending:
                    await self._send_message(message)
            except WebSocketEnded as exc:
                # Earlier messages can still be received, so this is not the end.
                raise ConnectionLost(f"the peer of {self._description} has gone") from exc
            finally:
                self._sending = None
            self._check_sending()

    async def send_eof(self) -> None:
        """See `Duplex`. Does nothing, since a WebSocket closes both directions at once."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """See `Duplex`."""
        if not self._is_closed:
            was_open = self._end is None
            self._is_closed, self._end = True, ConnectionClosed(f"this side has closed {self._description}")
            if was_open:
                await self._finish(self._end, self.close_code)
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        """See `Duplex`."""
        return self._description

    # --- the end ----------------------------------------------------------------------

    def _check_sending(self) -> None:
        if self._end is not None:
            raise self._end.again()

    async def _break_off(self, code: int, deed: str) -> None:
        await self._finish(ConnectionLost(f"the peer of {self._description} {deed}"), code)

    async def _finish(self, end: ConnectionEnded, code: int) -> None:
        """Note the end, wake the tasks that wait, and close the connection beneath."""
        self._end = end
        for waiting in (self._receiving, self._sending):
            if waiting is not None:
                waiting.cancel()
        await self._begin_close(code)


@asynccontextmanager
async def closing(duplex: WebSocketDuplex, *, failed: int = INTERNAL_ERROR) -> AsyncIterator[None]:
    """Close a WebSocket when the block ends, with the code that fits its end, and wait briefly for the peer.

    Args:
        duplex: the WebSocket.
        failed: the code for a block that raises an exception of its own.
    """
    code: int | None = failed
    try:
        yield
        code = None
    except ConnectionEnded:
        code = None
        raise
    except trio.Cancelled:
        code = GOING_AWAY
        raise
    finally:
        if code is not None:
            duplex.close_code = code
        with trio.move_on_after(CLOSING, shield=True):
            await duplex.aclose()
            # If the connection is cut before the peer's close has been read, a reset might overtake the last messages.
            await duplex.farewell()
