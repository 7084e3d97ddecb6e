"""Routes of the user's over sockets: by our own listener, under hypercorn, and mounted in another application."""

from __future__ import annotations

import functools

import httpx2
import pytest
import trio
from starlette.applications import Starlette
from starlette.routing import Mount

import trimcp
from tests.http.test_mounted import served
from trimcp.http.binding import HttpRequest


def make_server(ended: trio.Event) -> trimcp.Server:
    server = trimcp.Server("s")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.route("/metrics", methods=["GET"], authenticate=False)
    async def metrics(request: HttpRequest) -> trimcp.HttpReply:
        return trimcp.HttpReply(f"requests {request.path}", headers={"Cache-Control": "no-store"})

    @server.route("/slow", methods=["POST"])
    async def slow(request: HttpRequest) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    return server


async def ask(root: str, ended: trio.Event) -> None:
    """See to what the routes do."""
    async with httpx2.AsyncClient() as http:
        answer = await http.get(f"{root}/metrics")
        assert (answer.status_code, answer.text) == (200, "requests /metrics")
        assert answer.headers["cache-control"] == "no-store"
        head = await http.head(f"{root}/metrics")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "17")
        assert (await http.head(f"{root}/nothing")).status_code == 404
        assert (await http.put(f"{root}/metrics")).status_code == 405
        with trio.move_on_after(0.2):
            await http.post(f"{root}/slow", content=b"x" * 100_000)
            raise AssertionError
        await ended.wait()
        async with trimcp.connect(f"{root}/mcp") as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"


@pytest.mark.parametrize("kind", ["serve_http", "serve_hypercorn"])
async def test_served_alone(kind: str) -> None:
    ended = trio.Event()
    server = make_server(ended)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(functools.partial(getattr(server, kind), 0))
            await ask(f"http://{host}:{port}", ended)
            await server.drain(0)


async def test_mounted_in_another_application() -> None:
    ended = trio.Event()
    tools = make_server(ended).asgi()
    app = Starlette(routes=[Mount("/tools", tools)], lifespan=tools.lifespan)
    async with served(app) as url:
        await ask(f"{url}/tools", ended)


async def test_a_path_in_use_that_was_declared_late_ends_the_start_of_the_application() -> None:
    server = trimcp.Server("s")
    app = server.asgi()

    @server.route("/mcp")
    async def mine(request: HttpRequest) -> str:
        raise AssertionError

    with pytest.raises(trimcp.UsageError, match="belongs to the MCP endpoint"):
        async with app.lifespan():
            raise AssertionError
