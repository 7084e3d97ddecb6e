"""Questions of a task: asked once, answered by the functions of the program, in both revisions that have tasks."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.tasks.task_server import BOTH, CORE, TaskServer, tasks_served
from tests.client.test_calls import Outcome
from tests.session.peer import MODERN, PATIENCE, error
from trimcp.types import ElicitRequestFormParams


def form(message: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema, "mode": "form"}}


class User:
    """Fills in forms, when the test lets it."""

    def __init__(self, seconds: float = 0) -> None:
        self.asked: list[str] = []
        self.meta: list[Any] = []
        self.closed = 0
        self.seconds = seconds

    async def fill(self, params: ElicitRequestFormParams) -> dict[str, Any]:
        self.asked.append(params.message)
        self.meta.append(params.meta)
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.closed += 1
            raise
        return {"name": params.message.upper()}


async def test_in_2025_11_25_questions_arrive_while_tasks_result_is_open(autojump_clock: MockClock) -> None:
    server, user = TaskServer(CORE), User(2.5)
    async with tasks_served(server, elicitation=user.fill) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        await trio.sleep(1.5)
        await server.becomes("task-1", "input_required", questions={"q1": form("who")})
        await trio.sleep(5)
        assert user.asked == ["who"]
        assert user.meta[0]["io.modelcontextprotocol/related-task"] == {"taskId": "task-1"}
        assert server.answered["q1"]["result"] == {"action": "accept", "content": {"name": "WHO"}}
        await server.becomes("task-1", "working")
        await trio.sleep(3)
        assert len(server.times("tasks/get")) >= 8  # beside it, the polls go on
        await server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"
        assert len(server.times("tasks/result")) == 1
        assert not server.cancelled


async def test_in_2026_07_28_each_answer_is_sent_as_soon_as_it_is_there(autojump_clock: MockClock) -> None:
    server, user = TaskServer(MODERN), User(3.0)
    async with tasks_served(server, elicitation=user.fill) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        await server.becomes("task-1", "input_required", questions={"a": form("x"), "b": form("y")})
        await trio.sleep(5)  # one dialog after the other: the first is answered, the second open
        assert sorted(user.asked) == ["x", "y"]
        key = {"x": "a", "y": "b"}[user.asked[0]]
        assert [update["inputResponses"].keys() for update in server.params("tasks/update")] == [{key}]
        await trio.sleep(3)
        assert server.tasks["task-1"].answers == {
            "a": {"action": "accept", "content": {"name": "X"}},
            "b": {"action": "accept", "content": {"name": "Y"}},
        }
        await server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"
    assert len(user.asked) == len(server.params("tasks/update")) == 2


async def test_a_question_is_put_to_the_user_once_though_polls_repeat_it(autojump_clock: MockClock) -> None:
    server, user = TaskServer(MODERN), User(10)
    async with tasks_served(server, elicitation=user.fill) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        nursery.start_soon(task.result)
        await server.becomes("task-1", "input_required", questions={"a": form("x")})
        await trio.sleep(8)
        assert len(server.times("tasks/get")) >= 6
        server.tasks["task-1"].answers["a"] = "eventually consistent"
        await trio.sleep(4)
        server.tasks["task-1"].questions = {"a": form("x")}  # the server has not seen it yet
        server.tasks["task-1"].status = "input_required"
        await trio.sleep(5)
        assert user.asked == ["x"]
        assert len(server.params("tasks/update")) == 1
        nursery.cancel_scope.cancel()


async def test_the_dialog_of_a_question_that_the_task_no_longer_has_is_closed(autojump_clock: MockClock) -> None:
    server, user = TaskServer(MODERN), User(100)
    async with tasks_served(server, elicitation=user.fill) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        await server.becomes("task-1", "input_required", questions={"a": form("x")})
        await trio.sleep(3)
        await server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"
        await wait_all_tasks_blocked()
        assert user.closed == 1
        assert not server.params("tasks/update")


async def test_a_question_is_asked_again_after_a_wait_that_was_cancelled(autojump_clock: MockClock) -> None:
    server, user = TaskServer(MODERN), User(10)
    async with tasks_served(server, elicitation=user.fill) as client:
        task = await client.call_tool("slow", task=True)
        await server.becomes("task-1", "input_required", questions={"a": form("x")})
        with trio.move_on_after(5):
            await task.result()
        await wait_all_tasks_blocked()
        assert (user.asked, user.closed) == (["x"], 1)
        user.seconds = 0
        with trio.move_on_after(5):
            await task.result()
        assert user.asked == ["x", "x"]
        assert server.params("tasks/update")[0]["inputResponses"].keys() == {"a"}


async def test_an_answer_that_could_not_be_sent_is_sent_again_without_asking_again(autojump_clock: MockClock) -> None:
    server, user = TaskServer(MODERN), User()
    server.refuse["tasks/update"] = {"code": -31001, "message": "busy"}
    async with tasks_served(server, elicitation=user.fill) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        await server.becomes("task-1", "input_required", questions={"a": form("x")})
        await trio.sleep(4)
        server.refuse.clear()
        await trio.sleep(10)
        assert server.tasks["task-1"].answers == {"a": {"action": "accept", "content": {"name": "X"}}}
        await server.becomes("task-1", "completed")
        assert (await waiting.done()).value.text == "done"
    assert user.asked == ["x"]


@pytest.mark.parametrize("version", BOTH)
async def test_a_question_that_the_client_cannot_answer(version: str, autojump_clock: MockClock) -> None:
    server = TaskServer(version)
    async with tasks_served(server) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)
        waiting = Outcome(nursery, task.result)
        await server.becomes("task-1", "input_required", questions={"a": form("x")})
        if version == CORE:  # the server is told, and decides
            await trio.sleep(3)
            assert server.answered["a"] == error("a", -32601, server.answered["a"]["error"]["message"])
            await server.becomes("task-1", "completed")
            assert (await waiting.done()).value.text == "done"
            return
        failed = await waiting.done()
        assert isinstance(failed.error, trimcp.RequestFailed)
        assert failed.error.code == -32602
        assert not server.times("tasks/cancel")  # the program has the handle, and decides


async def test_questions_that_are_no_questions_are_refused(autojump_clock: MockClock) -> None:
    server = TaskServer(MODERN)
    async with tasks_served(server, elicitation=User().fill) as client:
        task = await client.call_tool("slow", task=True)
        await server.becomes("task-1", "input_required", questions={"a": {"method": "tools/call", "params": {}}})
        with trio.fail_after(PATIENCE), pytest.raises(trimcp.InvalidResult):
            await task.result()


@pytest.mark.parametrize("version", BOTH)
async def test_questions_are_answered_in_a_loop_over_the_states_as_well(
    version: str, autojump_clock: MockClock
) -> None:
    server, user = TaskServer(version), User()
    seen: list[str] = []
    async with tasks_served(server, elicitation=user.fill) as client, trio.open_nursery() as nursery:
        task = await client.call_tool("slow", task=True)

        async def read() -> None:
            async for state in task:
                if state.status not in seen[-1:]:
                    seen.append(state.status)

        nursery.start_soon(read)
        await server.becomes("task-1", "input_required", questions={"a": form("x")})
        await trio.sleep(5)
        assert user.asked == ["x"]
        await server.becomes("task-1", "working")
        await trio.sleep(3)
        await server.becomes("task-1", "completed")
        await wait_all_tasks_blocked()
    assert seen == ["working", "input_required", "working", "completed"]
