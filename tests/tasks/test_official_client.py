"""The official Python client polls a task of trimcp's, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

from tests.process.children import ROOT, child, initialize
from tests.tasks.workshop import RELATED

mcp = pytest.importorskip("mcp")
types = pytest.importorskip("mcp_types")
pytestmark = pytest.mark.interop

SERVER = Path(__file__).with_name("durable_server.py")


async def test_it_polls_a_task_of_another_connection_and_gets_the_result(tmp_path: Path) -> None:
    # It refuses a task as the answer to its own call, in this version: so another process begins the task.
    command = [sys.executable, str(SERVER), f"sqlite:{tmp_path / 'state.db'}"]
    async with child(command) as first:
        await first.send(*initialize("2025-11-25"))
        await first.receive()
        call = {"name": "sleep", "arguments": {"seconds": 2}, "task": {"ttl": 60_000}}
        await first.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
        id = (await first.receive())["result"]["task"]["taskId"]
        await polled(command, id)


async def polled(command: list[str], id: str) -> None:
    """Have the official client poll a task, by a server of its own on the same store."""
    parameters = mcp.StdioServerParameters(command=command[0], args=command[1:], env={"PYTHONPATH": str(ROOT)})
    async with mcp.Client(parameters, mode="legacy") as connected:
        declared = connected.server_capabilities.tasks
        assert declared.cancel is not None
        assert declared.requests.tools.call is not None
        session = connected.session
        get = types.GetTaskRequest(params=types.GetTaskRequestParams(task_id=id))
        while (state := await session.send_request(get, types.GetTaskResult)).status == "working":
            assert (state.ttl, state.poll_interval) == (60_000, 1000)
            await trio.sleep(0.2)
        assert state.status == "completed"
        fetch = types.GetTaskPayloadRequest(params=types.GetTaskPayloadRequestParams(task_id=id))
        result = await session.send_request(fetch, types.CallToolResult)
        assert result.content[0].text == "slept"
        assert result.meta[RELATED] == {"taskId": id}
        cancel = types.CancelTaskRequest(params=types.CancelTaskRequestParams(task_id=id))
        with pytest.raises(mcp.MCPError, match="Cannot cancel"):
            await session.send_request(cancel, types.CancelTaskResult)
