"""Servers that tests play, a script for each connection, and the client's ways to them."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio
import trio.testing

from tests.http.h1.wire import memory_streams
from trimcp.errors import ConnectionEnded
from trimcp.http.client.pooled_client import PooledHttpClient
from trimcp.http.h1.stream import ClientStream
from trimcp.http.urls import Origin
from trimcp.transports.lines import ByteStream
from trimcp.transports.memory import _MemoryStream
from trimcp.transports.socket import SocketStream

URL = "http://server.test/mcp"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\nok"


class Far:
    """The server's end of one connection."""

    def __init__(self, stream: ByteStream, sock: socket.socket | None) -> None:
        self.stream = stream
        self._socket = sock

    async def request(self) -> bytes:
        """Read a whole request: its head, and the body that it tells of."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = await self.stream.receive_some(65536)
            assert more, "the client ended the connection"
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(lines.get(b"content-length", b"0")):
            more = await self.stream.receive_some(65536)
            assert more, "the client ended the connection"
            body += more
        return head + b"\r\n\r\n" + body

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self, data: bytes = OK) -> bytes:
        request = await self.request()
        await self.send(data)
        return request

    async def ended(self) -> bool:
        """Wait for the client's end of it, whatever else it says."""
        try:
            while await self.stream.receive_some(65536):
                pass
        except ConnectionEnded:
            pass
        return True

    def reset(self) -> None:
        """Cut it, in the way that does not wait for anybody."""
        assert self._socket is not None
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


Script = Callable[[Far], Awaitable[None]]


class MemoryClientStream(_MemoryStream):
    """A stream without a socket, for tests whose clock is not real."""

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        pipe = self._incoming
        if pipe.size:
            return pipe.take(max_bytes)
        return None if pipe.writing else b""

    def is_quiet(self) -> bool:
        pipe = self._incoming
        return not pipe.size and pipe.writing and pipe.reading

    def close(self) -> None:
        self._outgoing.end_writing()
        self._incoming.end_reading()


def client_streams() -> tuple[MemoryClientStream, ByteStream]:
    """The client's end and the server's end of a connection."""
    here, there = memory_streams()
    assert isinstance(here, _MemoryStream)
    return MemoryClientStream(here._incoming, here._outgoing, "memory"), there


class Peer:
    """A server: the n-th connection to it gets the n-th script."""

    def __init__(self, nursery: trio.Nursery, scripts: tuple[Script, ...], *, in_memory: bool) -> None:
        self._nursery = nursery
        self._scripts = scripts
        self._in_memory = in_memory
        self.connections = 0

    async def connect(self, origin: Origin, shown: str) -> ClientStream:
        await trio.lowlevel.checkpoint()
        script = self._scripts[self.connections]
        self.connections += 1
        stream: ClientStream
        if self._in_memory:
            stream, there = client_streams()
            far = Far(there, None)
        else:
            near, distant = tcp_pair()
            stream, far = SocketStream(near, "server"), Far(SocketStream(distant, "client"), distant)
        self._nursery.start_soon(self._play, script, far)
        return stream

    async def _play(self, script: Script, far: Far) -> None:
        try:
            await script(far)
        finally:
            with trio.CancelScope(shield=True):
                await far.stream.aclose()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection, which, unlike one of a Unix socket, can be reset."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Or megabytes would fit into the kernel.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        near = socket.create_connection(listening.getsockname())
        distant, _ = listening.accept()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    return near, distant


@asynccontextmanager
async def played(
    *scripts: Script, in_memory: bool = False, headers: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[PooledHttpClient, Peer]]:
    """A client of a server that does what is in the scripts; they must have come to their ends."""
    with trio.fail_after(10_000 if in_memory else 10):
        async with trio.open_nursery() as nursery:
            peer = Peer(nursery, scripts, in_memory=in_memory)
            remote = PooledHttpClient(URL, headers or {}, peer.connect)
            yield remote, peer
            await remote.aclose()


async def post(remote: PooledHttpClient, body: bytes = b"{}", *, repeatable: bool = False) -> tuple[int, bytes]:
    async with remote.request("POST", {}, body, repeatable=repeatable) as reply:
        return reply.status, await reply.body(1000)


async def answering(far: Far) -> None:
    """Answer every request of a connection."""
    with contextlib.suppress(AssertionError):
        while True:
            await far.answer()


def saying(data: bytes) -> Script:
    """Answer the first request of a connection with these bytes, and wait for its end."""

    async def script(far: Far) -> None:
        await far.answer(data)
        await far.ended()

    return script
