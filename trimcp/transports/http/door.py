"""What a door hands inside: an HTTP request, and the way back for its response.

There are two doors, a listener of our own (`listener.py`) and ASGI (`asgi.py`), and one of these
interfaces, so that what is behind them is written once. A door reads, writes, and knows when the
peer has gone; whether a request is let in and what it is answered is a `Handler`'s business.

Nothing of a response waits: what is written is taken at once, and a writer that has more asks
`is_clogged` first and goes on when `on_clear` is called.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from trimcp.framing.header_fields import HeaderFields

if TYPE_CHECKING:
    from trimcp.protocol.principal import Principal

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields of a response: names in lower case."""

PLAIN: Final[Fields] = ((b"content-type", b"text/plain; charset=utf-8"),)


class Connection:
    """What requests of one connection have in common. Doors make one for each connection they can tell apart."""

    __slots__ = ("kept", "on_closed", "peer")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        """Who is at the other end, for logs: `127.0.0.1:50000`, `unix`, …"""
        self.kept: Any = None
        """What the handler keeps with the connection."""
        self.on_closed: Callable[[], None] | None = None
        """Called once, when the connection is over or forgotten."""

    def close(self) -> None:
        """The connection is over: tell whoever keeps something with it."""
        tell, self.on_closed = self.on_closed, None
        if tell is not None:
            tell()


class HttpRequest:
    """One request: its head, and, when `Handler.handle` is called, its whole body."""

    __slots__ = ("body", "connection", "fields", "method", "path", "principal", "query", "scope", "secure")

    def __init__(
        self,
        method: str,
        path: str,
        query: bytes,
        fields: Mapping[bytes, bytes],
        connection: Connection,
        *,
        secure: bool = False,
        scope: Mapping[str, Any] | None = None,
    ) -> None:
        self.method = method
        """In upper case, as sent."""
        self.path = path
        """Percent-decoded, without the query. Mounted in another application: relative to where it is mounted."""
        self.query = query
        self.fields = fields
        """Header fields: names in lower case, values stripped; those sent several times joined with `, `."""
        self.connection = connection
        self.secure = secure
        """Whether it came by TLS."""
        self.scope = scope
        """The ASGI scope, where it came through that door."""
        self.body = b""
        self.principal: Principal | None = None
        """Who sends it, once it is authenticated; None for an anonymous request."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields as text, by names in any case."""
        return HeaderFields(self.fields)

    @property
    def opens_websocket(self) -> bool:
        """Whether it asks for a WebSocket, through a door that has them."""
        return self.scope is not None and self.scope.get("type") == "websocket"

    def field(self, name: str) -> str | None:
        """The value of a header field, whatever the case of its name; None where it was not sent."""
        value = self.fields.get(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")


class HttpResponse(abc.ABC):
    """The way back of one request: one whole answer by `respond`, or a stream by `begin`, `write`, `end`.

    Nothing here waits or raises. After the peer has gone, or `abort`, all of it does nothing.
    """

    __slots__ = ("further", "is_gone", "on_clear", "on_gone")

    def __init__(self) -> None:
        self.on_gone: Callable[[], None] | None = None
        """Called once where the peer goes, or takes nothing for too long, before the response has ended."""
        self.on_clear: Callable[[], None] | None = None
        """Called each time that all that was written has left, after `is_clogged` was true."""
        self.is_gone = False
        """Whether nobody is there any more."""
        self.further: Fields = ()
        """Header fields that the response has beside those it is answered with; for doors to add."""

    @property
    @abc.abstractmethod
    def is_clogged(self) -> bool:
        """Whether something that was written has not left yet, so that more would pile up here."""

    @abc.abstractmethod
    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        """The whole response. The door adds `content-length`, and what belongs to the connection."""

    @abc.abstractmethod
    def begin(self, status: int, fields: Fields) -> None:
        """The head of a response whose body follows in pieces. It may leave with the first piece."""

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """A piece of the body. It is taken, whatever `is_clogged` says."""

    @abc.abstractmethod
    def end(self) -> None:
        """The body is complete."""

    def finish(self, data: bytes) -> None:
        """The last piece, and the end; in one write, where the door can."""
        self.write(data)
        self.end()

    @abc.abstractmethod
    def abort(self) -> None:
        """Break the response off, so that the peer sees that it is not complete."""

    def gone(self) -> None:
        """For doors: the peer is not there any more."""
        if not self.is_gone:
            self.is_gone = True
            tell, self.on_gone = self.on_gone, None
            if tell is not None:
                tell()


class Refusal:
    """Why a request is not let in: a whole response, made of its head alone."""

    __slots__ = ("body", "fields", "status")

    def __init__(self, status: int, fields: Fields, body: bytes) -> None:
        self.status = status
        self.fields = fields
        self.body = body


class Handler(Protocol):
    """What is behind the doors."""

    body_limit: int
    """Bytes that a body may have; a door refuses a longer one itself, with 413, before it has read all of it."""

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """Judge a request by its head, before its body is read. Must not wait, nor raise."""
        ...

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """Take a request whose body is there. Returns when it was taken, which may be long before it is answered.

        Raises nothing but `Cancelled`. Who is cancelled in here is the door's own task.
        """
        ...
