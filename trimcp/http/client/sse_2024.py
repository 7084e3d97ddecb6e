"""HTTP+SSE, the transport of 2024-11-05, for clients: an event stream to read, and a URL to post to.

Both together are one `Duplex`. The first event of the stream names the URL to post to, which must have the same origin
(basic/transports of 2024-11-05).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import urljoin

import trio

from trimcp.errors import ConnectionClosed, ExchangeFailed, UsageError
from trimcp.framing.lines import Frame, Oversized
from trimcp.framing.sse import EventParser
from trimcp.http.client.http_client import Deadline, HttpClient, HttpClientResponse, ScopeDeadline
from trimcp.http.urls import check_url, origin_of, shown
from trimcp.transports.duplex import Duplex

ENDPOINT_TIMEOUT: Final = 10.0
"""Seconds that the server has to open its stream, and to name the URL to post to."""
POST_TIMEOUT: Final = 10.0
"""Seconds that the server has to accept a message."""


@asynccontextmanager
async def open_sse_duplex(client: HttpClient, *, limit: int) -> AsyncIterator[SseClientDuplex]:
    """Open the stream of a server; leaving the context closes it.

    Raises:
        ExchangeFailed: the server offers none at that URL.
    """
    async with AsyncExitStack() as stack:
        duplex: SseClientDuplex | None = None
        with trio.move_on_after(ENDPOINT_TIMEOUT) as scope:
            fields = {"Accept": "text/event-stream"}
            reply = await stack.enter_async_context(client.request("GET", fields, deadline=ScopeDeadline(scope)))
            if reply.status != 200 or reply.media_type != "text/event-stream":
                why = f"the server speaks no HTTP+SSE here (status {reply.status})"
                raise ExchangeFailed(why, reply.status, challenge=reply.fields.get("www-authenticate"))
            duplex = SseClientDuplex(client, reply, limit)
            await duplex.find_endpoint()
        if duplex is None:
            raise ExchangeFailed(f"{shown(client.url)} did not open a stream within {ENDPOINT_TIMEOUT:g} s")
        if not duplex.endpoint:
            raise ExchangeFailed("the server opened a stream, and does not name the URL to post to", 200)
        try:
            yield duplex
        finally:
            await duplex.aclose()


class SseClientDuplex(Duplex):
    """The duplex of one session. Made by `open_sse_duplex`."""

    def __init__(self, client: HttpClient, reply: HttpClientResponse, limit: int) -> None:
        self._client = client
        self._reply = reply
        self._limit = limit
        self._parser = EventParser(limit)
        self._early: list[Frame] = []
        self._early_bytes = 0
        self._rest = b""
        self._reading: trio.CancelScope | None = None
        self._closed = False
        self.endpoint: str = ""
        """The URL to post to."""
        self.on_lost: Callable[[bytes, ExchangeFailed], None] | None = None
        """Called with a message that could not be posted. Where it is not set, the failure ends the session."""

    @property
    def description(self) -> str:
        """The URL, without its secrets."""
        return f"sse {shown(self._client.url)}"

    async def find_endpoint(self) -> None:
        """Read up to the event that names the URL to post to.

        Raises:
            ExchangeFailed: the URL has another origin, the stream broke, or messages of more bytes than one may have
                came before the URL.
        """
        while not self.endpoint:
            piece = await self._reply.next_piece()
            if piece is None:
                return
            self._early += self._frames(piece)
            self._early_bytes += len(piece)
            if self._early_bytes > self._limit and not self.endpoint:
                raise ExchangeFailed("the server sends messages before it names the URL to post to", 200)

    def _frames(self, piece: bytes) -> list[Frame]:
        frames: list[Frame] = []
        for event in self._parser.feed(piece):
            if isinstance(event, Oversized):
                frames.append(event)
            elif event.event == b"endpoint" and not self.endpoint:
                self._learn_endpoint(event.data.decode("utf-8", "replace"))
            elif event.event == b"message" and event.data:
                frames.append(event.data)
        return frames

    def _learn_endpoint(self, location: str) -> None:
        try:
            endpoint = urljoin(self._client.url, location)
            check_url(endpoint)
        except (UsageError, ValueError):
            raise ExchangeFailed("the server says to post to an invalid URL") from None
        if origin_of(endpoint) != origin_of(self._client.url):
            raise ExchangeFailed("the server says to post to another server, which is refused")
        self.endpoint = endpoint

    async def receive(self) -> Sequence[Frame]:
        """See `Duplex`."""
        if self._closed:
            raise ConnectionClosed("this side has closed the connection")
        if self._early:
            early, self._early = self._early, []
            await trio.lowlevel.checkpoint()
            return early
        with trio.CancelScope() as self._reading:
            while True:
                piece = await self._reply.next_piece()
                if piece is None:
                    return ()
                frames = self._frames(piece)
                if frames:
                    return frames
        raise ConnectionClosed("this side has closed the connection")

    def try_send(self, data: bytes) -> int:
        """See `Duplex`."""
        if self._closed:
            raise ConnectionClosed("this side has closed the connection")
        return 0  # a POST can only be waited for

    async def send_all(self, data: bytes) -> None:
        """See `Duplex`. Each message is a POST."""
        if self._closed:
            raise ConnectionClosed("this side has closed the connection")
        *messages, self._rest = (self._rest + data).split(self.delimiter)
        for message in messages:
            await self._post(message)

    async def _post(self, message: bytes) -> None:
        try:
            with trio.fail_after(POST_TIMEOUT) as scope:
                await self._post_or_fail(message, ScopeDeadline(scope))
        except trio.TooSlowError:
            self._lost(message, ExchangeFailed(f"the server did not take a message within {POST_TIMEOUT:g} s"))
        except ExchangeFailed as exc:
            self._lost(message, exc)

    async def _post_or_fail(self, message: bytes, deadline: Deadline) -> None:
        fields = {"Content-Type": "application/json"}
        async with self._client.request("POST", fields, message, url=self.endpoint, deadline=deadline) as reply:
            if not 200 <= reply.status < 300:
                why = f"the server did not take a message (status {reply.status})"
                raise ExchangeFailed(why, reply.status, reply.retry_after, reply.fields.get("www-authenticate"))
            await reply.body(self._limit)

    def _lost(self, message: bytes, failure: ExchangeFailed) -> None:
        if self.on_lost is None:
            raise failure
        self.on_lost(message, failure)

    async def send_eof(self) -> None:
        """See `Duplex`."""
        await trio.lowlevel.checkpoint()  # HTTP+SSE has no end of input

    async def aclose(self) -> None:
        """See `Duplex`."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
        await trio.lowlevel.checkpoint()
