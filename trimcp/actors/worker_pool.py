"""The worker pool: the mailbox of an actor that waits, and the tasks that receive from it.

A handler waits, so its actor has several tasks. A worker without work waits at a memory channel. Work that finds no
such worker waits in a list, from which the workers take it without the cost of a channel. Each runs one piece at a
time:

* in a cancel scope, used again until it was cancelled, given a deadline, or left in disorder;
* in the context of the pool: a piece that changed a context variable costs the worker a fresh copy;
* behind a boundary: what a piece raises or leaves behind is the failure of that piece, and of no other.

Three private names of Trio are used: `task._cancel_status`, `task._child_nurseries`, which is the list that
`task.child_nurseries` copies, and `nursery._closed`. Tests pin their meaning.
"""

from __future__ import annotations

import contextvars
import math
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import trio

from trimcp.actors.abandoned_generators import abandoned_generators

if TYPE_CHECKING:
    from trimcp.actors.snapshots import PoolSnapshot

TURN: Final = 64
"""Pieces of work that a worker runs before other tasks get a turn, where none of the pieces waits."""
MOST_IDLE: Final = 2
"""Workers that wait for work; one more that finds none ends."""
PATIENCE: Final = 8
"""Passes of the scheduler in each of which a parked worker looks whether its nurseries are gone."""
LOOK_AGAIN: Final = 0.5
"""Seconds after which it looks again from then on: Trio does not tell."""


class Work(Protocol):
    """A piece of work, such as a request, as a pool sees it."""

    scope: trio.CancelScope | None
    """Set by the pool while the work runs, and while its worker waits for nurseries that the work has left open.
    Cancelling it cancels the work, or gives up its place."""

    async def run(self) -> None:
        """Do the work."""
        ...

    def failed(self, error: BaseException) -> None:
        """`run` has raised this, which was not its own cancellation. Must not wait, nor raise."""
        ...

    def finished(self) -> bool:
        """`run` has ended, also by being cancelled. Must not wait, nor raise.

        Returns whether its scope is used up: cancelled, or given a deadline.
        """
        ...

    def left(self) -> None:
        """Give the place of the work back: its worker has left it. Must not wait, nor raise."""
        ...

    def handed_back(self) -> None:
        """The pool has ended, and `run` was not called. Must not wait, nor raise."""
        ...


class ScopesLeftOpen(Exception):
    """A handler has ended and left cancel scopes or nurseries open in its task."""

    def __init__(self) -> None:
        super().__init__(
            "the handler left a cancel scope or a nursery open: close async generators with contextlib.aclosing, "
            "and leave each scope in the task that entered it"
        )


@attrs.define(eq=False, repr=False)
class _Judged:
    """Holds a failed piece of work until its worker has left the scope of the work."""

    work: Work
    failure: BaseException | None
    left_open: bool
    """Whether it left scopes open, or closed those of its worker."""


class WorkerPool:
    """Runs posted work in order, with as many workers as there is work that waits."""

    __slots__ = (
        "_abandoned",
        "_base",
        "_capacity",
        "_coming",
        "_idle",
        "_is_closed",
        "_nursery",
        "_receive",
        "_send",
        "_waiting",
        "_workers",
        "done",
        "name",
        "parked",
        "tasks",
    )

    def __init__(self, name: str, nursery: trio.Nursery, capacity: int) -> None:
        """
        Args:
            name: of the tasks, and in snapshots.
            nursery: where the workers live: that of the supervisor which owns the pool.
            capacity: pieces of work that may wait. The poster keeps to it, by the places that it hands out.
        """
        self.name: str = name
        self._nursery = nursery
        self._capacity = capacity
        self._send, self._receive = trio.open_memory_channel[Work](MOST_IDLE)
        """To workers that wait. Work is buffered in it only for a worker that was cancelled meanwhile."""
        self._base = contextvars.copy_context()
        self._waiting: deque[Work] = deque()
        """Work that found no worker that waits."""
        self._idle = 0  # workers that wait, and were handed no work
        self._coming = 0  # workers that will look for work
        self._workers = 0
        self._is_closed = False
        self._abandoned = abandoned_generators()
        self.parked: int = 0
        self.done: int = 0
        self.tasks: dict[trio.CancelScope, trio.lowlevel.Task] = {}
        """The workers, by the scopes in which they run their work."""

    def post(self, work: Work) -> None:
        """Let a worker run a piece of work soon. Never waits.

        Raises:
            trio.WouldBlock: more work waits than the capacity: a mistake of the poster.
        """
        if self._is_closed:
            work.handed_back()
            return
        if self._idle:
            self._send.send_nowait(work)
            self._idle -= 1
            self._coming += 1
            return
        if len(self._waiting) >= self._capacity:
            raise trio.WouldBlock
        self._waiting.append(work)
        if not self._coming:
            self._start()

    def _start(self) -> None:
        self._coming += 1
        try:
            self._base.copy().run(self._start_worker)
        except RuntimeError:  # the nursery has closed
            self.close()

    def _start_worker(self) -> None:
        self._nursery.start_soon(self._work, name=self.name)

    def close(self) -> None:
        """Hand back all work that has not begun, and all work posted from now on. Idempotent."""
        self._is_closed = True
        while self._waiting:
            self._waiting.popleft().handed_back()

    # --- a worker ---------------------------------------------------------------------

    async def _work(self) -> None:
        self._coming -= 1
        self._workers += 1
        task = trio.lowlevel.current_task()
        self._abandoned.workers.add(task)
        try:
            while await self._serve(task):  # each pass is the life of one cancel scope
                pass
        except BaseException:
            # The nursery is cancelled, or was told to end: work that waits would wait for ever.
            self.close()
            raise
        finally:
            self._workers -= 1
            self._abandoned.workers.remove(task)
            if self._abandoned.kept:
                self._abandoned.release(task)

    async def _serve(self, task: trio.lowlevel.Task) -> bool:
        """Run work until the scope cannot be used again (True), or this worker is not needed (False)."""
        await trio.lowlevel.checkpoint_if_cancelled()  # takes nothing more in a nursery that was cancelled
        outside = task._cancel_status
        stopped: bool | _Judged = True  # stays so where the scope was cancelled behind the back of the work
        scope = trio.CancelScope()
        self.tasks[scope] = task
        try:
            with scope:
                stopped = await self._serve_in(scope, task)
        except RuntimeError:
            if not isinstance(stopped, _Judged):
                raise
            # The work has closed scopes that are not its own, or left some open: it is judged for that.
        finally:
            del self.tasks[scope]
        if not isinstance(stopped, _Judged):
            return stopped
        can_go_on = task._cancel_status is outside  # else the work has closed the scope, and opened one of its own
        await self._judge(stopped, scope, task, can_park=can_go_on)
        if not can_go_on and self._waiting and not self._coming:
            self._start()
        return can_go_on

    async def _serve_in(self, scope: trio.CancelScope, task: trio.lowlevel.Task) -> bool | _Judged:
        """Do the same within one scope; return a piece of work that must be judged outside of it."""
        inside, nurseries, base = task._cancel_status, task._child_nurseries, self._base
        waiting, abandoned = self._waiting, self._abandoned
        done, used_up = 0, False
        while not used_up:
            try:
                is_tainted = contextvars.copy_context() != base  # by the work that has just ended
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001 - a value that cannot be compared is one that a handler has set
                is_tainted = True
            if is_tainted or done == TURN:
                done = 0
                task.context = self._base.copy()  # from the next step on
                if waiting:
                    await trio.lowlevel.cancel_shielded_checkpoint()
            if not waiting:
                done = 0
                if not await self._wait():
                    return False
            work = waiting.popleft()
            done += 1
            if waiting and not self._coming:
                self._start()
            work.scope = scope
            try:
                await work.run()
            except BaseException as exc:  # noqa: BLE001 - judged outside of the scope of the work
                return _Judged(work, exc, task._cancel_status is not inside)
            if task._cancel_status is not inside or nurseries:
                return _Judged(work, ScopesLeftOpen(), left_open=True)
            if abandoned.kept:
                abandoned.release(task)
            used_up = work.finished()
            work.scope = None
            work.left()
            self.done += 1
        return True

    async def _wait(self) -> bool:
        """Wait for work, and put it in front of the work that waits; False if this worker is not needed."""
        if self._idle >= MOST_IDLE:
            return False
        self._idle += 1
        try:
            work = await self._receive.receive()
        except BaseException:
            if self._idle:
                self._idle -= 1
            else:  # cancelled, and posted to before it could run: that work is in the channel
                self._coming -= 1
                self._waiting.appendleft(self._receive.receive_nowait())
            raise
        self._coming -= 1
        if self._is_closed:
            work.handed_back()
            return False
        self._waiting.appendleft(work)
        return True

    async def _judge(
        self, judged: _Judged, scope: trio.CancelScope, task: trio.lowlevel.Task, *, can_park: bool
    ) -> None:
        """Tell a piece of work how it failed, and clean up behind it. Runs outside of its scope.

        Raises:
            KeyboardInterrupt: the work raised it.
        """
        work, failure = judged.work, judged.failure
        assert failure is not None
        is_cancelled = scope.cancel_called or trio.current_effective_deadline() == -math.inf
        error = _without_cancelled(failure) if is_cancelled else failure
        interrupt = _interrupt_in(failure)
        if interrupt is None and error is not None:
            is_of_scopes = _is_misnesting(error) or (judged.left_open and _without_cancelled(error) is None)
            work.failed(ScopesLeftOpen() if is_of_scopes else error)
        judged.failure = failure = error = None  # it may keep alive a generator that has a nursery open
        work.finished()
        work.scope = None
        if interrupt is None and can_park and task.child_nurseries:
            await self._park(work, task, keeps_place=not is_cancelled)
            return
        work.left()
        self.done += 1
        if interrupt is not None:
            raise interrupt

    async def _park(self, work: Work, task: trio.lowlevel.Task, *, keeps_place: bool) -> None:
        """Wait until the nurseries that work has left open in this task are gone: a task cannot end before them.

        The work keeps its place until then, or until it is cancelled.
        """
        if not self._coming and self._waiting:
            self._start()
        nurseries = task.child_nurseries
        for nursery in nurseries:
            nursery.cancel_scope.cancel()
            # As Trio does for a task that ends. Another task that leaves this nursery, such as the one that closes
            # abandoned generators, then does not wait in it: Trio would wake this task in its place, and crash.
            nursery._closed = True
        self._abandoned.release(task)
        self.parked += 1
        try:
            try:
                if keeps_place:
                    with trio.CancelScope() as work.scope:
                        await _wait_gone(nurseries, task)
            finally:
                work.scope = None
                work.left()
                self.done += 1
            await _wait_gone(nurseries, task)
        finally:
            self.parked -= 1
            with trio.CancelScope(shield=True):  # without a deadline, as a nursery waits for its children
                while any(nursery.child_tasks for nursery in nurseries):  # noqa: ASYNC110
                    await trio.sleep(LOOK_AGAIN)

    def snapshot(self) -> PoolSnapshot:
        """Take a snapshot of the pool."""
        from trimcp.actors.snapshots import PoolSnapshot

        return PoolSnapshot(self.name, len(self._waiting), self._workers, self._idle, self.parked, self.done)


def _without_cancelled(exc: BaseException) -> BaseException | None:
    """Return the part of an exception that is not the cancellation of the work."""
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(trio.Cancelled)[1]
    return None if isinstance(exc, trio.Cancelled) else exc


def _interrupt_in(exc: BaseException) -> BaseException | None:
    """Return the part of an exception that must not be contained: Ctrl-C."""
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(KeyboardInterrupt)[0]
    return exc if isinstance(exc, KeyboardInterrupt) else None


async def _wait_gone(nurseries: list[trio.Nursery], task: trio.lowlevel.Task) -> None:
    """Wait until nurseries of a task are closed and have no children."""
    passes = 0
    while task.child_nurseries or any(nursery.child_tasks for nursery in nurseries):  # no event tells
        await trio.sleep(0 if passes < PATIENCE else LOOK_AGAIN)
        passes += 1


def _is_misnesting(exc: BaseException) -> bool:
    return isinstance(exc, RuntimeError) and "stack corrupted" in str(exc)


def without_leaks(group: BaseExceptionGroup[BaseException]) -> BaseExceptionGroup[BaseException] | None:
    """Return an exception group without the complaints about nurseries that handlers have left open for good.

    Trio raises for each worker that was cancelled with such a nursery. The handler was told of it when it ended.
    """
    return group.split(_is_leak)[1]


def _is_leak(exc: BaseException) -> bool:
    return _is_misnesting(exc) and isinstance(exc.__context__, trio.Cancelled)
