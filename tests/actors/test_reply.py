"""A reply is set once, and waited for by one task."""

from __future__ import annotations

import gc
import weakref

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trimcp.actors.reply import Reply


async def test_an_answer_that_is_there_is_returned_at_each_wait() -> None:
    reply = Reply[int]()
    assert not reply.is_set
    assert reply.set(7)
    assert reply.is_set
    for _ in range(2):
        with assert_checkpoints():
            assert await reply.wait() == 7


async def test_a_task_waits_for_the_answer(autojump_clock: MockClock) -> None:
    reply = Reply[str]()

    async def answer() -> None:
        await trio.sleep(3)
        reply.set("here")

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with assert_checkpoints():
            assert await reply.wait() == "here"
        assert trio.current_time() == start + 3


async def test_none_is_an_answer() -> None:
    reply = Reply[None]()
    reply.set(None)
    assert reply.is_set
    assert await reply.wait() is None  # type: ignore[func-returns-value]


async def test_the_first_answer_stays() -> None:
    reply = Reply[int]()
    assert reply.set(1)
    assert not reply.set(2)
    assert not reply.fail(ValueError())
    assert await reply.wait() == 1
    failed = Reply[int]()
    assert failed.fail(ValueError("first"))
    assert not failed.set(1)
    with pytest.raises(ValueError, match="first"):
        await failed.wait()


async def test_a_failure_is_raised_where_it_is_waited_for(autojump_clock: MockClock) -> None:
    reply = Reply[int]()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(ZeroDivisionError):
                await reply.wait()

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        reply.fail(ZeroDivisionError())


async def test_a_cancelled_wait_may_be_done_again(autojump_clock: MockClock) -> None:
    reply = Reply[int]()
    with trio.move_on_after(1) as scope:
        await reply.wait()
    assert scope.cancelled_caught
    assert reply.set(3)  # wakes no task
    assert await reply.wait() == 3


async def test_a_wait_in_a_cancelled_scope_raises_and_is_not_registered() -> None:
    reply = Reply[int]()
    with trio.CancelScope() as scope:
        scope.cancel()
        await reply.wait()
    assert scope.cancelled_caught
    reply.set(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await reply.wait()
    assert scope.cancelled_caught


async def test_an_answer_beats_a_cancel_of_the_same_turn(autojump_clock: MockClock) -> None:
    reply = Reply[int]()
    got: list[int] = []

    async def wait() -> None:
        got.append(await reply.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        reply.set(5)
        nursery.cancel_scope.cancel()
    assert got == [5]


async def test_a_second_waiter_is_refused(autojump_clock: MockClock) -> None:
    reply = Reply[int]()
    got: list[int] = []

    async def wait() -> None:
        got.append(await reply.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="one task"):
            await reply.wait()
        reply.set(1)
    assert got == [1]


async def test_a_failure_keeps_nothing_alive() -> None:
    """The exception knows the frame of `wait`, so that frame must not know the reply."""

    class Failure(Exception):
        pass

    reply = Reply[int]()
    failure = Failure()
    gone = weakref.ref(failure)
    reply.fail(failure)
    del failure
    gc.disable()
    try:
        with pytest.raises(Failure):
            await reply.wait()
        del reply
        assert gone() is None
    finally:
        gc.enable()


async def test_an_answer_may_be_waited_for_and_read_apart(autojump_clock: MockClock) -> None:
    reply = Reply[int]()
    assert reply.error is None
    with assert_checkpoints():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reply.wait_set)
            await wait_all_tasks_blocked()
            reply.set(4)
    assert (reply.get(), reply.error) == (4, None)
    failure = ValueError("no")
    failed = Reply[int]()
    failed.fail(failure)
    with assert_checkpoints():
        await failed.wait_set()  # raises nothing
    assert failed.error is failure
    with pytest.raises(ValueError, match="no"):
        failed.get()
