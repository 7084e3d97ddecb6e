"""Tasks as 2025-11-25 has them in its core (basic/utilities/tasks); an extension after that."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trimcp.types.pagination import PaginatedResult
from trimcp.types.payload import RequestParams, Result, TaskMetadata

TaskStatus = Literal["working", "input_required", "completed", "failed", "cancelled"]
"""The last three are final."""


@attrs.define
class RelatedTaskMetadata:
    """In `_meta` (`RELATED_TASK`): the task that a message belongs to."""

    task_id: str
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class TaskAugmentedRequestParams(RequestParams):
    """The params of a request that may be a task."""

    task: TaskMetadata | None = None


@attrs.define
class Task:
    """How a task stands.

    Attributes:
        task_id: what it is asked about by.
        status: how far it is.
        created_at: ISO 8601.
        last_updated_at: ISO 8601.
        ttl: how long it is kept after its creation, in milliseconds; None is null, without limit.
        poll_interval: how long to wait before asking again, in milliseconds.
        status_message: how it stands, for people.
    """

    task_id: str
    status: TaskStatus
    created_at: str
    last_updated_at: str
    ttl: int | None
    poll_interval: int | None = None
    status_message: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class CreateTaskResult(Result):
    """The answer to a request that became a task."""

    task: Task


@attrs.define
class TaskRequestParams(RequestParams):
    """A request about one task."""

    task_id: str


@attrs.define
class GetTaskResult(Task):
    """How a task stands, as a result."""

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.define
class CancelTaskResult(Task):
    """How a cancelled task stands."""

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.define
class GetTaskPayloadResult(Result):
    """The result of the request that became the task: all of it is in `extra`."""


@attrs.define
class ListTasksResult(PaginatedResult):
    """One page of the receiver's tasks."""

    tasks: list[Task]


@attrs.define
class TaskStatusNotificationParams(Task):
    """A task stands otherwise than before."""

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)
