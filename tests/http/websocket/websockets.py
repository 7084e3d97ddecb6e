"""Connected pairs over WebSocket, and an ASGI server that is two queues."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.transports.pairs import Pair, closing
from trimcp.http.asgi.response import Message
from trimcp.http.asgi.websocket import AsgiWebSocketDuplex
from trimcp.http.binding import HttpRequest
from trimcp.http.websocket.connections import open_websocket_duplex, serve_websocket
from trimcp.transports.duplex import Duplex, Frame


class InLines(Duplex):
    """What has no end is cut into lines: a medium of whole messages sends none that never ends."""

    def __init__(self, inner: Duplex) -> None:
        self._inner = inner

    async def receive(self) -> Sequence[Frame]:
        return await self._inner.receive()

    def try_send(self, data: bytes) -> int:
        return self._inner.try_send(data)

    async def send_all(self, data: bytes) -> None:
        if len(data) > 2_000_000 and b"\n" not in data:
            data = b"\n".join(data[start : start + 9999] for start in range(0, len(data), 9999)) + b"\n"
        await self._inner.send_all(data)

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()

    @property
    def description(self) -> str:
        return self._inner.description


@asynccontextmanager
async def websocket() -> AsyncIterator[Pair]:
    """Both ends on trio-websocket; the first is the client's."""
    send, receive = trio.open_memory_channel[Duplex](1)
    finished = trio.Event()

    async def handler(duplex: Duplex, request: HttpRequest) -> None:
        await send.send(duplex)
        await finished.wait()

    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(functools.partial(serve_websocket, handler, port=0))
        async with open_websocket_duplex(f"ws://{host}:{port}/mcp") as client:
            yield InLines(client), InLines(await receive.receive())
        nursery.cancel_scope.cancel()


class Side:
    """What one application sees of an ASGI server that passes what is sent to the other side, eight events at most."""

    def __init__(self) -> None:
        self.other: Side
        self.sent: list[Message] = []
        self._events: deque[dict[str, Any]] = deque()
        self._is_over = False
        self._changed = trio.Event()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def receive(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        while not self._events:
            await self._changed.wait()
        event = self._events.popleft()
        self.other._change()
        return event

    async def send(self, event: Message) -> None:
        self.sent.append(event)
        other = self.other
        if event["type"] == "websocket.accept":
            return
        if event["type"] == "websocket.close":
            self._is_over = True
            other.put({"type": "websocket.disconnect", "code": event["code"]})
            return
        while len(other._events) >= 8 and not other._is_over:
            await self._changed.wait()
        if self._is_over or other._is_over:
            raise BrokenPipeError
        other.put({"type": "websocket.receive", "text": event["text"]})

    def put(self, event: dict[str, Any]) -> None:
        """Something arrives from the peer."""
        self._events.append(event)
        self._change()
        self.other._change()


@asynccontextmanager
async def asgi_websocket() -> AsyncIterator[Pair]:
    """Two applications whose server passes what one sends to the other."""
    one, two = Side(), Side()
    one.other, two.other = two, one
    left = AsgiWebSocketDuplex(one.receive, one.send, "websocket one")
    right = AsgiWebSocketDuplex(two.receive, two.send, "websocket two")
    async with closing(InLines(left), InLines(right)) as pair:
        yield pair
