"""A crew runs each piece of work as a task of its own would: a scope, a context, and nobody behind it."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trimcp.actors.crew import TURN, Crew


class Piece:
    """Work that does what it is told and notes its end."""

    def __init__(self, body: Callable[[Piece], Awaitable[None]]) -> None:
        self._body = body
        self.scope: trio.CancelScope | None = None
        self.cancelled = False
        self.has_ended = False

    async def run(self) -> None:
        await self._body(self)

    def ended(self) -> bool:
        self.has_ended = True
        return self.cancelled

    def cancel(self) -> None:
        assert self.scope is not None
        self.cancelled = True
        self.scope.cancel()


@attrs.define
class Rig:
    crew: Crew
    turns: list[str]


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    turns: list[str] = []
    with trio.fail_after(1000):
        async with trio.open_nursery() as nursery:
            crew = Crew(nursery, on_turn_start=lambda: turns.append("start"), on_turn_end=lambda: turns.append("end"))
            yield Rig(crew, turns)
            nursery.cancel_scope.cancel()


async def test_work_runs_in_the_order_of_posting_and_in_one_turn(autojump_clock: MockClock) -> None:
    done: list[int] = []

    def numbered(n: int) -> Piece:
        async def body(piece: Piece) -> None:
            done.append(n)

        return Piece(body)

    async with rig() as r:
        for n in range(10):
            r.crew.post(numbered(n))
        assert r.crew.queued == 10
        await wait_all_tasks_blocked()
        assert done == list(range(10))
        assert r.turns == ["start", "end"]
        assert (r.crew.members, r.crew.queued) == (1, 0)


async def test_work_that_waits_holds_up_nobody(autojump_clock: MockClock) -> None:
    done: list[str] = []

    async def slow(piece: Piece) -> None:
        await trio.sleep(10)
        done.append("slow")

    async def quick(piece: Piece) -> None:
        done.append("quick")

    async with rig() as r:
        for _ in range(3):
            r.crew.post(Piece(slow))
        r.crew.post(Piece(quick))
        await wait_all_tasks_blocked()
        assert done == ["quick"]
        assert r.crew.members == 4
        await trio.sleep(11)
        assert done == ["quick", "slow", "slow", "slow"]
        # Of those that have nothing to do, one stays.
        assert r.crew.members == 1
        assert r.turns.count("start") == r.turns.count("end")


async def test_every_turn_that_starts_ends(autojump_clock: MockClock) -> None:
    depth = 0

    async def body(piece: Piece) -> None:
        assert depth == 1
        await trio.lowlevel.checkpoint()
        await trio.sleep(1)

    async def at_once(piece: Piece) -> None:
        assert depth == 1

    def start() -> None:
        nonlocal depth
        depth += 1

    def end() -> None:
        nonlocal depth
        depth -= 1

    async with trio.open_nursery() as nursery:
        crew = Crew(nursery, on_turn_start=start, on_turn_end=end)
        for n in range(50):
            crew.post(Piece(body if n % 3 else at_once))
        await trio.sleep(10)
        assert depth == 0
        nursery.cancel_scope.cancel()


async def test_each_piece_has_a_scope_of_its_own(autojump_clock: MockClock) -> None:
    ended: list[str] = []

    def waiting(name: str) -> Piece:
        async def body(piece: Piece) -> None:
            try:
                await trio.sleep(100)
                ended.append(f"{name} whole")
            except trio.Cancelled:
                ended.append(f"{name} cancelled")
                raise

        return Piece(body)

    async with rig() as r:
        first, second = waiting("first"), waiting("second")
        r.crew.post(first)
        r.crew.post(second)
        await wait_all_tasks_blocked()
        first.cancel()
        await wait_all_tasks_blocked()
        assert ended == ["first cancelled"]
        assert first.has_ended
        assert first.scope is None
        third = waiting("third")
        r.crew.post(third)
        await trio.sleep(200)
        assert sorted(ended) == ["first cancelled", "second whole", "third whole"]


async def test_a_cancel_after_the_work_has_done_its_last_wait_touches_nobody_else(autojump_clock: MockClock) -> None:
    """The scope may be cancelled by the work itself, on its way out; the next piece gets a new one."""
    done: list[str] = []

    async def cancels_itself(piece: Piece) -> None:
        piece.cancel()

    async def after(piece: Piece) -> None:
        await trio.sleep(1)
        done.append("after")

    async with rig() as r:
        r.crew.post(Piece(cancels_itself))
        r.crew.post(Piece(after))
        await trio.sleep(10)
        assert done == ["after"]


async def test_each_piece_has_the_context_of_whoever_made_the_crew(autojump_clock: MockClock) -> None:
    seen: list[str] = []
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def body(piece: Piece) -> None:
        seen.append(variable.get())
        variable.set("of one piece")
        await trio.sleep(1)
        seen.append(variable.get())

    async def spawn(piece: Piece) -> None:
        async def child() -> None:
            seen.append(variable.get())

        variable.set("parent")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    variable.set("maker")
    async with rig() as r:
        variable.set("poster")
        r.crew.post(Piece(body))
        await trio.sleep(2)
        r.crew.post(Piece(body))
        await trio.sleep(2)
    assert seen == ["maker", "of one piece"] * 2


async def test_a_long_queue_lets_others_have_a_turn(autojump_clock: MockClock) -> None:
    done = 0
    seen: list[int] = []

    async def body(piece: Piece) -> None:
        nonlocal done
        done += 1

    async def watch() -> None:
        while done < 10 * TURN:
            seen.append(done)
            await trio.lowlevel.checkpoint()

    async with rig() as r, trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        for _ in range(10 * TURN):
            r.crew.post(Piece(body))
    assert any(0 < n < 10 * TURN for n in seen)


async def test_work_may_post_more_work(autojump_clock: MockClock) -> None:
    done: list[int] = []

    def step(crew: Crew, n: int) -> Piece:
        async def body(piece: Piece) -> None:
            done.append(n)
            if n < 20:
                if n % 2:
                    await trio.sleep(1)
                crew.post(step(crew, n + 1))

        return Piece(body)

    async with rig() as r:
        r.crew.post(step(r.crew, 0))
        await trio.sleep(100)
        assert done == list(range(21))
        assert r.crew.members == 1


async def test_all_of_trio_works_inside_a_piece(autojump_clock: MockClock) -> None:
    seen: list[object] = []
    over = trio.Event()

    async def body(piece: Piece) -> None:
        with trio.move_on_after(1) as scope:
            await trio.sleep_forever()
        seen.append(scope.cancelled_caught)
        send, receive = trio.open_memory_channel[int](0)

        async def produce() -> None:
            async with send:
                for n in range(3):
                    await send.send(n)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            seen.append([n async for n in receive])
        with pytest.raises(ZeroDivisionError):
            await raises()
        seen.append(await trio.to_thread.run_sync(lambda: trio.from_thread.run_sync(lambda: 7)))
        over.set()

    async def raises() -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    autojump_clock.autojump_threshold = 0.05  # a thread is at work
    async with rig() as r:
        piece = Piece(body)
        r.crew.post(piece)
        await over.wait()
    assert seen == [True, [0, 1, 2], 7]


async def test_work_that_breaks_its_promise_ends_the_nursery(autojump_clock: MockClock) -> None:
    async def body(piece: Piece) -> None:
        raise ValueError("not caught")

    piece = Piece(body)
    with pytest.RaisesGroup(ValueError):
        async with trio.open_nursery() as nursery:
            crew = Crew(nursery, on_turn_start=lambda: None, on_turn_end=lambda: None)
            crew.post(piece)
            await trio.sleep(10)
    assert piece.has_ended
