"""A server that has run out of file descriptors answers on its connections, and takes others again when some are free.

Nothing that a first request needs may be imported late: without a descriptor no module can be loaded.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.hostile.starved_server import DESCRIPTORS
from tests.process.children import META, PATIENCE, ROOT, environment
from trimcp.framing.headers import METHOD, NAME
from trimcp.http.websocket.connections import open_websocket_duplex
from trimcp.transports.duplex import Duplex
from trimcp.transports.socket import connect_tcp, connect_unix

HTTP: Final = ("http", "http unix", "hypercorn", "hypercorn unix")
STREAMS: Final = ("tcp", "unix", "websocket")

METHODS: Final[dict[str, dict[str, Any]]] = {
    "tools/list": {},
    "tools/call": {"name": "add", "arguments": {"a": 1}},
    "tools/call ": {"name": "shout", "arguments": {"text": "x"}},
    "tools/call  ": {"name": "add", "arguments": {"a": "one"}},
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": "memo://first"},
    "resources/read ": {"uri": "memo://second"},
    "prompts/list": {},
    "prompts/get": {"name": "greet", "arguments": {"name": "Ada"}},
}
INITIALIZE: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "by hand", "version": "0"},
}

Ask = Callable[[dict[str, Any]], Awaitable[Any]]
"""Sends a request, and returns its answer."""


@asynccontextmanager
async def over_a_duplex(duplex: Duplex) -> AsyncIterator[Ask]:
    """Ask by lines of JSON."""

    async def ask(message: dict[str, Any]) -> Any:
        await duplex.send_all(json.dumps(message).encode() + b"\n")
        while True:
            for frame in await duplex.receive():
                assert isinstance(frame, bytes)
                answer = json.loads(frame)
                if answer.get("id") == message["id"]:
                    return answer

    try:
        yield ask
    finally:
        await duplex.aclose()


@asynccontextmanager
async def over_http(address: Any) -> AsyncIterator[Ask]:
    """Ask by POST on one connection."""
    stream = await opened(address)
    session = b""

    async def ask(message: dict[str, Any]) -> Any:
        nonlocal session
        body = json.dumps(message).encode()
        head = (
            b"POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\ncontent-type: application/json\r\n"
        )
        params = message["params"]
        if "_meta" in params:
            head += b"mcp-protocol-version: 2026-07-28\r\n%s: %s\r\n" % (METHOD, message["method"].encode())
            named = params.get("name") or params.get("uri")
            head += b"%s: %s\r\n" % (NAME, named.encode()) if named else b""
        elif session:
            head += b"mcp-protocol-version: 2025-11-25\r\nmcp-session-id: %s\r\n" % session
        await stream.send_all(head + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        data = b""
        while b"\r\n\r\n" not in data:
            data += await received(stream)
        said, _, rest = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in said.split(b"\r\n")[1:])
        while len(rest) < int(fields[b"content-length"]):
            rest += await received(stream)
        if b"mcp-session-id: " in said.lower():
            session = said[said.lower().index(b"mcp-session-id: ") + 16 :].split(b"\r\n")[0]
        return json.loads(rest)

    async with stream:
        yield ask


async def opened(address: Any) -> trio.SocketStream:
    """Connect to a socket."""
    if isinstance(address, str):
        return await trio.open_unix_socket(address)
    return await trio.open_tcp_stream(*address)


async def received(stream: trio.abc.ReceiveStream) -> bytes:
    """Some bytes; there must be some."""
    data = await stream.receive_some()
    assert data, "the server has closed the connection"
    return bytes(data)


@asynccontextmanager
async def connected(transport: str, address: Any) -> AsyncIterator[Ask]:
    """A connection that has sent nothing of MCP yet."""
    async with AsyncExitStack() as stack:
        if transport in HTTP:
            yield await stack.enter_async_context(over_http(address))
        elif transport == "websocket":
            opening = open_websocket_duplex(f"ws://127.0.0.1:{address[1]}/mcp")
            yield await stack.enter_async_context(over_a_duplex(await stack.enter_async_context(opening)))
        else:
            opened = await (connect_unix(address) if transport == "unix" else connect_tcp(*address))
            yield await stack.enter_async_context(over_a_duplex(opened))


async def everything(ask: Ask) -> None:
    """Use every feature in both eras."""
    for meta in ({"_meta": META}, {}):
        first = ("server/discover", meta) if meta else ("initialize", INITIALIZE)
        for number, (method, params) in enumerate([first, *METHODS.items()], len(meta)):
            message = {"jsonrpc": "2.0", "id": number, "method": method.strip(), "params": {**params, **meta}}
            answer = await ask(message)
            assert "result" in answer, (method, answer)


class Starved:
    """A server in a process of its own with few descriptors, and the lines that it has logged."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.log = b""

    async def address(self) -> Any:
        """Return where it listens."""
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            line += await received(self.process.stdout)
        return json.loads(line)

    async def logged(self, text: bytes) -> None:
        """Wait until it has logged a text."""
        assert self.process.stderr is not None
        while text not in self.log:
            more = await self.process.stderr.receive_some()
            assert more, self.log.decode()
            self.log += more

    async def end(self) -> None:
        """Kill it, and read the rest of its log."""
        assert self.process.stderr is not None
        assert self.process.poll() is None, self.log.decode()
        os.kill(self.process.pid, signal.SIGKILL)
        async for more in self.process.stderr:
            self.log += more


@asynccontextmanager
async def starved(transport: str, directory: Path) -> AsyncIterator[Starved]:
    """Run the server."""
    async with trio.open_nursery() as nursery:
        command = [sys.executable, "-m", "tests.hostile.starved_server", transport, str(directory)]
        start = trio.run_process
        process = await nursery.start(
            lambda task_status: start(
                command,
                stdin=-1,
                stdout=-1,
                stderr=-1,
                check=False,
                cwd=ROOT,
                env=environment(),
                task_status=task_status,
            )
        )
        with trio.fail_after(PATIENCE):
            yield Starved(process)
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of descriptors")
@pytest.mark.parametrize("transport", [*STREAMS, *HTTP])
async def test_a_server_without_descriptors_serves_on_and_accepts_later(transport: str, tmp_path: Path) -> None:
    async with starved(transport, tmp_path) as server:
        address = await server.address()
        async with connected(transport, address) as ask:
            async with AsyncExitStack() as idle:
                for _ in range(DESCRIPTORS):
                    await idle.enter_async_context(await opened(address))
                await server.logged(b"accept.failed")
                await everything(ask)
            async with connected(transport, address) as another:
                await everything(another)
        await server.end()
        assert server.log.count(b"accept.failed") == 1, server.log.decode()
        assert server.log.count(b"\n") == 1, server.log.decode()
