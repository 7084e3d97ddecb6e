"""Calls from any thread reach the thread that actors live in."""

from __future__ import annotations

import threading

import trio
from trio.testing import wait_all_tasks_blocked

from trimcp.actors.home_thread import HomeThread


async def test_at_home_a_call_happens_at_once() -> None:
    calls: list[str] = []
    HomeThread().call(calls.append, "now")
    assert calls == ["now"]


async def test_from_another_thread_a_call_happens_soon_and_at_home() -> None:
    home = HomeThread()
    where: list[int] = []

    def note(_: str) -> None:
        where.append(threading.get_ident())

    await trio.to_thread.run_sync(home.call, note, "there")
    await wait_all_tasks_blocked()
    assert where == [threading.get_ident()]


async def test_equal_calls_from_another_thread_become_one_and_others_do_not() -> None:
    home = HomeThread()
    calls: list[str] = []

    def flood() -> None:
        for _ in range(1000):
            home.call(calls.append, "a")
            home.call(calls.append, "b")

    flooding = threading.Thread(target=flood)
    flooding.start()
    flooding.join()  # without a turn of Trio's in between
    await wait_all_tasks_blocked()
    assert sorted(calls) == ["a", "b"]


def test_after_the_run_a_call_from_another_thread_is_dropped() -> None:
    async def main() -> HomeThread:
        return HomeThread()

    home = trio.run(main)
    calls: list[str] = []
    thread = threading.Thread(target=home.call, args=(calls.append, "late"))
    thread.start()
    thread.join()
    assert calls == []
