"""One HTTP exchange on a connection of its own, so that a balancer chooses a node for each request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import h11
import trio

CHUNK: Final = 65536
Address = tuple[str, int]


class ExchangeLost(Exception):
    """The connection ended before the response did."""


@attrs.frozen
class StreamEvent:
    """One server-sent event."""

    id: str | None
    retry: float | None
    """Seconds to wait before the stream is opened again."""
    message: Any
    """The JSON-RPC message; None for an event without data."""


@attrs.define
class Reply:
    """A response, while it arrives."""

    status: int
    fields: Mapping[str, str]
    _stream: trio.abc.Stream
    _connection: h11.Connection
    _text: bytearray = attrs.field(factory=bytearray)
    _is_over: bool = False

    async def body(self) -> bytes:
        """Read the whole body."""
        while await self._more():
            pass
        return bytes(self._text)

    async def event(self) -> StreamEvent | None:
        """Wait for the next event that is no mere comment; None at the end. A body of JSON counts as one event.

        Raises:
            ExchangeLost: the connection was lost.
        """
        if self.fields.get("content-type", "").startswith("application/json"):
            return None if self._is_over else StreamEvent(None, None, json.loads(await self.body()))
        while True:
            end = self._text.find(b"\n\n")
            if end < 0:
                if not await self._more():
                    return None
                continue
            block = self._text[:end].decode()
            del self._text[: end + 2]
            members: dict[str, str] = {}
            for line in block.split("\n"):
                name, _, value = line.partition(":")
                if name:
                    members[name] = value.removeprefix(" ")
            if members:
                data, retry = members.get("data"), members.get("retry")
                message = json.loads(data) if data else None
                return StreamEvent(members.get("id"), None if retry is None else int(retry) / 1000, message)

    async def _more(self) -> bool:
        """Read some more of the body; tell whether there was any."""
        if self._is_over:
            return False
        event = await _next_event(self._stream, self._connection)
        if isinstance(event, h11.Data):
            self._text += event.data
            return True
        self._is_over = True
        return False


async def _next_event(stream: trio.abc.Stream, connection: h11.Connection) -> Any:
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as exc:
            raise ExchangeLost(str(exc)) from exc
        if event is not h11.NEED_DATA:
            return event
        try:
            connection.receive_data(await stream.receive_some(CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ExchangeLost("reset") from exc


@asynccontextmanager
async def exchange(
    address: Address, method: str, path: str, fields: Mapping[str, str], body: bytes = b""
) -> AsyncIterator[Reply]:
    """Send a request, and give its response when the head has come.

    Raises:
        ExchangeLost: there was no connection, or it was lost.
    """
    try:
        stream = await trio.open_tcp_stream(*address)
    except OSError as exc:
        raise ExchangeLost("no connection") from exc
    async with stream:
        connection = h11.Connection(h11.CLIENT)
        sent = {"Host": "localhost", "Connection": "close", **fields}
        if method == "POST":
            sent["Content-Length"] = str(len(body))
        head = h11.Request(method=method, target=path, headers=list(sent.items()))
        data = connection.send(head) or b""
        if body:
            data += connection.send(h11.Data(body)) or b""
        data += connection.send(h11.EndOfMessage()) or b""
        try:
            await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ExchangeLost("reset") from exc
        event = await _next_event(stream, connection)
        while isinstance(event, h11.InformationalResponse):
            event = await _next_event(stream, connection)
        if not isinstance(event, h11.Response):
            raise ExchangeLost("closed without a response")
        got = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        yield Reply(event.status_code, got, stream, connection)
