"""A released server of the TypeScript SDK with tasks of 2025-11-25, called by trimcp's client, and calling it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import trio

import trimcp
from tests.conformance.serving import serving
from tests.interop.node_peers import package
from tests.process.children import PATIENCE, environment

pytestmark = pytest.mark.interop

SDK: Final = ("@modelcontextprotocol/sdk", "1.32.2")
PROGRAM: Final = Path(__file__).with_name("tasks_server.mjs")


async def fill(params: Any) -> dict[str, Any]:
    return {"name": "Ada"}


@asynccontextmanager
async def typescript(**options: Any) -> AsyncIterator[trimcp.Client]:
    """A client of the server."""
    program, folder = package(*SDK)
    command = [program, str(PROGRAM), str(folder)]
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(command, elicitation=fill, **options) as client:
            yield client


async def test_tasks_of_the_typescript_server() -> None:
    async with typescript() as client:
        assert client.protocol_version == "2025-11-25"
        task = await client.call_tool("count", task=True)
        assert task.id in {state.id for state in await client.list_tasks()}
        statuses = [state.status async for state in task]
        assert (statuses[0], statuses[-1]) == ("working", "completed")
        assert (await task.result()).text == "three"
        assert (await client.task(task.id).result()).text == "three"
        failed = await (await client.call_tool("fail", task=True)).result()
        assert (failed.is_error, failed.text) == (True, "Error: out of ink")
        assert (await client.call_tool("ask")).text == "hello Ada"  # a task is required, and is made unasked
        waiting = await client.call_tool("wait", task=True)
        await waiting.cancel()
        with pytest.raises(trimcp.TaskCancelled):
            await waiting.result()


async def test_the_typescript_server_has_the_client_run_a_task() -> None:
    async with typescript(tasks=True) as client:
        result = await client.call_tool("delegate")
        assert result.text.split()[0] == "taskCreated"
        assert result.text.split()[-2:] == ["result", "Ada"]


# --- its client, with a server of trimcp --------------------------------------------------

TRIMCP: Final = Path(__file__).with_name("tasks_of_trimcp.py")
CLIENT: Final = Path(__file__).with_name("tasks_client.mjs")


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_typescript_client_polls_tasks_of_trimcp(transport: str) -> None:
    node, folder = package(*SDK)
    with ExitStack() as running:
        if transport == "http":
            where = [running.enter_context(serving("direct", (TRIMCP,)))]
        else:
            where = [sys.executable, str(TRIMCP)]
        command = [node, str(CLIENT), str(folder), *where]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, env=environment())
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["count"] == ["taskCreated", "taskStatus", "three", False]
    # A task that fails is an error to this client, which does not ask for the result.
    assert found["fail"][0] == "taskCreated"
    assert "failed" in found["fail"][-1]
    assert found["ask"][-2:] == ["hello Ada", False]
    assert (found["ttl"], found["get"], found["cancel"]) == (60_000, "working", "cancelled")
    assert (found["again"], found["foreign"]) == (-32602, -32602)
    assert found["delegate"] == "task: Ada"
    assert found["asked"] == ["related", "task"]
