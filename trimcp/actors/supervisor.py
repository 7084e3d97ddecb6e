"""The supervisor: the one nursery of its actors, which starts them, ends them, and empties their mailboxes.

No task of an actor outlives the `async with` of its supervisor. An actor that fails ends its supervisor,
and with it all the others: their states belong together and could not be rebuilt one by one.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from trimcp.actors.actor import Actor
from trimcp.actors.worker_pool import WorkerPool, without_leaks

if TYPE_CHECKING:
    from trimcp.actors.snapshots import SupervisorSnapshot

M = TypeVar("M")
A = TypeVar("A", bound=Actor[Any])


class Supervisor:
    """Owns a nursery and the actors in it. Made by `open_supervisor`, or before its nursery is open."""

    nursery: trio.Nursery
    """Unset until it is open."""

    def __init__(self, name: str, open_soon: Callable[[], object] | None = None) -> None:
        """
        Args:
            name: of its tasks.
            open_soon: starts the task that opens the nursery. Called once, when the first actor needs a task, or by
                `begin`.
        """
        self.name: str = name
        self._open_soon = open_soon
        self._waiting: list[Callable[[], object]] | None = []
        """Starts the tasks that wait for the nursery; None when it is open."""
        self._context = contextvars.copy_context()  # of the supervisor: an actor does not run in its sender's context
        self._actors: dict[Actor[Any], None] = {}
        self._pools: list[WorkerPool] = []
        self._is_ending = False

    # --- the nursery ------------------------------------------------------------------

    def begin(self) -> None:
        """Have the nursery opened soon, unless it was. Idempotent.

        Raises:
            RuntimeError: the nursery of the task that would open it has closed.
        """
        open_soon, self._open_soon = self._open_soon, None
        if open_soon is not None:
            open_soon()

    def opened(self, nursery: trio.Nursery) -> None:
        """Take the nursery, and start the tasks that wait for it."""
        self.nursery, self._open_soon = nursery, None
        waiting, self._waiting = self._waiting or [], None
        for start in waiting:
            start()

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object, name: str) -> None:
        """Start a task in the nursery; where that is not open yet, once it is.

        Raises:
            RuntimeError: the nursery has closed.
        """
        if self._waiting is None:
            self.nursery.start_soon(function, *args, name=name)
        else:
            self.begin()
            context = contextvars.copy_context()
            self._waiting.append(functools.partial(context.run, self.start_soon, function, *args, name=name))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks in the nursery."""
        return tuple(sorted(task.name for task in self.nursery.child_tasks)) if self._waiting is None else ()

    @property
    def is_open(self) -> bool:
        """Whether the nursery is or was open."""
        return self._waiting is None

    # --- its actors -------------------------------------------------------------------

    def add(self, actor: A) -> A:
        """Take charge of an actor, which gets its task here and is ended here. Returns the actor.

        An actor whose `run` has returned leaves.
        """
        self._actors[actor] = None
        return actor

    def open_pool(self, name: str, capacity: int) -> WorkerPool:
        """Make a pool whose workers live in this nursery. See `WorkerPool` for the parameters."""
        pool = self._context.copy().run(WorkerPool, f"{self.name}: {name}", self.nursery, capacity)
        self._pools.append(pool)
        if self._is_ending:
            pool.close()
        return pool

    # --- Owner ------------------------------------------------------------------------

    def start(self, actor: Actor[M]) -> bool:
        """See `Owner`."""
        if self._is_ending:
            return False
        try:
            self._context.copy().run(self._start, actor)
        except RuntimeError:  # the nursery has closed: its last task has ended, and this one comes a moment later
            return False
        return True

    def _start(self, actor: Actor[M]) -> None:
        self.start_soon(self._run, actor, name=f"{self.name}: {actor.name}")

    async def _run(self, actor: Actor[M]) -> None:
        actor.task = trio.lowlevel.current_task()
        try:
            await actor.run()
        finally:
            actor.task = None
            actor.end()
            if not self._is_ending:
                self._actors.pop(actor, None)  # it has ended by itself: an owner may have many, one after the other

    def fail(self, error: BaseException) -> None:
        """See `Owner`."""
        try:
            self.start_soon(_raise, error, name=f"{self.name}: failure")
        except RuntimeError:
            raise error from None

    # --- the end ----------------------------------------------------------------------

    def stop(self, *order: Actor[Any]) -> None:
        """End the actors, first these in this order, then the pools, then every other task.

        Each actor handles the messages that wait for it; messages that come later are handled in the turn of their
        sender. An actor that calls this while it handles a message does so afterwards. Never waits. Idempotent.
        """
        self._is_ending = True
        for actor in (*order, *self._actors):
            actor.end()
        for pool in self._pools:
            pool.close()
        self.nursery.cancel_scope.cancel()

    def worker_in(self, scope: trio.CancelScope) -> trio.lowlevel.Task | None:
        """Return the worker of a pool here that runs its work in this scope, if there is one."""
        return next((pool.tasks[scope] for pool in self._pools if scope in pool.tasks), None)

    def snapshot(self) -> SupervisorSnapshot:
        """Take a snapshot of the supervisor."""
        from trimcp.actors.snapshots import SupervisorSnapshot

        return SupervisorSnapshot(
            self.name,
            tuple(actor.snapshot() for actor in self._actors),
            tuple(pool.snapshot() for pool in self._pools),
            self.tasks,
        )


async def _raise(error: BaseException) -> None:
    raise error


@asynccontextmanager
async def open_supervisor(name: str, supervisor: Supervisor | None = None) -> AsyncIterator[Supervisor]:
    """Open a supervisor with a nursery of its own; `supervisor`: one that was made before.

    When the block ends, however it does, the supervisor stops, and every message that was told has been handled.

    Raises:
        BaseExceptionGroup: the exceptions of actors, as a nursery raises them.
    """
    try:
        async with trio.open_nursery() as nursery:
            supervisor = supervisor or Supervisor(name)
            supervisor.opened(nursery)
            try:
                yield supervisor
            finally:
                supervisor.stop()
    except BaseExceptionGroup as group:
        rest = without_leaks(group)
        if rest is not None:
            raise rest from None
