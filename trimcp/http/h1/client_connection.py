"""One connection of a client: it sends a request, and parses the response.

The ConnectionPool decides which request gets which connection.
"""

from __future__ import annotations

from typing import Final

import trio

from trimcp.errors import ConnectionEnded, ConnectionLost
from trimcp.http.h1.response_parser import ResponseParser
from trimcp.http.h1.stream import WRITE_TIMEOUT, ClientStream
from trimcp.http.urls import Origin
from trimcp.transports.duplex import write_some
from trimcp.transports.lines import READ_CHUNK

SMALL_REQUEST: Final = 16 * 1024
"""Bytes of a request that is sent before the connection is read: as many as a record of TLS holds."""
EARLY_BODY: Final = 64 * 1024
"""Bytes of a response's body that are kept while the request is still being sent."""
_LAST_READS: Final = 2
"""Reads by which the rest of an unread response is looked for, without waiting."""


class NotHttp(ConnectionLost):
    """The server sends something that is not HTTP/1.1."""


class RequestNotTaken(ConnectionLost):
    """The server took no byte of the request for `WRITE_TIMEOUT`."""

    def __init__(self) -> None:
        super().__init__(f"the server took nothing for {WRITE_TIMEOUT:.0f} s")


class ClientConnection:
    """A byte stream to a server, and the parser of the responses on it."""

    __slots__ = ("_all_sent", "idle_since", "origin", "parser", "stream", "was_used")

    def __init__(self, stream: ClientStream, origin: Origin) -> None:
        """
        Args:
            stream: owned from here on.
            origin: the server that it leads to.
        """
        self.stream: ClientStream = stream
        self.origin: Origin = origin
        self.parser: ResponseParser = ResponseParser()
        self.was_used: bool = False
        """Whether a response came on it before."""
        self.idle_since: float = 0.0
        """When its last response was over, by Trio's clock; set by the pool."""
        self._all_sent = True

    async def ask(self, method: str, data: bytes) -> None:
        """Send a request, and wait for the head of its response.

        If this raises or is cancelled, the connection cannot be used again.

        Raises:
            ConnectionEnded: it broke before the head had arrived.
            NotHttp: the server does not speak HTTP/1.1.
            RequestNotTaken: the server does not read.
        """
        parser = self.parser
        parser.begin(method)
        self._all_sent = False
        try:
            sent = self.stream.try_send(data)
            if sent < len(data) <= SMALL_REQUEST:
                await self._send_rest(memoryview(data)[sent:])
                sent = len(data)
        except RequestNotTaken:
            raise
        except ConnectionEnded as exc:
            await self._read_last_words(exc)
            return
        if sent == len(data):
            self._all_sent = True
        else:
            await self._send_while_reading(memoryview(data)[sent:])
        while not parser.has_head:
            await self.read()

    async def read(self) -> None:
        """Wait for bytes, and parse them.

        Raises:
            ConnectionEnded: the connection ended before the response was complete.
            NotHttp: the bytes before were not HTTP/1.1.
        """
        parser = self.parser
        if parser.fault is not None:
            await trio.lowlevel.checkpoint()
            raise NotHttp(parser.fault)
        data = await self.stream.receive_some(READ_CHUNK)
        if data:
            parser.feed(data)
        elif not parser.end():
            raise ConnectionLost("the server ended it")

    async def _read_last_words(self, failure: ConnectionEnded) -> None:
        """Read the head that a server may have sent before it stopped reading."""
        try:
            while not self.parser.has_head:
                await self.read()
        except ConnectionEnded:
            raise failure from failure.__cause__

    async def _send_rest(self, rest: memoryview) -> None:
        while rest:
            with trio.move_on_after(WRITE_TIMEOUT) as scope:
                rest = rest[await write_some(self.stream, rest) :]
            if scope.cancelled_caught:
                raise RequestNotTaken
        self._all_sent = True

    async def _send_while_reading(self, rest: memoryview) -> None:
        """Send a long request, and read meanwhile: a server may refuse a request before it has read all of it."""
        failures: list[ConnectionEnded] = []
        sending = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_early, sending, failures)
            with sending:
                try:
                    await self._send_rest(rest)
                except ConnectionEnded as exc:
                    failures.append(exc)
            if self._all_sent or (failures and isinstance(failures[0], RequestNotTaken)):
                nursery.cancel_scope.cancel()  # otherwise the reading ends by itself, as the connection does
        if failures and not self.parser.has_head:
            raise failures[0]

    async def _read_early(self, sending: trio.CancelScope, failures: list[ConnectionEnded]) -> None:
        parser = self.parser
        try:
            while not parser.is_complete and parser.waiting_bytes < EARLY_BODY:
                await self.read()
        except ConnectionEnded as exc:
            failures.append(exc)
            sending.cancel()
        if parser.status >= 300:
            sending.cancel()  # the server has refused the request; the connection is given up with the rest of it

    def is_reusable(self) -> bool:
        """Return whether the response is over, counting bytes that have arrived, and another request may follow."""
        parser = self.parser
        try:
            for _ in range(_LAST_READS):
                if parser.is_complete or parser.fault is not None or not parser.has_head:
                    break
                data = self.stream.receive_nowait(READ_CHUNK)
                if not data:
                    break
                parser.feed(data)
                parser.take()
        except ConnectionEnded:
            return False
        self.was_used = True
        return self._all_sent and parser.is_complete and parser.keeps_alive

    def close(self) -> None:
        """Close it. Tasks that wait for it get a `ConnectionClosed`."""
        self.stream.close()
