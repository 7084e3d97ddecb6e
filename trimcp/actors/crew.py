"""A crew: the tasks that run work, one task for each piece of work that is under way.

Starting a task and entering a cancel scope for each request cost 16 µs together, which is more
than all the rest of a request. So a member of the crew that has finished a piece of work takes
the next one, in the same turn of the scheduler and, unless it was cancelled, in the same
cancel scope. Each piece still has what a task of its own would give it:

* a cancel scope that is its alone while it runs;
* a copy of the context variables of whoever made the crew;
* nobody behind it: the first time it waits for anything, another member takes over the queue.

A member that finds nothing to do waits, but only one; the others end.
"""

from __future__ import annotations

import contextvars
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, Protocol

import trio

TURN: Final = 64
"""Pieces of work that a member runs before it lets other tasks have a turn, where none of them waits."""


class Work(Protocol):
    """What a crew runs."""

    scope: trio.CancelScope | None
    """Set by the crew for as long as the work runs."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Do it. Raises nothing but `Cancelled`, or the crew's nursery ends."""
        ...

    def ended(self) -> bool:
        """Called without a wait once the work has ended, also by being cancelled.

        Returns whether its scope is used up, since it was cancelled or given a deadline.
        """
        ...


@types.coroutine
def _carry_on(work: Coroutine[Any, Any, None], run: Callable[..., Any], trap: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that has begun to wait, as `await work` would, in a context of its own.

    What it yields to Trio is handed up, what Trio answers is handed down; Trio cannot tell the
    difference, and the current task is the member's.
    """
    send: Callable[[Any], Any] = work.send
    throw: Callable[[Any], Any] = work.throw
    while True:
        try:
            answer = yield trap
        except BaseException as exc:  # noqa: BLE001 - handed down to the work, which decides
            resume, value = throw, exc
        else:
            resume, value = send, answer
        try:
            trap = run(resume, value)
        except StopIteration:
            return


class Crew:
    """Runs posted work in order of posting, each piece in a scope and context of its own."""

    __slots__ = ("_context", "_idle", "_in_turn", "_nursery", "_on_turn_end", "_on_turn_start", "_queue", "members")

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        on_turn_start: Callable[[], None],
        on_turn_end: Callable[[], None],
    ) -> None:
        """Make a crew whose members live in `nursery`.

        `on_turn_start` and `on_turn_end` bracket each stretch in which a member runs without
        another task in between: what is written in one may leave in one piece.
        """
        self._nursery = nursery
        self._queue: deque[Work] = deque()
        self._idle: trio.lowlevel.Task | None = None
        self._context = contextvars.copy_context()
        self._on_turn_start = on_turn_start
        self._on_turn_end = on_turn_end
        self._in_turn = False
        self.members = 0
        """Tasks that exist now: those with work under way, and at most one that waits for some."""

    @property
    def queued(self) -> int:
        """Pieces of work that were posted and have not begun."""
        return len(self._queue)

    def post(self, work: Work) -> None:
        """Have the work run soon. Whoever posts sees to how much is posted: the queue has no bound of its own."""
        self._queue.append(work)
        # In a turn the member that runs comes to it by itself, or hands over when it first waits;
        # with more than one in the queue, a member is on its way already.
        if not self._in_turn and len(self._queue) == 1:
            self._wake_member()

    def _wake_member(self) -> None:
        idle = self._idle
        if idle is not None:
            self._idle = None
            trio.lowlevel.reschedule(idle)
        else:
            self.members += 1
            self._nursery.start_soon(self._member, name="trimcp crew member")

    def _end_turn(self) -> None:
        self._in_turn = False
        self._on_turn_end()

    def _on_first_wait(self) -> None:
        self._end_turn()
        if self._queue:
            self._wake_member()

    async def _member(self) -> None:
        try:
            while True:
                # Each pass is the life of one scope: until the work in it was cancelled.
                with trio.CancelScope() as scope:
                    if not await self._work_in(scope):
                        return
        finally:
            self.members -= 1

    async def _work_in(self, scope: trio.CancelScope) -> bool:
        """Run work until the scope is used up (True) or there is nothing for this member to do (False)."""
        queue, copy = self._queue, self._context.copy
        while True:
            done = 0
            while queue and done < TURN:
                if not self._in_turn:  # also after work that has waited, and so ended its turn
                    self._in_turn = True
                    self._on_turn_start()
                work = queue.popleft()
                work.scope = scope
                done += 1
                coroutine, run = work.run(), copy().run
                try:
                    # The first step is taken here, since most work needs no other.
                    trap = run(coroutine.send, None)
                except StopIteration:
                    pass
                else:
                    self._on_first_wait()
                    await _carry_on(coroutine, run, trap)
                finally:
                    used_up = work.ended()
                    work.scope = None
                if used_up:
                    if self._in_turn:
                        self._end_turn()
                    return True
            if self._in_turn:
                self._end_turn()
            if queue:
                await trio.lowlevel.checkpoint()
            elif self._idle is not None:
                return False
            else:
                await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        task = self._idle = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            if self._idle is task:
                self._idle = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
