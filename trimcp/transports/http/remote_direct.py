"""Requests to a server, each on a connection of its own, which the next one gets when it is done.

This is the way that a client over HTTP goes if nothing speaks against it; see `remote`. There is no
task in it, and on the way of a small request no cancel scope: a request is one write and one wait.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Self

import trio

from trimcp.errors import ExchangeFailed
from trimcp.framing.header_fields import HeaderFields
from trimcp.transports.http.remote import (
    KEPT,
    REDIRECTS,
    Deadline,
    Origin,
    Remote,
    RemoteReply,
    redirected,
    too_long,
)
from trimcp.transports.http.remote_connection import Connection, Unintelligible
from trimcp.transports.http.remote_heads import Target
from trimcp.transports.http.remote_wires import TAKES_NOTHING, Wire, WireBroken, connect

IDLE: Final = 30.0
"""Seconds that a connection without a request is kept. Servers close them after some time as well, and the
earlier they are let go, the less often both happen at once."""
_TARGETS: Final = 16
"""URLs of which the heads of requests are kept."""

_Connect = Callable[[Origin, str], Awaitable[Wire]]


class Pool:
    """Connections without a request: the last one used is the first to be used again."""

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: list[Connection] = []  # in the order in which they were left

    def take(self, origin: Origin) -> Connection | None:
        """One that leads to this server and still stands, as far as that is known here."""
        idle = self._idle
        for at in range(len(idle) - 1, -1, -1):
            if idle[at].origin == origin:
                connection = idle.pop(at)
                if connection.wire.is_quiet() and connection.idle_since >= trio.current_time() - IDLE:
                    return connection
                connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Keep one that has nothing to do. What is too much, or too old, is closed."""
        idle = self._idle
        connection.idle_since = now = trio.current_time()
        idle.append(connection)
        while len(idle) > KEPT or idle[0].idle_since < now - IDLE:
            idle.pop(0).close()

    def close(self) -> None:
        """Close them all."""
        while self._idle:
            self._idle.pop().close()


class DirectRemote(Remote):
    """See `Remote`."""

    def __init__(self, url: str, headers: Mapping[str, str], connect: _Connect = connect) -> None:
        """
        Args:
            url: of the endpoint, checked, and without credentials.
            headers: sent with every request, by their names in lower case, and checked.
            connect: makes a connection to a server; the second argument is what errors call it.
        """
        self.url = url
        self.pool = Pool()
        """For the replies: connections that wait for a request."""
        self.in_use: set[Connection] = set()
        """For the replies: connections that have one."""
        self._headers = headers
        self._connect = connect
        self._targets: dict[str, Target] = {}
        self._is_closed = False

    def request(
        self,
        verb: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        url: str | None = None,
        repeatable: bool = False,
        deadline: Deadline | None = None,
    ) -> AbstractAsyncContextManager[RemoteReply]:
        """See `Remote`."""
        return DirectReply(self, verb, headers, body, url or self.url, repeatable)

    def target(self, url: str) -> Target:
        """For the replies: where a URL leads."""
        target = self._targets.get(url)
        if target is None:
            if len(self._targets) == _TARGETS:
                self._targets.clear()
            target = self._targets[url] = Target(url, self._headers)
        return target

    async def connected(self, target: Target) -> Connection:
        """For the replies: a new connection.

        Raises:
            ExchangeFailed: there is none to be had.
        """
        self.check_open(target)
        connection = Connection(await self._connect(target.origin, target.shown), target.origin)
        try:
            self.check_open(target)
        except ExchangeFailed:
            connection.close()
            raise
        return connection

    def check_open(self, target: Target) -> None:
        """For the replies: refuse requests once it is closed.

        Raises:
            ExchangeFailed: it is.
        """
        if self._is_closed:
            raise ExchangeFailed(f"this side has closed its connections to {target.shown}")

    async def aclose(self) -> None:
        """See `Remote`."""
        self._is_closed = True
        self.pool.close()
        for connection in self.in_use:
            connection.close()
        await trio.lowlevel.checkpoint()


class DirectReply(RemoteReply):
    """A request, and then the response to it: the context that `Remote.request` gives."""

    __slots__ = ("_body", "_connection", "_fields", "_headers", "_remote", "_repeatable", "_url", "_verb")

    def __init__(
        self,
        remote: DirectRemote,
        verb: str,
        headers: Mapping[str, str],
        body: bytes | None,
        url: str,
        repeatable: bool,
    ) -> None:
        """See `Remote.request`."""
        self._remote = remote
        self._verb = verb
        self._headers = headers
        self._body = body
        self._url = url
        self._repeatable = repeatable
        self._fields: dict[bytes, bytes] = {}
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        remote, url, verb = self._remote, self._url, self._verb
        is_endpoint = verb == "POST" and url == remote.url
        target = remote.target(url)
        for _ in range(2):
            connection = await self._ask(target)
            status = self.status = connection.parser.status
            self._fields = connection.parser.fields
            if status not in REDIRECTS:
                return self
            location = self._fields.get(b"location", b"").decode("latin-1")
            self._let_go()
            url = redirected(url, location, status)
            if is_endpoint:
                remote.url = url
            target = remote.target(url)
        raise ExchangeFailed(f"{target.shown} redirects again and again")

    async def _ask(self, target: Target) -> Connection:
        remote, body = self._remote, self._body
        head = target.head(self._verb, self._headers, None if body is None else len(body))
        data = head + body if body else head
        connection = remote.pool.take(target.origin)
        if connection is None:
            connection = await remote.connected(target)
        while True:
            remote.in_use.add(connection)
            self._connection = connection
            try:
                await connection.ask(self._verb, data)
            except WireBroken as exc:
                self._close()
                if not (self._repeatable and connection.was_used and connection.parser.is_untouched):
                    raise _failure(exc, connection, target) from exc
            except BaseException:
                self._close()
                raise
            else:
                return connection
            # It was closed while it waited, and perhaps all of the others were.
            connection = await remote.connected(target)

    # --- RemoteReply ------------------------------------------------------------------

    @property
    def fields(self) -> Mapping[str, str]:
        """See `RemoteReply`."""
        return HeaderFields(self._fields)

    @property
    def media_type(self) -> str:
        """See `RemoteReply`."""
        kind = self._fields.get(b"content-type", b"")
        return kind.partition(b";")[0].strip().lower().decode("latin-1")

    async def next_piece(self) -> bytes | None:
        """See `RemoteReply`."""
        connection = self._connection
        assert connection is not None, "the reply has been let go"
        parser = connection.parser
        if parser.pieces or parser.is_complete:
            await trio.lowlevel.checkpoint()
        while not parser.pieces:
            if parser.is_complete:
                return None
            try:
                await connection.read()
            except Unintelligible as exc:
                raise ExchangeFailed(f"the response is not HTTP any more: {exc}") from exc
            except WireBroken as exc:
                raise ExchangeFailed(f"the response broke off: {exc}") from exc
        return parser.take()

    async def body(self, most: int) -> bytes:
        """See `RemoteReply`."""
        connection = self._connection
        if connection is None or not connection.parser.is_complete:
            return await super().body(most)
        await trio.lowlevel.checkpoint()
        body = connection.parser.take()
        if len(body) > most:
            raise too_long(most, self.status)
        return body

    # --- its end ----------------------------------------------------------------------

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._let_go()

    async def aclose(self) -> None:
        """See `RemoteReply`."""
        self._let_go()
        await trio.lowlevel.checkpoint()

    def _let_go(self) -> None:
        """Keep the connection if it can be used again."""
        connection = self._connection
        if connection is None:
            return
        if connection.is_reusable():
            self._connection = None
            self._remote.in_use.discard(connection)
            self._remote.pool.keep(connection)
        else:
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._remote.in_use.discard(connection)
            connection.close()


def _failure(exc: WireBroken, connection: Connection, target: Target) -> ExchangeFailed:
    if isinstance(exc, Unintelligible):
        return ExchangeFailed(f"what answers at {target.shown} is not HTTP as it should be: {exc}")
    if str(exc) == TAKES_NOTHING:
        return ExchangeFailed(f"{target.shown} did not take the request in time: {exc}")
    if not connection.parser.is_untouched:
        return ExchangeFailed(f"the connection to {target.shown} broke in the head of the response: {exc}")
    kept = " (it had been kept open since an earlier request)" if connection.was_used else ""
    return ExchangeFailed(f"the connection to {target.shown} broke before there was a response: {exc}{kept}")
