"""Carries the messages of a replay to a server and back, over a duplex connection or over HTTP."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import attrs
import trio

from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.errors import ConnectionEnded, ExchangeFailed, UsageError
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import EventParser
from trimcp.http.client.connect import http_client_for
from trimcp.http.client.http_client import HttpClient, HttpClientResponse
from trimcp.http.client.request_headers import SESSION_ID, RequestHeaders
from trimcp.recording.messages import id_key, kind_of, params_of
from trimcp.schema.header_params import header_params, invalid_annotations
from trimcp.transports.duplex import Duplex
from trimcp.types.jsonrpc import INTERNAL_ERROR
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import BY_VERSION, Era, Revision

MOST_ARRIVALS: Final = 1000
"""Messages of the server that wait for the replay."""
MOST_BYTES: Final = 64 * 2**20
"""Bytes of one message of the server."""
CLOSING: Final = 5.0
"""Seconds that the requests of HTTP have to end when the replay is over."""


@attrs.frozen
class Arrival:
    """A message of the server, and the number of the recorded exchange in whose place it came."""

    message: Any
    exchange: int | None = None


class ReplayConnection(abc.ABC):
    """One connection of a replay."""

    def __init__(self) -> None:
        channel = trio.open_memory_channel[Arrival](MOST_ARRIVALS)
        self._arrive: trio.MemorySendChannel[Arrival] = channel[0]
        self.arrivals: trio.MemoryReceiveChannel[Arrival] = channel[1]

    @abc.abstractmethod
    async def send(self, message: dict[str, Any], exchange: int | None) -> None:
        """Send a message. A request does not wait for its answer.

        Raises:
            ConnectionEnded: the server has ended the connection.
        """

    @abc.abstractmethod
    async def leave(self, request: dict[str, Any]) -> None:
        """Give up a request that was sent, as the transport says it."""


Connecting = Callable[[], AbstractAsyncContextManager[ReplayConnection]]


def is_modern(message: Any) -> bool:
    """Return whether a request or notification is one of 2026-07-28."""
    meta = params_of(message).get("_meta")
    return isinstance(meta, dict) and isinstance(meta.get(PROTOCOL_VERSION), str)


def cancelled(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notification that gives a request up."""
    params = {"requestId": request["id"], "reason": "the client let go of the exchange"}
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}


# --- a pipe, a socket, a WebSocket ------------------------------------------------------


class DuplexConnection(ReplayConnection):
    """A connection over a `Duplex`."""

    def __init__(self, duplex: Duplex) -> None:
        super().__init__()
        self._duplex = duplex

    async def send(self, message: dict[str, Any], exchange: int | None) -> None:
        """See `ReplayConnection`."""
        await self._duplex.send_all(dumps(message) + self._duplex.delimiter)

    async def leave(self, request: dict[str, Any]) -> None:
        """See `ReplayConnection`."""
        if is_modern(request):  # in the legacy era a lost exchange cancels nothing
            await self.send(cancelled(request), None)

    async def read(self) -> None:
        """Take what the server sends, to its end."""
        with self._arrive:
            try:
                while frames := await self._duplex.receive():
                    for frame in frames:
                        for message in () if isinstance(frame, Oversized) else _messages(frame):
                            await self._arrive.send(Arrival(message))
            except ConnectionEnded:
                return


@asynccontextmanager
async def duplex_connection(
    opener: Callable[[], AbstractAsyncContextManager[Duplex]],
) -> AsyncIterator[ReplayConnection]:
    """Connect to a server that is not at an HTTP URL.

    Raises:
        ConnectionEnded, UsageError: there is no connection.
    """
    async with opener() as duplex, trio.open_nursery() as nursery:
        connection = DuplexConnection(duplex)
        nursery.start_soon(connection.read)
        yield connection
        nursery.cancel_scope.cancel()


def _messages(data: bytes) -> list[Any]:
    """Return the messages in a frame or a body; none where it has none."""
    try:
        value = loads(data)
    except InvalidJson:
        return []
    values = value if isinstance(value, list) else [value]
    return [each for each in values if kind_of(each) != "other"]


# --- HTTP -----------------------------------------------------------------------------


class HttpConnection(ReplayConnection):
    """A connection over Streamable HTTP, in both eras."""

    def __init__(self, client: HttpClient, nursery: trio.Nursery) -> None:
        super().__init__()
        self._client = client
        self._nursery = nursery
        self._headers = RequestHeaders(self)
        self._scopes: dict[str, trio.CancelScope] = {}
        self.revision: Revision | None = None
        """Of the session, if there is one."""

    async def send(self, message: dict[str, Any], exchange: int | None) -> None:
        """See `ReplayConnection`."""
        if message.get("method") == "notifications/cancelled":
            scope = self._scopes.get(id_key(params_of(message).get("requestId")))
            if scope is not None and (self.revision is None or self.revision.era is Era.MODERN):
                scope.cancel()  # in the modern era a client lets go of the exchange
                return
        if kind_of(message) != "request":
            await self._post(message, exchange)
            if message.get("method") == "notifications/initialized" and self._headers.session_id is not None:
                self._nursery.start_soon(self._listen)
            return
        scope = self._scopes[id_key(message["id"])] = trio.CancelScope()
        self._nursery.start_soon(self._post_in, scope, message, exchange)

    async def leave(self, request: dict[str, Any]) -> None:
        """See `ReplayConnection`."""
        scope = self._scopes.get(id_key(request["id"]))
        if scope is not None:
            scope.cancel()
        await trio.lowlevel.checkpoint()

    async def end(self) -> None:
        """End the session, if there is one."""
        fields = self._headers.of_delete()
        if fields is not None:
            try:
                async with self._client.request("DELETE", fields):
                    pass
            except ExchangeFailed:
                return

    async def _post_in(self, scope: trio.CancelScope, message: dict[str, Any], exchange: int | None) -> None:
        with scope:
            await self._post(message, exchange)
        self._scopes.pop(id_key(message["id"]), None)

    async def _post(self, message: dict[str, Any], exchange: int | None) -> None:
        method = message.get("method")
        try:
            fields = self._headers.of_post(method)
            if method is not None and is_modern(message):
                fields |= self._headers.of_body(method, params_of(message))
            async with self._client.request("POST", fields, dumps(message)) as response:
                if method == "initialize":
                    self._headers.session_id = response.fields.get(SESSION_ID)
                has_message = await self._read(response, exchange, method)
                problem = f"HTTP {response.status}"
        except (ExchangeFailed, UsageError) as exc:
            has_message, problem = False, str(exc)
        if not has_message and "id" in message and method is not None:
            failure = {"code": INTERNAL_ERROR, "message": f"no message: {problem}"}
            await self._arrive.send(Arrival({"jsonrpc": "2.0", "id": message["id"], "error": failure}, exchange))

    async def _listen(self) -> None:
        """Read the GET stream of a legacy session; a server without one refuses."""
        try:
            async with self._client.request("GET", self._headers.of_get(b"")) as response:
                if response.status == 200:
                    await self._read(response, None, None)
        except ExchangeFailed:
            return

    async def _read(self, response: HttpClientResponse, exchange: int | None, method: str | None) -> bool:
        """Hand over the messages of a response; return whether there was one."""
        if response.media_type != "text/event-stream":
            found = _messages(await response.body(MOST_BYTES))
            for message in found:
                await self._take(message, exchange, method)
            return bool(found)
        parser, has_message = EventParser(MOST_BYTES), False
        while (piece := await response.next_piece()) is not None:
            for event in parser.feed(piece):
                for message in () if isinstance(event, Oversized) else _messages(event.data):
                    has_message = True
                    await self._take(message, exchange, method)
        return has_message

    async def _take(self, message: dict[str, Any], exchange: int | None, method: str | None) -> None:
        result = message.get("result")
        if isinstance(result, dict) and "method" not in message:
            if method == "initialize":
                self.revision = BY_VERSION.get(str(result.get("protocolVersion")))
            elif method == "tools/list":
                self._learn(result.get("tools"))
        await self._arrive.send(Arrival(message, exchange))

    def _learn(self, tools: Any) -> None:
        """Note which arguments of tools go into header fields."""
        for tool in tools if isinstance(tools, list) else ():
            schema = tool.get("inputSchema") if isinstance(tool, dict) else None
            if isinstance(schema, dict) and isinstance(tool.get("name"), str) and not invalid_annotations(schema):
                found = header_params(schema)
                if found is not None:
                    self._headers.tool_headers.known[tool["name"]] = found


@asynccontextmanager
async def http_connection(url: str, headers: Mapping[str, str]) -> AsyncIterator[ReplayConnection]:
    """Prepare requests to an HTTP URL.

    Raises:
        UsageError: the URL or a header is not valid, or a library is missing.
    """
    client = http_client_for(url, headers)
    try:
        async with trio.open_nursery() as nursery:
            connection = HttpConnection(client, nursery)
            yield connection
            with trio.move_on_after(CLOSING):
                await connection.end()
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(1, shield=True):
            await client.aclose()
