"""A raw HTTP client's connections to either door, and answers that are read as they come.

`DirectWire` speaks HTTP/1.1 over a stream of bytes, `AsgiWire` drives an application without one.
"""

from __future__ import annotations

import abc
import itertools
import json
import math
import re
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httptools
import trio
import trio.testing

from trimcp.errors import ConnectionEnded
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import Event, EventParser
from trimcp.http.asgi.app import AsgiBinding
from trimcp.transports.lines import ByteStream

CAPACITY = 65536
"""Bytes that a client who does not read lets pile up on its side."""


async def settled() -> None:
    """Wait until nobody has anything to do."""
    await trio.testing.wait_all_tasks_blocked()


class Answer(abc.ABC):
    """A response, as far as it has come."""

    def __init__(self) -> None:
        self.status = 0
        self.fields: dict[str, str] = {}
        self.body = b""
        self.is_complete = False
        self.is_broken = False
        self._parser = EventParser(limit=2**30)
        self._events: deque[Event] = deque()

    @abc.abstractmethod
    async def _more(self) -> bool:
        """Wait for more of it; False where nothing comes any more."""

    @abc.abstractmethod
    async def drop(self) -> None:
        """Break the connection."""

    def _got(self, data: bytes) -> None:
        self.body += data
        if self.is_stream:
            for event in self._parser.feed(data):
                assert not isinstance(event, Oversized)
                self._events.append(event)

    @property
    def kind(self) -> str:
        """The media type."""
        return self.fields.get("content-type", "")

    @property
    def is_stream(self) -> bool:
        return self.kind == "text/event-stream"

    @property
    def is_over(self) -> bool:
        return self.is_complete or self.is_broken

    @property
    def comments(self) -> int:
        """Comments that have come."""
        return sum(line.startswith(b":") for line in self.body.split(b"\n"))

    @property
    def retry(self) -> int | None:
        """The milliseconds that the stream asks its client to wait."""
        return self._parser.retry

    @property
    def last_id(self) -> str:
        """The id to resume behind."""
        return self._parser.last_event_id.decode()

    async def first_id(self) -> str:
        """Wait for the id of the event that the stream begins with."""
        while (match := re.search(r"^id: (\S+)\n", self.body.decode())) is None:
            assert await self._more()
        return match[1]

    async def begun(self) -> Answer:
        """Wait for the head."""
        while not self.status:
            assert await self._more(), "the connection ended without a response"
        return self

    async def ended(self) -> Answer:
        """Wait for the end."""
        while not self.is_over:
            await self._more()
        return self

    async def json(self) -> Any:
        """The whole body, which is JSON."""
        await self.begun()
        await self.ended()
        assert self.kind == "application/json", (self.status, self.kind, self.body)
        assert self.is_complete
        return json.loads(self.body)

    async def event(self) -> Event | None:
        """The next event that carries something; None at the end."""
        await self.begun()
        while True:
            while self._events:
                event = self._events.popleft()
                if event.data:
                    return event
            if not await self._more():
                return None

    async def message(self) -> Any:
        """The message of the next event."""
        event = await self.event()
        assert event is not None, "the stream has ended"
        return json.loads(event.data)

    async def messages(self) -> list[Any]:
        """All that come until the end."""
        await self.begun()
        assert self.is_stream, (self.status, self.body)
        found = []
        while (event := await self.event()) is not None:
            found.append(json.loads(event.data))
        return found

    async def arrived(self) -> list[Any]:
        """All that is there once nobody has anything to do."""
        found: list[Any] = []
        while not self.is_over:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._cancel_when_settled, scope)
                    await self._more()
                    nursery.cancel_scope.cancel()
            if scope.cancelled_caught:
                break
        while self._events:
            event = self._events.popleft()
            if event.data:
                found.append(json.loads(event.data))
        return found

    async def _cancel_when_settled(self, scope: trio.CancelScope) -> None:
        # Longer than none, since whoever reads is blocked too.
        await trio.testing.wait_all_tasks_blocked(0.001)
        scope.cancel()

    async def result(self) -> Any:
        """The result, however it came, after whatever came before it."""
        answer = await self.answer()
        assert "result" in answer, answer
        return answer["result"]

    async def error(self) -> Any:
        """The error, however it came."""
        answer = await self.answer()
        assert "error" in answer, answer
        return answer["error"]

    async def answer(self) -> Any:
        """The last message."""
        await self.begun()
        return (await self.messages())[-1] if self.is_stream else await self.json()

    async def text(self) -> str:
        """The text of a tool's result."""
        result = await self.result()
        return str(result["content"][0]["text"])


class Wire(abc.ABC):
    """One connection to a door."""

    @abc.abstractmethod
    async def send(self, method: str, path: str, fields: Mapping[str, str], body: bytes) -> Answer:
        """Send a request."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Close it."""


# --- the direct door ------------------------------------------------------------------


class DirectAnswer(Answer):
    def __init__(self, wire: DirectWire) -> None:
        super().__init__()
        self._wire = wire

    async def _more(self) -> bool:
        if self.is_over:
            return False
        data = await self._wire.stream.receive_some(65536)
        if data:
            self._wire.feed(data)
        else:
            self.is_broken = not self.is_complete
        return bool(data)

    async def drop(self) -> None:
        await self._wire.close()


class DirectWire(Wire):
    """One connection, a request at a time."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._parser: Any = None
        self._answer: DirectAnswer | None = None

    async def send(self, method: str, path: str, fields: Mapping[str, str], body: bytes) -> Answer:
        assert self._answer is None or self._answer.is_complete
        self._answer = DirectAnswer(self)
        self._parser = httptools.HttpResponseParser(self)
        head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        if body:
            head.append(f"content-length: {len(body)}")
        with suppress(ConnectionEnded):  # a server that has refused a long body reads no more of it
            await self.stream.send_all("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
        return self._answer

    async def close(self) -> None:
        await self.stream.aclose()

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._answer is not None
        self._answer.fields[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        assert self._answer is not None
        self._answer.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        assert self._answer is not None
        self._answer._got(data)

    def on_message_complete(self) -> None:
        assert self._answer is not None
        self._answer.is_complete = True


# --- the ASGI door --------------------------------------------------------------------


class AsgiAnswer(Answer):
    """One exchange with an application."""

    def __init__(self, capacity: float) -> None:
        super().__init__()
        self._capacity = capacity
        self._sent: deque[dict[str, Any]] = deque()
        self._bytes = 0
        self._lot = trio.lowlevel.ParkingLot()
        self.feed, self._events_in = trio.open_memory_channel[dict[str, Any]](math.inf)
        self._gone = False
        self._returned = False

    async def serve(self, app: AsgiBinding, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._events_in.receive, self._send)
        finally:
            self._returned = True
            self._lot.unpark_all()

    async def _send(self, event: Any) -> None:
        await trio.lowlevel.checkpoint()
        if self._gone:
            return
        own = dict(event)
        self._sent.append(own)
        self._bytes += len(own.get("body", b""))
        self._lot.unpark_all()
        try:
            while self._bytes > self._capacity and own in self._sent and not self._gone:
                await self._lot.park()
        except trio.Cancelled:
            self._sent.remove(own)  # of which not all had left
            raise

    async def _more(self) -> bool:
        if self.is_over:
            return False
        while not self._sent and not self._returned and not self._gone:
            await self._lot.park()
        if not self._sent or self._gone:
            self.is_broken = True
            return False
        event = self._sent.popleft()
        if event["type"] == "http.response.start":
            self.status = event["status"]
            self.fields |= {name.decode(): value.decode() for name, value in event["headers"]}
        else:
            body = event.get("body", b"")
            self._bytes -= len(body)
            self._got(body)
            self.is_complete = not event.get("more_body", False)
            if self.is_complete:  # as servers do once a response has left
                self.feed.send_nowait({"type": "http.disconnect"})
        self._lot.unpark_all()
        return True

    async def drop(self) -> None:
        self._gone = True
        self.feed.send_nowait({"type": "http.disconnect"})
        self._lot.unpark_all()
        await trio.lowlevel.checkpoint()


class AsgiWire(Wire):
    """One client's address, of which any number of requests come at once."""

    ports = itertools.count(50000)

    def __init__(self, app: AsgiBinding, nursery: trio.Nursery, capacity: float) -> None:
        self._app = app
        self._nursery = nursery
        self._capacity = capacity
        self._client = ("127.0.0.1", next(self.ports))
        self._answers: list[Answer] = []

    async def send(self, method: str, path: str, fields: Mapping[str, str], body: bytes) -> Answer:
        answer = AsgiAnswer(self._capacity)
        path, _, query = path.partition("?")
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": self._client,
            "server": ("127.0.0.1", 8000),
            "extensions": {},
        }
        for start in range(0, max(len(body), 1), 65536):
            more = start + 65536 < len(body)
            answer.feed.send_nowait({"type": "http.request", "body": body[start : start + 65536], "more_body": more})
        self._answers.append(answer)
        self._nursery.start_soon(answer.serve, self._app, scope)
        return answer

    async def close(self) -> None:
        for answer in self._answers:
            await answer.drop()
