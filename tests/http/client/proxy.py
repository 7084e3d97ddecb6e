"""A proxy between a client and a server that does harm where a test wants it.

It reads as much HTTP as it takes to tell requests apart. Each goes to the server by a connection of
its own, and the response comes back as bytes, until the server ends it; what a `Harm` does with it
instead is a function of a `Relay`.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

RESET: Final = b"\x01\0\0\0\0\0\0\0"
"""SO_LINGER: closing sends RST, and forgets what has not left."""


class Relay:
    """One request on its way, and its response."""

    def __init__(self, client: trio.SocketStream, request: bytes, port: int) -> None:
        self.client = client
        self.request = request
        self.is_broken = False
        """Whether the client's connection is of no use any more."""
        self._port = port
        self._server: trio.SocketStream | None = None
        self._held = b""

    async def forward(self) -> None:
        """Send the request to the server."""
        head, _, body = self.request.partition(b"\r\n\r\n")
        self._server = await trio.open_tcp_stream("127.0.0.1", self._port)
        await self._server.send_all(head + b"\r\nConnection: close\r\n\r\n" + body)

    async def _more(self) -> bytes:
        assert self._server is not None
        piece = bytes(await self._server.receive_some(65536))
        self._held += piece
        return piece

    async def until(self, marker: bytes) -> bytes:
        """What comes up to a marker and with it; nothing of it is passed on."""
        while marker not in self._held:
            assert await self._more(), f"the server ended without {marker!r}"
        found, _, self._held = self._held.partition(marker)
        return found + marker

    async def rest(self) -> bytes:
        """What comes until the server ends it; nothing of it is passed on."""
        while await self._more():
            pass
        held, self._held = self._held, b""
        return held

    async def pass_until(self, marker: bytes) -> None:
        """Pass on what comes up to a marker and with it."""
        await self.say(await self.until(marker))

    async def pass_all(self) -> None:
        """Pass on what comes until the end."""
        while True:
            held, self._held = self._held, b""
            if held:
                await self.say(held)
            if not await self._more():
                return

    async def say(self, data: bytes) -> None:
        """Send something to the client."""
        await self.client.send_all(data)

    async def respond(self, status: int, media_type: str, body: bytes, *fields: str) -> None:
        """Respond in place of the server."""
        lines = [f"HTTP/1.1 {status} Proxy", f"content-type: {media_type}", f"content-length: {len(body)}", *fields]
        await self.say("\r\n".join([*lines, "", ""]).encode() + body)

    async def reset(self) -> None:
        """Reset the client's connection."""
        self.is_broken = True
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await self.client.aclose()

    async def close(self) -> None:
        """Close the client's connection."""
        self.is_broken = True
        await self.client.aclose()

    async def half_close(self) -> None:
        """End what is sent to the client, and leave the connection open."""
        self.is_broken = True
        await self.client.send_eof()
        await trio.sleep_forever()  # until the client closes it

    async def aclose(self) -> None:
        """Let go of the server."""
        if self._server is not None:
            await self._server.aclose()


Deed = Callable[[Relay], Awaitable[None]]


@attrs.define
class Harm:
    """What is done to the next requests that have these bytes in them."""

    where: bytes
    deed: Deed
    times: int = 1


class Proxy:
    """The proxy."""

    def __init__(self, port: int) -> None:
        """`port`: of the server."""
        self._target = port
        self.port = 0
        self.harms: list[Harm] = []
        self.requests: list[bytes] = []
        """All that passed."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def harm(self, where: bytes, deed: Deed, times: int = 1) -> None:
        """Do harm to what has these bytes in it."""
        self.harms.append(Harm(where, deed, times))

    def count(self, where: bytes) -> int:
        """How many requests had these bytes in them."""
        return sum(where in request for request in self.requests)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Take connections until cancelled."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, client: trio.SocketStream) -> None:
        try:
            async with client:
                held = b""
                while True:
                    request, held = await _request(client, held)
                    if request is None:
                        return
                    self.requests.append(request)
                    relay = Relay(client, request, self._target)
                    await self._relay(relay)
                    if relay.is_broken:
                        return
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # one of the two is gone

    async def _relay(self, relay: Relay) -> None:
        harm = next((harm for harm in self.harms if harm.times and harm.where in relay.request), None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, relay, nursery.cancel_scope)
            try:
                if harm is None:
                    await relay.forward()
                    await relay.pass_all()
                else:
                    harm.times -= 1
                    await harm.deed(relay)
            finally:
                await relay.aclose()
            nursery.cancel_scope.cancel()

    async def _watch(self, relay: Relay, scope: trio.CancelScope) -> None:
        """Let go of the server where the client lets go of us."""
        try:
            if not await relay.client.socket.recv(1, socket.MSG_PEEK):
                relay.is_broken = True
                scope.cancel()
        except OSError:
            scope.cancel()
        except trio.ClosedResourceError:
            pass  # by us


async def _request(client: trio.SocketStream, held: bytes) -> tuple[bytes | None, bytes]:
    """The next request, and what came behind it."""
    while b"\r\n\r\n" not in held:
        piece = await client.receive_some(65536)
        if not piece:
            return None, b""
        held += piece
    head, _, _ = held.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    whole = len(head) + 4 + (int(lengths[0]) if lengths else 0)
    while len(held) < whole:
        held += await client.receive_some(65536)
    return held[:whole], held[whole:]


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    """Hold a proxy up before the server at a port."""
    proxy = Proxy(port)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        yield proxy
        nursery.cancel_scope.cancel()
