"""The worker pool: the mailbox of an actor that waits, and the tasks that receive from it.

A handler waits, so its actor has several tasks. They receive work from one memory channel, and each runs
one piece at a time:

* in a cancel scope, used again until it was cancelled, given a deadline, or left in disorder;
* in the context of the pool: a piece that changed a context variable costs the worker a fresh copy;
* behind a boundary: what a piece raises or leaves behind is the failure of that piece, and of no other.

Two private names of Trio are used, `task._cancel_status` and `nursery._closed`. Tests pin their meaning.
"""

from __future__ import annotations

import contextvars
import math
from typing import Final, Protocol

import attrs
import trio

TURN: Final = 64
"""Pieces of work that a worker runs before other tasks get a turn, where none of the pieces waits."""
MOST_IDLE: Final = 2
"""Workers that wait for work; one more that finds none ends."""
PATIENCE: Final = 8
"""Passes of the scheduler that an abandoned generator gets to close its nursery, before its worker parks."""


class Work(Protocol):
    """A piece of work, as a pool sees it."""

    scope: trio.CancelScope | None
    """Set by the pool while the work runs: cancelling it cancels the work."""

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
        """The worker has nothing to do with it any more: its place is free. Must not wait, nor raise."""
        ...

    def handed_back(self) -> None:
        """The pool has ended, and `run` was not called. Must not wait, nor raise."""
        ...


class ScopesLeftOpen(Exception):
    """A handler has ended and left cancel scopes or nurseries open in its task."""

    def __init__(self) -> None:
        super().__init__(
            "the handler left a cancel scope or a nursery open: use an async generator that has one under "
            "contextlib.aclosing, and leave each scope in the task that entered it"
        )


@attrs.frozen
class _Judged:
    """A piece of work that raised, or left its cancel scope in disorder: judged outside of that scope."""

    work: Work
    failure: BaseException | None


@attrs.frozen
class PoolSnapshot:
    """A pool at one moment."""

    name: str
    waiting: int
    """Pieces of work that wait in the channel."""
    workers: int
    idle: int
    parked: int
    """Workers that wait for nurseries which a handler has left open."""
    done: int
    """Pieces of work that have ended."""


class WorkerPool:
    """Runs posted work, in order of posting, by as many workers as there is work that waits."""

    __slots__ = (
        "_base",
        "_coming",
        "_idle",
        "_is_closed",
        "_nursery",
        "_receive",
        "_released",
        "_send",
        "_waiting",
        "_workers",
        "done",
        "name",
        "parked",
    )

    def __init__(self, name: str, nursery: trio.Nursery, capacity: int) -> None:
        """
        Args:
            name: of the tasks, and in snapshots.
            nursery: where the workers live: that of the supervisor which owns the pool.
            capacity: pieces of work that may wait. The poster keeps to it, by the places that it hands out.
        """
        self.name = name
        self._nursery = nursery
        self._send, self._receive = trio.open_memory_channel[Work](capacity)
        self._base = contextvars.copy_context()
        self._waiting = 0  # in the channel's buffer
        self._idle = 0  # workers that wait, and were handed nothing
        self._coming = 0  # workers that will look into the channel
        self._workers = 0
        self._is_closed = False
        self._released = trio.Event()
        self.parked = 0
        self.done = 0

    def post(self, work: Work) -> None:
        """Have a worker run this soon. Never waits.

        Raises:
            trio.WouldBlock: more waits than the capacity: a mistake of the poster.
        """
        if self._is_closed:
            work.handed_back()
            return
        self._send.send_nowait(work)
        if self._idle:
            self._idle -= 1
            self._coming += 1
        else:
            self._waiting += 1
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
        """Hand back all work that has not begun, and all that is posted from now on. Idempotent."""
        self._is_closed = True
        while True:
            try:
                work = self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                self._waiting = 0
                return
            work.handed_back()

    # --- a worker ---------------------------------------------------------------------

    async def _work(self) -> None:
        self._coming -= 1
        self._workers += 1
        task = trio.lowlevel.current_task()
        try:
            while await self._serve(task):  # each pass is the life of one cancel scope
                pass
        except BaseException:
            # The nursery is cancelled, or was told to end: work that waits would wait for ever.
            self.close()
            raise
        finally:
            self._workers -= 1

    async def _serve(self, task: trio.lowlevel.Task) -> bool:
        """Run work until the scope cannot be used again (True), or this worker is not needed (False)."""
        await trio.lowlevel.checkpoint_if_cancelled()  # takes nothing more in a nursery that was cancelled
        outside = task._cancel_status
        stopped: bool | _Judged = True  # stays so where the scope was cancelled behind the back of the work
        disorder: RuntimeError | None = None
        try:
            with trio.CancelScope() as scope:
                stopped = await self._serve_in(scope, task)
        except RuntimeError as exc:
            if not isinstance(stopped, _Judged):
                raise
            disorder = exc  # the work closed scopes that are not its own, or left some open
        if not isinstance(stopped, _Judged):
            return stopped
        can_go_on = task._cancel_status is outside  # else the work has closed the scope, and opened one of its own
        await self._judge(stopped.work, stopped.failure or disorder, scope, task, can_park=can_go_on)
        if not can_go_on and self._waiting and not self._coming:
            self._start()
        return can_go_on

    async def _serve_in(self, scope: trio.CancelScope, task: trio.lowlevel.Task) -> bool | _Judged:
        """Do the same within one scope; return a piece of work that must be judged outside of it."""
        inside = task._cancel_status
        done = 0
        while True:
            done += 1
            if self._is_tainted():
                task.context = self._base.copy()  # from the next step on
                if self._waiting:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                done = 0
            elif done > TURN:
                await trio.lowlevel.cancel_shielded_checkpoint()
                done = 0
            work = self._next()
            if work is None:
                if self._idle >= MOST_IDLE:
                    return False
                work = await self._wait()
                if self._is_closed:
                    work.handed_back()
                    return False
                done = 0
            if self._waiting and not self._coming:
                self._start()
            work.scope = scope
            try:
                await work.run()
            except BaseException as exc:  # noqa: BLE001 - judged outside of the scope of the work
                return _Judged(work, exc)
            if task._cancel_status is not inside or task.child_nurseries:
                return _Judged(work, None)
            used_up = work.finished()
            work.scope = None
            work.left()
            self._one_done()
            if used_up:
                return True

    async def _wait(self) -> Work:
        """Wait for work. This worker is idle meanwhile."""
        self._idle += 1
        try:
            work = await self._receive.receive()
        except BaseException:
            if self._idle:
                self._idle -= 1
            else:  # cancelled, and posted to before it could run: that work is in the channel
                self._coming -= 1
                self._waiting += 1
            raise
        self._coming -= 1
        return work

    async def _judge(
        self,
        work: Work,
        failure: BaseException | None,
        scope: trio.CancelScope,
        task: trio.lowlevel.Task,
        *,
        can_park: bool,
    ) -> None:
        """Tell a piece of work how it failed, and clean up behind it. Runs outside of its scope.

        Raises:
            KeyboardInterrupt: the work raised it.
        """
        is_cancelled = scope.cancel_called or trio.current_effective_deadline() == -math.inf
        error = failure if failure is None or not is_cancelled else _without_cancelled(failure)
        interrupt = _interrupt_in(failure)
        if interrupt is None and error is not None:
            work.failed(ScopesLeftOpen() if _is_misnesting(error) else error)
        work.finished()
        work.scope = None
        try:
            if task.child_nurseries and interrupt is None and can_park:
                await self._park(task)
        finally:
            work.left()
            self._one_done()
        if interrupt is not None:
            raise interrupt

    async def _park(self, task: trio.lowlevel.Task) -> None:
        """Wait until the nurseries that a handler left open in this task are gone: a task cannot end before them."""
        if not self._coming and self._waiting:
            self._start()
        nurseries = task.child_nurseries
        for nursery in nurseries:
            nursery.cancel_scope.cancel()
            # As Trio does for a task that ends. Another task that leaves this nursery, such as the one that closes
            # abandoned generators, then does not wait in it: Trio would wake this task in its place, and crash.
            nursery._closed = True
        for _ in range(PATIENCE):
            await trio.lowlevel.checkpoint()
            if not _are_open(nurseries, task):
                return
        self.parked += 1
        try:
            while _are_open(nurseries, task):
                await self._released.wait()
        finally:
            self.parked -= 1

    def _next(self) -> Work | None:
        if not self._waiting:
            return None
        self._waiting -= 1
        return self._receive.receive_nowait()

    def _one_done(self) -> None:
        self.done += 1
        if self.parked:  # an occasion to look again
            self._released.set()
            self._released = trio.Event()

    def _is_tainted(self) -> bool:
        """Whether the work that has just ended changed the context of its worker."""
        try:
            return contextvars.copy_context() != self._base
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - a value that cannot be compared is one that a handler has set
            return True

    def snapshot(self) -> PoolSnapshot:
        """Take a snapshot of the pool."""
        return PoolSnapshot(self.name, self._waiting, self._workers, self._idle, self.parked, self.done)


def _without_cancelled(exc: BaseException) -> BaseException | None:
    """The part of an exception that is not the cancellation of the work."""
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(trio.Cancelled)[1]
    return None if isinstance(exc, trio.Cancelled) else exc


def _interrupt_in(exc: BaseException | None) -> BaseException | None:
    """The part of an exception that must not be contained: Ctrl-C."""
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(KeyboardInterrupt)[0]
    return exc if isinstance(exc, KeyboardInterrupt) else None


def _are_open(nurseries: list[trio.Nursery], task: trio.lowlevel.Task) -> bool:
    return bool(task.child_nurseries) or any(nursery.child_tasks for nursery in nurseries)


def _is_misnesting(exc: BaseException) -> bool:
    return isinstance(exc, RuntimeError) and "stack corrupted" in str(exc)


def without_leaks(group: BaseExceptionGroup[BaseException]) -> BaseExceptionGroup[BaseException] | None:
    """The part of a nursery's exception that is not about nurseries which handlers have left open for good.

    Trio raises for each worker that was cancelled with such a nursery. The handler was told of it when it ended.
    """
    return group.split(_is_leak)[1]


def _is_leak(exc: BaseException) -> bool:
    return _is_misnesting(exc) and isinstance(exc.__context__, trio.Cancelled)
