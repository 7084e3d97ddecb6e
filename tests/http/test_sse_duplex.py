"""An event stream and what is posted for it, as a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.http.websocket.websockets import InLines
from tests.transports.pairs import Pair, closing
from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.framing.lines import LineSplitter
from trimcp.http.asgi.response import AsgiResponse, Message
from trimcp.http.server import sse_2024 as sse_duplex
from trimcp.http.server.sse_2024 import SseDuplex
from trimcp.testing import check_transport
from trimcp.transports.duplex import Duplex, Frame, Oversized


class Served(SseDuplex):
    """Tells when something of what waited has been taken, which a poster learns by trying again."""

    def __init__(self, response: AsgiResponse, description: str) -> None:
        super().__init__(response, description)
        self.changed = trio.Event()

    async def receive(self) -> Sequence[Frame]:
        frames = await super().receive()
        self.tell()
        return frames

    async def aclose(self) -> None:
        await super().aclose()
        self.tell()

    def tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class Poster(Duplex):
    """The other end: reads events, posts messages, and tries again while one is not taken."""

    def __init__(self, events: trio.MemoryReceiveChannel[bytes], served: Served, response: AsgiResponse) -> None:
        self._events = events
        self._served = served
        self._response = response
        self._rest = b""
        self._splitter = LineSplitter()
        self._is_closed = False

    async def receive(self) -> Sequence[Frame]:
        if self._is_closed:
            await trio.lowlevel.checkpoint()
            raise ConnectionClosed("closed")
        while True:
            try:
                self._rest += await self._events.receive()
            except trio.EndOfChannel:
                await trio.lowlevel.checkpoint()
                return []
            except trio.ClosedResourceError:
                raise ConnectionClosed("closed") from None
            *events, self._rest = self._rest.split(b"\n\n")
            if events:
                assert all(event.startswith(b"event: message\ndata: ") for event in events)
                return [event.removeprefix(b"event: message\ndata: ") for event in events]

    def try_send(self, data: bytes) -> int:
        if self._is_closed:
            raise ConnectionClosed("closed")
        return 0

    async def send_all(self, data: bytes) -> None:
        self.try_send(data)
        await trio.lowlevel.checkpoint()
        for frame in self._splitter.feed(data):
            assert isinstance(frame, bytes)
            while not self._served.feed(frame):
                if self._served._is_closed:
                    raise ConnectionLost("404")
                await self._served.changed.wait()
                self.try_send(data)

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._is_closed = True
        self._events.close()
        self._response.gone()
        self._served.tell()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        return "poster"


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    response = AsgiResponse()
    send, receive = trio.open_memory_channel[bytes](4)
    served = Served(response, "sse test")
    response.begin(200, ())

    async def sends(event: Message) -> None:
        if event.get("body"):
            try:
                await send.send(event["body"])
            except trio.BrokenResourceError:
                raise BrokenPipeError from None

    async def leave() -> None:
        with send:
            await response.leave(sends)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        async with closing(InLines(Poster(receive, served, response)), InLines(served)) as ends:
            yield ends
        nursery.cancel_scope.cancel()


async def test_it_passes_the_kit() -> None:
    await check_transport.check_duplex(pair, eof=False)


def stream(**options: int) -> tuple[SseDuplex, AsgiResponse, list[bytes]]:
    response = AsgiResponse()
    response.begin(200, ())
    return SseDuplex(response, "sse test", **options), response, []


async def test_the_endpoint_is_the_first_event_and_messages_follow(autojump_clock: trio.testing.MockClock) -> None:
    duplex, response, left = stream()

    async def send(event: Message) -> None:
        left.append(event.get("body", b""))

    duplex.open("/messages?session_id=x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(response.leave, send)
        await trio.testing.wait_all_tasks_blocked()
        assert duplex.try_send(b'{"a": 1}\n{"b": "\xc3\xa9"}\n') == 21
        duplex.keep_alive()  # what waits to leave keeps it alive
        assert duplex.try_send(b"{}\n") == 0
        await duplex.send_all(b"{}\n")
        await trio.testing.wait_all_tasks_blocked()
        duplex.keep_alive()
        await trio.testing.wait_all_tasks_blocked()
        await duplex.aclose()
    assert b"".join(left).decode() == (
        "event: endpoint\ndata: /messages?session_id=x\n\n"
        'event: message\ndata: {"a": 1}\n\nevent: message\ndata: {"b": "é"}\n\nevent: message\ndata: {}\n\n: \n\n'
    )
    assert response.has_left


async def test_what_was_posted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    duplex, _, _ = stream(limit=100)
    assert all(duplex.feed(b"{}") for _ in range(sse_duplex.INBOX_MESSAGES))
    assert not duplex.feed(b"{}")
    assert await duplex.receive() == [b"{}"] * sse_duplex.INBOX_MESSAGES
    monkeypatch.setattr(sse_duplex, "INBOX_BYTES", 50)
    assert duplex.feed(b"x" * 100)
    assert not duplex.feed(b"x")
    assert await duplex.receive() == [b"x" * 100]
    assert duplex.feed(b"x" * 101)
    assert await duplex.receive() == [Oversized(100)]


async def test_what_was_posted_before_the_stream_went_is_received() -> None:
    duplex, response, _ = stream()
    assert duplex.feed(b"{}")
    response.gone()
    assert not duplex.feed(b"late")
    duplex.keep_alive()
    assert await duplex.receive() == [b"{}"]
    assert await duplex.receive() == []
    with pytest.raises(ConnectionLost):
        duplex.try_send(b"{}\n")
    await duplex.send_eof()


async def test_a_sender_that_waits_learns_that_the_stream_has_gone() -> None:
    duplex, response, _ = stream()
    duplex.open("/")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(ConnectionLost):
                await duplex.send_all(b"{}\n")

        await trio.testing.wait_all_tasks_blocked()
        response.gone()
