"""How clients and requests learn that a task has changed: as observers of all tasks, or by waiting for one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

import trio

from trimcp.extensions.tasks.streams import TaskStream
from trimcp.extensions.tasks.wire import detailed_json
from trimcp.stores.task_store import TaskRecord
from trimcp.types.revisions import BY_VERSION
from trimcp.types.task_extension import IDENTIFIER, STATUS, TASK_IDS

if TYPE_CHECKING:
    from trimcp.server.features.subscriptions.bus import SubscriptionBus


LEAST_TOLD: Final = 64
"""Versions that are remembered at least; those of tasks that no listen watches are dropped when there are more."""


class TaskObserver(Protocol):
    """Tells clients and other nodes that a task has changed. Its methods never wait."""

    def changed(self, record: TaskRecord, stream: TaskStream | None) -> None:
        """Tell of a change that was made here. `stream`: of the work, if it runs here for a session."""
        ...


class ClientNotifier:
    """Notifies the clients of this node that tasks have changed. See `TaskObserver`.

    Each other node reads the task and notifies its own clients, so that a result does not cross the bus.
    """

    def __init__(self, subscriptions: SubscriptionBus) -> None:
        self._subscriptions = subscriptions
        self._told: dict[str, float] = {}
        """The newest version that was told of each task that a listen watches, and of some others."""
        self._most = LEAST_TOLD

    def changed(self, record: TaskRecord, stream: TaskStream | None) -> None:
        """Notify the session that asked for the task (2025-11-25), or the listens of its id (2026-07-28)."""
        revision = BY_VERSION.get(record.revision)
        if revision is None:
            return  # of a newer version of trimcp
        if stream is not None:
            stream.tell_status(record)
        elif not revision.server_asks:
            watched = TASK_IDS, record.id
            if not self._subscriptions.is_watched(watched):
                return
            self._remember(record)
            self._subscriptions.notify(IDENTIFIER, STATUS, detailed_json(record), watched, everywhere=False)

    def found(self, record: TaskRecord) -> None:
        """Notify the listens of a task if they were not told of this version."""
        if record.version > self._told.get(record.id, -1):
            self.changed(record, None)

    def has_told_end(self, id: str) -> bool:
        """Whether the listens of a task know that it has ended."""
        return self._told.get(id) == math.inf

    def _remember(self, record: TaskRecord) -> None:
        self._told[record.id] = math.inf if record.is_final else record.version
        if len(self._told) > self._most:
            watched = self._subscriptions.watched_keys(TASK_IDS)
            self._told = {id: self._told[id] for id in watched if id in self._told}
            self._most = max(2 * len(self._told), LEAST_TOLD)


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
