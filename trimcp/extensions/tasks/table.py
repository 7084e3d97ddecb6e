"""The table of tasks: calls of the task store, with deadlines, and steps of tasks by compare-and-set."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

from trimcp.actors.supervisor import Supervisor
from trimcp.errors import RequestFailed
from trimcp.extensions.tasks import lifecycle
from trimcp.observability import events, log
from trimcp.session.refusals import retry_data, store_unavailable
from trimcp.stores.contained import (
    MOST_SHARED_CALLS,
    READ_SECONDS,
    WRITE_SECONDS,
    DirectCalls,
    StoreCalls,
    StoreFailed,
    log_failure,
    open_calls,
)
from trimcp.stores.task_store import TaskRecord, TaskStore
from trimcp.types.jsonrpc import BUSY, INTERNAL_ERROR

MOST_DISCARDED: Final = 10_000
"""Tasks to discard that are remembered while the store does not answer."""
Step = Callable[[TaskRecord], TaskRecord | None]
"""A step of the life of a task: returns the next record, or None where nothing changes."""


class TaskTable:
    """Reads and changes the records of tasks."""

    def __init__(self, store: TaskStore, supervisor: Supervisor) -> None:
        """`supervisor`: of the workers that call a store of the user."""
        self._store = store
        self._calls: StoreCalls = open_calls(store, "task store", supervisor, MOST_SHARED_CALLS)
        self._discarded: dict[str, None] = {}
        """Ids of tasks to discard, of which the store did not say whether it has them."""

    async def create(self, record: TaskRecord, most: int) -> bool:
        """Keep a new task. Returns False where its principal has `most` already.

        Raises:
            RequestFailed: the store failed. The task may have been kept, and nothing knows its id.
        """
        create = functools.partial(self._store.create, most=most)
        return await self._call(WRITE_SECONDS, create, record) is True

    async def find(self, id: str) -> TaskRecord | None:
        """Return a task.

        Raises:
            RequestFailed: the store failed.
        """
        return _checked(await self._call(READ_SECONDS, self._store.find, id))

    async def list(self, principal: str, after: str | None, limit: int) -> Sequence[TaskRecord]:
        """Return tasks of a principal, in the order of their creation.

        Raises:
            KeyError: the store cannot place `after`.
            RequestFailed: the store failed.
        """
        found: Sequence[TaskRecord] = await self._call(READ_SECONDS, self._store.list, principal, after, limit)
        return found

    async def unfinished(self, incarnation: int) -> Sequence[TaskRecord]:
        """Return the tasks of a node that have not ended.

        Raises:
            RequestFailed: the store failed.
        """
        found: Sequence[TaskRecord] = await self._call(READ_SECONDS, self._store.unfinished, incarnation)
        return found

    async def change(self, record: TaskRecord, step: Step) -> tuple[TaskRecord | None, bool]:
        """Take a step of the life of a task; where another was faster, take it from there.

        Args:
            record: the newest one that is known.
            step: may be called several times.

        Returns:
            The newest record, None where the task is gone; and whether this step has changed it.

        Raises:
            RequestFailed: the store failed. The step may have been taken.
        """
        newest: TaskRecord | None = record
        while newest is not None:
            changed = step(newest)
            if changed is None or changed is newest:
                return newest, False
            updated = _checked(await self._call(WRITE_SECONDS, self._store.update, changed))
            if updated is not None:
                return updated, True
            newest = await self.find(newest.id)
        return None, False

    async def discard(self, record: TaskRecord) -> None:
        """Cancel a task that no client knows of. Where the store fails, it is tried again by `discard_again`."""
        try:
            await self.change(record, _cancelled)
        except RequestFailed:
            if len(self._discarded) < MOST_DISCARDED:
                self._discarded[record.id] = None

    async def discard_again(self) -> None:
        """Cancel the tasks that could not be discarded.

        Raises:
            RequestFailed: the store failed.
        """
        for id in tuple(self._discarded):
            del self._discarded[id]
            try:
                record = await self.find(id)
                if record is not None:
                    await self.change(record, _cancelled)
            except BaseException:
                self._discarded[id] = None  # behind the others
                raise

    def is_discarded(self, id: str) -> bool:
        """Whether a task could not be discarded yet."""
        return id in self._discarded

    def leave_pool(self) -> None:
        """Call the store in the task that asks from now on: the run ends, and its workers with it."""
        self._calls = DirectCalls()

    async def _call(self, seconds: float, method: Callable[..., Any], *args: Any) -> Any:
        try:
            return await self._calls.call(seconds, method, *args)
        except StoreFailed as exc:
            if isinstance(exc.__cause__, KeyError):
                raise exc.__cause__ from None
            log_failure(exc)
            raise store_unavailable() from None


def _cancelled(record: TaskRecord) -> TaskRecord | None:
    return lifecycle.cancelled(record, lifecycle.now())


def busy(problem: str) -> RequestFailed:
    """Make the error for a request that has no room; `problem` says which limit is reached."""
    return RequestFailed(BUSY, f"Busy: {problem}", retry_data("busy"))


def _checked(found: object) -> TaskRecord | None:
    if found is not None and not isinstance(found, TaskRecord):
        log.error(events.STORE_FAILED, why="the task store returned an invalid value: return a TaskRecord, or None")
        raise RequestFailed(INTERNAL_ERROR, "Internal error")
    return found
