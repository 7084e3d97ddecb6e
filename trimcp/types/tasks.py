"""Tasks of 2025-11-25 (basic/utilities/tasks); later revisions have them as an extension."""

from typing import Any, Literal

import attrs

from trimcp.types.fields import Extensible
from trimcp.types.payload import PaginatedResult, RequestParams, Result, TaskMetadata

TaskStatus = Literal["working", "input_required", "completed", "failed", "cancelled"]
"""The last three are final."""


@attrs.define(eq=False, repr=False)
class RelatedTaskMetadata(Extensible):
    """The task of a message, in its `_meta` (`RELATED_TASK`)."""

    task_id: str


@attrs.define(eq=False, repr=False)
class TaskAugmentedRequestParams(RequestParams):
    """The params of a request that may be a task."""

    task: TaskMetadata | None = None


@attrs.define(eq=False, repr=False)
class Task(Extensible):
    """The state of a task.

    Attributes:
        task_id: its id.
        status: its status.
        created_at: the time of its creation, in ISO 8601.
        last_updated_at: the time of its last change, in ISO 8601.
        ttl: the time for which it is kept after its creation, in milliseconds; None is null: no limit.
        poll_interval: the time to wait between polls, in milliseconds.
        status_message: its status, for people.
    """

    task_id: str
    status: TaskStatus
    created_at: str
    last_updated_at: str
    ttl: int | None
    poll_interval: int | None = None
    status_message: str | None = None


@attrs.define(eq=False, repr=False)
class CreateTaskResult(Result):
    """The result of a request that became a task."""

    task: Task


@attrs.define(eq=False, repr=False)
class TaskRequestParams(RequestParams):
    """A request about one task."""

    task_id: str


@attrs.define(eq=False, repr=False)
class GetTaskResult(Task):
    """The state of a task, as a result."""

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.define(eq=False, repr=False)
class CancelTaskResult(Task):
    """The state of a cancelled task."""

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.define(eq=False, repr=False)
class GetTaskPayloadResult(Result):
    """The result of the request that became the task, all in `extra`."""


@attrs.define(eq=False, repr=False)
class ListTasksResult(PaginatedResult):
    """One page of the receiver's tasks."""

    tasks: list[Task]


@attrs.define(eq=False, repr=False)
class TaskStatusNotificationParams(Task):
    """The state of a task has changed."""

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)
