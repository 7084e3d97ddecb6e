"""A handle over HTTP: the server goes away while a caller waits, and another run with the same store answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import trimcp
import trimcp.stores
from tests.client.tasks.task_server import BOTH
from tests.client.test_calls import Outcome
from tests.ports import free_port
from tests.process.children import PATIENCE
from tests.requirements.wires import over_http
from tests.session.peer import MODERN


def studio(store: Path | None = None) -> trimcp.Server:
    """A server whose tool runs as a task."""
    server = trimcp.Server("studio", store=None if store is None else trimcp.stores.SQLite(store))

    @server.tool(task="required")
    async def render(frames: int) -> int:
        return frames * 1000

    return server


async def serve(
    store: Path, port: int, scope: trio.CancelScope, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve on a port until the scope is cancelled."""
    with scope:
        async with trio.open_nursery() as nursery:
            used = await nursery.start(studio(store).serve_http, port)
            task_status.started(used[1])


@pytest.mark.parametrize("version", BOTH)
async def test_a_handle_outlives_the_process_of_its_server(version: str, tmp_path: Path) -> None:
    store, first, second = tmp_path / "state.db", trio.CancelScope(), trio.CancelScope()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as servers:
            # The system gives it to no other connection while nothing listens.
            port = await servers.start(serve, store, free_port(), first)
            url = f"http://127.0.0.1:{port}/mcp"
            async with trimcp.connect(url, revision=version) as client, trio.open_nursery() as nursery:
                task = await client.call_tool("render", {"frames": 7}, task=True, returns=int)
                seen = client.task(task.id)
                while (await seen.refresh()).status == "working":
                    await trio.sleep(0.01)
                first.cancel()
                waiting = Outcome(nursery, task.result)
                await trio.sleep(1.5)  # at least one poll finds no server
                assert waiting.value is None
                await servers.start(serve, store, port, second)
                assert (await waiting.done()).value == 7000
            second.cancel()


@pytest.mark.parametrize("version", BOTH)
async def test_requests_about_tasks_name_the_task_in_a_header(version: str) -> None:
    async with over_http(studio(), version) as line:
        task = await line.client.call_tool("render", {"frames": 7}, task=True)
        assert task.id is not None
        await task.result()
        if version == MODERN:
            fields = line.of("tasks/get")[0].fields
            assert (fields["mcp-name"], fields["mcp-method"]) == (task.id, "tasks/get")
        else:
            assert "mcp-name" not in line.of("tasks/result")[0].fields
