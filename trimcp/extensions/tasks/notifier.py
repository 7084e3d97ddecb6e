"""Notifies the clients of this node that tasks have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.extensions.tasks.streams import TaskStream
from trimcp.extensions.tasks.wire import detailed_json
from trimcp.stores.task_store import TaskRecord
from trimcp.types.revisions import BY_VERSION
from trimcp.types.task_extension import IDENTIFIER, STATUS, TASK_IDS

if TYPE_CHECKING:
    from trimcp.server.features.subscriptions.bus import SubscriptionBus


class ClientNotifier:
    """Notifies the clients of this node that tasks have changed. See `TaskObserver`.

    Each other node reads the task and notifies its own clients, so that a result does not cross the bus.
    """

    def __init__(self, subscriptions: SubscriptionBus) -> None:
        self._subscriptions = subscriptions

    def changed(self, record: TaskRecord, stream: TaskStream | None) -> None:
        """Notify the session that asked for the task (2025-11-25), or the listens of its id (2026-07-28)."""
        revision = BY_VERSION.get(record.revision)
        if revision is None:
            return  # of a newer version of trimcp
        if stream is not None:
            stream.tell_status(record)
        elif not revision.server_asks:
            watched = TASK_IDS, record.id
            self._subscriptions.notify(IDENTIFIER, STATUS, detailed_json(record), watched, everywhere=False)
