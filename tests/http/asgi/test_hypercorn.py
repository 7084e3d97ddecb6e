"""The ASGI door behind hypercorn, over real sockets: HTTP/1.1, HTTP/2, TLS, WebSocket, and the order of stopping."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trio
import trio.testing
import trio_websocket
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.events import Data
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.ws_stream import Handshake, WSStream

from tests.certificates import certificate
from tests.http.asgi.asgi_server import Behind, door
from tests.transports.pairs import open_descriptors
from trimcp.errors import UsageError
from trimcp.http.asgi import hypercorn_server
from trimcp.http.asgi.app import AsgiBinding
from trimcp.http.asgi.hypercorn import serve_hypercorn
from trimcp.http.asgi.hypercorn_websocket import PIECE, restrain
from trimcp.http.binding import HttpRequest, HttpResponse
from trimcp.http.websocket.connections import open_websocket_duplex
from trimcp.transports.duplex import Duplex

POST = b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b"


async def echo(request: HttpRequest, response: HttpResponse) -> None:
    response.respond(200, (), request.path.encode() + b" " + request.body)


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[Any]:
    """A server; its address."""
    async with trio.open_nursery() as nursery:
        with trio.fail_after(60):
            yield await nursery.start(functools.partial(serve_hypercorn, app, port=0, **options))
        nursery.cancel_scope.cancel()


async def answer(stream: trio.abc.Stream) -> bytes:
    """One response that says how long it is; the whole of what comes where it does not."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += await stream.receive_some()
            break
    return head + b"\r\n\r\n" + body


async def test_requests_are_answered_on_one_connection_that_stays() -> None:
    behind = Behind(echo)
    before = open_descriptors()
    async with serving(door(behind)) as address, await trio.open_tcp_stream(*address) as stream:
        for body in (b"one", b"two"):
            await stream.send_all(POST % (len(body), body))
            response = await answer(stream)
            assert response.startswith(b"HTTP/1.1 200")
            assert response.endswith(b"/mcp " + body)
            assert b"server:" not in response.lower()
    assert behind.requests[0].connection is behind.requests[1].connection
    assert open_descriptors() <= before + 1


async def test_a_body_that_is_too_long_is_refused_whatever_more_of_it_comes() -> None:
    async with serving(door(Behind(echo))) as address:
        for length in (5000, 4_000_000):
            async with await trio.open_tcp_stream(*address) as stream:
                await stream.send_all(POST % (length, b"x" * length))
                assert (await answer(stream)).startswith(b"HTTP/1.1 413")
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(POST % (2, b"ok"))
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")


class Streaming:
    """A handler whose streams stay open until the test ends them."""

    def __init__(self) -> None:
        self.responses: list[HttpResponse] = []
        self.begun = trio.Event()
        self.gone = trio.Event()

    async def __call__(self, _: HttpRequest, response: HttpResponse) -> None:
        response.on_gone = self.gone.set
        response.begin(200, ((b"content-type", b"text/event-stream"),))
        self.responses.append(response)
        self.begun.set()


async def test_a_client_that_leaves_a_stream_is_noticed() -> None:
    streaming = Streaming()
    async with serving(door(Behind(streaming))) as address:
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(POST % (0, b""))
            assert b"transfer-encoding: chunked" in (await answer(stream)).lower()
        await streaming.gone.wait()


async def test_a_response_that_is_broken_off_closes_the_connection() -> None:
    streaming = Streaming()
    async with serving(door(Behind(streaming))) as address, await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(POST % (0, b""))
        await answer(stream)
        streaming.responses[0].write(b"half")
        streaming.responses[0].abort()
        assert b"0\r\n\r\n" not in b"".join([data async for data in stream])


@pytest.mark.parametrize("used", ["not", "for HTTP/1.1", "for HTTP/2", "for a stream"])
async def test_a_connection_ends_with_its_peer(used: str) -> None:
    async with serving(door(Behind(Streaming() if used == "for a stream" else echo))) as address:
        with trio.fail_after(60):  # hypercorn keeps a connection for 75 seconds
            async with await trio.open_tcp_stream(*address) as stream:
                if used == "for HTTP/2":
                    client = h2.connection.H2Connection()
                    client.initiate_connection()
                    head = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/mcp")]
                    client.send_headers(1, head, end_stream=True)
                    await stream.send_all(client.data_to_send())
                    seen: list[h2.events.Event] = []
                    while not any(isinstance(event, h2.events.StreamEnded) for event in seen):
                        seen = client.receive_data(await stream.receive_some())
                elif used != "not":
                    await stream.send_all(POST % (0, b""))
                    await answer(stream)
                await stream.send_eof()
                while await stream.receive_some():
                    pass


async def test_a_client_that_leaves_unread_responses_of_http_2_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypercorn_server, "DEPARTED", 0.1)

    async def much(request: HttpRequest, response: HttpResponse) -> None:
        response.respond(200, (), b"x" * 1_000_000)

    app = door(Behind(much))
    async with serving(app) as address:
        async with await trio.open_tcp_stream(*address) as stream:
            client = h2.connection.H2Connection()
            client.initiate_connection()
            head = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/mcp")]
            for number in range(1, 2 * 90, 2):
                client.send_headers(number, head, end_stream=True)
            await stream.send_all(client.data_to_send())
            size = 0
            while size < 60_000:  # the window of the connection is 65,535
                size += len(await stream.receive_some())
        with trio.fail_after(20):  # long before `WRITE_TIMEOUT`
            await app.finished()


async def test_http_2_is_spoken_without_a_field_that_it_forbids() -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    behind = Behind(echo)
    async with serving(door(behind)) as address, await trio.open_tcp_stream(*address) as stream:
        client.initiate_connection()
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/mcp?a=1")]
        for number in (1, 3):
            client.send_headers(number, head)
            client.send_data(number, b"hello", end_stream=True)
        await stream.send_all(client.data_to_send())
        ended: dict[int, bytes] = {1: b"", 3: b""}
        waiting = {1, 3}
        while waiting:
            for event in client.receive_data(await stream.receive_some()):
                if isinstance(event, h2.events.ResponseReceived):
                    assert dict(event.headers)[b":status"] == b"200"
                elif isinstance(event, h2.events.DataReceived):
                    ended[event.stream_id] += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    waiting.discard(event.stream_id)
    assert set(ended.values()) == {b"/mcp hello"}
    assert behind.requests[0].field("host") == "localhost"
    assert behind.requests[0].query == b"a=1"


async def test_tls_is_spoken_and_websockets_in_it(tmp_path: Path) -> None:
    certfile, keyfile = certificate(tmp_path)
    context = ssl.create_default_context(cafile=certfile)
    behind = Behind(echo)
    app = door(behind, websocket=echo_websocket)
    async with serving(app, certfile=certfile, keyfile=keyfile) as address:
        stream = await trio.open_ssl_over_tcp_stream(*address, ssl_context=context, https_compatible=True)
        async with stream:
            await stream.send_all(POST % (2, b"hi"))
            assert (await answer(stream)).endswith(b"hi")
        url = "wss://{}:{}/mcp".format(*address)
        async with open_websocket_duplex(url, ssl_context=context) as duplex:
            await duplex.send_all(b"hello\n")
            assert await duplex.receive() == [b"hello"]
    assert behind.requests[0].secure


async def echo_websocket(duplex: Duplex, request: HttpRequest) -> None:
    while frames := await duplex.receive():
        for frame in frames:
            assert isinstance(frame, bytes)
            await duplex.send_all(frame + b"\n")


async def test_messages_of_a_websocket_are_not_compressed() -> None:
    app = door(Behind(echo), websocket=echo_websocket)
    async with serving(app) as address, await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(
            b"GET /mcp HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        )
        head = (await answer(stream)).lower()
        assert b" 101 " in head and b"deflate" not in head
        # A compressed message is a violation of the protocol, since compression was not agreed on.
        await stream.send_all(b"\xc1\x85\0\0\0\0hello")
        assert b"hello" not in b"".join([data async for data in stream])


async def test_no_more_of_a_message_is_kept_than_its_limit() -> None:
    streams: list[Any] = []

    async def serve(duplex: Duplex, request: HttpRequest) -> None:
        streams.append(duplex._send_event.__self__)  # type: ignore[attr-defined]
        await echo_websocket(duplex, request)

    config = Config()
    config.websocket_max_message_size = 10_000
    app = door(Behind(echo), websocket=serve)
    async with serving(app, config=config) as address, await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(
            b"GET /mcp HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b" 101 " in await answer(stream)
        begin, more = (b"%c\xfe\x03\xe8\0\0\0\0" % opcode + b"x" * 1000 for opcode in (1, 0))
        await stream.send_all(begin + 1000 * more)
        data = b""
        while b"\x88" not in data:  # the close, with 1009
            data += await stream.receive_some()
        await stream.send_all(b"\x88\x80\0\0\0\0")
        while await stream.receive_some():
            pass
    assert streams[0].buffer.length <= 10_000
    assert len(streams[0].connection._proto._frame_decoder.buffer.buffer) < 1000


async def test_other_tasks_run_between_the_frames_of_one_read() -> None:
    messages: list[Any] = []

    async def put(message: Any) -> None:
        messages.append(message)

    make: Any = WSStream
    stream = make(None, Config(), *[None] * 7)
    stream.app_put = put
    stream.handshake = Handshake([], "1.1")
    restrain(stream.app_send)
    *_, stream.connection = stream.handshake.accept(None, [])
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        pongs, text = 8000 * b"\x8a\x80\0\0\0\0", b"x" * 20_000
        await stream.handle(Data(1, pongs + b"\x81\xfe\x4e\x20\0\0\0\0" + text))
        nursery.cancel_scope.cancel()
    assert turns >= 5  # of the eight pieces
    assert [message["text"] for message in messages] == [text.decode()]


async def test_http_2_takes_what_was_read_at_once_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    handle = H2Protocol.handle

    async def noted(self: H2Protocol, event: Event) -> None:
        if isinstance(event, RawData):
            sizes.append(len(event.data))
        await handle(self, event)

    monkeypatch.setattr(H2Protocol, "handle", noted)
    async with serving(door(Behind(echo))) as address, await trio.open_tcp_stream(*address) as stream:
        client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        client.initiate_connection()
        ping = b"\0\0\x08\6\0\0\0\0\0" + b"%08d"
        async with trio.open_nursery() as nursery:
            pings = b"".join(ping % number for number in range(6000))
            nursery.start_soon(stream.send_all, client.data_to_send() + pings)
            data = b""
            while b"00005999" not in data:
                data = data[-8:] + await stream.receive_some()
    assert sum(sizes) > 100_000
    assert max(sizes) <= PIECE


async def test_a_unix_socket_is_ours_alone_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with serving(door(Behind(echo)), uds=path) as address:
        assert address == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(POST % (2, b"hi"))
            assert (await answer(stream)).endswith(b"hi")
        with pytest.raises(UsageError, match="another server listens"):
            await serve_hypercorn(door(Behind(echo)), uds=path)
    assert not path.exists()


async def test_mistakes_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both"):
        await serve_hypercorn(door(Behind(echo)), certfile=tmp_path / "cert")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="cannot listen"):
            await serve_hypercorn(door(Behind(echo)), port=taken.getsockname()[1])

    behind = Behind(echo)

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        if behind.body_limit:
            raise UsageError("no database")
        yield

    with pytest.raises(UsageError, match=r"did not start.*no database"):
        await serve_hypercorn(door(behind, lifespan=broken), port=0)


# --- stopping -------------------------------------------------------------------------


async def stop_and_wait(
    app: AsgiBinding, use: Callable[[Any], Awaitable[None]], drain: Callable[[], Awaitable[None]], **options: Any
) -> None:
    """Serve, use it, stop it, and wait until it has ended."""
    shutdown = trio.Event()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            serve = functools.partial(serve_hypercorn, app, port=0, shutdown=shutdown, drain=drain, **options)
            address = await nursery.start(serve)
            await use(address)
            shutdown.set()


async def test_what_is_open_is_drained_before_the_server_stops() -> None:
    streaming = Streaming()
    steps: list[str] = []
    streams: list[trio.SocketStream] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        steps.append("lifespan ends")

    async def use(address: Any) -> None:
        stream = await trio.open_tcp_stream(*address)
        await stream.send_all(POST % (0, b""))
        await answer(stream)
        streams.append(stream)

    async def drain() -> None:
        steps.append("drain")
        streaming.responses[0].finish(b"last words")
        steps.append("drained")

    await stop_and_wait(door(Behind(streaming), lifespan=lifespan), use, drain)
    assert steps == ["drain", "drained", "lifespan ends"]
    assert not streaming.gone.is_set()
    async with streams[0] as stream:
        assert b"".join([data async for data in stream]).endswith(b"last words\r\n0\r\n\r\n")


async def test_a_stream_that_nobody_ended_is_cut_in_the_end() -> None:
    streaming = Streaming()

    async def use(address: Any) -> None:
        nursery.start_soon(client, address)
        await streaming.begun.wait()

    async def client(address: Any) -> None:
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(POST % (0, b""))
            while await stream.receive_some():
                pass

    async def drain() -> None:
        pass

    config = Config()
    config.graceful_timeout = 0.05
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        await stop_and_wait(door(Behind(streaming)), use, drain, config=config)
    assert streaming.gone.is_set()


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="a process cannot list its descriptors here")
@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_a_peer_that_reads_nothing_does_not_keep_the_server(how: str) -> None:
    clogged = trio.Event()

    async def flood(_: HttpRequest, response: HttpResponse) -> None:
        response.begin(200, ())
        response.write(b"x" * 20_000_000)
        clogged.set()

    sockets: list[trio.SocketStream] = []

    async def use(address: Any) -> None:
        stream = await trio.open_tcp_stream(*address)
        await stream.send_all(POST % (0, b""))
        await clogged.wait()
        sockets.append(stream)
        if how == "cancelled":
            scope.cancel()

    async def drain() -> None:
        pass

    config = Config()
    config.graceful_timeout = 0.05
    with trio.CancelScope() as scope:
        await stop_and_wait(door(Behind(flood)), use, drain, config=config)
    assert scope.cancelled_caught is (how == "cancelled")
    await sockets[0].aclose()


# --- in another application -----------------------------------------------------------


async def test_it_can_be_mounted_in_a_starlette_application() -> None:
    applications = pytest.importorskip("starlette.applications")
    routing = pytest.importorskip("starlette.routing")
    app = applications.Starlette(routes=[routing.Mount("/api", app=door(Behind(echo), websocket=echo_websocket))])
    async with serving(app) as address:
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all((POST % (2, b"hi")).replace(b"/mcp", b"/api/mcp"))
            assert (await answer(stream)).endswith(b"/mcp hi")
        async with open_websocket_duplex("ws://{}:{}/api/mcp".format(*address)) as duplex:
            await duplex.send_all(b"hello\n")
            assert await duplex.receive() == [b"hello"]


async def test_hypercorns_own_client_is_denied_with_a_status() -> None:
    async with serving(door(Behind(echo))) as address:
        with pytest.raises(Exception, match="404") as caught:
            async with open_websocket_duplex("ws://{}:{}/mcp".format(*address)):
                pass
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.__cause__.subgroup(trio_websocket.ConnectionRejected)
