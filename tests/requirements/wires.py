"""HTTP between a client of ours and a server, in memory, byte for byte: what the rules of the transport are held to.

`over_http` has a server of ours behind the direct door, and writes down each request and what was answered.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import httptools
import pytest
import trio

import trimcp
from tests.http.raw import Http, serving
from tests.session.peer import MODERN
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import Event, EventParser
from trimcp.http.client import connect as http_connect
from trimcp.http.client.pooled_client import PooledHttpClient
from trimcp.http.h1.stream import ClientStream
from trimcp.http.urls import Origin
from trimcp.transports.memory import _MemoryStream, _Pipe

PORTS = itertools.count(8000)
"""Each server is at another one: what a client has found out about a server it remembers."""
CAPACITY = 1 << 22


@attrs.define(eq=False)
class Exchange:
    """A request, and what was answered."""

    verb: str = ""
    path: str = ""
    names: list[str] = attrs.field(factory=list)
    """Of the header fields, as they were written."""
    fields: dict[str, str] = attrs.field(factory=dict)
    """By names in lower case."""
    body: bytes = b""
    status: int = 0
    answered: dict[str, str] = attrs.field(factory=dict)
    """Header fields of the response."""
    answer: bytes = b""

    @property
    def message(self) -> Any:
        """What was posted."""
        return json.loads(self.body)

    @property
    def method(self) -> str:
        """Of the message; else of HTTP."""
        message = self.message if self.body else None
        return str(message.get("method", "answer")) if type(message) is dict else self.verb

    @property
    def kind(self) -> str:
        """The media type of the answer."""
        return self.answered.get("content-type", "")

    @property
    def events(self) -> list[Event]:
        """Of an event stream, also those without data."""
        parser = EventParser()
        # A priming event has an empty `data`, which is an event as well.
        return [event for event in parser.feed(self.answer) if not isinstance(event, Oversized)]

    @property
    def messages(self) -> list[Any]:
        """All that was answered."""
        if self.kind == "text/event-stream":
            return [json.loads(event.data) for event in self.events if event.data]
        return [json.loads(self.answer)] if self.kind == "application/json" else []


class _Tap:
    """Reads along with one connection of a client's."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self._all = exchanges
        self._pending: list[Exchange] = []
        self._asking = Asking(self._asked)
        self._answering = _Answering(self._pending)

    def _asked(self, exchange: Exchange) -> None:
        self._all.append(exchange)
        self._pending.append(exchange)

    def sent(self, data: bytes) -> None:
        self._asking.parser.feed_data(data)

    def came(self, data: bytes) -> None:
        self._answering.parser.feed_data(data)


class Asking:
    """Requests out of bytes."""

    def __init__(self, take: Callable[[Exchange], None]) -> None:
        self.parser: Any = httptools.HttpRequestParser(self)
        self._take = take
        self._exchange = Exchange()

    def on_message_begin(self) -> None:
        self._exchange = Exchange()

    def on_url(self, url: bytes) -> None:
        self._exchange.path += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        exchange = self._exchange
        exchange.names.append(name.decode())
        assert name.decode().lower() not in exchange.fields, "a field that is there twice"
        exchange.fields[name.decode().lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._exchange.verb = self.parser.get_method().decode()

    def on_body(self, data: bytes) -> None:
        self._exchange.body += data

    def on_message_complete(self) -> None:
        self._take(self._exchange)


class _Answering:
    """Responses out of bytes."""

    def __init__(self, pending: list[Exchange]) -> None:
        self.parser: Any = httptools.HttpResponseParser(self)
        self._pending = pending

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pending[0].answered[name.decode().lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._pending[0].status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._pending[0].answer += data

    def on_message_complete(self) -> None:
        self._pending.pop(0)


class TappedStream(_MemoryStream):
    """A client's end of a connection in memory."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe, tap: _Tap | None = None) -> None:
        super().__init__(incoming, outgoing, "memory")
        self._tap = tap

    def try_send(self, data: bytes) -> int:
        sent = super().try_send(data)
        if self._tap is not None:
            self._tap.sent(data[:sent])
        return sent

    async def receive_some(self, max_bytes: int) -> bytes:
        return self._came(await super().receive_some(max_bytes))

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        if self._incoming.size:
            return self._came(self._incoming.take(max_bytes))
        return None if self._incoming.writing else b""

    def _came(self, data: bytes) -> bytes:
        if self._tap is not None and data:
            self._tap.came(data)
        return data

    def is_quiet(self) -> bool:
        return not self._incoming.size and self._incoming.writing and self._incoming.reading

    def close(self) -> None:
        self._outgoing.end_writing()
        self._incoming.end_reading()


Connect = Callable[[Origin, str], Awaitable[ClientStream]]


@contextmanager
def reached_by(connect: Connect) -> Iterator[None]:
    """Have clients reach every URL so, and not over the network."""

    def http_client_for(url: str, headers: Mapping[str, str], client: Any = None) -> PooledHttpClient:
        return PooledHttpClient(url, {name.lower(): value for name, value in headers.items()}, connect)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_connect, "http_client_for", http_client_for)
        yield


# --- a server of ours -----------------------------------------------------------------


@attrs.frozen
class Line:
    """A client, the server that it has by HTTP, and what passes between them."""

    client: trimcp.Client
    http: Http
    exchanges: list[Exchange]

    def of(self, method: str) -> list[Exchange]:
        """Those exchanges in which that was asked: a method of JSON-RPC or of HTTP."""
        return [exchange for exchange in self.exchanges if exchange.method == method]


@asynccontextmanager
async def over_http(
    server: trimcp.Server, version: str | None = MODERN, *, path: str = "/mcp", sse: bool = False, **options: Any
) -> AsyncIterator[Line]:
    """A client of a server of ours, over HTTP."""
    exchanges: list[Exchange] = []
    async with serving("direct", server, sse=sse) as http:

        async def connect(origin: Origin, shown: str) -> ClientStream:
            await trio.lowlevel.checkpoint()
            forth, back = _Pipe(CAPACITY), _Pipe(CAPACITY)
            http.nursery.start_soon(http._serve_stream, _MemoryStream(forth, back, "memory"))
            return TappedStream(back, forth, _Tap(exchanges))

        with reached_by(connect):
            url = f"http://localhost:{next(PORTS)}{path}"
            async with trimcp.connect(url, revision=version, **options) as client:
                yield Line(client, http, exchanges)
