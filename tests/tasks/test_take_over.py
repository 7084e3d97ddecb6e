"""Tasks of a node that stops, dies or is cut off go to another one, whatever the store does at that moment."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.tasks.test_cluster import Node, cluster, store
from tests.tasks.workshop import DECLARED
from trimcp.actors.reply import Reply
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.stores import MemoryStore
from trimcp.stores.task_store import TaskRecord

__all__ = ["store"]


async def test_a_node_that_stops_hands_over_what_may_run_again(autojump_clock: MockClock, store: MemoryStore) -> None:
    async with cluster(store) as (a, b), b.client() as second:
        async with a.client() as first:
            again, never = await first.begin("work"), await first.begin("once")
        b.workshop.release.set()
        await a.workshop.server.drain(1)
        assert a.workshop.reasons == [CancelReason.SHUTDOWN]
        with trio.fail_after(1):  # it is told, and does not look by chance
            await trio.testing.wait_all_tasks_blocked()
            assert (await second.outcome(never))["data"] == {"reason": "shutdown"}
            assert (await second.outcome(again))["content"][0]["text"] == "work done"


async def test_a_node_that_was_cut_off_gives_its_tasks_up(autojump_clock: MockClock, store: MemoryStore) -> None:
    async with cluster(store) as (a, b), a.client() as first, b.client() as second:
        id = await first.begin("work")
        (run,) = a.workshop.server._runs._runs
        assert run.node is not None
        run.node._fence()
        call = first.peer.request("call", "tools/call", {"name": "work", "arguments": {}}, **DECLARED)
        await first.peer.send(call)  # no task may begin in a node that counts as dead
        await trio.sleep(1)
        assert a.workshop.reasons[0] is CancelReason.SHUTDOWN
        await trio.sleep(60)
        assert len(a.workshop.runs) + len(b.workshop.runs) == 3  # the call, and the task that ran twice
        a.workshop.release.set()
        assert (await first.answer("call"))["result"]["content"][0]["text"] == "work done"
        b.workshop.release.set()
        assert (await second.outcome(id))["content"][0]["text"] == "work done"


async def test_a_task_that_a_stopping_node_could_not_hand_over_is_settled_by_another(
    autojump_clock: MockClock, store: MemoryStore
) -> None:
    async with cluster(store) as (a, b), b.client() as second:
        async with a.client() as first:
            id = await first.begin("once")
        with pytest.MonkeyPatch.context() as down:

            async def fails(record: TaskRecord) -> None:
                await trio.lowlevel.checkpoint()
                raise ConnectionError

            down.setattr(store.tasks, "update", fails)
            await a.workshop.server.drain(0)
            a.life.cancel()
            await trio.testing.wait_all_tasks_blocked()
        assert (await second.wait(id))["status"] == "failed"


async def test_a_task_that_cannot_be_settled_holds_up_no_other(autojump_clock: MockClock, store: MemoryStore) -> None:
    async with cluster(store) as (a, b), b.client() as second:
        async with a.client() as first:
            broken, again, once = [await first.begin(name) for name in ("work", "work", "once")]
            record = await store.tasks.find(broken)
            assert record is not None
            assert await store.tasks.update(attrs.evolve(record, params=b'{"name": "work", "arguments": 7}'))
            await a.kill()
        await trio.sleep(60)
        assert (await second.wait(broken))["status"] == "failed"
        assert (await second.wait(once))["status"] == "failed"
        b.workshop.release.set()
        assert (await second.outcome(again))["content"][0]["text"] == "work done"
        assert not await store.nodes.dead()


async def test_where_there_is_no_room_to_run_tasks_again_the_others_still_end(
    autojump_clock: MockClock, store: MemoryStore
) -> None:
    async with cluster(store) as (a, b), b.client() as second:
        async with a.client() as first:
            again, once = [await first.begin(name) for name in ("work", "once")]
            await a.kill()
        limits = b.workshop.server.limits
        (run,) = b.workshop.server._runs._runs
        run.tasks.manager.limits = attrs.evolve(limits, running_tasks=0)  # type: ignore[union-attr]
        await trio.sleep(60)
        assert (await second.get(once))["status"] == "failed"
        assert (await second.get(again))["status"] == "working"
        run.tasks.manager.limits = limits  # type: ignore[union-attr]
        b.workshop.release.set()
        assert (await second.outcome(again))["content"][0]["text"] == "work done"


async def test_a_task_that_its_client_never_learned_of_does_not_run_elsewhere(
    autojump_clock: MockClock, store: MemoryStore
) -> None:
    create = store.tasks.create

    async def kept_without_an_answer(record: TaskRecord, *, most: int) -> bool:
        await create(record, most=most)
        raise ConnectionError

    async with cluster(store) as (a, b):
        async with a.client() as first:
            with pytest.MonkeyPatch.context() as lossy:
                lossy.setattr(store.tasks, "create", kept_without_an_answer)
                a.workshop.release.set()
                answer = await first.call("work")
            assert answer["result"]["content"][0]["text"] == "work done"
            await a.kill()
        await trio.sleep(60)
        assert b.workshop.runs == []


async def test_a_task_that_was_taken_without_an_answer_runs(autojump_clock: MockClock, store: MemoryStore) -> None:
    update, lost = store.tasks.update, trio.Event()

    async def done_without_an_answer(record: TaskRecord) -> TaskRecord | None:
        await update(record)
        if record.incarnation == 2 and not lost.is_set():
            lost.set()
            raise ConnectionError
        return await update(record)

    async with cluster(store) as (a, b), b.client() as second:
        async with a.client() as first:
            id = await first.begin("work", {"label": "again"})
            await a.kill()
        with pytest.MonkeyPatch.context() as lossy:
            lossy.setattr(store.tasks, "update", done_without_an_answer)
            await lost.wait()
        await trio.sleep(30)
        assert b.workshop.runs == ["again"]
        b.workshop.release.set()
        assert (await second.outcome(id))["content"][0]["text"] == "again done"


async def test_a_task_that_was_not_taken_at_first_runs_once(autojump_clock: MockClock, store: MemoryStore) -> None:
    update, lost = store.tasks.update, trio.Event()

    async def lost_at_first(record: TaskRecord) -> TaskRecord | None:
        if record.incarnation == 2 and not lost.is_set():
            lost.set()
            raise ConnectionError
        return await update(record)

    async with cluster(store) as (a, b), b.client() as second:
        async with a.client() as first:
            id = await first.begin("work", {"label": "again"})
            with pytest.MonkeyPatch.context() as lossy:
                lossy.setattr(store.tasks, "update", lost_at_first)
                await a.workshop.server.drain(0)
                await lost.wait()
                await trio.sleep(60)
        assert b.workshop.runs == ["again"]
        b.workshop.release.set()
        assert (await second.outcome(id))["content"][0]["text"] == "again done"


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_node_that_stops_as_it_takes_a_task_over_leaves_it_to_another(
    autojump_clock: MockClock, store: MemoryStore, is_answered: bool
) -> None:
    update, taken = store.tasks.update, trio.Event()

    async def slow(record: TaskRecord) -> TaskRecord | None:
        updated = await update(record)
        if record.incarnation == 2 and not taken.is_set():
            taken.set()
            await trio.sleep(0.01)
            if not is_answered:
                raise ConnectionError
        return updated

    async with cluster(store) as (a, b), trio.open_nursery() as nursery:
        async with a.client() as first:
            id = await first.begin("work")
            await a.kill()
        with pytest.MonkeyPatch.context() as lossy:
            lossy.setattr(store.tasks, "update", slow)
            await taken.wait()
            await b.workshop.server.drain(1)
            b.life.cancel()
            await trio.testing.wait_all_tasks_blocked()
        c = Node(store)
        await nursery.start(c.run)
        c.workshop.release.set()
        async with c.client() as third:
            with trio.fail_after(60):
                assert (await third.outcome(id))["content"][0]["text"] == "work done"
        c.life.cancel()


async def test_no_task_begins_in_an_incarnation_that_was_fenced_meanwhile(
    autojump_clock: MockClock, store: MemoryStore
) -> None:
    create = store.tasks.create

    async def slow(record: TaskRecord, *, most: int) -> bool:
        (run,) = a.workshop.server._runs._runs
        assert run.node is not None
        run.node._fence()
        return await create(record, most=most)

    async with cluster(store) as (a, b), a.client() as first:
        with pytest.MonkeyPatch.context() as lossy:
            lossy.setattr(store.tasks, "create", slow)
            a.workshop.release.set()
            assert (await first.call("work"))["result"]["content"]
        await trio.sleep(60)
        assert a.workshop.runs == ["work"]
        assert b.workshop.runs == []


class LateWrites:
    """Does the writes of tasks one after the other, also those whose callers have given up, as a thread would."""

    def __init__(self, store: MemoryStore, stall: float) -> None:
        """`stall`: seconds that the first take-over by the second node takes."""
        self._stall = stall
        self._update = store.tasks.update
        self._send, self._jobs = trio.open_memory_channel[tuple[TaskRecord, Reply[TaskRecord | None]]](100)

    async def run(self) -> None:
        async for record, reply in self._jobs:
            if record.incarnation == 2 and self._stall:
                stall, self._stall = self._stall, 0.0
                await trio.sleep(stall)
            reply.set(await self._update(record))

    async def update(self, record: TaskRecord) -> TaskRecord | None:
        reply: Reply[TaskRecord | None] = Reply()
        self._send.send_nowait((record, reply))
        with trio.fail_after(5):
            return await reply.wait()


@pytest.mark.parametrize("stall", [2.0, 8.0, 12.0, 14.0, 17.0, 22.0])
async def test_a_task_that_is_taken_long_after_the_node_gave_up_runs_once_at_least(
    autojump_clock: MockClock, store: MemoryStore, stall: float
) -> None:
    async with trio.open_nursery() as nursery, cluster(store) as (a, b), b.client() as second:
        writes = LateWrites(store, stall)
        nursery.start_soon(writes.run)
        store.tasks.update = writes.update  # type: ignore[method-assign]
        async with a.client() as first:
            id = await first.begin("work", {"label": "again"})
            await a.workshop.server.drain(0)
        await trio.sleep(120)
        assert "again" in b.workshop.runs
        b.workshop.release.set()
        assert (await second.outcome(id))["content"][0]["text"] == "again done"
        nursery.cancel_scope.cancel()
