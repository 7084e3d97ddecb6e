"""The interface between a binding of HTTP and the endpoint: a request, its response, and the handler of both.

There are two bindings, the built-in server (`http/h1/`) and ASGI (`http/asgi/`). A binding reads, writes, and notices
that the peer has gone; a `Handler` decides whether a request is served and how it is answered.

No part of a response waits: written bytes are taken at once, and a writer with more bytes looks at `is_clogged` first
and goes on when `on_clear` is called.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import trio

from trimcp.framing.headers import HeaderFields
from trimcp.protocol.principal import Principal

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields of a response, with names in lower case."""

PLAIN: Final[Fields] = ((b"content-type", b"text/plain; charset=utf-8"),)


class PeerConnection:
    """One connection of a peer, as far as the binding can tell connections apart."""

    __slots__ = ("head", "on_closed", "peer", "state")

    def __init__(self, peer: str) -> None:
        self.peer: Final = peer
        """The other end, for logs: `127.0.0.1:50000`, `unix`, …"""
        self.state: Any = None
        """Of the handler."""
        self.head: Any = None
        """Of the handler: what it found out from the head of an earlier request. The built-in server hands requests
        with the same head the same `fields`."""
        self.on_closed: Callable[[], None] | None = None
        """Called once when the connection is over or forgotten; set by the handler."""

    def close(self) -> None:
        """Tell the handler that the connection is over."""
        tell, self.on_closed = self.on_closed, None
        if tell is not None:
            tell()


class HttpRequest:
    """One request: its head, and its whole body from `Handler.handle` on."""

    __slots__ = (
        "body",
        "connection",
        "fields",
        "hides_forbidden",
        "method",
        "path",
        "principal",
        "query",
        "scope",
        "secure",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: bytes,
        fields: Mapping[bytes, bytes],
        connection: PeerConnection,
        *,
        secure: bool = False,
        scope: Mapping[str, Any] | None = None,
    ) -> None:
        self.method: Final = method
        """In upper case, as sent."""
        self.path: Final = path
        """Percent-decoded, without the query; in a mounted application, below the mount."""
        self.query: Final = query
        """The query as sent, without the question mark."""
        self.fields: Mapping[bytes, bytes] = fields
        """Header fields, with names in lower case and stripped values; repeated fields are joined with commas."""
        self.connection: Final = connection
        """The connection that it came by."""
        self.secure: Final = secure
        """Whether it came by TLS."""
        self.scope: Final = scope
        """The ASGI scope, if it came through ASGI."""
        self.body: bytes = b""
        """The whole body."""
        self.principal: Principal | None = None
        """The sender, after authentication; None for an anonymous request."""
        self.hides_forbidden: bool = False
        """Whether features whose scopes the sender lacks are unknown to it, rather than refused."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields as text, found by names in any case."""
        return HeaderFields(self.fields)

    @property
    def opens_websocket(self) -> bool:
        """Whether it asks for a WebSocket, through ASGI."""
        return self.scope is not None and self.scope.get("type") == "websocket"

    def field(self, name: str) -> str | None:
        """Return the value of a header field, by its name in any case; None if it was not sent."""
        value = self.fields.get(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")


class HttpResponse(abc.ABC):
    """The response to one request: whole by `respond`, or a stream by `begin`, `write`, `end`.

    No method waits or raises. After the peer has gone, or after `abort`, all methods do nothing.
    """

    __slots__ = ("expires_at", "further", "is_gone", "on_clear", "on_gone")

    def __init__(self) -> None:
        self.on_gone: Callable[[], None] | None = None
        """Called once if the peer goes, or reads nothing for too long, before the response has ended."""
        self.on_clear: Callable[[], None] | None = None
        """Called each time that all written bytes have left, after `is_clogged` was true."""
        self.is_gone: bool = False
        """Whether the peer has gone."""
        self.further: Fields = ()
        """Further header fields of the response, such as those of CORS; the binding adds them."""
        self.expires_at: float = math.inf
        """When the authentication of the sender ends, in seconds since the epoch: a long stream ends then."""

    @property
    @abc.abstractmethod
    def is_clogged(self) -> bool:
        """Whether written bytes have not left yet, so that more would pile up here."""

    @abc.abstractmethod
    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        """Write the whole response. The binding adds `content-length` and the fields of the connection."""

    @abc.abstractmethod
    def begin(self, status: int, fields: Fields) -> None:
        """Write the head of a response whose body follows in pieces. It may leave with the first piece."""

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """Write a piece of the body. It is taken even if the response is clogged."""

    @abc.abstractmethod
    def end(self) -> None:
        """End the body."""

    def finish(self, data: bytes) -> None:
        """Write the last piece, and end the body; in one write, if the binding can."""
        self.write(data)
        self.end()

    @abc.abstractmethod
    def abort(self) -> None:
        """Break the response off, so that the peer sees an incomplete response."""

    def gone(self) -> None:
        """Note that the peer has gone. For bindings."""
        if not self.is_gone:
            self.is_gone = True
            tell, self.on_gone = self.on_gone, None
            if tell is not None:
                tell()


async def cleared(response: HttpResponse, seconds: float) -> bool:
    """Wait until the written bytes of a response have left. Returns False where they do not leave in time."""
    if response.is_clogged:
        clear = trio.Event()
        response.on_clear = clear.set
        with trio.move_on_after(seconds):
            await clear.wait()
        response.on_clear = None
    return not response.is_clogged


class Refusal:
    """The whole response to a request that is refused by its head."""

    __slots__ = ("body", "fields", "status")

    def __init__(self, status: int, fields: Fields, body: bytes) -> None:
        self.status: Final = status
        self.fields: Final = fields
        self.body: Final = body


class Handler(Protocol):
    """The endpoint, as the bindings see it."""

    body_limit: int
    """Bytes that a body may have. The binding refuses a longer one with 413, before it has read all of it."""

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """Judge a request by its head, before its body is read. Never waits or raises."""
        ...

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """Take a request whose body is there. Returns when the request was taken, which may be long before the answer.

        Raises nothing but `Cancelled`, if the task of the binding is cancelled.
        """
        ...
