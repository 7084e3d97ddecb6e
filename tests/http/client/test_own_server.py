"""Our client and our server over HTTP, in every revision: what users do with the two of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import trimcp
from tests.http.workshop import Workshop
from trimcp.types.elicitation import ElicitRequestFormParams
from trimcp.types.sampling import CreateMessageRequestParams

pytestmark = pytest.mark.usefixtures("no_pauses")

LEGACY, MODERN = "2025-11-25", "2026-07-28"
REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN)
ERAS = (LEGACY, MODERN)
CROWD = 300
PATIENCE = 60.0
HAS_PROC = os.path.isdir("/proc/self/fd")


@asynccontextmanager
async def serving(workshop: Workshop, **options: Any) -> AsyncIterator[str]:
    """The server on a socket; the value is its URL."""
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[Any]) -> None:
            await workshop.server.serve_http(0, task_status=task_status, **options)

        _, port = await nursery.start(serve)
        with trio.fail_after(PATIENCE):
            await trio.lowlevel.checkpoint()
            yield f"http://127.0.0.1:{port}/mcp"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("revision", [None, *REVISIONS])
async def test_every_revision_is_spoken(revision: str | None) -> None:
    async with serving(Workshop()) as url, trimcp.connect(url, revision=revision) as client:
        assert client.protocol_version == (revision or MODERN)
        assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"
        assert "add" in [tool.name for tool in await client.list_tools()]
        assert (await client.read_resource("mem://motd")).text == "Hello."
        assert (await client.get_prompt("greet", {"name": "Ann"})).messages


@pytest.mark.parametrize("revision", ERAS)
async def test_a_client_of_httpx2s_serves_as_well(revision: str) -> None:
    httpx2 = pytest.importorskip("httpx2")
    workshop = Workshop()
    async with (
        serving(workshop) as url,
        httpx2.AsyncClient(timeout=None) as http,
        trimcp.connect(url, revision=revision, http_client=http) as client,
    ):
        async with client.listen(uris=["mem://motd"]) as notices:
            workshop.server.notify_resource_updated("mem://motd")
            assert await anext(notices) == trimcp.ResourceUpdated("mem://motd")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "hold", {"name": "a"})
            await workshop.begun("a")
            nursery.cancel_scope.cancel()
        assert await workshop.is_over("a") is not None
        assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"


async def test_http_sse_is_spoken_where_it_is_all_there_is() -> None:
    async with serving(Workshop(), sse=True) as url, trimcp.connect(url.removesuffix("/mcp") + "/sse") as client:
        assert client.session.description.startswith("sse ")
        assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"


async def test_websocket_is_spoken() -> None:
    workshop = Workshop()
    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(workshop.server.serve_websocket, 0)
        async with trimcp.connect(f"ws://{host}:{port}/mcp") as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_server_that_asks_for_a_sample_inside_a_call_gets_it(revision: str) -> None:
    async def think(request: CreateMessageRequestParams) -> str:
        await trio.lowlevel.checkpoint()
        return "42"

    said: list[str] = []

    async def ask() -> None:
        said.append((await client.call_tool("think", {"text": "?"})).text)

    async with (
        serving(Workshop()) as url,
        trimcp.connect(url, revision=revision, sampling=think) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(10):
            nursery.start_soon(ask)
    assert said == ["42"] * 10


@pytest.mark.parametrize("revision", ["2025-06-18", LEGACY, MODERN])
async def test_a_server_that_asks_the_user_inside_a_call_gets_an_answer(revision: str) -> None:
    async def fill_in(form: ElicitRequestFormParams) -> dict[str, Any]:
        return {"name": "Ann"}

    async with serving(Workshop()) as url, trimcp.connect(url, revision=revision, elicitation=fill_in) as client:
        assert (await client.call_tool("ask")).text == "Hello Ann."


@pytest.mark.parametrize("revision", ERAS)
async def test_progress_comes_in_order_and_before_the_result(revision: str) -> None:
    workshop = Workshop()
    told: list[Any] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)
        workshop.open("a")

    async with serving(workshop) as url, trimcp.connect(url, revision=revision) as client:
        told.append((await client.call_tool("talk", {"name": "a"}, on_progress=on_progress)).text)
    assert told == [1, 2, "a is done"]


@pytest.mark.parametrize("revision", ERAS)
async def test_a_cancelled_call_is_cancelled_at_the_server(revision: str) -> None:
    workshop = Workshop()
    async with serving(workshop) as url, trimcp.connect(url, revision=revision) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "hold", {"name": "a"})
            await workshop.begun("a")
            nursery.cancel_scope.cancel()
        assert await workshop.is_over("a") is not None
        assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"


@pytest.mark.parametrize("revision", ERAS)
async def test_a_connection_let_go_of_by_the_server_is_taken_up_again(revision: str) -> None:
    workshop = Workshop()
    said: list[str] = []

    async def leave() -> None:
        said.append((await client.call_tool("leave", {"name": "a"})).text)

    async with (
        serving(workshop) as url,
        trimcp.connect(url, revision=revision) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(leave)
        await workshop.begun("a")
        workshop.open("a")
    assert said == [f"released: {revision == LEGACY}"]


@pytest.mark.parametrize("revision", ERAS)
async def test_notices_arrive_in_every_era(revision: str) -> None:
    workshop = Workshop()
    async with (
        serving(workshop) as url,
        trimcp.connect(url, revision=revision) as client,
        client.listen(tools=True, uris=["mem://motd"]) as notices,
    ):
        workshop.server.notify_resource_updated("mem://motd")
        assert await anext(notices) == trimcp.ResourceUpdated("mem://motd")

        @workshop.server.tool
        async def another() -> str:
            return "new"

        assert await anext(notices) == trimcp.ToolsChanged()
        assert (await client.call_tool("another")).text == "new"


async def test_a_server_that_stops_ends_listens_in_good_order() -> None:
    workshop = Workshop()
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(workshop.server.serve_http, 0)
        async with trimcp.connect(f"http://127.0.0.1:{port}/mcp") as client, client.listen(tools=True) as notices:
            nursery.start_soon(workshop.server.drain)
            with trio.fail_after(PATIENCE):
                assert [notice async for notice in notices] == []
            assert notices.end is trimcp.ListenEnd.FINISHED


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not HAS_PROC, reason="open files cannot be counted here")
@pytest.mark.parametrize("revision", ERAS)
async def test_a_crowd_of_clients_comes_and_goes_without_a_trace(revision: str) -> None:
    workshop = Workshop(limits={"sessions": CROWD + 10})
    sums: list[str] = []
    all_there = trio.Event()
    there = 0

    async def visit(url: str, number: int) -> None:
        nonlocal there
        async with trimcp.connect(url, revision=revision) as client:
            there += 1
            if there == CROWD:
                all_there.set()
            await all_there.wait()
            sums.append((await client.call_tool("add", {"a": number, "b": 0})).text)

    async with serving(workshop) as url:
        async with trimcp.connect(url, revision=revision) as client:  # whatever is made once is made now
            await client.list_tools()
        await trio.testing.wait_all_tasks_blocked(0.05)
        # The CancellationManager, and a second worker, may stay.
        tasks, files = trio.lowlevel.current_statistics().tasks_living + 2, _open_files()
        async with trio.open_nursery() as nursery:
            for number in range(CROWD):
                nursery.start_soon(visit, url, number)
        assert sorted(map(int, sums)) == list(range(CROWD))
        with trio.move_on_after(PATIENCE):
            while trio.lowlevel.current_statistics().tasks_living > tasks or _open_files() > files:
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert trio.lowlevel.current_statistics().tasks_living <= tasks
        assert _open_files() <= files
