"""Nothing of a task is lost between two of its runs: its questions, their answers, and its steps."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import Logged, result
from tests.tasks.test_cluster import Node, cluster, store, version
from tests.tasks.workshop import CORE, Client, Named, Workshop, accepted
from trimcp.extensions.tasks import lifecycle
from trimcp.stores import MemoryStore
from trimcp.stores.task_store import TaskRecord

__all__ = ["store", "version"]


async def test_a_step_is_not_kept_by_a_node_that_does_not_have_the_task_any_more(
    autojump_clock: MockClock, store: MemoryStore, version: str
) -> None:
    gate, kept = trio.Event(), []
    async with cluster(store, 1) as (a,):

        @a.workshop.server.tool(task="optional", on_lost="rerun")
        async def stroll(*, ctx: trimcp.Context) -> None:
            await ctx.become_task()
            await gate.wait()
            kept.append(await ctx.once("step", lambda: "taken"))

        async with a.client(version) as client:
            id = await client.begin("stroll")
            record = await store.tasks.find(id)
            assert record is not None
            taken = lifecycle.taken_over(record, 7)
            assert taken is not None
            assert await store.tasks.update(taken)
            gate.set()
            await trio.sleep(1)
            assert kept == []


async def test_an_answer_that_comes_before_the_next_run_asks_is_taken(
    autojump_clock: MockClock, store: MemoryStore
) -> None:
    gate, runs = trio.Event(), []

    def declare(node: Node) -> None:
        @node.workshop.server.tool(task="optional", on_lost="rerun")
        async def ponder(*, ctx: trimcp.Context) -> str:
            await ctx.become_task()
            runs.append("run")
            if len(runs) > 1:
                await gate.wait()
            answer = await ctx.elicit("Who?", Named)
            return str(answer.data and answer.data.name)

    async with cluster(store) as (a, b), b.client() as second:
        declare(a)
        declare(b)
        async with a.client() as first:
            id = await first.begin("ponder")
            await first.wait(id, "input_required")
            await a.kill()
        while len(runs) < 2:
            await trio.sleep(1)
        (key,) = (await second.get(id))["inputRequests"]
        await second.ask("tasks/update", {"taskId": id, "inputResponses": {key: accepted("Ada")}})
        gate.set()
        with trio.fail_after(60):
            assert (await second.outcome(id))["content"][0]["text"] == "Ada"


async def test_a_question_that_is_asked_again_reaches_a_client_that_waits(core: Client, workshop: Workshop) -> None:
    @workshop.server.tool(task="optional")
    async def insist(*, ctx: trimcp.Context) -> str:
        await ctx.become_task()
        with trio.move_on_after(1):
            await ctx.elicit("Quick?", Named, key="quick")
        await trio.sleep(1)
        answer = await ctx.elicit("Quick?", Named, key="quick")
        return str(answer.data and answer.data.name)

    id = await core.begin("insist")
    await core.peer.send(core.peer.request("result", "tasks/result", {"taskId": id}))
    asked = []
    with trio.fail_after(60):
        while True:
            message = await core.peer.receive()
            if message.get("id") == "result":
                break
            if message.get("method") == "elicitation/create":
                asked.append(message["id"])
                if len(asked) == 2:
                    await core.peer.send(result(message["id"], accepted("Ada")))
    assert message["result"]["content"][0]["text"] == "Ada"


@pytest.mark.parametrize("version", [CORE])
async def test_an_answer_that_the_store_does_not_take_at_first_is_stored_later(
    autojump_clock: MockClock, store: MemoryStore, version: str, logged: Logged
) -> None:
    update, lost = store.tasks.update, trio.Event()

    async def fails(record: object) -> None:
        lost.set()
        raise ConnectionError

    async with cluster(store, 1) as (a,), a.client(version) as client:
        id = await client.begin("ask")
        await client.peer.send(client.peer.request("result", "tasks/result", {"taskId": id}))
        with trio.fail_after(60):
            while (question := await client.peer.receive()).get("method") != "elicitation/create":
                pass
            store.tasks.update = fails  # type: ignore[method-assign, assignment]
            await client.peer.send(result(question["id"], accepted("Ada")))
            await lost.wait()
            store.tasks.update = update  # type: ignore[method-assign]
            while (question := await client.peer.receive()).get("method") != "elicitation/create":
                pass
            await client.peer.send(result(question["id"], accepted("Bob")))
            assert (await client.answer("result"))["result"]["content"][0]["text"] == "Ada, Bob"


@pytest.mark.parametrize("drains", [False, True])
async def test_a_task_that_was_refused_while_the_store_was_away_does_not_run_elsewhere(
    autojump_clock: MockClock, store: MemoryStore, version: str, drains: bool, logged: Logged
) -> None:
    create = store.tasks.create

    async def done_without_an_answer(record: TaskRecord, *, most: int) -> bool:
        await create(record, most=most)
        raise ConnectionError

    async def fails(record: TaskRecord) -> None:
        raise ConnectionError

    async with cluster(store) as (a, b):
        async with a.client(version) as first:
            with pytest.MonkeyPatch.context() as down:
                down.setattr(store.tasks, "create", done_without_an_answer)
                down.setattr(store.tasks, "update", fails)
                a.workshop.release.set()
                await first.call("work")
            if drains:
                await a.workshop.server.drain(1)
                a.life.cancel()
            else:
                await trio.sleep(10)
                await a.kill()
        await trio.sleep(60)
        assert b.workshop.runs == []


async def test_a_node_without_a_lease_takes_no_task_over(autojump_clock: MockClock, store: MemoryStore) -> None:
    join = store.nodes.join

    async def fails() -> int:
        raise ConnectionError

    async with cluster(store) as (a, b):
        async with a.client() as first:
            id = await first.begin("work", {"label": "again"})
            with pytest.MonkeyPatch.context() as down:
                down.setattr(store.nodes, "join", fails)
                await lose_lease(b, store)
                await a.kill()
                await trio.sleep(60)
        assert store.nodes.join == join
        await trio.sleep(60)
        assert b.workshop.runs == ["again"]
        b.workshop.release.set()
        async with b.client() as second:
            assert (await second.outcome(id))["content"][0]["text"] == "again done"


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_node_that_loses_its_lease_as_it_takes_a_task_over_leaves_it_to_the_next(
    autojump_clock: MockClock, store: MemoryStore, is_answered: bool
) -> None:
    update, lost = store.tasks.update, trio.Event()

    async def late(record: TaskRecord) -> TaskRecord | None:
        if record.incarnation == 2 and not lost.is_set():
            lost.set()
            await lose_lease(b, store)
            updated = await update(record)
            if not is_answered:
                raise ConnectionError
            return updated
        return await update(record)

    async with cluster(store) as (a, b):
        async with a.client() as first:
            id = await first.begin("work", {"label": "again"})
            await a.kill()
        store.tasks.update = late  # type: ignore[method-assign]
        await trio.sleep(60)
        assert lost.is_set()
        assert b.workshop.runs == ["again"]
        b.workshop.release.set()
        async with b.client() as second:
            assert (await second.outcome(id))["content"][0]["text"] == "again done"


async def lose_lease(node: Node, store: MemoryStore) -> None:
    """Fence a node, and have its incarnation settled, as other nodes do when the lease has run out."""
    (run,) = node.workshop.server._runs._runs
    assert run.node is not None
    run.node._fence()
    await store.nodes.leave(run.node.incarnation)
