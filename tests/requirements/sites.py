"""A server over HTTP by hand, for clients of ours: it opens sessions, and otherwise does what a test says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

import trimcp
from tests.requirements.wires import CAPACITY, PORTS, Asking, Exchange, TappedStream, reached_by
from tests.session.peer import MODERN, discovered, result
from trimcp.errors import ConnectionEnded
from trimcp.http.h1.stream import ClientStream
from trimcp.http.urls import Origin
from trimcp.transports.memory import _MemoryStream, _Pipe


class Asked(Exchange):
    """A request to a site, which answers it."""

    stream: _MemoryStream
    at: float
    """When it came, by the clock of the test."""
    origin: str
    """The server that was asked."""

    @property
    def id(self) -> Any:
        """Of the request in it."""
        return self.message["id"]

    async def respond(self, status: int, body: Any = b"", **fields: str) -> None:
        """A whole response: bytes, or JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        if not isinstance(body, bytes):
            fields = {"content-type": "application/json", **fields}
        if status != 204:
            fields["content-length"] = str(len(data))
        await self._head(status, fields)
        await self.stream.send_all(data)

    async def result(self, value: dict[str, Any] | None = None, **fields: str) -> None:
        """The result, as JSON."""
        await self.respond(200, result(self.id, value), **fields)

    async def begin(self, **fields: str) -> None:
        """The head of an event stream."""
        await self._head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked", **fields})

    async def event(self, message: Any = None, *, raw: str = "", id: str = "") -> None:
        """An event: a message, or what it is made of."""
        text = raw if message is None else f"{f'id: {id}' + chr(10) if id else ''}data: {json.dumps(message)}\n\n"
        await self.stream.send_all(f"{len(text.encode()):x}\r\n{text}\r\n".encode())

    async def end(self) -> None:
        """The event stream is complete."""
        await self.stream.send_all(b"0\r\n\r\n")

    async def drop(self) -> None:
        """Break the connection."""
        await self.stream.aclose()

    async def left(self) -> None:
        """Wait until the client has gone."""
        assert await self.stream.receive_some(1) == b""

    async def _head(self, status: int, fields: Mapping[str, str]) -> None:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        await self.stream.send_all(f"HTTP/1.1 {status} So\r\n{lines}\r\n".encode())


Does = Callable[[Asked], Awaitable[None]]


class Site:
    """A server by hand. It opens sessions, and otherwise does as it is told.

    `does` says what, by the method of JSON-RPC, or by the one of HTTP where there is no message:
    a list of functions for one request each, of which the last one stays; or one function.
    """

    def __init__(self, version: str, does: Mapping[str, Does | list[Does]] | None = None) -> None:
        self.version = version
        self.does: dict[str, Does | list[Does]] = {**self._common(), **(does or {})}
        self.asked: list[Asked] = []
        self.sessions = 0
        self.url = f"http://localhost:{next(PORTS)}/mcp"

    def _common(self) -> dict[str, Does]:
        async def refuse(asked: Asked) -> None:
            await asked.respond(405)

        async def accept(asked: Asked) -> None:
            await asked.respond(202)

        async def discover(asked: Asked) -> None:
            if self.version == MODERN:
                await asked.respond(200, discovered(asked.id))
            else:
                await asked.respond(400)

        return {
            "server/discover": discover,
            "initialize": self.initialize,
            "GET": refuse,
            "DELETE": refuse,
            "answer": accept,
            "notification": accept,
        }

    async def initialize(self, asked: Asked) -> None:
        """Open a session: `session-1`, and so on."""
        self.sessions += 1
        about = {"protocolVersion": self.version, "capabilities": {"tools": {}}, "serverInfo": ABOUT}
        await asked.result(about, **{"Mcp-Session-Id": f"session-{self.sessions}"})

    def of(self, *methods: str) -> list[Asked]:
        """Those requests in which that was asked."""
        return [asked for asked in self.asked if asked.method in methods]

    async def serve(self, stream: _MemoryStream, origin: str) -> None:
        """Serve a connection."""
        arrived: list[Exchange] = []
        asking = Asking(arrived.append)
        try:
            while data := await stream.receive_some(65536):
                asking.parser.feed_data(data)
                while arrived:
                    exchange = arrived.pop(0)
                    asked = Asked(exchange.verb, exchange.path, exchange.names, exchange.fields, exchange.body)
                    asked.stream, asked.at, asked.origin = stream, trio.current_time(), origin
                    self.asked.append(asked)
                    await self._choose(asked)(asked)
        except ConnectionEnded:
            pass  # one of the two has broken it
        finally:
            with trio.CancelScope(shield=True):
                await stream.aclose()

    def _choose(self, asked: Asked) -> Does:
        method = asked.method
        if method not in self.does and method.startswith("notifications/"):
            method = "notification"
        does = self.does[method]
        if isinstance(does, list):
            return does.pop(0) if len(does) > 1 else does[0]
        return does


ABOUT = {"name": "site", "version": "1"}


@asynccontextmanager
async def open_site(site: Site) -> AsyncIterator[None]:
    """Have clients reach a site at every URL."""
    with trio.fail_after(100_000):
        async with trio.open_nursery() as nursery:

            async def connect(origin: Origin, shown: str) -> ClientStream:
                await trio.lowlevel.checkpoint()
                forth, back = _Pipe(CAPACITY), _Pipe(CAPACITY)
                nursery.start_soon(site.serve, _MemoryStream(forth, back, "memory"), f"{origin.host}:{origin.port}")
                return TappedStream(back, forth)

            with reached_by(connect):
                yield
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def at_site(site: Site, *, revision: str | None = "", **options: Any) -> AsyncIterator[trimcp.Client]:
    """A client of a site, which speaks its revision unless told otherwise."""
    async with open_site(site):
        spoken = site.version if revision == "" else revision
        async with trimcp.connect(site.url, revision=spoken, **options) as client:
            yield client
