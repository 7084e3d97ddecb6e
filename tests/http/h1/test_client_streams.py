"""Connections as they are made: over TCP, over TLS, or not."""

from __future__ import annotations

import contextlib
import functools
import select
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests import certificates
from tests.http.h1.client_peers import OK, post, tcp_pair
from tests.transports.pairs import open_descriptors
from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost, ExchangeFailed
from trimcp.http.client.pooled_client import PooledHttpClient
from trimcp.http.h1 import stream as streams
from trimcp.http.urls import Origin
from trimcp.transports.socket import SocketStream

LONG = b"x" * 4_000_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificates.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(cafile=certificate[0])
    context.set_alpn_protocols(["http/1.1"])
    monkeypatch.setattr(streams, "tls_context", lambda: context)


class Server:
    """One that speaks TLS, and answers every request."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.bodies: list[int] = []
        self.protocols: list[str | None] = []
        self.answer: Callable[[], bytes] = lambda: OK
        self.scopes: list[trio.CancelScope] = []

    async def serve(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.connections += 1
        with trio.CancelScope() as scope:
            self.scopes.append(scope)
            with contextlib.suppress(trio.BrokenResourceError):  # a client that does not trust it
                await self._serve(stream)
        await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = bytes(await stream.receive_some(65536))
                if not more:
                    return
                data += more
            self.protocols.append(stream.selected_alpn_protocol())
            head, _, data = data.partition(b"\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            while len(data) < length:
                data += bytes(await stream.receive_some(65536))
            self.bodies.append(length)
            data = data[length:]
            await stream.send_all(self.answer())


@asynccontextmanager
async def tls_server(certificate: tuple[Path, Path]) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = Server()
    serve = functools.partial(
        trio.serve_ssl_over_tcp, server.serve, 0, context, host="127.0.0.1", https_compatible=True
    )
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            listeners: list[Any] = await nursery.start(serve)
            server.port = listeners[0].transport_listener.socket.getsockname()[1]
            yield server
            nursery.cancel_scope.cancel()


def remote_of(port: int, *, host: str = "127.0.0.1", scheme: str = "https") -> PooledHttpClient:
    return PooledHttpClient(f"{scheme}://{host}:{port}/mcp", {})


@pytest.mark.usefixtures("trusted")
async def test_requests_pass_through_tls_one_after_the_other(certificate: tuple[Path, Path]) -> None:
    before = open_descriptors()
    async with tls_server(certificate) as server:
        remote = remote_of(server.port)
        for body in (b"{}", LONG, b"", b"{}"):
            assert await post(remote, body) == (200, b"ok")
        assert server.connections == 1
        assert server.bodies == [2, len(LONG), 0, 2]
        assert set(server.protocols) == {"http/1.1"}
        await remote.aclose()
    assert open_descriptors() <= before


@pytest.mark.usefixtures("trusted")
async def test_a_tls_connection_that_the_server_closed_meanwhile_is_found_out(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as server:
        remote = remote_of(server.port)
        await post(remote)
        server.scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await post(remote) == (200, b"ok")
        assert server.connections == 2
        await remote.aclose()


@pytest.mark.usefixtures("trusted")
async def test_closing_ends_a_request_within_tls(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as server:
        asked = trio.Event()

        def answer() -> bytes:
            asked.set()
            return b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"

        server.answer = answer
        remote = remote_of(server.port)
        async with remote.request("GET", {}) as reply:
            assert await reply.next_piece() == b"ab"
            await remote.aclose()
            with pytest.raises(ExchangeFailed, match=r"broke off: this side has closed it"):
                await reply.next_piece()


@pytest.mark.usefixtures("trusted")
async def test_a_body_within_tls_that_breaks_off_is_told_of(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as server:
        server.answer = lambda: b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"
        async with remote_of(server.port).request("GET", {}) as reply:
            assert await reply.next_piece() == b"ab"
            server.scopes[0].cancel()
            with pytest.raises(ExchangeFailed, match=r"the response broke off"):
                await reply.next_piece()


async def test_a_certificate_of_nobody_is_refused_in_words(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as server:
        with pytest.raises(
            ExchangeFailed, match=r"cannot connect to https://127.*certificate is not accepted: self"
        ) as e:
            await post(remote_of(server.port))
        assert e.value.status is None


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_of_another_name_is_refused_in_words(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as server:
        with pytest.raises(ExchangeFailed, match=r"not accepted: Hostname mismatch.*localhost"):
            await post(remote_of(server.port, host="localhost"))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "breaks TLS, or does not speak it .wrong version number"),
        (b"", "ended the connection in the middle of TLS|Connection reset"),
    ],
)
async def test_a_server_that_does_not_speak_tls_is_told_of(said: bytes, why: str) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        if said:
            await stream.send_all(said)

    before = open_descriptors()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            with pytest.raises(ExchangeFailed, match=why):
                await post(remote_of(listeners[0].socket.getsockname()[1]))
            nursery.cancel_scope.cancel()
    assert open_descriptors() <= before


async def test_a_server_that_is_not_there_is_told_of() -> None:
    with trio.socket.socket() as sock:
        await sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(ExchangeFailed, match=f"cannot connect to http://127.0.0.1:{port}/mcp: Connection refused$"):
            await post(remote_of(port, scheme="http"))


async def test_a_name_that_is_none_is_told_of() -> None:
    with pytest.raises(ExchangeFailed, match=r"cannot connect to http://a{70}"):
        await post(PooledHttpClient(f"http://{'a' * 70}.invalid/", {}))


async def test_a_server_that_does_not_answer_is_given_up(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_tcp_stream(host: str, port: int) -> trio.SocketStream:
        return await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    with pytest.raises(ExchangeFailed, match=r"cannot connect to h: no answer within 10 s"):
        await streams.connect(Origin(False, "h", 80), "h")
    assert trio.current_time() == autojump_clock.current_time()


async def test_a_handshake_that_is_cancelled_leaves_nothing() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        scope.cancel()
        await stream.receive_some(10_000)

    before = open_descriptors()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            with trio.CancelScope() as scope:
                await post(remote_of(listeners[0].socket.getsockname()[1]))
            assert scope.cancelled_caught
            nursery.cancel_scope.cancel()
    assert open_descriptors() <= before


@pytest.mark.usefixtures("trusted")
async def test_a_server_that_goes_while_it_is_sent_to_within_tls_is_told_of(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as server:
        remote = remote_of(server.port)
        await post(remote)
        stream = remote.pool._idle[0].stream
        assert stream.is_quiet()
        assert stream.receive_nowait(1) is None
        assert not await stream.wait_writable()
        await trio.testing.wait_all_tasks_blocked(0.01)
        server.scopes[0].cancel()
        with pytest.raises(ConnectionLost):
            while True:
                await stream.send_all(LONG)
        stream.close()
        assert not stream.is_quiet()
        for passing in (stream.send_all(b"x"), stream.receive_some(1)):
            with pytest.raises(ConnectionEnded):
                await passing


@pytest.mark.usefixtures("trusted")
async def test_where_there_is_no_poll_select_does(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tls_server(certificate) as server:
        remote = remote_of(server.port)
        await post(remote)
        monkeypatch.delattr(select, "poll")
        assert remote.pool._idle[0].stream.is_quiet()
        server.scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not remote.pool._idle[0].stream.is_quiet()
        await remote.aclose()


async def test_a_stream_that_was_closed_says_so_whatever_is_asked_of_it() -> None:
    near, distant = tcp_pair()
    stream = SocketStream(near, "server")
    distant.close()
    stream.close()
    stream.close()
    assert not stream.is_quiet()
    for passing in (stream.send_all(b"x"), stream.wait_writable(), stream.receive_some(1)):
        with pytest.raises(ConnectionClosed, match=r"this side has closed the connection") as closed:
            await passing
        assert streams.end_reason(closed.value) == "this side has closed it"
    for ask in (lambda: stream.try_send(b"x"), lambda: stream.receive_nowait(1)):
        with pytest.raises(ConnectionClosed, match=r"this side has closed the connection"):
            ask()


def test_certificates_are_judged_by_the_systems_authorities() -> None:
    context = streams.tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert streams.tls_context() is context
