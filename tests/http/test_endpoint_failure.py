"""An endpoint that can no longer work ends visibly: the port closes, and `serve_http` raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

import trimcp
from trimcp.session.router import Router


async def post(address: tuple[str, int], message: dict[str, Any], headers: bytes = b"") -> bytes:
    """What comes back on a connection of its own, until it ends."""
    stream = await trio.open_tcp_stream(*address)
    body = json.dumps(message).encode()
    head = (
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Accept: application/json, text/event-stream\r\nContent-Length: %d\r\n" % len(body)
    )
    received = b""
    async with stream:
        await stream.send_all(head + headers + b"\r\n" + body)
        while data := await stream.receive_some():
            received += data
    return received


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
LIST_HEADERS = b"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n"


async def test_an_actor_of_an_endpoint_that_fails_ends_serve_http(monkeypatch: pytest.MonkeyPatch) -> None:
    server = trimcp.Server("failing")

    @server.tool
    def nothing() -> None:
        """A server without tools has no tools/list."""

    addresses: list[tuple[str, int]] = []
    served = trio.Event()

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            addresses.append(
                await nursery.start(lambda task_status: server.serve_http(port=0, task_status=task_status))
            )
            served.set()

    async def attack() -> None:
        await served.wait()
        (address,) = addresses
        assert b"200 OK" in await post(address, INITIALIZE)
        assert b"200 OK" in await post(address, LIST, LIST_HEADERS)

        def fail(self: Router, message: object) -> None:
            raise RuntimeError("a bug of ours")

        monkeypatch.setattr(Router, "handle", fail)
        with trio.move_on_after(5):
            await post(address, LIST, LIST_HEADERS)
        await trio.sleep(5)
        raise AssertionError("the server goes on")

    with (
        trio.fail_after(60),
        pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug of ours"), flatten_subgroups=True),
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack)
            await serve()
    with pytest.raises(OSError, match=r".*"):
        await trio.open_tcp_stream(*addresses[0])
