"""The HTTP client of trimcp: requests on Trio's sockets, each on a connection of the pool.

It starts no task, and needs no cancel scope for a small request: that is one write and one wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Self

import trio

from trimcp.errors import ConnectionEnded, ExchangeFailed
from trimcp.framing.headers import HeaderFields
from trimcp.http.client.http_client import REDIRECTS, Deadline, HttpClient, HttpClientResponse, too_long
from trimcp.http.h1.client_connection import ClientConnection, NotHttp, RequestNotTaken
from trimcp.http.h1.pool import Connect, ConnectionPool
from trimcp.http.h1.request_head import RequestHeads
from trimcp.http.h1.stream import connect, end_reason
from trimcp.http.urls import redirected

_MAX_HEADS: Final = 16
"""URLs for which the parts of heads are kept."""


class PooledHttpClient(HttpClient):
    """Makes requests on the connections of a pool. See `HttpClient`."""

    def __init__(self, url: str, headers: Mapping[str, str], connect: Connect = connect) -> None:
        """
        Args:
            url: of the endpoint, checked, and without credentials.
            headers: sent with every request, by their names in lower case, and checked.
            connect: connects to a server.
        """
        self.url: str = url
        self.pool: ConnectionPool = ConnectionPool(connect)
        self._headers = headers
        self._heads: dict[str, RequestHeads] = {}

    def request(
        self,
        verb: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        url: str | None = None,
        repeatable: bool = False,
        deadline: Deadline | None = None,
    ) -> AbstractAsyncContextManager[HttpClientResponse]:
        """See `HttpClient`."""
        return PooledResponse(self, verb, headers, body, url or self.url, repeatable)

    def heads(self, url: str) -> RequestHeads:
        """Return the writer of heads for requests to a URL."""
        heads = self._heads.get(url)
        if heads is None:
            if len(self._heads) == _MAX_HEADS:
                self._heads.clear()
            heads = self._heads[url] = RequestHeads(url, self._headers)
        return heads

    async def aclose(self) -> None:
        """See `HttpClient`."""
        self.pool.close()
        await trio.lowlevel.checkpoint()


class PooledResponse(HttpClientResponse):
    """Makes a request when its context is entered, and is then its response."""

    __slots__ = ("_body", "_client", "_connection", "_fields", "_headers", "_repeatable", "_url", "_verb")

    def __init__(
        self,
        client: PooledHttpClient,
        verb: str,
        headers: Mapping[str, str],
        body: bytes | None,
        url: str,
        repeatable: bool,
    ) -> None:
        """See `HttpClient.request`."""
        self._client = client
        self._verb = verb
        self._headers = headers
        self._body = body
        self._url = url
        self._repeatable = repeatable
        self._fields: dict[bytes, bytes] = {}
        self._connection: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        client, url, verb = self._client, self._url, self._verb
        is_endpoint = verb == "POST" and url == client.url
        heads = client.heads(url)
        for _ in range(2):
            connection = await self._ask(heads)
            status = connection.parser.status
            self.status: int = status
            self._fields = connection.parser.fields
            if status not in REDIRECTS:
                return self
            location = self._fields.get(b"location", b"").decode("latin-1")
            self._let_go()
            url = redirected(url, location, status)
            if is_endpoint:
                client.url = url
            heads = client.heads(url)
        raise ExchangeFailed(f"{heads.shown} redirects again and again")

    async def _ask(self, heads: RequestHeads) -> ClientConnection:
        pool, body = self._client.pool, self._body
        head = heads.head(self._verb, self._headers, None if body is None else len(body))
        data = head + body if body else head
        connection = pool.take(heads.origin)
        if connection is None:
            connection = await pool.open(heads.origin, heads.shown)
        while True:
            self._connection = connection
            try:
                await connection.ask(self._verb, data)
            except ConnectionEnded as exc:
                self._discard()
                if not (self._repeatable and connection.was_used and connection.parser.is_untouched):
                    raise _failure(exc, connection, heads.shown) from exc
            except BaseException:
                self._discard()
                raise
            else:
                return connection
            # The server closed it while it was idle, and perhaps all other idle ones too.
            connection = await pool.open(heads.origin, heads.shown)

    # --- HttpClientResponse ------------------------------------------------------------------

    @property
    def fields(self) -> Mapping[str, str]:
        """See `HttpClientResponse`."""
        return HeaderFields(self._fields)

    @property
    def media_type(self) -> str:
        """See `HttpClientResponse`."""
        kind = self._fields.get(b"content-type", b"")
        return kind.partition(b";")[0].strip().lower().decode("latin-1")

    async def next_piece(self) -> bytes | None:
        """See `HttpClientResponse`."""
        connection = self._connection
        assert connection is not None, "the response has been let go"
        parser = connection.parser
        if parser.pieces or parser.is_complete:
            await trio.lowlevel.checkpoint()
        while not parser.pieces:
            if parser.is_complete:
                return None
            try:
                await connection.read()
            except NotHttp as exc:
                raise ExchangeFailed(f"the response is not HTTP any more: {exc}") from exc
            except ConnectionEnded as exc:
                raise ExchangeFailed(f"the response broke off: {end_reason(exc)}") from exc
        return parser.take()

    async def body(self, most: int) -> bytes:
        """See `HttpClientResponse`."""
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

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._client.pool.give_back(connection)

    def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._client.pool.discard(connection)


def _failure(exc: ConnectionEnded, connection: ClientConnection, shown: str) -> ExchangeFailed:
    why = end_reason(exc)
    if isinstance(exc, NotHttp):
        return ExchangeFailed(f"the server at {shown} does not answer in HTTP/1.1: {why}")
    if isinstance(exc, RequestNotTaken):
        return ExchangeFailed(f"{shown} did not take the request in time: {why}")
    if not connection.parser.is_untouched:
        return ExchangeFailed(f"the connection to {shown} broke in the head of the response: {why}")
    kept = " (it had been kept open since an earlier request)" if connection.was_used else ""
    return ExchangeFailed(f"the connection to {shown} broke before there was a response: {why}{kept}")
