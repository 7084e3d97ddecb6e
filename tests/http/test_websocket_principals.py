"""Who opens a WebSocket: asked before it is accepted, by our own server and by an ASGI server."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import trimcp
from tests.session.peer import Logged
from trimcp.http.binding import HttpRequest
from trimcp.http.websocket.connections import open_websocket_duplex

PATIENCE = 60
SERVERS: dict[str, Callable[[trimcp.Server], Any]] = {
    "server of its own": lambda server: server.serve_websocket,
    "hypercorn": lambda server: server.serve_hypercorn,
}
EACH = pytest.mark.parametrize("kind", SERVERS)


def make_server() -> trimcp.Server:
    server = trimcp.Server("town hall")

    @server.tool
    async def whoami(ctx: trimcp.Context) -> str:
        scopes = [] if ctx.principal is None else sorted(ctx.principal.scopes)
        return f"{ctx.principal} {scopes} {ctx.request_headers.get('X-Colour')}"

    return server


@asynccontextmanager
async def served(kind: str, authenticate: Any) -> AsyncIterator[str]:
    """A server with that `authenticate`; its URL."""
    server = make_server()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            serve = functools.partial(SERVERS[kind](server), 0, authenticate=authenticate)
            host, port = await nursery.start(serve)
            yield f"ws://{host}:{port}/mcp"
            await server.drain(0)


@EACH
async def test_its_principal_and_header_fields_are_those_of_the_upgrade(kind: str) -> None:
    async def authenticate(request: HttpRequest) -> trimcp.Principal:
        return trimcp.Principal(request.headers["authorization"], scopes={"read"})

    headers = {"authorization": "ada", "x-colour": "red"}
    async with served(kind, authenticate) as url, trimcp.connect(url, headers=headers) as client:
        assert (await client.call_tool("whoami")).text == "ada ['read'] red"


@EACH
async def test_an_anonymous_one_is_let_in(kind: str) -> None:
    async def authenticate(request: HttpRequest) -> None:
        return None

    async with served(kind, authenticate) as url, trimcp.connect(url) as client:
        assert (await client.call_tool("whoami")).text == "None [] None"


@EACH
@pytest.mark.parametrize("status", [401, 403])
async def test_one_that_is_sent_away_is_never_accepted(kind: str, status: int) -> None:
    async def authenticate(request: HttpRequest) -> str:
        raise trimcp.Unauthenticated("Go away", status=status)

    async with served(kind, authenticate) as url:
        with pytest.raises(trimcp.ConnectionLost, match=f"status {status}: Go away"):
            async with trimcp.connect(url):
                raise AssertionError


@EACH
@pytest.mark.parametrize("failure", [RuntimeError("secret 4711"), SystemExit(3), GeneratorExit()])
async def test_a_failure_is_500_for_that_connection_alone(kind: str, failure: BaseException, logged: Logged) -> None:
    async def authenticate(request: HttpRequest) -> str:
        if "x-colour" in request.headers:
            raise failure
        return "ada"

    async with served(kind, authenticate) as url:
        with pytest.raises(trimcp.ConnectionLost, match="status 500") as caught:
            async with trimcp.connect(url, headers={"x-colour": "red"}):
                raise AssertionError
        assert "4711" not in str(caught.value)
        async with trimcp.connect(url) as client:
            assert (await client.call_tool("whoami")).text == "ada [] None"
    assert logged.of("request.failed")


@EACH
async def test_authenticate_is_cancelled_when_the_client_leaves(kind: str) -> None:
    begun, cancelled = trio.Event(), trio.Event()

    async def authenticate(request: HttpRequest) -> None:
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with served(kind, authenticate) as url, trio.open_nursery() as nursery:

        async def knock() -> None:
            async with open_websocket_duplex(url):
                raise AssertionError

        nursery.start_soon(knock)
        await begun.wait()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await cancelled.wait()
