"""A handle of a task: its result, its states, its polls, its cancels, in both revisions that have tasks."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.tasks.task_server import BOTH, CORE, EXTENSION, TaskServer, tasks_served
from tests.client.test_calls import Outcome
from tests.session.peer import MODERN, PATIENCE


@pytest.mark.parametrize("version", BOTH)
async def test_a_call_as_a_task_gives_a_handle_at_once_and_its_result_later(
    version: str, autojump_clock: MockClock
) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", {"a": 1}, task=True, ttl=90)
        assert (task.id, task.status, task.has_ended) == ("task-1", "working", False)
        assert task.state is not None
        assert task.state.poll_interval == 1.0
        waiting = Outcome(nursery, task.result)
        await trio.sleep(10.5)
        assert waiting.value is None
        await server.becomes("task-1", "completed")
        outcome = await waiting.done()
        assert outcome.value.text == "done"
        assert (task.status, task.has_ended) == ("completed", True)
        polls = len(server.asked)
        assert (await task.result()).text == "done"  # it is kept
        assert len(server.asked) == polls
        call = server.params("tools/call")[0]
        if version == CORE:
            assert call["task"] == {"ttl": 90_000}
            assert server.times("tasks/result")
        else:
            assert "task" not in call
            assert not server.times("tasks/result")


@pytest.mark.parametrize("version", BOTH)
async def test_no_poll_comes_earlier_than_the_server_wants_however_many_wait(
    version: str, autojump_clock: MockClock
) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = [Outcome(nursery, task.result) for _ in range(3)]
        await trio.sleep(2.5)
        waiting[0].scope.cancel()  # another one polls on
        await trio.sleep(0.7)
        server.tasks["task-1"].poll = 5000
        await trio.sleep(12)
        await server.becomes("task-1", "completed")
        for one in waiting[1:]:
            assert (await one.done()).value.text == "done"
    times = server.times("tasks/get")
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses[:2] == pytest.approx([1, 1], abs=0.01)
    assert min(pauses[3:]) >= 5


async def test_where_no_interval_is_suggested_there_is_a_usual_one_and_a_least_one(autojump_clock: MockClock) -> None:
    server = TaskServer(CORE)
    async with tasks_served(server) as client:
        task = await client.call_tool("slow", task=True)
        server.tasks["task-1"].poll = None
        with trio.move_on_after(10.5):
            await task.result()
        assert len(server.times("tasks/get")) == 10
        server.tasks["task-1"].poll = 0
        with trio.move_on_after(1.02):
            await task.result()
        assert len(server.times("tasks/get")) <= 32


@pytest.mark.parametrize("version", BOTH)
async def test_a_wait_that_is_cancelled_leaves_the_task_as_it_is(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client:
        task = await client.call_tool("slow", task=True)
        with trio.move_on_after(3.5) as scope:
            await task.result()
        assert scope.cancelled_caught
        polls = len(server.times("tasks/get"))
        await trio.sleep(100)  # while no caller waits, nothing is asked
        assert len(server.times("tasks/get")) == polls
        assert not server.times("tasks/cancel")
        await server.becomes("task-1", "completed")
        assert (await task.result()).text == "done"


@pytest.mark.parametrize("version", BOTH)
async def test_the_states_of_a_task_are_read_in_a_loop(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    seen: list[tuple[str, str | None]] = []
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)

        async def read() -> None:
            async for state in task:
                seen.append((state.status, state.message))

        nursery.start_soon(read)
        await trio.sleep(2.5)
        await server.becomes("task-1", "working", message="half")
        await trio.sleep(2)
        await server.becomes("task-1", "completed", message="all")
    assert seen == [("working", None), ("working", "half"), ("completed", "all")]
    assert [state.status async for state in task] == ["completed"]


@pytest.mark.parametrize("version", BOTH)
async def test_a_notification_takes_the_place_of_a_poll(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        server.tasks["task-1"].poll = 30_000
        waiting = Outcome(nursery, task.result)
        await trio.sleep(1.5)  # the first poll has told of the longer interval
        began = trio.current_time()
        await server.becomes("task-1", "completed", tells=True)
        assert (await waiting.done()).value.text == "done"
        assert trio.current_time() - began < 1
        assert len(server.times("tasks/get")) == 1
        await wait_all_tasks_blocked()
        if version == MODERN:
            (listen,) = server.params("subscriptions/listen")
            assert listen["notifications"] == {"taskIds": ["task-1"]}
            assert EXTENSION in listen["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"]
            assert len(server.cancelled) == 1  # the listen ends with the wait


async def test_a_server_that_tells_nothing_of_tasks_is_polled_all_the_same(autojump_clock: MockClock) -> None:
    server = TaskServer(MODERN)
    server.refuse["subscriptions/listen"] = {"code": -32601}
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        await trio.sleep(5)
        await server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"


@pytest.mark.parametrize("version", BOTH)
async def test_an_old_notification_does_not_bring_an_old_state_back(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        nursery.start_soon(task.result)
        await wait_all_tasks_blocked()
        await server.becomes("task-1", "working", message="new", tells=True)
        await wait_all_tasks_blocked()
        server.tasks["task-1"].updated = -1
        await server.becomes("task-1", "working", message="old", tells=True)
        await wait_all_tasks_blocked()
        assert task.state is not None
        assert task.state.message == "new"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("version", BOTH)
async def test_a_cancelled_task_has_no_result(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client:
        task = await client.call_tool("slow", task=True)
        await task.cancel()
        assert server.params("tasks/cancel")[0]["taskId"] == "task-1"
        with trio.fail_after(PATIENCE), pytest.raises(trimcp.TaskCancelled, match="task-1") as caught:
            await task.result()
        assert caught.value.id == "task-1"
        assert task.status == "cancelled"
        assert not server.cancelled  # never by notifications/cancelled


@pytest.mark.parametrize("version", BOTH)
async def test_the_error_of_the_call_is_the_error_of_the_task(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client:
        task = await client.call_tool("slow", task=True)
        failure = {"code": -32099, "message": "out of paper", "data": {"tray": 2}}
        await server.becomes("task-1", "failed", outcome={"error": failure})
        with trio.fail_after(PATIENCE), pytest.raises(trimcp.RequestFailed, match="out of paper") as caught:
            await task.result()
        assert (caught.value.code, caught.value.data) == (-32099, {"tray": 2})


@pytest.mark.parametrize(("version", "status"), [(CORE, "failed"), (MODERN, "completed")])
async def test_a_tool_that_says_that_it_failed_has_a_result(
    version: str, status: str, autojump_clock: MockClock
) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client:
        task = await client.call_tool("slow", task=True)
        outcome = {"result": {"content": [{"type": "text", "text": "no ink"}], "isError": True}}
        await server.becomes("task-1", status, outcome=outcome)
        with trio.fail_after(PATIENCE):
            result = await task.result()
        assert (result.is_error, result.text) == (True, "no ink")


@pytest.mark.parametrize("version", BOTH)
async def test_a_task_is_found_by_its_id_alone(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client:
        id = (await client.call_tool("slow", task=True)).id
        assert id is not None
    server.tasks[id].outcome = {"result": {"content": [], "structuredContent": {"result": 7}}}
    async with tasks_served(server) as client:
        task = client.task(id, returns=int)
        assert task.status is None
        state = await task.refresh()
        assert state is not None
        assert (state.status, task.status) == ("working", "working")
        assert await task.refresh() == state
        assert len(server.times("tasks/get")) == 1  # the second one would have been too early
        await server.becomes(id, "completed")
        with trio.fail_after(PATIENCE):
            assert await task.result() == 7
        with trio.fail_after(PATIENCE), pytest.raises(trimcp.RequestFailed, match="no such task"):
            await client.task("other").result()


@pytest.mark.parametrize("version", BOTH)
async def test_without_a_task_the_handle_has_the_result_already(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client:
        task = await client.call_tool("quick", task=True)
        assert (task.id, task.state, task.status, task.has_ended) == (None, None, "completed", True)
        assert (await task.result()).text == "done"
        assert [state async for state in task] == []
        assert await task.refresh() is None
        with pytest.raises(trimcp.UsageError, match="no task"):
            await task.cancel()
        if version == CORE:  # the tool forbids it, so it was not asked for
            assert "task" not in server.params("tools/call")[0]


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", CORE, MODERN])
async def test_a_server_without_tasks_is_not_asked_for_one(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version, capability={})
    async with tasks_served(server) as client:
        task = await client.call_tool("slow", task=True)
        assert task.has_ended
        (call,) = server.params("tools/call")
        assert "task" not in call
        assert EXTENSION not in str(call)
        with pytest.raises(trimcp.UsageError, match="no tasks"):
            await client.task("7").result()
        with pytest.raises(trimcp.UsageError, match="tasks"):
            await client.list_tasks()


async def test_tasks_are_listed_where_the_server_says_so(autojump_clock: MockClock) -> None:
    server = TaskServer(CORE)
    async with tasks_served(server) as client:
        for _ in range(3):
            await client.call_tool("slow", task=True)
        assert [state.id for state in await client.list_tasks()] == ["task-1", "task-2", "task-3"]
    silent = TaskServer(CORE, capability={"requests": {"tools": {"call": {}}}})
    async with tasks_served(silent) as client:
        with pytest.raises(trimcp.UsageError, match=r"tasks\.list"):
            await client.list_tasks()
        task = await client.call_tool("slow", task=True)
        with pytest.raises(trimcp.UsageError, match=r"tasks\.cancel"):
            await task.cancel()


async def test_progress_goes_on_after_the_task_is_made_until_it_ends(autojump_clock: MockClock) -> None:
    from tests.session.peer import notification

    server = TaskServer(CORE)
    reports: list[Any] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        await trio.sleep(0.2)
        reports.append((progress, message))

    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True, on_progress=report)
        token = server.params("tools/call")[0]["_meta"]["progressToken"]

        async def tell(progress: float) -> None:
            params = {"progressToken": token, "progress": progress, "message": f"{progress:g}"}
            await server.peer.send(notification("notifications/progress", params))

        await tell(1)
        waiting = Outcome(nursery, task.result)
        await trio.sleep(3)
        assert reports == [(1, "1")]
        await tell(2)
        await server.becomes("task-1", "completed", tells=True)
        assert (await waiting.done()).value.text == "done"
        assert reports == [(1, "1"), (2, "2")]
        assert client.session.snapshot() is not None


async def test_an_error_of_the_progress_callback_is_raised_to_the_caller_that_waits(autojump_clock: MockClock) -> None:
    from tests.session.peer import notification

    server = TaskServer(CORE)

    def report(progress: float, total: float | None, message: str | None) -> None:
        raise LookupError("not mine")

    async with tasks_served(server) as client:
        task = await client.call_tool("slow", task=True, on_progress=report)
        token = server.params("tools/call")[0]["_meta"]["progressToken"]
        await server.peer.send(notification("notifications/progress", {"progressToken": token, "progress": 1}))
        with trio.fail_after(PATIENCE), pytest.raises(LookupError, match="not mine"):
            await task.result()
