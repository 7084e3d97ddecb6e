"""The direct door as a whole: over real sockets, and how it stops."""

from __future__ import annotations

import functools
import gc
import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.http.h1.wire import Asked, Client, echo, get, hold, post, served
from tests.transports.pairs import open_descriptors
from trimcp.errors import UsageError
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse
from trimcp.http.h1.server import HttpServer
from trimcp.limits import HttpLimits
from trimcp.transports.endpoints import UnixEndpoint
from trimcp.transports.socket import SocketStream, detached


async def tcp_client(address: tuple[str, int]) -> Client:
    stream = await trio.open_tcp_stream(*address)
    return Client(SocketStream(detached(stream.socket), "server"))


async def unix_client(path: str) -> Client:
    stream = await trio.open_unix_socket(path)
    return Client(SocketStream(detached(stream.socket), "server"))


async def test_tcp_is_served_and_says_who_asks() -> None:
    handler = Asked()
    before = open_descriptors()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(handler, nursery)
            address = await nursery.start(functools.partial(server.serve_tcp, port=0))
            clients = [await tcp_client(address) for _ in range(10)]
            for client in clients:
                assert (await client.ask(post("/", b"body"))).text == "POST / body"
            assert server.open_connections == 10
            host, _, port = handler.requests[0].connection.peer.rpartition(":")
            assert host == "127.0.0.1"
            assert port.isdigit()
            for client in clients:
                await client.stream.aclose()
            nursery.cancel_scope.cancel()
    gc.collect()
    assert open_descriptors() <= before


async def test_a_unix_socket_is_served(tmp_path: Path) -> None:
    handler = Asked()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(handler, nursery)
            path = await nursery.start(server.serve, UnixEndpoint(tmp_path / "http"))
            client = await unix_client(path)
            assert (await client.ask(get())).text == "GET / "
            assert handler.requests[0].connection.peer == f"unix {path}"
            await client.stream.aclose()
            nursery.cancel_scope.cancel()
    assert not os.path.exists(path)


async def test_an_address_in_use_is_told_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with trio.open_nursery() as nursery:
            with pytest.raises(UsageError, match="cannot listen"):
                await HttpServer(Asked(), nursery).serve_tcp(port=taken.getsockname()[1])


async def test_large_bodies_pass_both_ways() -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.respond(200, PLAIN, request.body[::-1])

    body = bytes(range(256)) * 20_000
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(Asked(answer, body_limit=len(body)), nursery)
            client = await tcp_client(await nursery.start(functools.partial(server.serve_tcp, port=0)))
            for _ in range(3):
                assert (await client.ask(post("/", body))).body == body[::-1]
            await client.stream.aclose()
            nursery.cancel_scope.cancel()


async def test_a_reset_while_a_request_is_served_is_noticed() -> None:
    handler = Asked(hold)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(handler, nursery)
            address = await nursery.start(functools.partial(server.serve_tcp, port=0))
            with socket.create_connection(address) as client:
                client.sendall(get())
                response = await handler.asked(1)
                gone = trio.Event()
                response.on_gone = gone.set
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await gone.wait()
            await server.finished()
            nursery.cancel_scope.cancel()


async def test_a_refusal_arrives_though_the_client_sends_on() -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(Asked(body_limit=1000), nursery)
            client = await tcp_client(await nursery.start(functools.partial(server.serve_tcp, port=0)))
            await client.send(post("/", b"x" * 300_000))
            assert (await client.next()).status == 413
            assert await client.ended()
            await client.stream.aclose()
            nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_read_from_a_real_socket_clogs_only_itself() -> None:
    handler = Asked(hold)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(handler, nursery)
            address = await nursery.start(functools.partial(server.serve_tcp, port=0))
            slow, quick = await tcp_client(address), await tcp_client(address)
            await slow.send(get("/slow"))
            response = await handler.asked(1)
            response.begin(200, PLAIN)
            written = 0
            while not response.is_clogged:
                response.write(b"x" * 100_000)
                written += 100_000
            handler.answer = echo
            assert (await quick.ask(get("/quick"))).text == "GET /quick "
            response.end()
            assert len((await slow.next()).body) == written
            assert (await slow.ask(get("/again"))).text == "GET /again "
            for client in (slow, quick):
                await client.stream.aclose()
            nursery.cancel_scope.cancel()


async def test_connections_over_the_limit_wait_their_turn() -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(Asked(), nursery, limits=HttpLimits(connections=1))
            address = await nursery.start(functools.partial(server.serve_tcp, port=0))
            first, second = await tcp_client(address), await tcp_client(address)
            await second.send(get("/second"))
            assert (await first.ask(get("/first"))).text == "GET /first "
            assert server.open_connections == 1
            await first.stream.aclose()
            assert (await second.next()).text == "GET /second "
            await second.stream.aclose()
            nursery.cancel_scope.cancel()


async def test_a_failed_handler_is_reported_and_nobody_else_notices() -> None:
    reports: list[tuple[str, dict[str, Any]]] = []

    def answer(request: HttpRequest, response: HttpResponse) -> None:
        if request.path == "/fail":
            raise ValueError("a bug")
        echo(request, response)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(Asked(answer), nursery, report=lambda event, keys: reports.append((event, keys)))
            address = await nursery.start(functools.partial(server.serve_tcp, port=0))
            well, ill = await tcp_client(address), await tcp_client(address)
            await ill.send(get("/fail"))
            assert await ill.ended()
            assert (await well.ask(get())).status == 200
            for client in (well, ill):
                await client.stream.aclose()
            nursery.cancel_scope.cancel()
    assert [event for event, _ in reports] == ["connection.failed"]


# --- the stop -------------------------------------------------------------------------------


async def test_a_stop_closes_idle_connections_and_lets_the_others_finish() -> None:
    handler = Asked(hold)
    with trio.fail_after(60):
        async with trio.open_nursery() as connections:
            server = HttpServer(handler, connections)
            async with trio.open_nursery() as nursery:
                address = await nursery.start(functools.partial(server.serve_tcp, port=0))
                idle, whole, stream, late = [await tcp_client(address) for _ in range(4)]
                await whole.send(get("/whole"))
                await handler.asked(1)
                await stream.send(get("/stream"))
                response = await handler.asked(2)
                response.begin(200, PLAIN)
                response.write(b"one ")
                await late.send(post("/late", b"body")[:-1])
                await trio.testing.wait_all_tasks_blocked(0.01)
                server.stop()
                server.stop()
                # The listener has ended by itself, and the nursery with it.
            assert await idle.ended()
            with pytest.raises(OSError, match="connect"):
                await tcp_client(address)

            echo(handler.requests[0], handler.responses[0])
            answer = await whole.next()
            assert (answer.text, answer[b"connection"]) == ("GET /whole ", b"close")
            assert await whole.ended()

            response.finish(b"two")
            answer = await stream.next()
            assert (answer.text, answer[b"connection"]) == ("one two", None)
            assert await stream.ended()

            await late.send(b"y")
            echo(HttpRequest("POST", "/", b"", {}, handler.requests[0].connection), await handler.asked(3))
            assert (await late.next())[b"connection"] == b"close"
            for client in (idle, whole, stream, late):
                await client.stream.aclose()
            await server.finished()
            assert server.open_connections == 0
            # And the nursery of the connections is left without anything being cancelled.


async def test_after_a_stop_nothing_is_begun() -> None:
    async with served(Asked()) as server:
        server.server.stop()
        assert server.server.is_stopping
        client = server.connect()
        assert await client.ended()
        await server.server.finished()


async def test_a_stop_lets_a_clogged_answer_leave() -> None:
    body = b"x" * 100_000
    async with served(Asked(lambda _, response: response.respond(200, (), body))) as server:
        client = server.connect(capacity=1000)
        await client.send(get())
        await trio.testing.wait_all_tasks_blocked()
        server.server.stop()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(server.server.finished)
            assert (await client.next()).body == body
            assert await client.ended()
            await client.stream.aclose()


async def test_cancelling_everything_leaves_nothing_behind() -> None:
    before = open_descriptors()
    handler = Asked(hold)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(handler, nursery)
            address = await nursery.start(functools.partial(server.serve_tcp, port=0))
            clients = [await tcp_client(address) for _ in range(4)]
            await clients[0].send(get())
            response = await handler.asked(1)
            response.begin(200, PLAIN)
            while not response.is_clogged:
                response.write(b"x" * 100_000)
            await clients[1].send(get()[:5])
            await clients[2].send(get() + get())
            await handler.asked(2)
            nursery.cancel_scope.cancel()
        for client in clients:
            await client.stream.aclose()
    assert handler.gone == ["/", "/"]
    assert server.open_connections == 0
    gc.collect()
    assert open_descriptors() <= before
