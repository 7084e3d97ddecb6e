"""Servers that tests play, a script for each connection, and the client's ways to them."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio
import trio.testing

from tests.transports.http.wire import memory_streams
from trimcp.errors import ConnectionEnded
from trimcp.transports.http.remote import Origin
from trimcp.transports.http.remote_direct import DirectRemote
from trimcp.transports.http.remote_wires import SocketWire, Wire, WireBroken
from trimcp.transports.lines import ByteStream
from trimcp.transports.memory import _MemoryStream
from trimcp.transports.socket import socket_stream

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


class MemoryWire(Wire):
    """A wire without a socket, for tests whose clock is not real."""

    def __init__(self, stream: ByteStream) -> None:
        assert isinstance(stream, _MemoryStream)
        self._stream = stream

    async def send_first(self, data: bytes) -> int:
        try:
            return self._stream.try_send(data)
        except ConnectionEnded as exc:
            raise WireBroken(str(exc)) from exc

    async def send_some(self, data: memoryview) -> int:
        while not (sent := await self.send_first(bytes(data))):
            await self._stream._outgoing.writers.park()
        return sent

    async def receive(self) -> bytes:
        try:
            return await self._stream.receive_some(65536)
        except ConnectionEnded as exc:
            raise WireBroken(str(exc)) from exc

    def receive_nowait(self) -> bytes | None:
        pipe = self._stream._incoming
        if pipe.size:
            return pipe.take(65536)
        return None if pipe.writing else b""

    def is_quiet(self) -> bool:
        pipe = self._stream._incoming
        return not pipe.size and pipe.writing and pipe.reading

    def close(self) -> None:
        self._stream._outgoing.end_writing()
        self._stream._incoming.end_reading()


class Peer:
    """A server: the n-th connection to it gets the n-th script."""

    def __init__(self, nursery: trio.Nursery, scripts: tuple[Script, ...], *, in_memory: bool) -> None:
        self._nursery = nursery
        self._scripts = scripts
        self._in_memory = in_memory
        self.connections = 0

    async def connect(self, origin: Origin, shown: str) -> Wire:
        await trio.lowlevel.checkpoint()
        script = self._scripts[self.connections]
        self.connections += 1
        wire: Wire
        if self._in_memory:
            here, there = memory_streams()
            wire, far = MemoryWire(here), Far(there, None)
        else:
            near, distant = tcp_pair()
            wire, far = SocketWire(near), Far(socket_stream(distant, "client"), distant)
        self._nursery.start_soon(self._play, script, far)
        return wire

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
) -> AsyncIterator[tuple[DirectRemote, Peer]]:
    """A client of a server that does what is in the scripts; they must have come to their ends."""
    with trio.fail_after(10_000 if in_memory else 10):
        async with trio.open_nursery() as nursery:
            peer = Peer(nursery, scripts, in_memory=in_memory)
            remote = DirectRemote(URL, headers or {}, peer.connect)
            yield remote, peer
            await remote.aclose()


async def post(remote: DirectRemote, body: bytes = b"{}", *, repeatable: bool = False) -> tuple[int, bytes]:
    async with remote.request("POST", {}, body, repeatable=repeatable) as reply:
        return reply.status, await reply.body(1000)
