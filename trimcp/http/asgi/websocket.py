"""WebSockets of an ASGI server: accepting, denying, messages, the close.

Pings are the business of the server, since ASGI has no event for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from trimcp.http.asgi.response import Message, Receive, Send
from trimcp.http.binding import PLAIN, HttpRequest, Refusal
from trimcp.http.websocket.duplex import (
    CLOSING,
    MESSAGE_BYTES,
    NO_COMMON_SUBPROTOCOL,
    NO_STATUS,
    NORMAL,
    WebSocketDuplex,
    WebSocketEnded,
    select,
    speaks_mcp,
)

try:
    from trimcp.http.asgi.hypercorn_websocket import restrain
except ImportError:  # pragma: no cover

    def restrain(send: Send) -> None:
        """Do nothing: the server is not hypercorn."""


LEFT: Final = Refusal(400, PLAIN, b"")
"""Stands for a client that has left before it was let in or refused."""


async def accept(scope: Message, send: Send) -> bool:
    """Accept a WebSocket with the subprotocol `mcp`, or deny it; return whether it was accepted."""
    offered: Sequence[str] = scope.get("subprotocols") or ()
    if not speaks_mcp(offered):
        await deny(NO_COMMON_SUBPROTOCOL, scope, send)
        return False
    restrain(send)
    await send({"type": "websocket.accept", "subprotocol": select(offered)})
    return True


async def admitted(
    admit: Callable[[HttpRequest], Awaitable[Refusal | None]], request: HttpRequest, receive: Receive
) -> Refusal | None:
    """Call `admit`, and cancel it if the client leaves meanwhile: then return `LEFT`."""
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
    """Answer an upgrade with an HTTP response: the given one if the server can send it, else 403."""
    if "websocket.http.response" not in (scope.get("extensions") or ()):
        await send({"type": "websocket.close", "code": NORMAL})
        return
    headers = [*refusal.fields, (b"content-length", b"%d" % len(refusal.body))]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refusal.body})


class AsgiWebSocketDuplex(WebSocketDuplex):
    """An accepted WebSocket of an ASGI server.

    Args:
        receive: of the application, which does not call it any more.
        send: of the application.
        description: the other end, for logs and errors.
        message_bytes: bytes that an incoming message may have. A longer one ends the connection; to keep it out of
            memory is a limit of the server.
    """

    def __init__(self, receive: Receive, send: Send, description: str, *, message_bytes: int = MESSAGE_BYTES) -> None:
        super().__init__(description, message_bytes)
        self._receive_event = receive
        self._send_event = send
        self._is_over = False  # whether the server has told the end

    async def _receive_message(self) -> str | bytes:
        event = await self._receive_event()
        if event["type"] == "websocket.disconnect":
            code: int = event.get("code", NO_STATUS)
            self._is_over = True
            raise WebSocketEnded(f"the peer closed {self._description} with code {code}", code)
        message: str | bytes | None = event.get("text")
        return b"" if message is None else message

    async def _send_message(self, message: str) -> None:
        try:
            await self._send_event({"type": "websocket.send", "text": message})
        except OSError as exc:
            raise WebSocketEnded("the server cannot send") from exc

    async def _begin_close(self, code: int) -> None:
        if self._is_over:
            return
        with trio.move_on_after(CLOSING, shield=True):
            try:
                await self._send_event({"type": "websocket.close", "code": code})
            except OSError:
                self._is_over = True

    async def farewell(self) -> None:
        """Wait until the server tells the end."""
        while not self._is_over:
            self._is_over = (await self._receive_event())["type"] == "websocket.disconnect"
