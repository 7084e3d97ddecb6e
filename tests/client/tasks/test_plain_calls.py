"""Calls without `task=True` that become tasks all the same: `call_tool` waits, and cancels the task if it is left."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.tasks.task_server import CORE, EXTENSION, TaskServer, tasks_served
from tests.client.test_calls import Outcome
from tests.session.peer import MODERN, PATIENCE
from trimcp import Timeouts


async def test_with_tasks_a_modern_server_may_make_any_call_a_task(autojump_clock: MockClock) -> None:
    server = TaskServer(MODERN)
    async with tasks_served(server, tasks=True) as client, trio.open_nursery() as nursery:
        waiting = Outcome(nursery, client.call_tool, "slow")
        await trio.sleep(3)
        await server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"
        assert (await client.call_tool("quick")).text == "done"


async def test_without_tasks_a_modern_server_is_not_told_that_the_client_takes_them(autojump_clock: MockClock) -> None:
    server = TaskServer(MODERN)
    async with tasks_served(server) as client:
        assert (await client.call_tool("slow")).text == "done"
        assert EXTENSION not in str(server.params("tools/call"))
        task = await client.call_tool("slow", task=True)
        await client.list_tools()
        assert task.id == "task-1"
        assert EXTENSION in str(server.params("tools/call")[1])
        assert EXTENSION not in str(server.params("tools/list"))


async def test_a_task_that_was_not_declared_is_an_invalid_answer(autojump_clock: MockClock) -> None:
    server = TaskServer(MODERN)
    async with tasks_served(server) as client:
        server._called = lambda id, params: (
            server._result(id, {})
            | {  # type: ignore[method-assign]
                "result": {
                    "resultType": "task",
                    "taskId": "7",
                    "status": "working",
                    "createdAt": "",
                    "lastUpdatedAt": "",
                    "ttlMs": None,
                }
            }
        )
        with pytest.raises(trimcp.InvalidResult, match="resultType"):
            await client.call_tool("slow")


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_tool_of_2025_11_25_that_must_be_a_task_is_called_as_one(
    is_known: bool, autojump_clock: MockClock
) -> None:
    server = TaskServer(CORE, support="required")
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        if is_known:
            await client.list_tools()
        waiting = Outcome(nursery, client.call_tool, "slow")
        await trio.sleep(3)
        await server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"
        calls = server.params("tools/call")
        assert ["task" in call for call in calls] == ([True] if is_known else [False, True])


async def test_a_tool_that_may_be_a_task_is_not_made_one_unasked(autojump_clock: MockClock) -> None:
    server = TaskServer(CORE)
    async with tasks_served(server) as client:
        assert (await client.call_tool("slow")).text == "done"
        assert "task" not in server.params("tools/call")[0]
        assert not server.times("tools/list")


async def test_a_method_that_is_not_found_is_no_reason_to_make_a_task(autojump_clock: MockClock) -> None:
    server = TaskServer(CORE)
    server.refuse["tools/call"] = {"code": -32601, "message": "gone"}
    async with tasks_served(server) as client:
        with pytest.raises(trimcp.RequestFailed, match="gone"):
            await client.call_tool("slow")
        assert len(server.times("tools/call")) == 1


@pytest.mark.parametrize("version", [CORE, MODERN])
async def test_a_call_that_is_left_cancels_its_task(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version, support="required")
    async with tasks_served(server, tasks=True) as client:
        with trio.move_on_after(3.5) as scope:
            await client.call_tool("slow")
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
        (cancel,) = server.params("tasks/cancel")
        assert cancel["taskId"] == "task-1"
        assert server.tasks["task-1"].status == "cancelled"


@pytest.mark.parametrize("version", [CORE, MODERN])
async def test_a_call_that_takes_longer_than_all_calls_may_is_cancelled(
    version: str, autojump_clock: MockClock
) -> None:
    server = TaskServer(version, support="required")
    async with tasks_served(server, tasks=True, timeouts=Timeouts(request=5, most=20)) as client:
        with trio.fail_after(PATIENCE), pytest.raises(trimcp.RequestTimedOut, match="20 s"):
            await client.call_tool("slow", timeout=7)
        await wait_all_tasks_blocked()
        assert len(server.params("tasks/cancel")) == 1


@pytest.mark.parametrize("version", [CORE, MODERN])
async def test_a_call_whose_task_was_cancelled_raises_and_cancels_nothing(
    version: str, autojump_clock: MockClock
) -> None:
    server = TaskServer(version, support="required")
    async with tasks_served(server, tasks=True) as client, trio.open_nursery() as nursery:
        waiting = Outcome(nursery, client.call_tool, "slow")
        await trio.sleep(2.5)
        await server.becomes("task-1", "cancelled", message="by the night")
        outcome = await waiting.done()
        assert isinstance(outcome.error, trimcp.TaskCancelled)
        assert "by the night" in str(outcome.error)
        assert not server.times("tasks/cancel")
