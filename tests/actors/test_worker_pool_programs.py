"""Random programs of work, each piece against what it would do in a task and a scope of its own."""

from __future__ import annotations

import contextvars
import math
from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.actors.pieces import FAILED, GOOD, HANDED_BACK, Piece
from trimcp.actors.supervisor import open_supervisor
from trimcp.actors.worker_pool import MOST_IDLE, ScopesLeftOpen, WorkerPool

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


@attrs.frozen
class Sleep:
    """Sleep for some seconds."""

    seconds: int


@attrs.frozen
class Pass:
    """Let other tasks run."""


@attrs.frozen
class SetVariable:
    """Change the context."""

    value: int


@attrs.frozen
class SetDeadline:
    """Give the scope of the piece a deadline, in seconds from now."""

    seconds: int


@attrs.frozen
class CancelItself:
    """Cancel the scope of the piece."""


@attrs.frozen
class Raise:
    """End with an exception."""

    error: type[BaseException]


@attrs.frozen
class LeaveScope:
    """Leave a scope open, with a deadline in seconds from now."""

    seconds: int


@attrs.frozen
class Children:
    """Run two tasks in a nursery, for some seconds."""

    seconds: int


Step = Sleep | Pass | SetVariable | SetDeadline | CancelItself | Raise | LeaveScope | Children

# Sleeps of whole seconds and deadlines between them: no two things happen at once.
seconds = st.integers(0, 4)
step: st.SearchStrategy[Step] = st.one_of(
    st.builds(Sleep, seconds),
    st.builds(Sleep, seconds),
    st.builds(Pass),
    st.builds(SetVariable, st.integers(1, 3)),
    st.builds(SetDeadline, seconds),
    st.builds(CancelItself),
    st.builds(Raise, st.sampled_from([ValueError, SystemExit, GeneratorExit, RecursionError])),
    st.builds(LeaveScope, seconds),
    st.builds(Children, seconds),
)
program = st.tuples(seconds, st.lists(step, max_size=5))
"""When a piece is posted, and its steps."""


@attrs.define
class Expected:
    """What becomes of a piece."""

    takes: float = 0
    """Seconds until it has ended."""
    error: type[BaseException] | None = None
    is_whole: bool = False
    """Whether its last step was done."""


def expected(steps: list[Step]) -> Expected:
    """Run the model of a piece: one clock, one deadline, what was left open."""
    found = Expected()
    deadline: float = math.inf
    leaks: list[float] = []

    def waits(for_: float) -> bool:
        """Go on by some seconds. Returns False where a scope was cancelled before or meanwhile."""
        end = min([deadline, *leaks])
        if end <= found.takes + for_:
            found.takes = max(found.takes, end)
            return False
        found.takes += for_
        return True

    for each in steps:
        match each:
            case Sleep(for_) | Children(for_):
                going_on = waits(for_)
            case Pass():
                going_on = waits(0)
            case SetDeadline(after):
                deadline, going_on = min(deadline, found.takes + after + 0.5), True
            case CancelItself():
                deadline, going_on = -math.inf, True
            case LeaveScope(after):
                leaks.append(found.takes + after + 0.25)
                going_on = True
            case Raise(error):
                found.error = error
                return found
            case _:
                going_on = True
        if not going_on:
            if deadline > found.takes and leaks:  # a scope that it has left open cancelled it
                found.error = ScopesLeftOpen
            return found
    found.is_whole = True
    if leaks:
        found.error = ScopesLeftOpen
    return found


class ProgramPiece(Piece):
    """A piece that does the steps of a program."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__(self._run_steps)
        self.steps = steps
        self.ended_at = math.nan
        self.kept: list[Any] = []

    async def _run_steps(self, piece: Piece) -> str:
        assert variable.get() == 0
        assert self.scope is not None
        assert not self.scope.cancel_called
        assert self.scope.deadline == math.inf
        for each in self.steps:
            await self._do(each)
        return "whole"

    async def _do(self, each: Step) -> None:
        assert self.scope is not None
        match each:
            case Sleep(for_):
                await trio.sleep(for_)
            case Pass():
                await trio.lowlevel.checkpoint()
            case SetVariable(value):
                variable.set(value)
            case SetDeadline(after):
                self.scope.deadline = min(self.scope.deadline, trio.current_time() + after + 0.5)
            case CancelItself():
                self.scope.cancel()
            case Raise(error):
                raise error
            case LeaveScope(after):
                self.kept.append(trio.move_on_after(after + 0.25))
                self.kept[-1].__enter__()
            case Children(for_):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, for_)
                    nursery.start_soon(trio.sleep, 0)

    def left(self) -> None:
        super().left()
        self.ended_at = trio.current_time()


@settings(max_examples=150, deadline=None)
@given(st.lists(program, max_size=12))
def test_each_piece_does_what_it_would_do_in_a_task_of_its_own(programs: list[tuple[int, list[Step]]]) -> None:
    async def main() -> None:
        async with open_supervisor("session") as supervisor:
            pool = supervisor.open_pool("tools", 100)
            start = trio.current_time()
            pieces = []
            for at, steps in sorted(programs, key=lambda program: program[0]):
                await trio.sleep_until(start + at)
                pieces.append((at, ProgramPiece(steps)))
                pool.post(pieces[-1][1])
            await trio.sleep(100)
            for at, piece in pieces:
                model = expected(piece.steps)
                assert piece.told == (GOOD if model.error is None else FAILED)
                assert type(piece.error) is (model.error or type(None))
                assert piece.result == ("whole" if model.is_whole else None)
                assert piece.ended_at == start + at + model.takes
            check_counts(pool, len(pieces))

    trio.run(main, clock=MockClock(autojump_threshold=0))


def check_counts(pool: WorkerPool, done: int) -> None:
    """Check that a pool without work knows that it has none."""
    found = pool.snapshot()
    assert (found.waiting, found.parked, found.done) == (0, 0, done)
    assert found.idle == found.workers <= MOST_IDLE


@settings(max_examples=150, deadline=None)
@given(
    st.lists(program, min_size=1, max_size=12),
    st.integers(0, 8),
    st.sampled_from(["stop", "cancel", "close"]),
    st.booleans(),
)
def test_at_the_end_each_piece_has_left_or_is_handed_back(
    programs: list[tuple[int, list[Step]]], ends_at: int, how: str, with_more: bool
) -> None:
    """`with_more`: pieces are posted in the turn in which the pool ends."""
    pieces: list[ProgramPiece] = []

    async def main() -> None:
        with trio.CancelScope() as outer:
            async with open_supervisor("session") as supervisor:
                pool = supervisor.open_pool("tools", 100)
                start = trio.current_time()
                for at, steps in sorted(programs, key=lambda program: program[0]):
                    if at > ends_at:
                        break
                    await trio.sleep_until(start + at)
                    pieces.append(ProgramPiece(steps))
                    pool.post(pieces[-1])
                await trio.sleep_until(start + ends_at)
                more = [ProgramPiece(steps) for _, steps in programs] if with_more else []
                if how == "cancel":
                    outer.cancel()
                for piece in more:
                    pool.post(piece)
                pieces.extend(more)
                if how == "stop":
                    supervisor.stop()
                elif how == "close":
                    pool.close()
                    await trio.sleep(100)
        for piece in pieces:
            assert piece.told in (GOOD, FAILED, HANDED_BACK)
        for piece in more:
            assert piece.told == HANDED_BACK
        found = pool.snapshot()
        assert (found.waiting, found.workers, found.parked) == (0, 0, 0)

    trio.run(main, clock=MockClock(autojump_threshold=0))
