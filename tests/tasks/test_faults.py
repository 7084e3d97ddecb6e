"""Stores that fail, answer late, or answer nonsense: each is the failure of one request, and never a lost result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import Logged, notification, served
from tests.tasks.workshop import CORE, DECLARED, Client, Named, Workshop, opened
from trimcp.extensions.tasks import lifecycle
from trimcp.stores import MemoryStore
from trimcp.stores.memory_tasks import MemoryTaskStore
from trimcp.stores.task_store import TaskRecord


class FaultyTasks(MemoryTaskStore):
    """Fails as told."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: lifecycle.now())
        self.failing: set[str] = set()
        self.hangs = False
        self.answer: Any = None

    async def _fail(self, method: str) -> None:
        if method in self.failing:
            if self.hangs:
                await trio.sleep_forever()
            raise OSError("the disk is gone")

    async def create(self, record: TaskRecord, *, most: int) -> bool:
        await self._fail("create")
        return await super().create(record, most=most)

    async def find(self, id: str) -> TaskRecord | None:
        await self._fail("find")
        return await super().find(id) if self.answer is None else self.answer  # type: ignore[no-any-return]

    async def update(self, record: TaskRecord) -> TaskRecord | None:
        await self._fail("update")
        return await super().update(record)


@pytest.fixture
def tasks() -> FaultyTasks:
    return FaultyTasks()


def workshop_of(tasks: FaultyTasks) -> Workshop:
    store = MemoryStore()
    store.tasks = tasks
    return Workshop(store=store)


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_task_that_the_client_asks_for_and_that_cannot_be_stored_is_not_begun(
    tasks: FaultyTasks, hangs: bool, autojump_clock: MockClock, logged: Logged
) -> None:
    workshop = workshop_of(tasks)
    tasks.failing, tasks.hangs = {"create"}, hangs
    async with served(workshop.server, CORE, opened=False) as peer:
        client = await opened(peer)
        error = (await client.call("work"))["error"]
        assert (error["code"], error["data"]["reason"]) == (-31011, "store_unavailable")
        assert len(tasks._records) == len(workshop.runs) == 0
        tasks.failing = set()
        workshop.release.set()
        assert (await client.outcome(await client.begin("work")))["content"]


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_call_that_cannot_become_a_task_goes_on_as_a_call(
    tasks: FaultyTasks, hangs: bool, autojump_clock: MockClock, logged: Logged
) -> None:
    workshop = workshop_of(tasks)

    @workshop.server.tool(task="optional")
    async def is_task(*, ctx: trimcp.Context) -> list[bool]:
        became = [await ctx.become_task()]
        await trio.sleep(60)
        return [*became, await ctx.become_task()]

    tasks.failing, tasks.hangs = {"create"}, hangs
    async with served(workshop.server) as peer:
        client = Client(peer)
        assert (await client.call("is_task"))["result"]["structuredContent"] == {"result": [False, False]}
        slept = await client.call("sleep", {"seconds": 60})  # became no task after `Limits.task_after`
        assert slept["result"]["content"][0]["text"] == "slept"
        assert len(tasks._records) == 0
        tasks.failing = set()
        workshop.release.set()
        assert (await client.outcome(await client.begin("work")))["content"]


async def test_a_call_that_could_not_become_a_task_is_cancelled_as_any_call(
    tasks: FaultyTasks, autojump_clock: MockClock, logged: Logged
) -> None:
    workshop = workshop_of(tasks)
    tasks.failing = {"create"}
    async with served(workshop.server) as peer:
        await peer.send(peer.request("slow", "tools/call", {"name": "work", "arguments": {}}, **DECLARED))
        await trio.sleep(5)
        assert workshop.runs == ["work"]
        assert not workshop.reasons
        await peer.send(notification("notifications/cancelled", {"requestId": "slow"}))
        await trio.sleep(5)
        assert len(workshop.reasons) == 1


async def test_a_call_that_must_be_a_task_and_cannot_be_stored_is_an_error_unless_it_has_ended(
    tasks: FaultyTasks, autojump_clock: MockClock, logged: Logged
) -> None:
    workshop = workshop_of(tasks)

    @workshop.server.tool(task="required")
    async def slow(*, ctx: trimcp.Context) -> None:
        workshop.runs.append("slow")
        try:
            await ctx.become_task()
        except trio.Cancelled:
            workshop.reasons.append(ctx.cancel_reason)
            raise

    tasks.failing = {"create"}
    async with served(workshop.server) as peer:
        client = Client(peer)
        error = (await client.call("slow"))["error"]
        assert (error["code"], error["data"]["reason"]) == (-31011, "store_unavailable")
        assert len(workshop.reasons) == 1
        assert (await client.call("must"))["result"]["content"][0]["text"] == "must"


async def test_a_store_that_fails_is_an_error_of_the_request_alone(
    tasks: FaultyTasks, autojump_clock: MockClock, logged: Logged
) -> None:
    workshop = workshop_of(tasks)
    async with served(workshop.server) as peer:
        client = Client(peer)
        id = await client.begin("work")
        tasks.failing = {"find"}
        error = (await client.ask("tasks/get", {"taskId": id}))["error"]
        assert (error["code"], error["data"]["reason"]) == (-31011, "store_unavailable")
        tasks.failing, tasks.answer = set(), "nonsense"
        assert (await client.ask("tasks/get", {"taskId": id}))["error"]["code"] == -32603
        tasks.answer = None
        assert (await client.get(id))["status"] == "working"
        workshop.release.set()


async def test_a_result_is_stored_when_the_store_is_back(
    tasks: FaultyTasks, autojump_clock: MockClock, logged: Logged
) -> None:
    workshop = workshop_of(tasks)
    async with served(workshop.server, CORE, opened=False) as peer:
        client = await opened(peer)
        id = await client.begin("work")
        await peer.send(peer.request("waits", "tasks/result", {"taskId": id}))
        tasks.failing = {"update"}
        workshop.release.set()
        await trio.sleep(60)
        assert (await client.get(id))["status"] == "working"
        tasks.failing = set()
        with trio.fail_after(10):
            assert (await client.answer("waits"))["result"]["content"][0]["text"] == "work done"


@asynccontextmanager
async def waiting_while_reads_fail(tasks: FaultyTasks) -> AsyncIterator[Client]:
    """A client whose request `waits` waits for a result, while the store does not read tasks and the work ends."""
    workshop = workshop_of(tasks)
    async with served(workshop.server, CORE, opened=False) as peer:
        client = await opened(peer)
        id = await client.begin("work")
        await peer.send(peer.request("waits", "tasks/result", {"taskId": id}))
        await wait_all_tasks_blocked()
        tasks.failing = {"find"}
        workshop.release.set()
        yield client


async def test_a_client_that_waits_for_a_result_waits_on_while_the_store_fails(
    tasks: FaultyTasks, autojump_clock: MockClock, logged: Logged
) -> None:
    async with waiting_while_reads_fail(tasks) as client:
        await trio.sleep(30)
        tasks.failing = set()
        assert (await client.answer("waits"))["result"]["content"][0]["text"] == "work done"


async def test_a_client_that_waits_for_a_result_waits_no_longer_than_a_minute_for_the_store(
    tasks: FaultyTasks, autojump_clock: MockClock, logged: Logged
) -> None:
    async with waiting_while_reads_fail(tasks) as client:
        began = trio.current_time()
        assert (await client.answer("waits"))["error"]["data"]["reason"] == "store_unavailable"
        assert 60 <= trio.current_time() - began < 70


@pytest.mark.parametrize("tool", ["ask", "book"])
async def test_a_question_or_a_step_is_stored_when_the_store_is_back(
    tasks: FaultyTasks, tool: str, autojump_clock: MockClock, logged: Logged
) -> None:
    workshop = workshop_of(tasks)
    workshop.release.set()
    async with served(workshop.server) as peer:
        client = Client(peer)
        tasks.failing = {"update"}
        id = await client.begin(tool)
        await trio.sleep(60)
        assert (await client.get(id))["status"] == "working"
        tasks.failing = set()
        await client.wait(id, "input_required", "completed")
        assert workshop.runs == {"ask": ["ask"], "book": ["first", "second"]}[tool]


async def test_work_that_ends_while_it_waits_for_the_store_is_not_held_up(
    tasks: FaultyTasks, autojump_clock: MockClock, logged: Logged
) -> None:
    workshop = workshop_of(tasks)

    @workshop.server.tool(task="optional", timeout=5)
    async def brief(*, ctx: trimcp.Context) -> None:
        await ctx.become_task()
        await ctx.elicit("Who?", Named)

    async with served(workshop.server) as peer:
        client = Client(peer)
        tasks.failing = {"update"}
        id = await client.begin("brief")
        await trio.sleep(60)
        tasks.failing = set()
        state = await client.wait(id)
        assert (state["status"], state["error"]["code"]) == ("failed", -31003)
