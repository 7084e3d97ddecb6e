"""WebSocket on both ends: its manners, who is let in, what is refused, and how it ends."""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
import trio_websocket

from tests.http.websocket import websockets
from tests.transports.pairs import open_descriptors
from trimcp.errors import ConnectionClosed, ConnectionLost, UsageError
from trimcp.framing.lines import LineJoiner
from trimcp.http.binding import PLAIN, HttpRequest, Refusal
from trimcp.http.websocket.connections import open_websocket_duplex, serve_websocket
from trimcp.http.websocket.duplex import GOING_AWAY, POLICY_VIOLATION
from trimcp.http.websocket.trio_duplex import PING_TIMEOUT
from trimcp.testing.check_transport import check_duplex
from trimcp.transports.duplex import Duplex, Frame

GARBLED = (
    b"GET /mcp HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

Serve = Callable[[Duplex, HttpRequest], Awaitable[None]]


async def echo(duplex: Duplex, request: HttpRequest) -> None:
    while frames := await duplex.receive():
        for frame in frames:
            assert isinstance(frame, bytes)
            await duplex.send_all(frame + duplex.delimiter)


@asynccontextmanager
async def serving(handler: Serve = echo, **options: Any) -> AsyncIterator[str]:
    """A server; its URL without the path."""
    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(functools.partial(serve_websocket, handler, port=0, **options))
        yield f"ws://{host}:{port}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def raw(
    url: str, *, subprotocols: Sequence[str] = (), headers: Sequence[tuple[bytes, bytes]] = ()
) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """A client that is not ours."""
    async with trio_websocket.open_websocket_url(
        url, subprotocols=list(subprotocols), extra_headers=list(headers)
    ) as connection:
        yield connection
    await connection._stream.aclose()  # it leaves that to the garbage collector where the peer closed first


async def upgrade(url: str, target: str, field: str) -> str:
    """What a server answers to an upgrade, and that it closes the connection then."""
    host, port = url.removeprefix("ws://").split(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(
            f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{field}\r\n\r\n".encode()
        )
        with trio.fail_after(60):
            return b"".join([data async for data in stream]).decode()


def code_of(exc: trio_websocket.ConnectionClosed) -> int:
    assert exc.reason is not None
    return exc.reason.code


async def test_it_passes_the_kit_and_leaves_no_descriptor() -> None:
    async with websockets.websocket():
        pass
    before = open_descriptors()
    await check_duplex(websockets.websocket, eof=False)
    assert open_descriptors() <= before


async def test_the_subprotocol_is_chosen_where_it_is_offered() -> None:
    async with serving() as url:
        async with raw(f"{url}/mcp", subprotocols=["other", "mcp"]) as connection:
            assert connection.subprotocol == "mcp"
        async with raw(f"{url}/mcp") as connection:
            assert connection.subprotocol is None
            await connection.send_message('{"é": 1}')
            assert await connection.get_message() == '{"é": 1}'


@pytest.mark.parametrize(
    ("path", "field", "status", "body"),
    [
        ("/other", "x: y", "404", "no route has this path"),
        ("/mcp", "Sec-WebSocket-Protocol: graphql-ws", "400", "`mcp`"),
        ("/mcp", "Origin: https://evil.example", "403", "not from there"),
    ],
)
async def test_who_is_not_let_in_gets_a_status(path: str, field: str, status: str, body: str) -> None:
    seen: list[HttpRequest] = []

    def refuse(request: HttpRequest) -> Refusal | None:
        seen.append(request)
        return Refusal(403, PLAIN, b"not from there") if request.field("origin") else None

    async with serving(refuse=refuse) as url:
        answer = await upgrade(url, f"{path}?key=1", field)
        async with raw(f"{url}/mcp?key=1"):
            pass
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert body in answer
    assert seen[-1].field("host") == url.removeprefix("ws://")
    assert (seen[-1].method, seen[-1].path, seen[-1].query) == ("GET", "/mcp", b"key=1")


async def test_a_client_is_told_why_it_was_not_let_in() -> None:
    async with serving(refuse=lambda _: Refusal(403, PLAIN, b"not from there\n")) as url:
        with pytest.raises(ConnectionLost, match="refused with status 403: not from there"):
            async with open_websocket_duplex(f"{url}/mcp"):
                pass


def upgrading(url: str) -> bytes:
    return (
        f"GET /mcp HTTP/1.1\r\nHost: {url.removeprefix('ws://')}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


async def heard_until(stream: trio.SocketStream, end: bytes) -> bytes:
    """What the server sends up to some bytes, or until it closes the connection."""
    heard = b""
    with trio.fail_after(20), contextlib.suppress(trio.BrokenResourceError):
        while not heard.endswith(end) and (piece := await stream.receive_some(4096)):
            heard += piece
    return heard


@pytest.mark.parametrize(("pieces", "is_served"), [(2000, True), (20_000, False)])
async def test_a_message_of_empty_pieces_without_end_ends_the_connection(pieces: int, is_served: bool) -> None:
    empty = b"\x80\x00\x00\x00\x00"  # the length, masked, and the mask
    message = b"\x01\x81\x00\x00\x00\x001" + (b"\x00" + empty) * pieces + b"\x80" + empty
    async with serving(message_bytes=5000) as url:
        host, port = url.removeprefix("ws://").split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream, trio.open_nursery() as nursery:
            await stream.send_all(upgrading(url))
            assert b" 101 " in await heard_until(stream, b"\r\n\r\n")

            async def flood() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(message)

            nursery.start_soon(flood)
            assert (await heard_until(stream, b"\x81\x011")).endswith(b"\x81\x011") is is_served
            nursery.cancel_scope.cancel()


FRAME = b"\x81\x82\x00\x00\x00\x00hi"


@pytest.mark.parametrize(
    "early",
    [FRAME, FRAME[:5], b"\x88\x80\x00\x00\x00\x00", b"\xff" * 100],
    ids=["frame", "half a frame", "close", "garbage"],
)
async def test_data_that_do_not_wait_for_the_answer_are_refused(early: bytes) -> None:
    served = Watched()
    async with serving(served) as url:
        host, port = url.removeprefix("ws://").split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(upgrading(url) + early)
            heard = await heard_until(stream, b"never")  # so the server closes the connection
        assert heard.startswith(b"HTTP/1.1 400 ")
        assert heard.endswith(b"Early data: wait for the answer to the upgrade.\n")
    assert not served.over.is_set()


async def test_a_flood_ends_while_its_upgrade_is_judged() -> None:
    judged = trio.Event()

    async def admit(request: HttpRequest) -> None:
        try:
            await trio.sleep_forever()
        finally:
            judged.set()

    async with serving(admit=admit) as url:
        host, port = url.removeprefix("ws://").split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            with trio.fail_after(20), pytest.raises(trio.BrokenResourceError):
                await stream.send_all(upgrading(url))
                while True:
                    await stream.send_all(FRAME * 1000)
            with trio.fail_after(5):
                await judged.wait()


async def test_a_flood_behind_an_upgrade_ends_that_connection_alone(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as url:
        host, port = url.removeprefix("ws://").split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            with trio.fail_after(20), pytest.raises(trio.BrokenResourceError):
                await stream.send_all(upgrading(url) + b"\xff" * 2**20)
                while True:
                    await stream.send_all(b"\xff" * 2**20)
        async with open_websocket_duplex(f"{url}/mcp") as duplex:
            await duplex.send_all(b"still there\n")
            assert await duplex.receive() == [b"still there"]
    assert "connection.failed" not in capsys.readouterr().err


@pytest.mark.parametrize("refusal", [None, Refusal(403, PLAIN, b"no\n")])
async def test_a_client_that_has_gone_before_the_answer_is_no_failure(
    refusal: Refusal | None, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = trio.Event()

    def refuse(request: HttpRequest) -> Refusal | None:
        if not judged.is_set():
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()  # with a reset
            judged.set()
            return refusal
        return None

    async with serving(refuse=refuse) as url:
        host, port = url.removeprefix("ws://").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(upgrading(url))
        with trio.fail_after(5):
            await judged.wait()
        async with open_websocket_duplex(f"{url}/mcp") as duplex:
            await duplex.send_all(b"still there\n")
            assert await duplex.receive() == [b"still there"]
    assert "connection.failed" not in capsys.readouterr().err


async def test_upgrades_that_are_not_finished_end_with_the_listener() -> None:
    accepting = trio.CancelScope()

    async def listen(*, task_status: trio.TaskStatus[tuple[str, int]]) -> None:
        with accepting:
            await serve_websocket(echo, port=0, connections=connections, task_status=task_status)

    async with trio.open_nursery() as connections:
        host, port = await connections.start(listen)
        async with await trio.open_tcp_stream(host, port) as unfinished:
            await unfinished.send_all(b"GET /mcp HTTP/1.1\r\nHost: ")
            async with raw(f"ws://{host}:{port}/mcp") as connection:  # accepted after it
                accepting.cancel()
                with trio.fail_after(60):
                    assert await unfinished.receive_some(1) == b""
                    await connection.send_message("1")
                    assert await connection.get_message() == "1"
        connections.cancel_scope.cancel()


async def test_what_the_other_end_says_is_shown_cleaned() -> None:
    async with serving(refuse=lambda _: Refusal(403, PLAIN, b"\x1b[31mred\x9b2J" + b"x" * 1000)) as url:
        with pytest.raises(ConnectionLost, match=r"status 403: \\x1b\[31mred") as raised:
            async with open_websocket_duplex(f"{url}/mcp"):
                pass
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 500

    async def close(request: trio_websocket.WebSocketRequest) -> None:
        await (await request.accept(subprotocol="mcp")).aclose(1011, "\x1b[31mred\x07")

    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, close, "127.0.0.1", 0, None)
        async with open_websocket_duplex(f"ws://127.0.0.1:{server.port}/mcp") as duplex:
            with pytest.raises(ConnectionLost, match=r"code 1011 \(\\x1b\[31mred\\x07\)"):
                await duplex.receive()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("url", ["http://localhost/", "ws:///mcp", "localhost:1"])
async def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="ws://"):
        async with open_websocket_duplex(url):
            pass


async def test_a_server_that_is_not_there_or_hangs_up_is_a_lost_connection() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    url = "ws://{}:{}/mcp".format(*listener.socket.getsockname())
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def hang_up() -> None:
            async with await listener.accept() as stream:
                await stream.receive_some()

        with trio.fail_after(60), pytest.raises(ConnectionLost, match="not opened in time, or closed"):
            async with open_websocket_duplex(url):
                pass
    await listener.aclose()
    with pytest.raises(ConnectionLost, match="cannot connect"):
        async with open_websocket_duplex(url):
            pass


async def test_what_is_no_upgrade_ends_that_connection_alone(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as url:
        host, port = url.removeprefix("ws://").split(":")
        heads = [
            b"GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /mcp HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x00\xff garbage\r\n\r\n",
            GARBLED,
            b"",
        ]
        for head in heads:
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                if head:
                    await stream.send_all(head)
                await stream.send_eof()
                with trio.fail_after(60):
                    try:
                        while await stream.receive_some():
                            pass
                    except trio.BrokenResourceError:
                        pass
        async with open_websocket_duplex(f"{url}/mcp") as duplex:
            await duplex.send_all(b"still there\n")
            assert await duplex.receive() == [b"still there"]
    assert not capsys.readouterr().err


class Watched:
    """A handler that keeps how its connection ended."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.end: Exception | None = None
        self.over = trio.Event()

    async def __call__(self, duplex: Duplex, request: HttpRequest) -> None:
        try:
            while frames := await duplex.receive():
                self.frames.extend(frames)
        except ConnectionLost as exc:
            self.end = exc
        self.over.set()


@pytest.mark.parametrize(
    ("message", "code", "why"),
    [(b"binary", 1003, "binary"), ("x" * 1001, 1009, "1009"), ("é" * 501, 1009, "more than 1000 bytes")],
)
async def test_messages_that_are_none_close_the_connection(message: str | bytes, code: int, why: str) -> None:
    watched = Watched()
    async with serving(watched, message_bytes=1000) as url, raw(f"{url}/mcp") as connection:
        await connection.send_message("")  # no message, and no harm
        await connection.send_message("x" * 1000)
        await connection.send_message(message)
        with pytest.raises(trio_websocket.ConnectionClosed) as caught:
            await connection.get_message()
        assert code_of(caught.value) == code
        with trio.fail_after(60):
            await watched.over.wait()
    assert watched.frames == [b"x" * 1000]
    assert why in str(watched.end)


async def test_text_that_is_no_utf_8_closes_the_connection() -> None:
    watched = Watched()
    async with serving(watched) as url, raw(f"{url}/mcp") as connection:
        # A masked text frame of two bytes; the mask is zero.
        await connection._stream.send_all(b"\x81\x82\x00\x00\x00\x00\xff\xff")
        with pytest.raises(trio_websocket.ConnectionClosed):
            await connection.get_message()
        with trio.fail_after(60):
            await watched.over.wait()
    assert "1007" in str(watched.end)


async def test_an_orderly_close_is_the_end_of_input_and_another_is_not() -> None:
    for code, is_lost in ((1000, False), (1001, False), (1011, True)):
        watched = Watched()
        async with serving(watched) as url, raw(f"{url}/mcp") as connection:
            await connection.aclose(code)
            with trio.fail_after(60):
                await watched.over.wait()
        assert (watched.end is not None) is is_lost


@pytest.mark.parametrize("code", [GOING_AWAY, POLICY_VIOLATION])
async def test_a_close_says_what_it_is_told_to(code: int) -> None:
    async def leave(duplex: Any, request: HttpRequest) -> None:
        duplex.close_code = code

    async with serving(leave) as url, raw(f"{url}/mcp") as connection:
        with pytest.raises(trio_websocket.ConnectionClosed) as caught:
            await connection.get_message()
        assert code_of(caught.value) == code


async def test_a_server_that_ends_says_that_it_goes_away() -> None:
    scope = trio.CancelScope()

    async def serve(task_status: trio.TaskStatus[tuple[str, int]]) -> None:
        with scope:
            await serve_websocket(echo, port=0, task_status=task_status)

    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(serve)
        async with raw(f"ws://{host}:{port}/mcp") as connection:
            scope.cancel()
            with trio.fail_after(60), pytest.raises(trio_websocket.ConnectionClosed) as caught:
                await connection.get_message()
    assert code_of(caught.value) == GOING_AWAY


async def test_a_handler_that_fails_ends_its_own_connection(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail(duplex: Duplex, request: HttpRequest) -> None:
        raise ValueError("a bug")

    async with serving(fail) as url:
        for _ in range(2):
            async with raw(f"{url}/mcp") as connection:
                with pytest.raises(trio_websocket.ConnectionClosed) as caught:
                    await connection.get_message()
                assert code_of(caught.value) == 1011
    assert "a bug" in capsys.readouterr().err


async def test_what_the_user_raises_leaves_a_client_as_itself() -> None:
    async with serving() as url:
        with pytest.raises(KeyError):
            async with open_websocket_duplex(f"{url}/mcp"):
                raise KeyError("x")


async def test_after_the_block_a_client_is_closed() -> None:
    async with serving() as url:
        async with open_websocket_duplex(f"{url}/mcp", headers={"Authorization": "Bearer x"}) as duplex:
            assert "Bearer" not in duplex.description
        await duplex.aclose()
        with pytest.raises(ConnectionClosed):
            await duplex.receive()
        with pytest.raises(ConnectionClosed):
            duplex.try_send(b"x\n")


def test_lines_are_put_together_however_they_were_cut() -> None:
    text = ["", '{"ä": "é"}', "", "two"]
    data = "\n".join([*text, ""]).encode()
    for size in range(1, len(data) + 1):
        lines = LineJoiner()
        messages = [
            message for start in range(0, len(data), size) for message in lines.feed(data[start : start + size])
        ]
        assert messages == ['{"ä": "é"}', "two"]


class Silent:
    """As much of a connection as `keep_alive` meets: it answers no ping."""

    closed = None

    def __init__(self) -> None:
        self.pings = 0

    async def ping(self) -> None:
        self.pings += 1
        await trio.sleep_forever()

    async def get_message(self) -> str:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self, code: int) -> None:
        pass


class Cut:
    is_cut = False

    def shorten_close(self, closing: trio.CancelScope) -> None:
        pass

    async def cut(self) -> None:
        self.is_cut = True


async def test_a_peer_that_answers_no_ping_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    from trimcp.http.websocket.trio_duplex import TrioWebSocketDuplex

    wire: Any = Cut()
    connection: Any = Silent()
    async with trio.open_nursery() as nursery:
        duplex = TrioWebSocketDuplex(connection, wire, nursery, "websocket test")
        nursery.start_soon(duplex.keep_alive, 10)
        with pytest.raises(ConnectionLost, match="answers no ping"):
            await duplex.receive()
        assert trio.current_time() == 10 + PING_TIMEOUT
    assert wire.is_cut


async def test_a_peer_whose_messages_are_not_received_is_not_lost(autojump_clock: trio.testing.MockClock) -> None:
    from trimcp.http.websocket.trio_duplex import TrioWebSocketDuplex

    wire: Any = Cut()
    connection: Any = Silent()
    async with trio.open_nursery() as nursery:
        duplex = TrioWebSocketDuplex(connection, wire, nursery, "websocket test")
        nursery.start_soon(duplex.keep_alive, 10)
        await trio.sleep(1000)
        assert connection.pings > 10
        await duplex.send_eof()
        await duplex.aclose()
    assert wire.is_cut
