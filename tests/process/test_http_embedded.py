"""Doors in a nursery of the program's own: what they are told, how they drain together, what they refuse."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio

import trimcp
from tests.process.children import PATIENCE
from trimcp.errors import Unauthenticated
from trimcp.http.binding import HttpRequest


def make_server(name: str = "embedded") -> tuple[trimcp.Server, trio.Event, trio.Event]:
    """A server with a tool that says that it has begun, and waits until it may go on."""
    server = trimcp.Server(name, limits=trimcp.Limits(grace=PATIENCE))
    began, go_on = trio.Event(), trio.Event()

    @server.tool
    async def wait() -> str:
        """Wait."""
        began.set()
        await go_on.wait()
        return "done"

    return server, began, go_on


DOORS: dict[str, Callable[[trimcp.Server], Any]] = {
    "http": lambda server: server.serve_http,
    "hypercorn": lambda server: server.serve_hypercorn,
    "ws": lambda server: server.serve_websocket,
}
ALL = pytest.mark.parametrize("door", DOORS)


@ALL
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_draining_lets_a_call_finish_and_then_closes_the_door(door: str, revision: str) -> None:
    server, began, go_on = make_server()
    results: list[str] = []

    async def call(url: str) -> None:
        async with trimcp.connect(url, revision=revision) as client:
            results.append((await client.call_tool("wait")).text)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(DOORS[door](server), 0)
            scheme = "ws" if door == "ws" else "http"
            nursery.start_soon(call, f"{scheme}://{host}:{port}/mcp")
            await began.wait()
            async with trio.open_nursery() as draining:
                draining.start_soon(server.drain)
                await trio.testing.wait_all_tasks_blocked()
                go_on.set()
        # All tasks of the door have ended, or the nursery would not.
    assert results == ["done"]
    with socket.socket() as again:
        assert again.connect_ex((host, port)) != 0


async def test_doors_of_one_run_drain_together() -> None:
    server, _, _ = make_server()
    with trio.fail_after(PATIENCE):
        async with server.running() as running, trio.open_nursery() as nursery:
            ports = {}
            for door, serve in DOORS.items():
                _, ports[door] = await nursery.start(serve(server), 0)
            async with (
                trimcp.connect(f"http://127.0.0.1:{ports['http']}/mcp", revision="2025-11-25") as one,
                trimcp.connect(f"http://127.0.0.1:{ports['hypercorn']}/mcp", revision="2025-11-25") as two,
                trimcp.connect(f"ws://127.0.0.1:{ports['ws']}/mcp") as three,
                trimcp.connect(f"ws://127.0.0.1:{ports['hypercorn']}/mcp") as four,
            ):
                for client in (one, two, three, four):
                    await client.ping()
                assert len(running.sessions) == 4
                report = await server.drain()
                assert report.lost == 0


@ALL
async def test_an_address_that_is_taken_is_a_mistake_and_no_group_of_them(door: str) -> None:
    server, _, _ = make_server()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(trimcp.UsageError, match="cannot listen on tcp"):
            await DOORS[door](server)(taken.getsockname()[1])


@pytest.mark.parametrize("door", ["http", "hypercorn"])
async def test_an_option_that_cannot_be_is_a_mistake_and_no_group_of_them(door: str) -> None:
    server, _, _ = make_server()
    with pytest.raises(trimcp.UsageError):
        await DOORS[door](server)(0, origins=["not an origin/"])


async def test_a_websocket_is_let_in_by_its_path_its_origin_and_who_sends_it() -> None:
    server, _, _ = make_server()

    async def authenticate(request: HttpRequest) -> str:
        if request.field("authorization") != "Bearer right":
            raise Unauthenticated
        return "ada"

    async def knock(url: str, **headers: str) -> str:
        try:
            async with trimcp.connect(url, headers=headers) as client:
                await client.ping()
                return "in"
        except trimcp.TrimcpError as exc:
            return str(exc)

    with trio.fail_after(PATIENCE):
        async with server.running() as running, trio.open_nursery() as nursery:
            serve = server.serve_websocket
            _, port = await nursery.start(
                lambda task_status: serve(0, authenticate=authenticate, task_status=task_status)
            )
            url = f"ws://127.0.0.1:{port}/mcp"
            right = {"authorization": "Bearer right"}
            assert await knock(url, **right) == "in"
            assert await knock(url, **right, origin="http://localhost:5000") == "in"
            assert "status 403" in await knock(url, **right, origin="https://elsewhere.example")
            assert "status 404" in await knock(f"ws://127.0.0.1:{port}/other", **right)
            assert "status 401" in await knock(url)
            async with trimcp.connect(url, headers=right):
                assert [str(session.principal) for session in running.sessions] == ["ada"]
            await server.drain()


async def test_cancelling_leaves_nothing_behind() -> None:
    server, began, _ = make_server()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for serve in DOORS.values():
                _, port = await nursery.start(serve(server), 0)

            async def call(port: int) -> None:
                with pytest.raises(trimcp.TrimcpError):
                    async with trimcp.connect(f"ws://127.0.0.1:{port}/mcp") as client:
                        await client.call_tool("wait")

            async with trio.open_nursery() as calling:
                calling.start_soon(call, port)
                await began.wait()
                nursery.cancel_scope.cancel()
