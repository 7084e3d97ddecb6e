"""Carries the messages of a replay to a server and back, over a duplex connection or over HTTP."""

from __future__ import annotations

import abc
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import attrs
import trio

from trimcp.actors.backoff import Backoff
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
RESUMPTIONS: Final = 10
"""Tries in a row to resume a stream that bring nothing. Then it is given up."""
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


@attrs.define(eq=False)
class _Exchange:
    """A message that is posted, and what came for it; without a message, the stream of the session."""

    number: int | None
    """Of the recorded exchange."""
    message: dict[str, Any]
    parser: EventParser = attrs.field(factory=functools.partial(EventParser, MOST_BYTES))
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    has_message: bool = False
    is_answered: bool = False
    is_given_up: bool = False
    """Whether its stream is not resumed, since the request was cancelled."""

    @property
    def method(self) -> str | None:
        """Of the message."""
        return self.message.get("method")

    @property
    def is_resumable(self) -> bool:
        """Whether its stream is over, and the rest of it may be had by GET, as in the legacy era."""
        is_over = self.is_answered or self.is_given_up or is_modern(self.message)
        return bool(self.parser.last_event_id) and not is_over


class HttpConnection(ReplayConnection):
    """A connection over Streamable HTTP, in both eras."""

    def __init__(self, client: HttpClient, nursery: trio.Nursery) -> None:
        super().__init__()
        self._client = client
        self._nursery = nursery
        self._headers = RequestHeaders(self)
        self._posted: dict[str, _Exchange] = {}
        """Requests under way, by their ids."""
        self.revision: Revision | None = None
        """Of the session, if there is one."""

    async def send(self, message: dict[str, Any], exchange: int | None) -> None:
        """See `ReplayConnection`."""
        if message.get("method") == "notifications/cancelled":
            posted = self._posted.get(id_key(params_of(message).get("requestId")))
            if posted is not None:
                posted.is_given_up = True
                if self.revision is None or self.revision.era is Era.MODERN:
                    posted.scope.cancel()  # in the modern era a client lets go of the exchange
                    return
        posting = _Exchange(exchange, message)
        if kind_of(message) != "request":
            await self._post(posting)
            if posting.method == "notifications/initialized" and self._headers.session_id is not None:
                self._nursery.start_soon(self._follow, _Exchange(None, {}))
            return
        self._posted[id_key(message["id"])] = posting
        self._nursery.start_soon(self._post_in_scope, posting)

    async def leave(self, request: dict[str, Any]) -> None:
        """See `ReplayConnection`."""
        posted = self._posted.get(id_key(request["id"]))
        if posted is not None:
            posted.scope.cancel()
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

    async def _post_in_scope(self, posting: _Exchange) -> None:
        with posting.scope:
            await self._post(posting)
        self._posted.pop(id_key(posting.message["id"]), None)

    async def _post(self, posting: _Exchange) -> None:
        message, method = posting.message, posting.method
        try:
            fields = self._headers.of_post(method)
            if method is not None and is_modern(message):
                fields |= self._headers.of_body(method, params_of(message))
            async with self._client.request("POST", fields, dumps(message)) as response:
                if method == "initialize":
                    self._headers.session_id = response.fields.get(SESSION_ID)
                problem = f"HTTP {response.status}"
                await self._read(response, posting)
        except (ExchangeFailed, UsageError) as exc:
            problem = str(exc)
        if kind_of(message) != "request":
            return
        if posting.is_resumable:
            problem = await self._follow(posting)
        if not posting.is_answered and not (posting.has_message and posting.method == "subscriptions/listen"):
            failure = {"code": INTERNAL_ERROR, "message": f"no message: {problem}"}
            await self._arrive.send(Arrival({"jsonrpc": "2.0", "id": message["id"], "error": failure}, posting.number))

    async def _follow(self, exchange: _Exchange) -> str:
        """Read a stream by GET, and resume it where it ends; return why it is over.

        It is over when its request is answered. Without a request it is the session's own stream; a server that has no
        such stream refuses it.
        """
        parser, backoff = exchange.parser, Backoff(budget=RESUMPTIONS)
        is_new = not parser.last_event_id
        while not exchange.is_answered and not exchange.is_given_up:
            if not is_new:
                pause = backoff.next_pause(None if parser.retry is None else parser.retry / 1000)
                if pause is None:
                    return f"the stream was lost, and {RESUMPTIONS} tries to resume it brought nothing"
                await trio.sleep(pause)
            is_new = False
            parser.end()
            before = parser.last_event_id
            with contextlib.suppress(ExchangeFailed):
                async with self._client.request("GET", self._headers.of_get(before)) as response:
                    if response.status != 200 or response.media_type != "text/event-stream":
                        return f"the stream was lost, and the try to resume it was answered with HTTP {response.status}"
                    await self._read(response, exchange)
            if parser.last_event_id != before:
                backoff.succeeded()
        return "it was answered"

    async def _read(self, response: HttpClientResponse, exchange: _Exchange) -> None:
        """Hand over the messages of a response."""
        if response.media_type != "text/event-stream":
            for message in _messages(await response.body(MOST_BYTES)):
                await self._take(message, exchange)
            return
        while (piece := await response.next_piece()) is not None:
            for event in exchange.parser.feed(piece):
                for message in () if isinstance(event, Oversized) else _messages(event.data):
                    await self._take(message, exchange)

    async def _take(self, message: dict[str, Any], exchange: _Exchange) -> None:
        exchange.has_message = True
        exchange.is_answered |= "method" not in message
        result = message.get("result")
        if isinstance(result, dict) and "method" not in message:
            if exchange.method == "initialize":
                self.revision = BY_VERSION.get(str(result.get("protocolVersion")))
            elif exchange.method == "tools/list":
                self._learn(result.get("tools"))
        await self._arrive.send(Arrival(message, exchange.number))

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
