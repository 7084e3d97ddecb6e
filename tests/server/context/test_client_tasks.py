"""A server that has its client run sampling and elicitation as tasks, with the handle that clients have of servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import Peer, notification, result, served
from trimcp.types import CreateMessageRequestParams

CORE = "2025-11-25"
VERSIONS = (CORE, "2025-06-18", "2026-07-28")
STATE = {"taskId": "t", "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": None}
MESSAGE = {"role": "assistant", "content": {"type": "text", "text": "thought"}, "model": "m"}


@dataclass
class Named:
    name: str


class Asking:
    """A server whose tool asks the client as a task, and tells what it saw."""

    def __init__(self) -> None:
        self.server = trimcp.Server("asking")
        self.seen: list[Any] = []
        self.handles: list[Any] = []
        self.patience = 1000.0

        @self.server.tool
        async def think(ctx: trimcp.Context) -> str:
            task = await ctx.sample("think", task=True, ttl=60)
            self.handles.append(task)
            async for state in task:
                self.seen.append(state.status)
            return (await task.result()).text

        @self.server.tool
        async def name(ctx: trimcp.Context) -> str:
            task = await ctx.elicit("Who?", Named, task=True)
            self.seen.append(task.id is not None)
            answer = await task.result()
            return answer.data.name if answer.data else answer.action

        @self.server.tool
        async def visit(ctx: trimcp.Context) -> str:
            task = await ctx.elicit_url("Pay", "https://example.com/pay", id="one", task=True)
            self.seen.append(task.id is not None)
            return (await task.result()).action

        @self.server.tool
        async def start(ctx: trimcp.Context) -> str:
            self.handles.append(await ctx.sample("think", task=True))
            return "started"

        @self.server.tool
        async def give_up(ctx: trimcp.Context) -> str:
            task = await ctx.sample("think", task=True)
            with trio.move_on_after(3):
                await task.result()
            await task.cancel()
            try:
                await task.result()
            except trimcp.TaskCancelled as exc:
                self.seen.append(str(exc))
            return str(task.status)


class Person:
    """A client's functions, which take some seconds."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds
        self.cancelled = 0

    async def sample(self, params: CreateMessageRequestParams) -> str:
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        return "thought"

    async def elicit(self, params: Any) -> dict[str, Any]:
        await trio.sleep(self.seconds)
        return {"name": "Ada"}

    async def visit(self, params: Any) -> bool:
        await trio.sleep(self.seconds)
        return True

    def functions(self, *, tasks: bool = True) -> dict[str, Any]:
        return {"sampling": self.sample, "elicitation": self.elicit, "visit": self.visit, "tasks": tasks}


async def test_the_client_runs_the_question_as_a_task_and_the_handle_follows(autojump_clock: MockClock) -> None:
    asking, person = Asking(), Person()
    async with trimcp.connect(asking.server, revision=CORE, **person.functions()) as client:
        assert (await client.call_tool("think")).text == "thought"
    assert asking.seen == ["working", "completed"]
    (task,) = asking.handles
    assert (task.state.ttl, task.has_ended) == (60, True)


@pytest.mark.parametrize(("tool", "answer"), [("name", "Ada"), ("visit", "accept")])
async def test_users_are_asked_as_a_task(tool: str, answer: str, autojump_clock: MockClock) -> None:
    asking = Asking()
    async with trimcp.connect(asking.server, revision=CORE, **Person().functions()) as client:
        assert (await client.call_tool(tool)).text == answer
    assert asking.seen == [True]


@pytest.mark.parametrize("version", VERSIONS)
async def test_where_the_client_runs_no_tasks_the_handle_has_the_answer(
    version: str, autojump_clock: MockClock
) -> None:
    asking = Asking()
    async with trimcp.connect(asking.server, revision=version, **Person().functions(tasks=False)) as client:
        assert (await client.call_tool("name")).text == "Ada"
    assert asking.seen == [False]


async def test_a_task_that_the_server_cancels_ends_at_the_client(autojump_clock: MockClock) -> None:
    asking, person = Asking(), Person(1000)
    async with trimcp.connect(asking.server, revision=CORE, **person.functions()) as client:
        assert (await client.call_tool("give_up")).text == "cancelled"
        await wait_all_tasks_blocked()
    assert person.cancelled == 1
    assert "cancelled" in asking.seen[0]


async def test_a_handle_goes_on_when_the_request_is_answered(autojump_clock: MockClock) -> None:
    asking = Asking()
    async with trimcp.connect(asking.server, revision=CORE, **Person().functions()) as client:
        assert (await client.call_tool("start")).text == "started"
        (task,) = asking.handles
        assert (await task.result()).text == "thought"


async def test_a_client_that_is_gone_is_an_error_of_the_handle(autojump_clock: MockClock) -> None:
    asking = Asking()
    async with asking.server.running():
        async with trimcp.connect(asking.server, revision=CORE, **Person(1000).functions()) as client:
            await client.call_tool("start")
        (task,) = asking.handles
        with pytest.raises(trimcp.ConnectionEnded):
            await task.result()


async def test_inside_of_a_task_of_the_server_the_handle_has_the_answer(autojump_clock: MockClock) -> None:
    asking = Asking()
    ids: list[str | None] = []

    @asking.server.tool(task="required")
    async def work(ctx: trimcp.Context) -> str:
        task = await ctx.elicit("Who?", Named, task=True)
        ids.append(task.id)
        data = (await task.result()).data
        return data.name if data else ""

    async with trimcp.connect(asking.server, revision=CORE, **Person(1).functions()) as client:
        handle = await client.call_tool("work", task=True)
        assert (await handle.result()).text == "Ada"
    assert ids == [None]


# --- raw clients ------------------------------------------------------------------------


@asynccontextmanager
async def raw_client(asking: Asking, **tasks: Any) -> AsyncIterator[Peer]:
    """A client that declares tasks, in the middle of a call of `think`, which it has been asked to answer."""
    async with served(asking.server, CORE, opened=False) as peer:
        initialize = peer.initialize()
        declared = {"requests": {"sampling": {"createMessage": {}}}, **tasks}
        initialize["params"]["capabilities"] = {"sampling": {}, "tasks": declared}
        await peer.ask(initialize)
        await peer.send(notification("notifications/initialized"))
        yield peer


async def asked(peer: Peer, tool: str = "think") -> Any:
    await peer.send(peer.request("call", "tools/call", {"name": tool, "arguments": {}}))
    return await peer.receive()


async def test_the_request_has_the_time_and_polls_come_at_the_interval(autojump_clock: MockClock) -> None:
    asking = Asking()
    async with raw_client(asking) as peer:
        question = await asked(peer)
        assert question["method"] == "sampling/createMessage"
        assert question["params"]["task"] == {"ttl": 60_000}
        await peer.send(result(question["id"], {"task": {**STATE, "status": "working", "pollInterval": 7000}}))
        began = trio.current_time()
        poll = await peer.receive()
        assert (poll["method"], poll["params"]) == ("tasks/get", {"taskId": "t"})
        assert trio.current_time() - began == pytest.approx(7)
        await peer.send(result(poll["id"], {**STATE, "status": "working", "pollInterval": 7000}))
        await wait_all_tasks_blocked()
        await peer.send(notification("notifications/tasks/status", {**STATE, "status": "completed"}))
        fetch = await peer.receive()  # without another poll
        assert (fetch["method"], fetch["params"]) == ("tasks/result", {"taskId": "t"})
        assert trio.current_time() - began == pytest.approx(7)
        await peer.send(result(fetch["id"], MESSAGE))
        assert (await peer.receive())["result"]["content"][0]["text"] == "thought"


async def test_a_task_that_needs_input_has_its_result_waited_for(autojump_clock: MockClock) -> None:
    async with raw_client(Asking()) as peer:
        question = await asked(peer)
        await peer.send(result(question["id"], {"task": {**STATE, "status": "input_required", "pollInterval": 60_000}}))
        fetch = await peer.receive()
        assert fetch["method"] == "tasks/result"
        await peer.send(notification("notifications/tasks/status", {**STATE, "status": "completed"}))
        await peer.send(result(fetch["id"], MESSAGE))
        while "result" not in (answer := await peer.receive()):
            await peer.send(result(answer["id"], MESSAGE))
        assert answer["result"]["content"][0]["text"] == "thought"


async def test_a_client_that_answers_at_once_makes_no_task(autojump_clock: MockClock) -> None:
    asking = Asking()
    async with raw_client(asking) as peer:
        question = await asked(peer)
        await peer.send(result(question["id"], MESSAGE))
        assert (await peer.receive())["result"]["content"][0]["text"] == "thought"
    assert [task.id for task in asking.handles] == [None]


async def test_a_client_that_cancels_no_tasks_is_not_asked_to(autojump_clock: MockClock) -> None:
    async with raw_client(Asking()) as peer:
        question = await asked(peer, "give_up")
        await peer.send(result(question["id"], {"task": {**STATE, "status": "working", "pollInterval": 60_000}}))
        answer = (await peer.receive())["result"]
        assert answer["isError"]


@pytest.mark.parametrize(
    "task",
    [{"taskId": 7}, {**STATE, "status": "odd"}, {**STATE, "status": "working", "pollInterval": "x"}],
    ids=["no id", "odd status", "odd interval"],
)
async def test_an_invalid_task_is_an_error_of_the_handler_alone(task: Any, autojump_clock: MockClock) -> None:
    async with raw_client(Asking()) as peer:
        question = await asked(peer)
        await peer.send(result(question["id"], {"task": task}))
        assert (await peer.receive())["result"]["isError"]
        await peer.send(notification("notifications/tasks/status", task))
        assert "result" in await peer.ask({"jsonrpc": "2.0", "id": "p", "method": "ping"})


async def test_the_state_of_another_task_is_refused(autojump_clock: MockClock) -> None:
    async with raw_client(Asking()) as peer:
        question = await asked(peer)
        await peer.send(result(question["id"], {"task": {**STATE, "status": "working"}}))
        poll = await peer.receive()
        await peer.send(result(poll["id"], {**STATE, "taskId": "other", "status": "completed"}))
        assert (await peer.receive())["result"]["isError"]
