"""What a client over HTTP asks of HTTP, by either library, of a server of ours."""

from __future__ import annotations

import functools
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import trio

from tests.http.h1.wire import Asked, hold
from trimcp.errors import ExchangeFailed
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse
from trimcp.http.client.connect import http_client_for
from trimcp.http.client.http_client import HttpClient
from trimcp.http.client.pooled_client import PooledHttpClient
from trimcp.http.h1.server import HttpServer

# httpx2 does not close its own generators where a response is left early.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

EVENTS = ((b"content-type", b"text/event-stream"),)


@pytest.fixture(params=["direct", "httpx2"])
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@asynccontextmanager
async def reaching(
    library: str, handler: Asked, *, path: str = "/mcp", headers: dict[str, str] | None = None
) -> AsyncIterator[HttpClient]:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = HttpServer(handler, nursery)
            host, port = await nursery.start(functools.partial(server.serve_tcp, port=0))
            client = httpx2.AsyncClient(timeout=None) if library == "httpx2" else None
            remote = http_client_for(f"http://user:pw@{host}:{port}{path}", headers or {}, client)
            assert isinstance(remote, PooledHttpClient) is (library == "direct")
            yield remote
            await remote.aclose()
            if client is not None:
                await client.aclose()
            nursery.cancel_scope.cancel()


async def test_a_request_arrives_as_it_was_made(library: str) -> None:
    handler = Asked()
    async with reaching(library, handler, path="/mcp?a=1", headers={"X-Key": "k", "Accept": "other"}) as remote:
        for _ in range(3):
            async with remote.request("POST", {"Accept": "x", "Mcp-Name": "n"}, b"[]") as reply:
                assert (reply.status, reply.media_type) == (200, "text/plain")
                assert await reply.body(100) == b"POST /mcp []"
        async with remote.request("DELETE", {}) as reply:
            assert await reply.body(100) == b"DELETE /mcp "
        assert "@" not in remote.url
    assert len({id(request.connection) for request in handler.requests}) == 1
    first = handler.requests[0]
    assert first.query == b"a=1"
    assert {name: first.fields.get(name) for name in (b"x-key", b"accept", b"mcp-name", b"authorization")} == {
        b"x-key": b"k",
        b"accept": b"x",
        b"mcp-name": b"n",
        b"authorization": b"Basic dXNlcjpwdw==",
    }


async def test_events_come_as_they_are_sent(library: str) -> None:
    handler = Asked(hold)
    async with reaching(library, handler) as remote:

        async def tell() -> None:
            response = await handler.asked(1)
            response.begin(200, EVENTS)
            response.write(b"data: 1\n\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            async with remote.request("POST", {}, b"{}") as reply:
                assert reply.media_type == "text/event-stream"
                assert reply.fields.get("Content-Type") == "text/event-stream"
                assert await reply.next_piece() == b"data: 1\n\n"
                handler.responses[0].write(b"data: 2\n\n")
                assert await reply.next_piece() == b"data: 2\n\n"
                handler.responses[0].end()
                assert await reply.next_piece() is None


async def test_leaving_a_stream_is_noticed_by_the_server(library: str) -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.begin(200, EVENTS)
        response.write(b": hello\n\n")

    handler = Asked(answer)
    async with reaching(library, handler) as remote:
        async with remote.request("GET", {}) as reply:
            assert reply.status == 200
        while not handler.gone:
            await trio.sleep(0.001)


async def test_redirects_within_the_server_are_followed(library: str) -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        if request.path == "/mcp":
            response.respond(307, ((b"location", b"/mcp/"),), b"")
        elif request.path == "/away":
            response.respond(308, ((b"location", b"http://other.test/"),), b"")
        else:
            response.respond(200, PLAIN, request.path.encode() + request.body)

    async with reaching(library, Asked(answer)) as remote:
        for _ in range(2):
            async with remote.request("POST", {}, b"x") as reply:
                assert await reply.body(100) == b"/mcp/x"
        assert remote.url.endswith("/mcp/")
        away = remote.url.replace("/mcp/", "/away")
        with pytest.raises(ExchangeFailed, match=r"redirects elsewhere: connect to http://other\.test/"):
            async with remote.request("POST", {}, b"x", url=away):
                pass


async def test_a_long_answer_is_cut_short(library: str) -> None:
    async with reaching(library, Asked()) as remote, remote.request("POST", {}, b"x" * 500) as reply:
        with pytest.raises(ExchangeFailed, match=r"longer than 100 bytes"):
            await reply.body(100)


async def test_a_status_and_how_long_to_wait_are_told(library: str) -> None:
    handler = Asked(lambda request, response: response.respond(503, ((b"retry-after", b"3"),), b"busy"))
    async with reaching(library, handler) as remote, remote.request("POST", {}, b"") as reply:
        assert (reply.status, reply.retry_after, await reply.body(9)) == (503, 3.0, b"busy")


async def test_a_server_that_is_not_there_is_told_of(library: str) -> None:
    client = httpx2.AsyncClient() if library == "httpx2" else None
    remote = http_client_for("http://127.0.0.1:1/mcp", {}, client)
    with pytest.raises(ExchangeFailed, match=r"cannot connect to http://127\.0\.0\.1:1/mcp: "):
        async with remote.request("GET", {}):
            pass
    if client is not None:
        await client.aclose()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the connection to .* broke"),
        (b"SSH-2.0\r\n\r\n", "the connection to .* broke|the server at .* does not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", "the response broke off"),
        (b"HTTP/1.1 307 R\r\nlocation: /mcp\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "again and again"),
    ],
)
async def test_what_breaks_is_told_of(library: str, said: bytes, why: str) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        await stream.send_all(said)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            client = httpx2.AsyncClient() if library == "httpx2" else None
            remote = http_client_for(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/mcp", {}, client)
            with pytest.raises(ExchangeFailed, match=why):
                async with remote.request("POST", {}, b"{}") as reply:
                    await reply.body(100)
            await remote.aclose()
            if client is not None:
                await client.aclose()
            nursery.cancel_scope.cancel()


async def test_a_compressed_response_is_refused_in_words(library: str) -> None:
    def compress(_: HttpRequest, response: HttpResponse) -> None:
        fields = ((b"content-type", b"application/json"), (b"content-encoding", b"gzip"))
        response.respond(200, fields, gzip.compress(b" " * 100_000))

    handler = Asked(compress)
    async with reaching(library, handler) as remote:
        with pytest.raises(ExchangeFailed, match="compressed, though the request asks for `identity`: turn"):
            async with remote.request("POST", {}, b"{}") as reply:
                await reply.body(1000)
    assert handler.requests[0].fields[b"accept-encoding"] == b"identity"
