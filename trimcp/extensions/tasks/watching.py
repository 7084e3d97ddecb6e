"""How to learn that a task has changed: as an observer of all, or by waiting for one."""

from __future__ import annotations

from typing import Protocol

import trio

from trimcp.extensions.tasks.streams import TaskStream
from trimcp.stores.task_store import TaskRecord


class TaskObserver(Protocol):
    """Tells clients and other nodes that a task has changed. Its methods never wait."""

    def changed(self, record: TaskRecord, stream: TaskStream | None) -> None:
        """Tell of a change that was made here. `stream`: of the work, if it runs here for a session."""
        ...


class TaskWatch:
    """Lets one request wait for changes of a task."""

    def __init__(self, id: str) -> None:
        self.id: str = id
        self._changed = trio.Event()

    def tell(self) -> None:
        """Wake the request: the task has changed."""
        self._changed.set()

    async def wait(self, seconds: float) -> None:
        """Wait for the next change, but no longer than `seconds`."""
        with trio.move_on_after(seconds):
            await self._changed.wait()
        self._changed = trio.Event()
