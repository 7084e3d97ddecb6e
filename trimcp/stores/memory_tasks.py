"""Tasks in memory."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence

import trio

from trimcp.stores.record_versions import replacement
from trimcp.stores.task_store import TaskRecord, TaskStore


class MemoryTaskStore(TaskStore):
    """Keeps tasks in this process."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """`clock`: returns the time, in seconds since the epoch."""
        self._clock = clock
        self._records: dict[str, TaskRecord] = {}
        self._ids: dict[str | None, dict[str, None]] = {}
        """Principal to the ids of its tasks, in the order of their creation."""
        self._ends: list[tuple[float, str]] = []
        """A heap of times at which a task may have expired."""

    async def create(self, record: TaskRecord, *, most: int) -> bool:
        """See `TaskStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        if record.id in self._records:
            raise ValueError("there is a task with that id already")
        if len(self._ids.get(record.principal, ())) >= most:
            return False
        self._ids.setdefault(record.principal, {})[record.id] = None
        self._put(record)
        return True

    async def find(self, id: str) -> TaskRecord | None:
        """See `TaskStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        return self._records.get(id)

    async def update(self, record: TaskRecord) -> TaskRecord | None:
        """See `TaskStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        updated = replacement(self._records.get(record.id), record)
        if updated is not None:
            self._put(updated)
        return updated

    async def list(self, principal: str | None, after: str | None, limit: int) -> Sequence[TaskRecord]:
        """See `TaskStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        ids = tuple(self._ids.get(principal, ()))
        if after is not None and after not in self._ids.get(principal, ()):
            raise KeyError(after)
        start = 0 if after is None else ids.index(after) + 1
        return [self._records[id] for id in ids[start : start + limit]]

    async def unfinished(self, incarnation: int) -> Sequence[TaskRecord]:
        """See `TaskStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        return [
            record for record in self._records.values() if record.incarnation == incarnation and not record.is_final
        ]

    def _put(self, record: TaskRecord) -> None:
        before = self._records.get(record.id)
        self._records[record.id] = record
        end = record.expires_at
        if end is not None and (before is None or before.expires_at != end):
            heapq.heappush(self._ends, (end, record.id))

    def _expire(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            _, id = heapq.heappop(self._ends)
            record = self._records.get(id)
            if record is None or record.expires_at is None or record.expires_at > now:
                continue  # its time to live was extended
            del self._records[id]
            ids = self._ids[record.principal]
            del ids[id]
            if not ids:
                del self._ids[record.principal]
