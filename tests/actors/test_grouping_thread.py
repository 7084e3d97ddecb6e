"""The thread that does jobs in groups: the time that a call has."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trimcp.actors.grouping_thread import GroupingThread, ThreadJob


async def test_an_answer_that_comes_while_a_handler_holds_up_the_event_loop_is_read(mock_clock: MockClock) -> None:
    may_answer, has_answered = threading.Event(), threading.Event()
    answers: list[str] = []

    def run_group(jobs: Sequence[ThreadJob[str]]) -> None:
        may_answer.wait(60)
        for job in jobs:
            job.value = job.work

    async def call() -> None:
        answers.append(await thread.call("done", 5.0))

    thread = GroupingThread("test", run_group, most=1, look=has_answered.set, interval=3600.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        may_answer.set()
        assert has_answered.wait(60)  # as a handler that computes
        mock_clock.jump(6.0)
    assert answers == ["done"]
    assert await thread.stop(60.0)


async def test_a_thread_that_hangs_is_abandoned_and_does_no_more_jobs() -> None:
    has_begun, goes_on = threading.Event(), threading.Event()
    done: list[str] = []

    def run_group(jobs: Sequence[ThreadJob[str]]) -> None:
        has_begun.set()
        goes_on.wait(60)
        done.extend(job.work for job in jobs)

    thread = GroupingThread("test", run_group, most=2, look=lambda: done.append("looked"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.call, "hangs", 3600.0)
        await trio.to_thread.run_sync(has_begun.wait, 60)
        nursery.start_soon(thread.call, "waits", 3600.0)
        await wait_all_tasks_blocked()
        assert not await thread.stop(0.01)
        goes_on.set()
        await trio.to_thread.run_sync(thread._thread.join)
        nursery.cancel_scope.cancel()
    assert done == ["hangs"]
