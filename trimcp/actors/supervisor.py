"""The supervisor: the one nursery of its actors, which starts them, ends them, and empties their mailboxes.

No task of an actor outlives the `async with` of its supervisor. An actor that fails ends its supervisor,
and with it all the others: their states belong together and could not be rebuilt one by one.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator
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
    """Owns a nursery and the actors in it. Made by `open_supervisor`."""

    def __init__(self, name: str, nursery: trio.Nursery) -> None:
        self.name: str = name
        self.nursery: trio.Nursery = nursery
        self._context = contextvars.copy_context()  # of the supervisor: an actor does not run in its sender's context
        self._actors: dict[Actor[Any], None] = {}
        self._pools: list[WorkerPool] = []
        self._is_ending = False

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
        self.nursery.start_soon(self._run, actor, name=f"{self.name}: {actor.name}")

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
            self.nursery.start_soon(_raise, error, name=f"{self.name}: failure")
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
            tuple(sorted(task.name for task in self.nursery.child_tasks)),
        )


async def _raise(error: BaseException) -> None:
    raise error


@asynccontextmanager
async def open_supervisor(name: str) -> AsyncIterator[Supervisor]:
    """Open a supervisor with a nursery of its own.

    When the block ends, however it does, the supervisor stops, and every message that was told has been handled.

    Raises:
        BaseExceptionGroup: the exceptions of actors, as a nursery raises them.
    """
    try:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(name, nursery)
            try:
                yield supervisor
            finally:
                supervisor.stop()
    except BaseExceptionGroup as group:
        rest = without_leaks(group)
        if rest is not None:
            raise rest from None
