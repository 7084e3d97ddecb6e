"""A WebSocket that an ASGI server holds, as a `Duplex`.

Owns the events of a `websocket` scope: accepting, denying, messages, the close. `asgi.AsgiDoor`
calls it; the rules of what is in a message are `websocket_messages`'. Pings are the server's
business: ASGI has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost
from trimcp.transports.duplex import Duplex, Frame
from trimcp.transports.http.asgi_response import Message, Receive, Send
from trimcp.transports.http.door import PLAIN, HttpRequest, Refusal
from trimcp.transports.websocket_messages import (
    CLOSING,
    MESSAGE_BYTES,
    MESSAGE_TOO_BIG,
    NO_COMMON_SUBPROTOCOL,
    NO_STATUS,
    NORMAL,
    ORDERLY,
    UNSUPPORTED_DATA,
    Lines,
    select,
    speaks_mcp,
)

LEFT: Final = Refusal(400, PLAIN, b"")
"""Stands for a client that has left before it was let in or refused."""


async def accept(scope: Message, send: Send) -> bool:
    """Accept a WebSocket with the subprotocol that is spoken here, or deny it; whether it was accepted."""
    offered: Sequence[str] = scope.get("subprotocols") or ()
    if not speaks_mcp(offered):
        await deny(NO_COMMON_SUBPROTOCOL, scope, send)
        return False
    await send({"type": "websocket.accept", "subprotocol": select(offered)})
    return True


async def admitted(
    admit: Callable[[HttpRequest], Awaitable[Refusal | None]], request: HttpRequest, receive: Receive
) -> Refusal | None:
    """Ask whether a WebSocket is let in, and watch meanwhile whether its client leaves; `LEFT` where it has."""
    verdict: Refusal | None = LEFT
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            while (await receive())["type"] != "websocket.disconnect":
                pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        verdict = await admit(request)
        nursery.cancel_scope.cancel()
    return verdict


async def deny(refusal: Refusal, scope: Message, send: Send) -> None:
    """Answer an upgrade with an HTTP response: the one given, where the server below can, else 403."""
    if "websocket.http.response" not in (scope.get("extensions") or ()):
        await send({"type": "websocket.close", "code": NORMAL})
        return
    headers = [*refusal.fields, (b"content-length", b"%d" % len(refusal.body))]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refusal.body})


class AsgiWebSocketDuplex(Duplex):
    """An accepted WebSocket of an ASGI server.

    Args:
        receive: the application's; nobody else calls it any more.
        send: the application's.
        description: what it calls itself.
        message_bytes: bytes that an incoming message may have. It closes the connection over
            them; to keep them out of memory is the server's own limit.
    """

    half_closes = False

    def __init__(self, receive: Receive, send: Send, description: str, *, message_bytes: int = MESSAGE_BYTES) -> None:
        self._receive_event = receive
        self._send_event = send
        self._description = description
        self._message_bytes = message_bytes
        self._lines = Lines()
        self._receiving: trio.CancelScope | None = None
        self._sending: trio.CancelScope | None = None
        self._end: ConnectionEnded | None = None
        self._is_orderly = False
        self._is_closed = False
        self._was_told = False  # of the end, by the server below
        self.close_code = NORMAL
        """What `aclose` says: set `GOING_AWAY` or `POLICY_VIOLATION` before, where it is one of these."""

    async def receive(self) -> Sequence[Frame]:
        while self._end is None:
            event: Message | None = None
            with trio.CancelScope() as self._receiving:
                event = await self._receive_event()
            if event is None or self._end is not None:
                break  # closed meanwhile
            frame = await self._frame(event)
            if frame:
                return [frame]
        await trio.lowlevel.checkpoint()
        if self._is_orderly and not self._is_closed:
            return []
        assert self._end is not None
        raise self._end.again()

    async def _frame(self, event: Message) -> bytes:
        """The message that an event carries; empty where it carries none."""
        if event["type"] == "websocket.disconnect":
            code = event.get("code", NO_STATUS)
            self._was_told = True
            self._is_orderly = code in ORDERLY
            self._ended(ConnectionLost(f"the peer closed {self._description} with code {code}"))
            return b""
        text = event.get("text")
        if text is None:
            await self._break_off(UNSUPPORTED_DATA, "sent a binary message")
            return b""
        frame: bytes = text.encode()
        if len(frame) > self._message_bytes:
            await self._break_off(MESSAGE_TOO_BIG, f"sent a message of more than {self._message_bytes} bytes")
            return b""
        return frame

    def try_send(self, data: bytes) -> int:
        self._check_sending()
        return 0

    async def send_all(self, data: bytes) -> None:
        self._check_sending()
        # Not every server's `send` is a checkpoint, least of all when the peer has gone.
        await trio.lowlevel.checkpoint()
        for message in self._lines.feed(data):
            await self._send(message)

    async def _send(self, text: str) -> None:
        self._check_sending()
        try:
            with trio.CancelScope() as self._sending:
                await self._send_event({"type": "websocket.send", "text": text})
        except OSError as exc:
            # What came before the end can still be received, so this is not where it ends.
            raise ConnectionLost(f"the peer of {self._description} has gone") from exc
        finally:
            self._sending = None
        self._check_sending()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await self._close(self.close_code, ConnectionClosed(f"this side has closed {self._description}"))

    @property
    def description(self) -> str:
        return self._description

    async def farewell(self) -> None:
        while not self._was_told:
            self._was_told = (await self._receive_event())["type"] == "websocket.disconnect"

    # --- the end ----------------------------------------------------------------------

    def _check_sending(self) -> None:
        if self._end is not None:
            raise self._end.again()

    def _ended(self, exc: ConnectionEnded) -> None:
        if self._end is None:
            self._end = exc
        for waiting in (self._receiving, self._sending):
            if waiting is not None:
                waiting.cancel()

    async def _break_off(self, code: int, deed: str) -> None:
        await self._close(code, ConnectionLost(f"the peer of {self._description} {deed}"))

    async def _close(self, code: int, exc: ConnectionEnded) -> None:
        had_ended = self._end is not None
        if type(exc) is ConnectionClosed and not self._is_closed:
            self._is_closed, self._end = True, exc
        self._ended(exc)
        await trio.lowlevel.checkpoint()
        if had_ended:
            return
        with trio.move_on_after(CLOSING, shield=True):
            try:
                await self._send_event({"type": "websocket.close", "code": code})
            except OSError:
                self._was_told = True
