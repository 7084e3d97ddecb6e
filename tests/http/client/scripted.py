"""A server over HTTP that does what a test's script says, and keeps what it was asked.

A script gets each request as an `Ask`, and says what is answered by an `Answer`. Two carriers bring
them together with a client: `memory` stands in for the client's HTTP, so that Trio's test clock can
run; `tcp` is a socket, and bytes.
"""

from __future__ import annotations

import abc
import contextlib
import importlib
import json
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
import trio

from trimcp.errors import ExchangeFailed
from trimcp.framing.sse import encode_event
from trimcp.http.client.http_client import HttpClient, HttpClientResponse

URL = "http://scripted.test/mcp"


class Fields(dict[str, str]):
    """Header fields; names in any case."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in fields.items()})

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class Ask:
    """A request as it arrived."""

    def __init__(self, verb: str, path: str, fields: Mapping[str, str], body: bytes) -> None:
        self.verb = verb
        self.path = path
        self.fields = Fields(fields)
        self.body = body
        self.message: Any = json.loads(body) if body else None
        self.gone = trio.Event()
        """Set when the client has let go of the response."""

    @property
    def method(self) -> str:
        """The method of MCP's, or the verb where there is none."""
        return str(self.message.get("method", "answer")) if isinstance(self.message, dict) else self.verb

    @property
    def id(self) -> Any:
        return self.message["id"]

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.message.get("params") or {})


class Answer(abc.ABC):
    """The response to one request, as the script says it."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.has_begun = False

    @abc.abstractmethod
    async def head(self, status: int, fields: dict[str, str], length: int | None = None) -> None:
        """Send the head; without a length the body is what comes until the end."""

    @abc.abstractmethod
    async def piece(self, data: bytes) -> None:
        """Send a piece of the body."""

    @abc.abstractmethod
    async def end(self) -> None:
        """End the body."""

    @abc.abstractmethod
    async def break_off(self) -> None:
        """Break the connection."""

    async def whole(self, status: int, media_type: str = "", body: bytes = b"", **fields: str) -> None:
        """Send all of it."""
        more = {"content-type": media_type} if media_type else {}
        sent = {name.replace("_", "-"): value for name, value in fields.items()}
        await self.head(status, {**more, **sent}, len(body))
        if body:
            await self.piece(body)
        await self.end()

    async def json(self, value: Any, status: int = 200, **fields: str) -> None:
        """Send JSON."""
        await self.whole(status, "application/json", json.dumps(value).encode(), **fields)

    async def result(self, result: dict[str, Any], **fields: str) -> None:
        """Answer the request."""
        await self.json({"jsonrpc": "2.0", "id": self.ask.id, "result": result}, **fields)

    async def error(self, code: int, message: str = "no", status: int = 200, data: Any = None) -> None:
        """Answer the request with an error."""
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        await self.json({"jsonrpc": "2.0", "id": self.ask.id, "error": error}, status)

    async def stream(self, **fields: str) -> None:
        """Begin an event stream."""
        sent = {name.replace("_", "-"): value for name, value in fields.items()}
        await self.head(200, {"content-type": "text/event-stream", **sent})

    async def event(
        self, message: Any = None, *, id: str | None = None, retry: int | None = None, type: str | None = None
    ) -> None:
        """Send an event with a message, text, or nothing."""
        data = (
            b"" if message is None else message.encode() if isinstance(message, str) else json.dumps(message).encode()
        )
        event = encode_event(
            data, event=None if type is None else type.encode(), id=None if id is None else id.encode(), retry=retry
        )
        await self.piece(event)

    async def result_event(self, result: dict[str, Any], *, to: Any = None, id: str | None = None) -> None:
        """Answer a request by an event."""
        request = self.ask.id if to is None else to
        await self.event({"jsonrpc": "2.0", "id": request, "result": result}, id=id)

    async def notice(self, method: str, params: dict[str, Any] | None = None, *, id: str | None = None) -> None:
        """Send a notification by an event."""
        await self.event({"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}, id=id)


Script = Callable[[Ask, Answer], Awaitable[None]]


class Scripted:
    """The server: its script, and all that it was asked, in order."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asks: list[Ask] = []
        self.url = URL
        self.is_up = True
        """Whether it takes connections (in memory)."""
        self._news = trio.Event()

    async def serve(self, ask: Ask, answer: Answer) -> None:
        """Run the script on a request."""
        self.asks.append(ask)
        self._news.set()
        self._news = trio.Event()
        await self.script(ask, answer)
        if not answer.has_begun:
            await answer.whole(202)
        await answer.end()

    def asked(self, method: str) -> list[Ask]:
        """The requests with that method (`GET`, `DELETE`, `tools/call`, …)."""
        return [ask for ask in self.asks if ask.method == method]

    async def was_asked(self, method: str, times: int = 1) -> Ask:
        """Wait for a request."""
        while len(self.asked(method)) < times:
            await self._news.wait()
        return self.asked(method)[times - 1]

    @property
    def methods(self) -> list[str]:
        """All methods asked so far."""
        return [ask.method for ask in self.asks]


# --- in memory ------------------------------------------------------------------------


class MemoryAnswer(Answer, HttpClientResponse):
    """Both ends of a response."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self.begun = trio.Event()
        self._fields = Fields({})
        self._send, self._receive = trio.open_memory_channel[bytes | None](math.inf)
        self._left: int | None = None
        self.is_broken = False

    @property
    def fields(self) -> Mapping[str, str]:
        return self._fields

    async def head(self, status: int, fields: dict[str, str], length: int | None = None) -> None:
        self.has_begun = True
        self.status, self._fields, self._left = status, Fields(fields), length
        self.begun.set()
        await trio.lowlevel.checkpoint()

    async def piece(self, data: bytes) -> None:
        self._send.send_nowait(data)
        await trio.lowlevel.checkpoint()

    async def end(self) -> None:
        self._send.close()

    async def break_off(self) -> None:
        self.has_begun = self.is_broken = True
        self._send.close()
        self.begun.set()

    async def next_piece(self) -> bytes | None:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self.is_broken:
                raise ExchangeFailed("the response broke off: the connection was reset") from None
            return None

    async def aclose(self) -> None:
        self._receive.close()


class MemoryHttpClient(HttpClient):
    """Stands in for the client's HTTP."""

    def __init__(self, server: Scripted, nursery: trio.Nursery, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self._server = server
        self._nursery = nursery
        self._headers = dict(headers)
        self.is_closed = False

    @contextlib.asynccontextmanager
    async def request(
        self,
        verb: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        url: str | None = None,
        repeatable: bool = False,
        deadline: Any = None,
    ) -> AsyncIterator[HttpClientResponse]:
        await trio.lowlevel.checkpoint()
        assert not self.is_closed
        if not self._server.is_up:
            raise ExchangeFailed(f"cannot connect to {self.url}: it is down")
        path = (url or self.url).removeprefix("http://scripted.test")
        ask = Ask(verb, path, {**self._headers, **headers}, body or b"")
        answer = MemoryAnswer(ask)
        self._nursery.start_soon(self._serve, ask, answer)
        try:
            await answer.begun.wait()
            if answer.is_broken and not hasattr(answer, "status"):
                raise ExchangeFailed("the connection broke: it was reset before the response")
            yield answer
        finally:
            ask.gone.set()

    async def _serve(self, ask: Ask, answer: MemoryAnswer) -> None:
        with contextlib.suppress(trio.ClosedResourceError):  # the client does not read any more
            await self._server.serve(ask, answer)

    async def aclose(self) -> None:
        self.is_closed = True
        await trio.lowlevel.checkpoint()


# --- over TCP -------------------------------------------------------------------------


class TcpAnswer(Answer):
    """A response as bytes."""

    def __init__(self, ask: Ask, stream: trio.SocketStream) -> None:
        super().__init__(ask)
        self._stream = stream
        self._is_chunked = False
        self._is_over = False
        self.is_broken = False

    async def head(self, status: int, fields: dict[str, str], length: int | None = None) -> None:
        self.has_begun = True
        self._is_chunked = length is None
        framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
        lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in {**fields, **framing}.items())]
        await self._stream.send_all(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def piece(self, data: bytes) -> None:
        await self._stream.send_all(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    async def end(self) -> None:
        if self._is_chunked and not self._is_over:
            await self._stream.send_all(b"0\r\n\r\n")
        self._is_over = True

    async def raw(self, data: bytes) -> None:
        """Send bytes that need be no HTTP."""
        self.has_begun = True
        await self._stream.send_all(data)

    async def break_gently(self) -> None:
        """Close the connection, so that what was sent is read before."""
        self.has_begun = self._is_over = self.is_broken = True
        await self._stream.send_eof()
        await self._stream.aclose()

    async def break_off(self) -> None:
        self.has_begun = self._is_over = self.is_broken = True
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        await self._stream.aclose()


async def _serve_connection(server: Scripted, stream: trio.SocketStream) -> None:
    held = b""
    async with stream:
        while True:
            while b"\r\n\r\n" not in held:
                piece = await stream.receive_some(65536)
                if not piece:
                    return
                held += piece
            head, _, held = held.partition(b"\r\n\r\n")
            start, *lines = head.decode("latin-1").split("\r\n")
            verb, path, _ = start.split(" ")
            fields = Fields({line.partition(":")[0]: line.partition(":")[2].strip() for line in lines})
            length = int(fields.get("content-length", "0"))
            while len(held) < length:
                held += await stream.receive_some(65536)
            body, held = held[:length], held[length:]
            ask = Ask(verb, path, fields, body)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch, stream, ask)
                answer = TcpAnswer(ask, stream)
                await server.serve(ask, answer)
                nursery.cancel_scope.cancel()
            if answer.is_broken:
                return


async def _watch(stream: trio.SocketStream, ask: Ask) -> None:
    """See whether the client closes the connection; it sends nothing before the response is over."""
    try:
        if await stream.socket.recv(1, socket.MSG_PEEK):
            await trio.sleep_forever()
    except (OSError, trio.ClosedResourceError):
        pass  # broken, by one side or the other
    ask.gone.set()


@contextlib.asynccontextmanager
async def scripted(script: Script, carrier: str = "memory") -> AsyncIterator[Scripted]:
    """Hold such a server up. In memory, every client over HTTP that is opened meanwhile gets to it."""
    server = Scripted(script)
    async with trio.open_nursery() as nursery:
        if carrier == "tcp":

            async def handle(stream: trio.SocketStream) -> None:
                try:
                    await _serve_connection(server, stream)
                except* (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass  # the client is gone, or was to be

            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await nursery.start(trio.serve_listeners, handle, [listener])
            server.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/mcp"
            yield server
        else:

            def http_client_for(url: str, headers: Mapping[str, str], client: Any) -> HttpClient:
                return MemoryHttpClient(server, nursery, url, headers)

            with pytest.MonkeyPatch.context() as patch:
                # By its name, which is that of a function in the package as well.
                patch.setattr(importlib.import_module("trimcp.http.client.connect"), "http_client_for", http_client_for)
                yield server
        nursery.cancel_scope.cancel()
