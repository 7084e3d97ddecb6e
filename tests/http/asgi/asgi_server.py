"""An ASGI server that is a list of what was sent and a queue of what is received; and handlers to put behind a door."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from trimcp.http.asgi.app import AsgiBinding
from trimcp.http.binding import HttpRequest, HttpResponse, Refusal


class Behind:
    """A handler made of one function, which remembers what it was asked."""

    def __init__(
        self,
        answer: Callable[[HttpRequest, HttpResponse], Awaitable[None]],
        *,
        body_limit: int = 1000,
        refusal: Refusal | None = None,
    ) -> None:
        self._answer = answer
        self.body_limit = body_limit
        self._refusal = refusal
        self.requests: list[HttpRequest] = []

    def refuse(self, request: HttpRequest) -> Refusal | None:
        return self._refusal

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        self.requests.append(request)
        await self._answer(request, response)


def door(behind: Behind, **options: Any) -> AsgiBinding:
    return AsgiBinding(lambda: behind, **options)


class Exchange:
    """One scope that an application serves."""

    def __init__(self, kind: str = "http", **scope: Any) -> None:
        self.scope: dict[str, Any] = {
            "type": kind,
            "asgi": {"version": "3.0"},
            "method": "POST",
            "scheme": "http",
            "path": "/mcp",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
            "extensions": {},
            **scope,
        }
        self._feed, self._events = trio.open_memory_channel[dict[str, Any]](math.inf)
        self.sent: list[dict[str, Any]] = []
        self.is_open = trio.Event()
        """Whether what is sent leaves: a test that makes a new one stops it."""
        self.is_open.set()
        self.receives = 0

    def body(self, *pieces: bytes, last: bool = True) -> Exchange:
        for number, piece in enumerate(pieces, 1):
            self._feed.send_nowait(
                {"type": "http.request", "body": piece, "more_body": number < len(pieces) or not last}
            )
        return self

    def event(self, kind: str, **keys: Any) -> Exchange:
        self._feed.send_nowait({"type": kind, **keys})
        return self

    async def receive(self) -> dict[str, Any]:
        self.receives += 1
        return await self._events.receive()

    async def send(self, event: Mapping[str, Any]) -> None:
        self.sent.append(dict(event))
        await self.is_open.wait()

    async def run(self, app: AsgiBinding) -> Exchange:
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def fields(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def received_body(self) -> bytes:
        return b"".join(event["body"] for event in self.sent[1:])

    @property
    def is_complete(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False
