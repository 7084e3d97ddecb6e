"""A server mounted in the applications of others, under hypercorn, with and without their lifespan."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import trio
from hypercorn.middleware.dispatcher import TrioDispatcherMiddleware
from quart_trio import QuartTrio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import trimcp
from trimcp.http.asgi.hypercorn import serve_hypercorn

PATIENCE = 60


def adder() -> trimcp.Server:
    server = trimcp.Server("adder")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    return server


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The application under hypercorn; the URL of its root."""
    shutdown = trio.Event()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(functools.partial(serve_hypercorn, app, port=0, shutdown=shutdown))
            yield f"http://{host}:{port}"
            shutdown.set()


async def adds(url: str) -> None:
    """Whether clients of both eras are served at that URL."""
    for revision in ("2026-07-28", "2025-11-25"):
        async with trimcp.connect(url, revision=revision) as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"


async def home(request: Any) -> PlainTextResponse:
    return PlainTextResponse("home")


async def test_in_starlette_with_a_run_in_its_lifespan() -> None:
    tools = adder().asgi()
    app = Starlette(routes=[Route("/", home), Mount("/tools", tools)], lifespan=tools.lifespan)
    async with served(app) as url:
        await adds(f"{url}/tools/mcp")
        async with httpx2.AsyncClient() as http:
            assert (await http.get(url)).text == "home"


async def test_in_starlette_at_the_very_path_of_the_mount() -> None:
    tools = adder().asgi(path="/")
    app = Starlette(routes=[Mount("/tools", tools)], lifespan=tools.lifespan)
    async with served(app) as url:
        await adds(f"{url}/tools/")


async def test_two_servers_in_one_application() -> None:
    first, second = adder(), adder()

    @contextlib.asynccontextmanager
    async def both(app: object) -> AsyncIterator[None]:
        async with first.running(), second.running():
            yield

    app = Starlette(routes=[Mount("/one", first.asgi()), Mount("/two", second.asgi())], lifespan=both)
    async with served(app) as url:
        await adds(f"{url}/one/mcp")
        await adds(f"{url}/two/mcp")


async def test_beside_a_quart_application_of_trio() -> None:
    server, quart = adder(), QuartTrio("quart")

    @quart.route("/")
    async def root() -> str:
        return "quart"

    # The dispatcher hands the lifespan to both.
    app = TrioDispatcherMiddleware({"/tools": server.asgi(), "": quart})
    async with served(app) as url:
        await adds(f"{url}/tools/mcp")
        async with httpx2.AsyncClient() as http:
            assert (await http.get(url)).text == "quart"


async def test_within_a_quart_application_of_trio() -> None:
    server, quart = adder(), QuartTrio("quart")
    mounted, plain = server.asgi(), quart.asgi_app

    async def route(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/mcp"):
            await mounted(scope, receive, send)
        else:
            await plain(scope, receive, send)

    @quart.while_serving
    async def run() -> AsyncIterator[None]:
        async with server.running():
            yield

    quart.asgi_app = route  # type: ignore[method-assign]  # as its documentation says to
    async with served(quart) as url:
        await adds(f"{url}/mcp")


async def test_without_a_run_a_request_is_refused_with_a_log_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = Starlette(routes=[Mount("/tools", adder().asgi())])
    async with served(app) as url:
        with pytest.raises(trimcp.ExchangeFailed) as caught:
            async with trimcp.connect(f"{url}/tools/mcp"):
                raise AssertionError
        assert caught.value.status == 500
    assert "server.running()" in capsys.readouterr().err
