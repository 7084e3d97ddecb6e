"""HTTP+SSE, the transport of 2024-11-05, at the client's end: a stream to read, and a URL to post to.

Two connections that are one duplex. The stream's first event says where to post; that must be on
the server that was asked (basic/transports of 2024-11-05).
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
from trimcp.transports.duplex import Duplex
from trimcp.transports.http.remote import Deadline, Remote, RemoteReply, ScopeDeadline, check_url, origin_of, shown

ENDPOINT_TIMEOUT: Final = 10.0
"""Seconds that the server has to open its stream, and to say where to post."""
POST_TIMEOUT: Final = 10.0
"""Seconds that it has to say that it has taken a message."""


@asynccontextmanager
async def open_sse_duplex(remote: Remote, *, limit: int) -> AsyncIterator[SseClientDuplex]:
    """Open the stream of a server; leaving the context closes it.

    Raises:
        ExchangeFailed: there is none at that URL.
    """
    async with AsyncExitStack() as stack:
        duplex: SseClientDuplex | None = None
        with trio.move_on_after(ENDPOINT_TIMEOUT) as scope:
            fields = {"Accept": "text/event-stream"}
            reply = await stack.enter_async_context(remote.request("GET", fields, deadline=ScopeDeadline(scope)))
            if reply.status != 200 or reply.media_type != "text/event-stream":
                why = f"the server speaks no HTTP+SSE here (status {reply.status})"
                raise ExchangeFailed(why, reply.status, challenge=reply.fields.get("www-authenticate"))
            duplex = SseClientDuplex(remote, reply, limit)
            await duplex.find_endpoint()
        if duplex is None:
            raise ExchangeFailed(f"{shown(remote.url)} did not open a stream within {ENDPOINT_TIMEOUT:g} s")
        if not duplex.endpoint:
            raise ExchangeFailed("the server opened a stream, and does not say where to post", 200)
        try:
            yield duplex
        finally:
            await duplex.aclose()


class SseClientDuplex(Duplex):
    """Both directions of one session. Made by `open_sse_duplex`."""

    def __init__(self, remote: Remote, reply: RemoteReply, limit: int) -> None:
        self._remote = remote
        self._reply = reply
        self._limit = limit
        self._parser = EventParser(limit)
        self._early: list[Frame] = []
        self._rest = b""
        self._reading: trio.CancelScope | None = None
        self._closed = False
        self.endpoint = ""
        """Where to post."""
        self.on_lost: Callable[[bytes, ExchangeFailed], None] | None = None
        """Told of a message that could not be posted, which is no reason to end the session; where it is not set,
        it is one."""

    @property
    def description(self) -> str:
        """The URL, without what may be secret in it."""
        return f"sse {shown(self._remote.url)}"

    async def find_endpoint(self) -> None:
        """Read up to the event that says where to post.

        Raises:
            ExchangeFailed: it leads elsewhere, or the stream broke.
        """
        while not self.endpoint:
            piece = await self._reply.next_piece()
            if piece is None:
                return
            self._early += self._frames(piece)

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

    def _learn_endpoint(self, said: str) -> None:
        try:
            endpoint = urljoin(self._remote.url, said)
            check_url(endpoint)
        except (UsageError, ValueError):
            raise ExchangeFailed("the server says to post to what is no URL") from None
        if origin_of(endpoint) != origin_of(self._remote.url):
            raise ExchangeFailed("the server says to post to another server, which is not done")
        self.endpoint = endpoint

    async def receive(self) -> Sequence[Frame]:
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
        if self._closed:
            raise ConnectionClosed("this side has closed the connection")
        return 0  # a POST must be waited for

    async def send_all(self, data: bytes) -> None:
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
        async with self._remote.request("POST", fields, message, url=self.endpoint, deadline=deadline) as reply:
            if not 200 <= reply.status < 300:
                why = f"the server did not take a message (status {reply.status})"
                raise ExchangeFailed(why, reply.status, reply.retry_after, reply.fields.get("www-authenticate"))
            await reply.body(self._limit)

    def _lost(self, message: bytes, failure: ExchangeFailed) -> None:
        if self.on_lost is None:
            raise failure
        self.on_lost(message, failure)

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()  # there is no such thing

    async def aclose(self) -> None:
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
        await trio.lowlevel.checkpoint()
