"""The official Python client polls tasks of a trimcp server: over stdio and HTTP, in both eras.

It has no tasks of its own, and in 2025-11-25 it refuses a task as the answer to a call: another client begins the task.
In 2026-07-28 an extension of a user claims the answer `task` of a call, and polls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import trio

import trimcp
from tests.conformance.serving import serving
from tests.process.children import PATIENCE, ROOT

mcp = pytest.importorskip("mcp")
types = pytest.importorskip("mcp_types")
extension = pytest.importorskip("mcp.client.extension")
pytestmark = [
    pytest.mark.interop,
    # It leaves the generators of its HTTP client to the garbage collector.
    pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)2:ResourceWarning"),
]

SERVER: Final = Path(__file__).with_name("tasks_of_trimcp.py")


@pytest.fixture(params=["stdio", "http"])
def where(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What its client connects to."""
    if request.param == "stdio":
        yield mcp.StdioServerParameters(command=sys.executable, args=[str(SERVER)], env={"PYTHONPATH": str(ROOT)})
        return
    with serving("direct", (SERVER,)) as url:
        yield url


# --- 2025-11-25 -------------------------------------------------------------------------


async def test_tasks_of_2025_11_25_are_polled_over_http() -> None:
    # Over stdio: tests/tasks/test_official_client.py, with a store.
    with serving("direct", (SERVER,)) as url, trio.fail_after(PATIENCE):
        async with trimcp.connect(url, revision="2025-11-25") as first, mcp.Client(url, mode="legacy") as client:
            count, wait = [(await first.call_tool(name, task=True)).id for name in ("count", "wait")]
            session = client.session
            get = types.GetTaskRequest(params=types.GetTaskRequestParams(task_id=count))
            while (state := await session.send_request(get, types.GetTaskResult)).status == "working":
                await trio.sleep(state.poll_interval / 1000)
            assert state.status == "completed"
            fetch = types.GetTaskPayloadRequest(params=types.GetTaskPayloadRequestParams(task_id=count))
            result = await session.send_request(fetch, types.CallToolResult)
            assert result.content[0].text == "three"
            cancel = types.CancelTaskRequest(params=types.CancelTaskRequestParams(task_id=wait))
            assert (await session.send_request(cancel, types.CancelTaskResult)).status == "cancelled"


# --- 2026-07-28 -------------------------------------------------------------------------


class CreatedTask(types.Result):  # type: ignore[name-defined,misc]  # a module that may be missing
    """The answer to a call that has become a task."""

    result_type: Literal["task"] = "task"
    task_id: str
    poll_interval_ms: int


class TaskState(types.Result):  # type: ignore[name-defined,misc]  # as above
    """The state of a task."""

    status: str
    result: dict[str, Any] | None = None


class GetTask(types.Request[dict[str, Any], Literal["tasks/get"]]):  # type: ignore[name-defined,misc]
    method: Literal["tasks/get"] = "tasks/get"
    params: dict[str, Any]
    name_param = "taskId"


class Polling(extension.ClientExtension):  # type: ignore[name-defined,misc]
    """The extension as a user of that client writes it."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self) -> None:
        self.statuses: list[str] = []

    def claims(self) -> Sequence[Any]:
        return [extension.ResultClaim(result_type="task", model=CreatedTask, resolve=self._resolve)]

    async def _resolve(self, created: CreatedTask, ctx: Any) -> Any:
        while True:
            state = await ctx.session.send_request(GetTask(params={"taskId": created.task_id}), TaskState)
            self.statuses.append(state.status)
            if state.status != "working":
                return types.CallToolResult.model_validate(state.result)
            await trio.sleep(created.poll_interval_ms / 1000)


async def test_tasks_of_2026_07_28_are_polled(where: Any) -> None:
    polling = Polling()
    with trio.fail_after(PATIENCE):
        async with mcp.Client(where, extensions=[polling]) as client:
            assert client.protocol_version == "2026-07-28"
            assert (await client.call_tool("count", {})).content[0].text == "three"
            failed = await client.call_tool("fail", {})
    assert (failed.is_error, failed.content[0].text) == (True, "out of ink")
    assert (polling.statuses[0], polling.statuses[-1]) == ("working", "completed")
