"""The two doors in memory, and a raw HTTP client that hides which of them it knocks at.

`serving` puts a server behind a door: `direct` is our own listener over memory streams, `asgi` the
application driven by a small bridge.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

import trimcp
from tests.http.wires import CAPACITY, Answer, AsgiWire, DirectWire, Wire, settled
from trimcp.http.asgi.app import AsgiBinding
from trimcp.http.h1.server import HttpServer
from trimcp.http.server.endpoint import Endpoint
from trimcp.limits import HttpLimits
from trimcp.server.http import endpoint_of
from trimcp.server.run import ServerRun
from trimcp.transports.lines import ByteStream
from trimcp.transports.memory import _MemoryStream, _Pipe

DOORS = ("direct", "asgi")
BOTH = "application/json, text/event-stream"
PATIENCE = 60.0

Fields = Mapping[str, str | None]
"""Header fields of a request; None takes away one that is sent otherwise."""


class Http:
    """A server behind a door, and whoever knocks there."""

    def __init__(self, door: str, server: trimcp.Server, nursery: trio.Nursery) -> None:
        self.door = door
        self.server = server
        self.nursery = nursery
        self.running: ServerRun | None = None
        self.endpoint: Endpoint | None = None
        self.listener: HttpServer | None = None
        self.app: AsgiBinding | None = None
        self.fields: dict[str, str] = {}
        """Sent with every request."""
        self._wires: list[Wire] = []

    def connect(self, capacity: int = CAPACITY) -> Wire:
        """A connection of its own."""
        wire: Wire
        if self.listener is not None:
            forth, back = _Pipe(CAPACITY), _Pipe(capacity)
            self.nursery.start_soon(self._serve_stream, _MemoryStream(forth, back, "memory"))
            wire = DirectWire(_MemoryStream(back, forth, "memory"))
        else:
            assert self.app is not None
            wire = AsgiWire(self.app, self.nursery, capacity)
        self._wires.append(wire)
        return wire

    async def _serve_stream(self, stream: ByteStream) -> None:
        assert self.listener is not None
        try:
            await self.listener.serve_stream(stream)
        finally:
            with trio.CancelScope(shield=True):
                await stream.aclose()

    async def send(
        self,
        method: str,
        path: str = "/mcp",
        *,
        body: Any = b"",
        fields: Fields | None = None,
        on: Wire | None = None,
    ) -> Answer:
        """Send a request on a connection, a new one unless it is given; do not wait for the answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent: dict[str, str | None] = {"host": "localhost", "accept": BOTH, **self.fields}
        if data:
            sent["content-type"] = "application/json"
        sent |= {name.lower(): value for name, value in (fields or {}).items()}
        given = {name: value for name, value in sent.items() if value is not None}
        return await (on or self.connect()).send(method, path, given, data)

    async def ask(self, method: str, path: str = "/mcp", **given: Any) -> Answer:
        """Send a request, and wait for the head of its answer."""
        return await (await self.send(method, path, **given)).begun()

    async def leave(self) -> None:
        """Close every connection."""
        for wire in self._wires:
            await wire.close()
        await settled()

    @property
    def callers(self) -> int:
        """Those of the modern era who have something in flight."""
        (run,) = self.server.tree()
        return sum(bool(caller.requests) for caller in run.callers)

    @property
    def sessions(self) -> int:
        """Legacy sessions."""
        (run,) = self.server.tree()
        return len(run.sessions)


@asynccontextmanager
async def serving(
    door: str, server: trimcp.Server, *, limits: HttpLimits | None = None, **options: Any
) -> AsyncIterator[Http]:
    """Serve behind a door; at the end every client has left, and nothing must be in flight."""
    is_virtual = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    with trio.fail_after(100_000 if is_virtual else PATIENCE):
        async with trio.open_nursery() as nursery:
            http = Http(door, server, nursery)
            async with _behind(http, limits, options):
                yield http
                await http.leave()
                assert http.callers == 0
                assert http.listener is None or http.listener.open_connections == 0
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _behind(http: Http, limits: HttpLimits | None, options: Any) -> AsyncIterator[None]:
    if http.door == "asgi":
        http.app = http.server.asgi(**options)
        async with lifespan(http.app):
            http.running = http.server._runs.shared_run
            yield
        return
    async with http.server._runs.run_or_join() as running, trio.open_nursery() as nursery:
        http.running = running
        http.endpoint = endpoint_of(running, options, loopback=True)
        await nursery.start(http.endpoint.run)
        http.listener = HttpServer(http.endpoint, nursery, limits=limits)
        nursery.start_soon(_stop, running, http.listener)
        yield
        nursery.cancel_scope.cancel()


async def _stop(running: ServerRun, listener: HttpServer) -> None:
    await running.drained.wait()
    listener.stop()


@asynccontextmanager
async def lifespan(app: AsgiBinding) -> AsyncIterator[None]:
    """What an ASGI server does first and last."""
    feed, events = trio.open_memory_channel[dict[str, Any]](2)
    sent: list[str] = []
    began, over = trio.Event(), trio.Event()

    async def send(event: Any) -> None:
        sent.append(event["type"])
        (over if began.is_set() else began).set()
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, {"type": "lifespan", "asgi": {"version": "3.0"}}, events.receive, send)
        feed.send_nowait({"type": "lifespan.startup"})
        await began.wait()
        assert sent == ["lifespan.startup.complete"]
        yield
        feed.send_nowait({"type": "lifespan.shutdown"})
        await over.wait()
        assert sent[1:] == ["lifespan.shutdown.complete"]
