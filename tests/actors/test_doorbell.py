"""A doorbell: one listener, and no ring lost."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trimcp.actors.doorbell import Doorbell


async def test_a_ring_wakes_the_listener(autojump_clock: MockClock) -> None:
    bell = Doorbell()
    rang = 0

    async def listen() -> None:
        nonlocal rang
        with trio.fail_after(10):
            for _ in range(3):
                await bell.wait()
                rang += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for expected in (1, 2, 3):
            await wait_all_tasks_blocked()
            bell.ring()
            await wait_all_tasks_blocked()
            assert rang == expected


async def test_rings_before_a_wait_are_remembered_as_one(autojump_clock: MockClock) -> None:
    bell = Doorbell()
    bell.ring()
    bell.ring()
    with assert_checkpoints():
        await bell.wait()
    with trio.move_on_after(5) as scope:
        await bell.wait()
    assert scope.cancelled_caught


async def test_a_cancelled_wait_takes_no_ring_with_it(autojump_clock: MockClock) -> None:
    bell = Doorbell()
    bell.ring()
    with trio.CancelScope() as scope:
        scope.cancel()
        await bell.wait()
    assert scope.cancelled_caught
    with trio.fail_after(1):
        await bell.wait()
    # And the other way round: rung while it is being cancelled.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.wait)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    bell.ring()
    with trio.fail_after(1):
        await bell.wait()


async def test_a_second_listener_is_refused() -> None:
    bell = Doorbell()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.wait)
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="one listener"):
            await bell.wait()
        bell.ring()
