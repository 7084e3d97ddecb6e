"""A pool runs each piece of work as a task of its own would: in a scope and a context, apart from the others."""

from __future__ import annotations

import contextvars
import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.pieces import GOOD, HANDED_BACK, Piece, open_pool, quick, sleeping
from trimcp.actors.snapshots import PoolSnapshot
from trimcp.actors.worker_pool import MOST_IDLE, TURN, WorkerPool

# --- workers --------------------------------------------------------------------------


async def test_work_that_waits_for_nothing_is_done_by_one_worker_in_the_order_of_posting(
    autojump_clock: MockClock,
) -> None:
    done: list[int] = []

    def numbered(number: int) -> Piece:
        async def body(piece: Piece) -> None:
            done.append(number)

        return Piece(body)

    async with open_pool() as (_, pool):
        pieces = [numbered(number) for number in range(TURN)]
        for piece in pieces:
            pool.post(piece)
        assert pool.snapshot() == PoolSnapshot("session: tools", waiting=TURN, workers=0, idle=0, parked=0, done=0)
        await wait_all_tasks_blocked()
        assert done == list(range(TURN))
        assert len({piece.worker for piece in pieces}) == 1
        assert all(piece.told == GOOD and piece.scope is None for piece in pieces)
        assert pool.snapshot().done == TURN


async def test_a_pool_without_work_has_no_worker(autojump_clock: MockClock) -> None:
    async with open_pool() as (supervisor, pool):
        assert supervisor.snapshot().tasks == ()
        pool.post(quick())
        await wait_all_tasks_blocked()
        assert supervisor.snapshot().tasks == ("session: tools",)
        assert (pool.snapshot().workers, pool.snapshot().idle) == (1, 1)


async def test_work_that_waits_holds_up_no_other_work(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        slow = [sleeping(10) for _ in range(20)]
        for piece in slow:
            pool.post(piece)
        last = quick()
        pool.post(last)
        await wait_all_tasks_blocked()
        assert last.told == GOOD
        assert pool.snapshot() == PoolSnapshot("session: tools", waiting=0, workers=21, idle=1, parked=0, done=1)
        await trio.sleep(11)
        assert all(piece.told == GOOD for piece in slow)
        assert pool.snapshot() == PoolSnapshot(
            "session: tools", waiting=0, workers=MOST_IDLE, idle=MOST_IDLE, parked=0, done=21
        )


async def test_an_idle_worker_is_used_again(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        workers = set()
        for _ in range(10):
            piece = sleeping(1)
            pool.post(piece)
            await trio.sleep(2)
            workers.add(piece.worker)
        assert len(workers) == 1
        assert pool.snapshot().workers == 1


async def test_work_that_is_posted_while_a_worker_is_on_its_way_starts_no_other(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        pool.post(quick())
        await wait_all_tasks_blocked()
        for _ in range(10):
            pool.post(quick())  # the first is handed to the idle worker, which takes the others after it
        await wait_all_tasks_blocked()
        assert pool.snapshot().done == 11
        assert pool.snapshot().workers <= MOST_IDLE


async def test_a_long_run_of_work_lets_other_tasks_run(autojump_clock: MockClock) -> None:
    done = 0
    seen: list[int] = []

    async def body(piece: Piece) -> None:
        nonlocal done
        done += 1

    async def watch() -> None:
        while done < 10 * TURN:
            seen.append(done)
            await trio.lowlevel.checkpoint()

    async with open_pool() as (_, pool):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for _ in range(10 * TURN):
                pool.post(Piece(body))
        assert any(0 < number < 10 * TURN for number in seen)


async def test_work_may_post_more_work(autojump_clock: MockClock) -> None:
    done: list[int] = []

    def step(pool: WorkerPool, number: int) -> Piece:
        async def body(piece: Piece) -> None:
            done.append(number)
            if number < 20:
                if number % 2:
                    await trio.sleep(1)
                pool.post(step(pool, number + 1))

        return Piece(body)

    async with open_pool() as (_, pool):
        pool.post(step(pool, 0))
        await trio.sleep(100)
        assert done == list(range(21))


async def test_work_may_wait_for_work_that_it_posts(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        posted = quick()

        async def body(piece: Piece) -> None:
            pool.post(posted)
            while not posted.told:
                await trio.sleep(1)

        pieces = [Piece(body) for _ in range(2)]
        pool.post(pieces[0])
        with trio.fail_after(5):
            await trio.sleep(3)
        assert pieces[0].told == posted.told == GOOD


async def test_more_work_than_the_capacity_is_a_mistake_of_the_poster(autojump_clock: MockClock) -> None:
    async with open_pool(capacity=2) as (_, pool):
        pieces = [quick() for _ in range(3)]
        for piece in pieces[:2]:
            pool.post(piece)
        with pytest.raises(trio.WouldBlock):
            pool.post(pieces[2])
        await wait_all_tasks_blocked()
        assert [piece.told for piece in pieces] == [GOOD, GOOD, []]
        assert pool.snapshot().waiting == 0


async def test_all_of_trio_works_inside_a_piece(autojump_clock: MockClock) -> None:
    seen: list[object] = []

    async def raises() -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    async def body(piece: Piece) -> None:
        with trio.move_on_after(1) as scope:
            await trio.sleep_forever()
        seen.append(scope.cancelled_caught)
        send, receive = trio.open_memory_channel[int](0)

        async def produce() -> None:
            async with send:
                for number in range(3):
                    await send.send(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            seen.append([number async for number in receive])
        with pytest.raises(ZeroDivisionError):
            await raises()

    async with open_pool() as (_, pool):
        piece = Piece(body)
        pool.post(piece)
        await trio.sleep(5)
    assert seen == [True, [0, 1, 2]]
    assert piece.told == GOOD


# --- scopes ---------------------------------------------------------------------------


async def scopes_of(pool: WorkerPool, *pieces: Piece) -> list[trio.CancelScope]:
    """The scopes in which these pieces run, one after the other."""
    scopes = []
    for piece in pieces:
        pool.post(piece)
        await wait_all_tasks_blocked()
        assert piece.scope is not None
        scopes.append(piece.scope)
        await trio.sleep(20)
        assert piece.scope is None
    return scopes


async def test_a_scope_is_used_again(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        scopes = await scopes_of(pool, *(sleeping(1) for _ in range(3)))
        assert len(set(scopes)) == 1


async def test_a_scope_is_not_used_again_after_a_deadline(autojump_clock: MockClock) -> None:
    async def body(piece: Piece) -> None:
        assert piece.scope is not None
        piece.scope.deadline = trio.current_time() + 5
        await trio.sleep(1)

    async with open_pool() as (_, pool):
        first, second = await scopes_of(pool, Piece(body), sleeping(10))
        assert first is not second


async def test_a_cancel_ends_its_piece_and_no_other(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        pieces = [sleeping(10), sleeping(10)]
        for piece in pieces:
            pool.post(piece)
        await wait_all_tasks_blocked()
        cancelled = pieces[0].scope
        pieces[0].cancel()
        await wait_all_tasks_blocked()
        assert (pieces[0].told, pieces[0].error) == (GOOD, None)
        third = sleeping(10)
        pool.post(third)
        await trio.sleep(5)
        assert third.worker is pieces[0].worker
        assert third.scope is not cancelled
        await trio.sleep(15)
        assert (pieces[1].result, third.result) == ("sleeping", "sleeping")


async def test_a_deadline_cancels_its_piece_and_no_other(autojump_clock: MockClock) -> None:
    async def body(piece: Piece) -> None:
        assert piece.scope is not None
        piece.scope.deadline = trio.current_time() + 5
        await trio.sleep(10)

    async with open_pool() as (_, pool):
        piece, after = Piece(body), sleeping(100)
        pool.post(piece)
        await trio.sleep(6)
        assert (piece.told, piece.error) == (GOOD, None)
        pool.post(after)
        await trio.sleep(101)
        assert after.result == "sleeping"


async def test_a_cancel_that_comes_too_late_touches_no_other_piece(autojump_clock: MockClock) -> None:
    async def body(piece: Piece) -> None:
        piece.cancel()

    async with open_pool() as (_, pool):
        pieces = [Piece(body), sleeping(1), Piece(body), quick("last")]
        for piece in pieces:
            pool.post(piece)
        await trio.sleep(10)
        assert [piece.told for piece in pieces] == [GOOD] * 4
        assert (pieces[1].result, pieces[3].result) == ("sleeping", "last")


async def test_what_a_cancelled_piece_raises_besides_is_its_failure(autojump_clock: MockClock) -> None:
    async def alone(piece: Piece) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError

    async def in_a_group(piece: Piece) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(alone, piece)

    async with open_pool() as (_, pool):
        pieces = [Piece(alone), Piece(in_a_group)]
        for piece in pieces:
            pool.post(piece)
        await wait_all_tasks_blocked()
        for piece in pieces:
            piece.cancel()
        await wait_all_tasks_blocked()
        assert isinstance(pieces[0].error, ValueError)
        assert isinstance(pieces[1].error, BaseExceptionGroup)
        assert [type(error) for error in pieces[1].error.exceptions] == [ValueError]


async def test_an_idle_worker_whose_scope_is_cancelled_goes_on(autojump_clock: MockClock) -> None:
    """The scope of a piece that has ended: who kept it may cancel it, and hurts no later piece."""
    kept: list[trio.CancelScope] = []

    async def body(piece: Piece) -> None:
        assert piece.scope is not None
        kept.append(piece.scope)

    async with open_pool() as (_, pool):
        pool.post(Piece(body))
        await wait_all_tasks_blocked()
        kept[0].cancel()
        await wait_all_tasks_blocked()
        assert (pool.snapshot().workers, pool.snapshot().idle) == (1, 1)
        pieces = [sleeping(10, "a"), sleeping(10, "b")]
        for piece in pieces:
            pool.post(piece)
        await trio.sleep(11)
        assert [piece.result for piece in pieces] == ["a", "b"]


async def test_work_posted_before_an_idle_worker_knows_that_its_scope_was_cancelled_is_done(
    autojump_clock: MockClock,
) -> None:
    kept: list[trio.CancelScope] = []

    async def body(piece: Piece) -> None:
        assert piece.scope is not None
        kept.append(piece.scope)
        await trio.sleep(1)

    async with open_pool() as (_, pool):
        for _ in range(MOST_IDLE):
            pool.post(Piece(body))
        await trio.sleep(2)
        assert pool.snapshot().idle == MOST_IDLE
        for scope in kept:
            scope.cancel()
        pieces = [sleeping(10, str(number)) for number in range(5)]
        for piece in pieces:
            pool.post(piece)
        await trio.sleep(11)  # side by side, so each worker that is needed was started
        assert [piece.result for piece in pieces] == ["0", "1", "2", "3", "4"]
        assert pool.snapshot().idle == pool.snapshot().workers == MOST_IDLE


# --- contexts -------------------------------------------------------------------------

variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")
other: contextvars.ContextVar[object] = contextvars.ContextVar("other", default=None)


class Incomparable:
    """A value whose comparison raises."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __eq__(self, _: object) -> bool:
        raise self._error

    __hash__ = None  # type: ignore[assignment]


async def test_work_runs_in_the_context_of_its_pool_and_not_in_the_posters(autojump_clock: MockClock) -> None:
    seen: list[object] = []

    async def body(piece: Piece) -> None:
        seen.append(variable.get())

    variable.set("pool")
    async with open_pool() as (_, pool):
        variable.set("poster")
        pool.post(Piece(body))
        await wait_all_tasks_blocked()
    assert seen == ["pool"]


@pytest.mark.parametrize("waits", ["never", "before", "after"])
async def test_a_piece_sees_nothing_of_what_another_has_set(waits: str, autojump_clock: MockClock) -> None:
    seen: list[object] = []

    async def body(piece: Piece) -> None:
        seen.append((variable.get(), other.get()))
        if waits == "before":
            await trio.sleep(1)
        variable.set("piece")
        other.set("piece")
        if waits == "after":
            await trio.sleep(1)
        assert (variable.get(), other.get()) == ("piece", "piece")

    variable.set("pool")
    async with open_pool() as (_, pool):
        for _ in range(3):  # together, and one after the other
            pool.post(Piece(body))
            pool.post(Piece(body))
            await trio.sleep(2)
    assert seen == [("pool", None)] * 6


async def test_a_task_that_work_starts_inherits_the_context_of_the_work(autojump_clock: MockClock) -> None:
    seen: list[object] = []

    async def body(piece: Piece) -> None:
        async def child() -> None:
            seen.append(variable.get())

        variable.set(piece.name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    async with open_pool() as (_, pool):
        for name in "ab":
            pool.post(Piece(body, name))
            await wait_all_tasks_blocked()
    assert seen == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), RecursionError(), GeneratorExit()])
async def test_a_value_that_cannot_be_compared_stays_with_its_piece(
    error: BaseException, autojump_clock: MockClock
) -> None:
    seen: list[object] = []

    async def body(piece: Piece) -> None:
        seen.append(variable.get())
        variable.set(Incomparable(error))

    variable.set("pool")
    async with open_pool() as (_, pool):
        pieces = [Piece(body) for _ in range(4)]
        for piece in pieces:
            pool.post(piece)
        await wait_all_tasks_blocked()
        assert [piece.told for piece in pieces] == [GOOD] * 4
    assert seen == ["pool"] * 4


async def test_a_change_of_the_context_costs_no_other_worker(autojump_clock: MockClock) -> None:
    async def body(piece: Piece) -> None:
        variable.set(piece)

    async with open_pool() as (_, pool):
        pieces = [Piece(body) for _ in range(5)]
        for piece in pieces:
            pool.post(piece)
            await wait_all_tasks_blocked()
        assert len({piece.worker for piece in pieces}) == 1


# --- the end --------------------------------------------------------------------------


async def test_a_pool_that_ends_hands_back_what_it_has_not_begun(autojump_clock: MockClock) -> None:
    async with open_pool() as (supervisor, pool):
        begun = sleeping(10)
        pool.post(begun)
        await wait_all_tasks_blocked()
        waiting = [quick() for _ in range(3)]
        for piece in waiting:
            pool.post(piece)
        supervisor.stop()
        late = quick()
        pool.post(late)
        assert [piece.told for piece in (*waiting, late)] == [HANDED_BACK] * 4
        assert pool.snapshot().waiting == 0
    assert (begun.told, begun.result) == (GOOD, None)
    after = quick()
    pool.post(after)
    assert after.told == HANDED_BACK


async def test_work_that_was_handed_to_an_idle_worker_is_handed_back_too(autojump_clock: MockClock) -> None:
    async with open_pool() as (supervisor, pool):
        pool.post(quick())
        await wait_all_tasks_blocked()
        pieces = [quick(), quick()]
        for piece in pieces:
            pool.post(piece)
        supervisor.stop()
        await wait_all_tasks_blocked()
    assert [piece.told for piece in pieces] == [HANDED_BACK] * 2


async def test_a_closed_pool_lets_work_that_has_begun_end(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        piece = sleeping(3, "begun")
        pool.post(piece)
        await wait_all_tasks_blocked()
        pool.close()
        pool.close()
        await trio.sleep(5)
        assert (piece.told, piece.result) == (GOOD, "begun")


async def test_cancelled_from_outside_a_pool_hands_back_what_lies_in_its_channel(autojump_clock: MockClock) -> None:
    with trio.CancelScope() as outer:
        async with open_pool() as (_, pool):
            begun = sleeping(10)
            pool.post(begun)
            await wait_all_tasks_blocked()
            outer.cancel()
            waiting = [sleeping(1) for _ in range(5)]
            for piece in waiting:
                pool.post(piece)
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                assert [piece.told for piece in waiting] == [HANDED_BACK] * 5
                assert begun.told == GOOD
                late = quick()
                pool.post(late)
                assert late.told == HANDED_BACK
    assert outer.cancelled_caught


async def test_cancelled_from_outside_while_work_is_begun_and_waits(autojump_clock: MockClock) -> None:
    """A worker whose piece was cancelled with the whole supervisor takes no other one."""
    with trio.CancelScope() as outer:
        async with open_pool() as (_, pool):
            posted = quick()

            async def body(piece: Piece) -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    pool.post(posted)

            piece = Piece(body)
            pool.post(piece)
            await wait_all_tasks_blocked()
            outer.cancel()
    assert piece.told == GOOD
    assert posted.told == HANDED_BACK


async def test_work_posted_where_the_nursery_has_closed_is_handed_back(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        pool = WorkerPool("tools", nursery, 10)
    pieces = [quick(), quick()]
    for piece in pieces:
        pool.post(piece)
    assert [piece.told for piece in pieces] == [HANDED_BACK] * 2


# --- the private names of Trio --------------------------------------------------------


async def test_the_cancel_status_of_a_task_is_the_innermost_scope_that_it_is_in() -> None:
    """`task._cancel_status`: the pool finds by it that work has left scopes open, or closed those of its worker."""
    task = trio.lowlevel.current_task()
    outside = task._cancel_status
    with trio.CancelScope() as scope:
        inside = task._cancel_status
        assert inside is not outside
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(math.inf):  # noqa: ASYNC100
            assert task._cancel_status not in (inside, outside)
        async with trio.open_nursery():
            assert task._cancel_status not in (inside, outside)
        assert task._cancel_status is inside
        scope.shield = True
        scope.deadline = 0
        scope.cancel()
        assert task._cancel_status is inside
    assert task._cancel_status is outside
    left_open = trio.CancelScope()
    left_open.__enter__()
    assert task._cancel_status is not outside
    left_open.__exit__(None, None, None)
    assert task._cancel_status is outside


async def test_the_nurseries_of_a_task_are_one_list_that_trio_changes(autojump_clock: MockClock) -> None:
    """`task._child_nurseries`: a worker keeps it, and finds by it that work has left nurseries open."""
    task = trio.lowlevel.current_task()
    kept = task._child_nurseries
    before = list(kept)
    async with trio.open_nursery() as outer:
        assert kept == [*before, outer] == task.child_nurseries
        async with trio.open_nursery() as inner:
            inner.start_soon(trio.sleep, 1)
            assert kept == [*before, outer, inner] == task.child_nurseries
        outer.cancel_scope.cancel()
        assert kept == [*before, outer] == task.child_nurseries
    assert kept == before
    assert task._child_nurseries is kept


async def test_a_nursery_that_is_marked_closed_is_left_without_waiting(autojump_clock: MockClock) -> None:
    """`nursery._closed`: a task that leaves the nursery of another one must not wait in it."""
    nurseries: list[trio.Nursery] = []
    ended: list[str] = []

    async def child() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        ended.append("child")

    async with trio.open_nursery() as outer:

        async def leave() -> None:
            async with trio.open_nursery() as nursery:
                nurseries.append(nursery)
                nursery.start_soon(child)
                nursery._closed = True
                with pytest.raises(RuntimeError, match="closed to new arrivals"):
                    nursery.start_soon(child)
            ended.append("nursery")

        outer.start_soon(leave)
        await trio.sleep(1)
        assert ended == ["nursery"]
        assert len(nurseries[0].child_tasks) == 1
        await trio.sleep(10)
        assert ended == ["nursery", "child"]
        assert len(nurseries[0].child_tasks) == 0
