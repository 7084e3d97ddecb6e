"""A WebSocket that is closed: whoever sent the request cannot read an answer any more, so it is cancelled."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import trio

import trimcp
from tests.http.workshop import Workshop
from trimcp.http.websocket.connections import open_websocket_duplex

DOORS: dict[str, Callable[[trimcp.Server], Any]] = {
    "server of its own": lambda server: server.serve_websocket,
    "hypercorn": lambda server: server.serve_hypercorn,
}
CALL = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hold","arguments":{"name":"it"},'
    b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientCapabilities":{}}}}\n'
)


@pytest.mark.parametrize("door", DOORS)
async def test_a_request_whose_websocket_was_closed_is_cancelled_at_once(door: str) -> None:
    shop = Workshop()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(functools.partial(DOORS[door](shop.server), 0))
            async with open_websocket_duplex(f"ws://{host}:{port}/mcp") as duplex:
                await duplex.send_all(CALL)
                await shop.begun("it")
            # Not after the grace, and without anybody opening the gate that it waits at.
            assert await shop.is_over("it") == "session_lost"
            await shop.server.drain(0)
