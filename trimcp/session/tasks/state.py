"""`TaskState`: the state of a task as the peer last told it, the same in both revisions that have tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from trimcp.errors import TaskCancelled
from trimcp.types.task_extension import ExtensionTask
from trimcp.types.tasks import Task, TaskStatus

FINAL: Final[frozenset[TaskStatus]] = frozenset(("completed", "failed", "cancelled"))
"""The statuses that never change again."""
USUAL_INTERVAL: Final = 1.0
"""Seconds between two polls where the peer suggests none."""
LEAST_INTERVAL: Final = 0.05
"""Seconds between two polls where the peer suggests less."""


@attrs.frozen(kw_only=True)
class TaskState:
    """The state of a task, as the peer last told it.

    Attributes:
        id: of the task.
        status: `working`, `input_required`, `completed`, `failed` or `cancelled`.
        message: the status in words, if the peer gives any.
        created_at: the time of its creation, in ISO 8601.
        updated_at: the time of its last change, in ISO 8601.
        ttl: seconds after its creation for which the peer keeps it; None: without a limit.
        poll_interval: seconds that the peer wants between two polls; None: it suggests none.
        raw: the object of `trimcp.types` that the peer sent.
    """

    id: str
    status: TaskStatus
    message: str | None = None
    created_at: str
    updated_at: str
    ttl: float | None
    poll_interval: float | None = None
    raw: Task | ExtensionTask = attrs.field(repr=False, eq=False)

    @property
    def is_final(self) -> bool:
        """Whether the task has ended: its status never changes again."""
        return self.status in FINAL

    @property
    def interval(self) -> float:
        """Seconds to wait before the next poll."""
        return USUAL_INTERVAL if self.poll_interval is None else max(self.poll_interval, LEAST_INTERVAL)

    @property
    def questions(self) -> Mapping[str, dict[str, Any]]:
        """The questions that wait for answers, by key; only servers of 2026-07-28 send them with the state."""
        return getattr(self.raw, "input_requests", None) or {}


def state_of(task: Task | ExtensionTask) -> TaskState:
    """Return the state that an object of `trimcp.types` tells of."""
    ttl, interval = (task.ttl, task.poll_interval) if isinstance(task, Task) else (task.ttl_ms, task.poll_interval_ms)
    return TaskState(
        id=task.task_id,
        status=task.status,
        message=task.status_message,
        created_at=task.created_at,
        updated_at=task.last_updated_at,
        ttl=None if ttl is None else ttl / 1000,
        poll_interval=None if interval is None else interval / 1000,
        raw=task,
    )


def cancelled(state: TaskState) -> TaskCancelled:
    """Return the error for the result of a cancelled task."""
    return TaskCancelled(state.id, state.message)
