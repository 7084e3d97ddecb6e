"""Tasks of 2026-07-28: the extension `io.modelcontextprotocol/tasks`, its methods and their payloads.

A server answers `tools/call` with a task if it wants to; results, errors and questions of the task are inline in its
state. The tasks of 2025-11-25, which the client asks for, are in `trimcp.types.tasks`.
"""

from typing import Any, ClassVar, Final

import attrs

from trimcp.types.extensions import ExtensionMethod, ExtensionNotification, ExtensionResult
from trimcp.types.payload import RequestParams, Result
from trimcp.types.tasks import TaskRequestParams, TaskStatus

IDENTIFIER: Final = "io.modelcontextprotocol/tasks"
"""The identifier of the extension."""
TASK_IDS: Final = "taskIds"
"""The topic of `subscriptions/listen` whose keys are ids of tasks."""
REVISIONS: Final = ("2026-07-28",)
"""The revisions that have the extension; 2025-11-25 has tasks in its core."""


@attrs.define(eq=False, repr=False)
class ExtensionTask(Result):
    """The state of a task.

    Attributes:
        task_id: its id.
        status: its status.
        created_at: the time of its creation, in ISO 8601.
        last_updated_at: the time of its last change, in ISO 8601.
        ttl_ms: the time for which it is kept after its creation, in milliseconds; None is null: no limit.
        poll_interval_ms: the time to wait between polls, in milliseconds.
        status_message: its status, for people.
    """

    task_id: str
    status: TaskStatus
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int | None = None
    status_message: str | None = None


@attrs.define(eq=False, repr=False)
class CreatedTask(ExtensionTask):
    """The result of a request that the server made a task (`CreateTaskResult` of the extension)."""

    result_type: ClassVar[str | None] = "task"


@attrs.define(eq=False, repr=False)
class DetailedTask(ExtensionTask):
    """The state of a task with the payload of its status: the result of `tasks/get`.

    `notifications/tasks` has the same members, without `resultType`.

    Attributes:
        input_requests: with the status `input_required`: all questions that wait for answers, by key.
        result: with the status `completed`: the result of the request, as a raw JSON object.
        error: with the status `failed`: the JSON-RPC error of the request.
    """

    input_requests: dict[str, dict[str, Any]] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@attrs.define(eq=False, repr=False)
class UpdateTaskParams(RequestParams):
    """The params of `tasks/update`.

    Attributes:
        task_id: the task.
        input_responses: answers to questions of the task, by key; some of them may be missing.
    """

    task_id: str
    input_responses: dict[str, dict[str, Any]]


CREATED: Final = ExtensionResult(CreatedTask, ["tools/call"])
GET: Final = ExtensionMethod("tasks/get", TaskRequestParams, DetailedTask, named_by="taskId")
UPDATE: Final = ExtensionMethod("tasks/update", UpdateTaskParams, Result, named_by="taskId")
CANCEL: Final = ExtensionMethod("tasks/cancel", TaskRequestParams, Result, named_by="taskId")
STATUS: Final[ExtensionNotification[dict[str, Any]]] = ExtensionNotification("notifications/tasks", dict)
"""Its params are those of a `DetailedTask`, as the result of `tasks/get` has them."""
