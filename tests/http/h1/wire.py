"""A handler that tests can ask, and a client's end of a connection that a server of ours serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httptools
import trio
import trio.testing

from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse, Refusal
from trimcp.http.h1.server import HttpServer
from trimcp.limits import HttpLimits
from trimcp.transports.lines import ByteStream
from trimcp.transports.memory import _MemoryStream, _Pipe

Answer = Callable[[HttpRequest, HttpResponse], None]


def echo(request: HttpRequest, response: HttpResponse) -> None:
    response.respond(200, PLAIN, f"{request.method} {request.path} ".encode() + request.body)


def hold(request: HttpRequest, response: HttpResponse) -> None:
    """Leave it to the test to answer."""


class Asked:
    """A handler that keeps what it was asked."""

    def __init__(self, answer: Answer = echo, *, body_limit: int = 1000) -> None:
        self.body_limit = body_limit
        self.answer = answer
        self.refusals: dict[str, Refusal] = {}
        self.judged: list[str] = []
        self.requests: list[HttpRequest] = []
        self.responses: list[HttpResponse] = []
        self.gone: list[str] = []
        self._arrived = trio.Event()

    def refuse(self, request: HttpRequest) -> Refusal | None:
        assert request.body == b""
        self.judged.append(request.path)
        return self.refusals.get(request.path)

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        self.requests.append(request)
        self.responses.append(response)
        response.on_gone = lambda: self.gone.append(request.path)
        self._arrived.set()
        self._arrived = trio.Event()
        self.answer(request, response)

    async def asked(self, number: int) -> HttpResponse:
        """Wait until that many requests have come; the response of the last of them."""
        while len(self.requests) < number:
            await self._arrived.wait()
        return self.responses[number - 1]


class Answered:
    """A response that a client has read, or is reading."""

    def __init__(self) -> None:
        self.status = 0
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.has_head = False
        self.is_complete = False

    def __getitem__(self, name: bytes) -> bytes | None:
        return dict(self.fields).get(name)

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """A client's end: bytes out, responses in."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.answers: list[Answered] = []
        self._parser = httptools.HttpResponseParser(self)
        self._read = 0
        self.at_end = False

    def on_message_begin(self) -> None:
        self.answers.append(Answered())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answers[-1].fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.answers[-1].status = self._parser.get_status_code()
        self.answers[-1].has_head = True

    def on_body(self, data: bytes) -> None:
        self.answers[-1].body += data

    def on_message_complete(self) -> None:
        self.answers[-1].is_complete = True

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def more(self) -> bytes:
        """Read what comes, once."""
        data = await self.stream.receive_some(65536)
        if data:
            self._parser.feed_data(data)
        else:
            self.at_end = True
        return data

    async def next(self) -> Answered:
        """The next whole response."""
        while len(self.answers) <= self._read or not self.answers[self._read].is_complete:
            assert await self.more(), f"the connection ended, and no response came ({len(self.answers)})"
        self._read += 1
        return self.answers[self._read - 1]

    async def ask(self, data: bytes) -> Answered:
        await self.send(data)
        return await self.next()

    def stop_reading(self) -> None:
        """Let the server's next write fail."""
        assert isinstance(self.stream, _MemoryStream)
        self.stream._incoming.end_reading()

    async def rest(self) -> bytes:
        """All that comes until the end of the connection, unparsed."""
        rest = b""
        while data := await self.stream.receive_some(65536):
            rest += data
        self.at_end = True
        return rest

    async def ended(self) -> bool:
        """Whether the server ends the connection without another word."""
        return await self.rest() == b""


def post(path: str = "/", body: bytes = b"", *fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(path: str = "/", *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: a", *fields]).encode() + b"\r\n\r\n"


def memory_streams(capacity: int = 65536) -> tuple[ByteStream, ByteStream]:
    forth, back = _Pipe(capacity), _Pipe(capacity)
    return _MemoryStream(back, forth, "memory"), _MemoryStream(forth, back, "memory")


class Served:
    """A server in memory, and clients of it."""

    def __init__(self, handler: Asked, nursery: trio.Nursery, limits: HttpLimits) -> None:
        self.server = HttpServer(handler, nursery, limits=limits)
        self._nursery = nursery

    def connect(self, capacity: int = 65536) -> Client:
        here, there = memory_streams(capacity)
        self._nursery.start_soon(self._serve, there)
        return Client(here)

    async def _serve(self, stream: ByteStream) -> None:
        try:
            await self.server.serve_stream(stream)
        finally:
            with trio.CancelScope(shield=True):
                await stream.aclose()


@asynccontextmanager
async def served(handler: Asked, limits: HttpLimits | None = None) -> AsyncIterator[Served]:
    """A server whose every connection must have ended, or is cut, at the end; five seconds are its life."""
    with trio.fail_after(10_000 if is_virtual() else 5):
        async with trio.open_nursery() as nursery:
            yield Served(handler, nursery, limits or HttpLimits())
            nursery.cancel_scope.cancel()


def is_virtual() -> bool:
    """Whether the clock is a mock."""
    return isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)


@asynccontextmanager
async def client_of(
    handler: Asked, limits: HttpLimits | None = None, *, capacity: int = 65536
) -> AsyncIterator[Client]:
    """One client of a server in memory."""
    async with served(handler, limits) as server:
        yield server.connect(capacity)
