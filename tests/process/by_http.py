"""Servers that listen, in processes of their own, and what speaks HTTP to them by hand: bytes out, bytes in."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from tests.process.children import META, TEMPERAMENTS, Child, child

RUN: Final = [sys.executable, "-m", "trimcp", "run", str(TEMPERAMENTS)]
VERSION: Final = "2026-07-28"
LEGACY: Final = "2025-11-25"


@attrs.define
class Listening:
    """A server that listens, and where."""

    server: Child
    address: tuple[str, int] | str

    async def connect(self) -> trio.abc.Stream:
        """One more connection."""
        if isinstance(self.address, str):
            return await trio.open_unix_socket(self.address)
        return await trio.open_tcp_stream(*self.address)

    async def ask(self, request: bytes) -> Answer:
        """Send a request on a connection of its own, and read until the whole response is there."""
        async with await self.connect() as stream:
            await stream.send_all(request)
            return await Answer.read(stream)


@attrs.frozen
class Answer:
    """A whole response."""

    status: int
    head: str
    body: str

    @property
    def message(self) -> Any:
        """The JSON in it, also where it came as one event of a stream."""
        if "text/event-stream" in self.head.lower():
            return json.loads(re.findall(r"^data: ?(.+)$", self.body, re.MULTILINE)[-1])
        return json.loads(self.body)

    @classmethod
    async def read(cls, stream: trio.abc.Stream) -> Answer:
        """Read one."""
        data = b""
        while not cls._is_whole(data):
            more = await stream.receive_some(65536)
            if not more:
                break
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        assert text.startswith("HTTP/1.1 "), data
        if "transfer-encoding: chunked" in text.lower():
            body = b"".join(_chunks(body))
        return cls(int(text.split()[1]), text, body.decode())

    @staticmethod
    def _is_whole(data: bytes) -> bool:
        head, found, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not found:
            return False
        return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def _chunks(body: bytes) -> list[bytes]:
    chunks: list[bytes] = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        chunks.append(rest[:length])
        body = rest[length + 2 :]
    return chunks


def post(message: dict[str, Any], *fields: str, path: str = "/mcp") -> bytes:
    """A request with a message in it."""
    body = json.dumps(message).encode()
    head = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"Content-Length: {len(body)}",
        *fields,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def call(tool: str, **arguments: Any) -> bytes:
    """A call of a tool in 2026-07-28, which needs nothing before it."""
    params = {"name": tool, "arguments": arguments, "_meta": META}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return post(message, f"MCP-Protocol-Version: {VERSION}", "Mcp-Method: tools/call", f"Mcp-Name: {tool}")


async def open_session(listening: Listening) -> str:
    """Open a legacy session; its id."""
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "by hand", "version": "0"}}
    answer = await listening.ask(post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}))
    found = re.search(r"mcp-session-id: *(\S+)", answer.head, re.IGNORECASE)
    assert found, answer
    return found[1]


@asynccontextmanager
async def listening(*options: str, command: Sequence[str] = RUN, **environment: str) -> AsyncIterator[Listening]:
    """Start a server that listens; it is killed on the way out if it has not ended."""
    async with child([*command, *options], **environment) as server:
        await server.says("trimcp: temperaments on ")
        await server.says("\n")
        yield Listening(server, address_in(server.stderr))


def address_in(said: str) -> tuple[str, int] | str:
    """Where it says that it listens."""
    found = re.search(r"trimcp: \S+ on (?:\w+://(\S+?):(\d+)/|unix:(\S+))", said)
    assert found, said
    return found[3] or (found[1], int(found[2]))
