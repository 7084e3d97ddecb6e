"""A round-robin balancer in front of the nodes: each request goes to the next node, without stickiness.

It is small on purpose: it reads a whole request, opens a connection to a node, and passes the response on as it comes.
`Faults` make it as bad as some balancers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
import h11
import trio

from benchmarks.cluster.exchange import CHUNK, Address

CONNECT_SECONDS: Final = 1.0
"""Seconds that a node has to take a connection."""


@attrs.frozen
class Faults:
    """What a balancer does that it should not. The default is a good one."""

    holds_heads: bool = False
    """Keep the head of a response until the first byte of its body."""
    idle_seconds: float | None = None
    """Cut a response that was quiet for so long."""
    picks_dead_nodes: bool = False
    """Answer 502 where a node refuses the connection; a good balancer asks the next."""


@attrs.define
class Balancer:
    """Passes requests to nodes in turn."""

    nodes: Sequence[Address]
    faults: Faults = Faults()
    passed: int = 0
    """Requests so far."""
    refused: int = 0
    """Connections that nodes refused or did not take in time."""
    cut: int = 0
    """Responses that were cut for being quiet."""
    _turn: int = 0

    async def serve(self, *, task_status: trio.TaskStatus[Address]) -> None:
        """Listen until cancelled. The status is the address."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self._handle, listeners)
            task_status.started(listeners[0].socket.getsockname()[:2])

    async def _handle(self, client: trio.SocketStream) -> None:
        try:
            await self._pass_on(client)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
            pass  # either side has gone: the other learns it by the end of its connection

    async def _pass_on(self, client: trio.SocketStream) -> None:
        server = h11.Connection(h11.SERVER)
        request: Any = None
        body = b""
        while not isinstance(event := await _received(client, server), h11.EndOfMessage):
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return
        self.passed += 1
        node = await self._connected()
        if node is None:
            await client.send_all(_bad_gateway(server))
            return
        async with node, trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, client, nursery.cancel_scope)
            await self._relay(client, server, node, request, body)
            nursery.cancel_scope.cancel()

    async def _connected(self) -> trio.SocketStream | None:
        for _ in self.nodes:
            self._turn = (self._turn + 1) % len(self.nodes)
            try:
                with trio.fail_after(CONNECT_SECONDS):
                    return await trio.open_tcp_stream(*self.nodes[self._turn])
            except (OSError, trio.TooSlowError):
                self.refused += 1
                if self.faults.picks_dead_nodes:
                    break
        return None

    async def _watch(self, client: trio.SocketStream, scope: trio.CancelScope) -> None:
        """End the exchange when the client leaves."""
        try:
            while await client.receive_some(CHUNK):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async def _relay(
        self, client: trio.SocketStream, server: h11.Connection, node: trio.SocketStream, request: Any, body: bytes
    ) -> None:
        upstream = h11.Connection(h11.CLIENT)
        data = upstream.send(request) or b""
        if body:
            data += upstream.send(h11.Data(body)) or b""
        await node.send_all(data + (upstream.send(h11.EndOfMessage()) or b""))
        held = b""
        while True:
            with trio.move_on_after(float("inf") if self.faults.idle_seconds is None else self.faults.idle_seconds):
                event = await _received(node, upstream)
                if isinstance(event, (h11.ConnectionClosed, h11.InformationalResponse)):
                    return
                passed = held + (server.send(event) or b"")
                held = b""
                if self.faults.holds_heads and isinstance(event, h11.Response):
                    held = passed
                    continue
                await client.send_all(passed)
                if isinstance(event, h11.EndOfMessage):
                    return
                continue
            self.cut += 1
            return


async def _received(stream: trio.SocketStream, connection: h11.Connection) -> Any:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await stream.receive_some(CHUNK))
    return event


def _bad_gateway(server: h11.Connection) -> bytes:
    head = h11.Response(status_code=502, headers=[("Content-Length", "0"), ("Connection", "close")])
    return (server.send(head) or b"") + (server.send(h11.EndOfMessage()) or b"")
