"""`ReceivedTasks`: the tasks that a server of 2025-11-25 has this client run: sampling and elicitation.

They live as long as the client. The functions that `connect` was given do the work.
(basic/utilities/tasks of 2025-11-25)
"""

from __future__ import annotations

import datetime
import secrets
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import attrs
import trio

from trimcp.actors.containment import contained
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidParams, RequestFailed
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.session.job import Jobs, ServerJob
from trimcp.types.jsonrpc import BUSY, INTERNAL_ERROR, TASK_CANCELLED
from trimcp.types.metadata import RELATED_TASK
from trimcp.types.revisions import LATEST_LEGACY
from trimcp.types.tasks import (
    CancelTaskResult,
    CreateTaskResult,
    GetTaskPayloadResult,
    GetTaskResult,
    ListTasksResult,
    Task,
    TaskStatusNotificationParams,
)

if TYPE_CHECKING:
    from trimcp.client.features.client_features import ClientFeatures
    from trimcp.types.payload import PaginatedRequestParams, TaskMetadata
    from trimcp.types.tasks import TaskRequestParams, TaskStatus

MOST: Final = 32
"""Tasks of one client, those included that have ended and are kept: one more is refused."""
USUAL_TTL: Final = 3_600_000
"""Milliseconds for which a task is kept, where the server does not say."""
LONGEST_TTL: Final = 86_400_000
"""Milliseconds for which a task is kept at most."""
POLL_INTERVAL: Final = 1000
"""Milliseconds that the server is to wait between polls."""
STATUS: Final = "notifications/tasks/status"

S = TypeVar("S", bound=Task)


class Notifier(Protocol):
    """The client of the tasks: it has the connection to the server."""

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification to the server, if there is a connection. Never waits."""
        ...


@attrs.define(eq=False)
class ReceivedTask:
    """One task that this client runs."""

    method: str
    state: Task
    deadline: float
    """When it is forgotten, on Trio's clock."""
    job: ServerJob | None = None
    result: dict[str, Any] | None = None
    error: RequestFailed | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)


class ReceivedTasks:
    """Runs tasks for the server of one client. The functions that change them do not wait."""

    def __init__(self, features: ClientFeatures, notifier: Notifier) -> None:
        self._jobs = Jobs(features.supervisor, MOST)
        self._features = features
        self._notifier = notifier
        self._tasks: dict[str, ReceivedTask] = {}
        self._codec = codec_for(LATEST_LEGACY)

    def create(self, method: str, params: Any, asked: TaskMetadata) -> CreateTaskResult:
        """Begin a task.

        Raises:
            RequestFailed: there are too many.
        """
        self._forget_expired()
        if len(self._tasks) >= MOST:
            raise RequestFailed(BUSY, f"Busy: this client keeps {MOST} tasks: try again when one has expired")
        ttl = USUAL_TTL if asked.ttl is None else max(0, min(asked.ttl, LONGEST_TTL))
        now = _now()
        state = Task(secrets.token_urlsafe(24), "working", now, now, ttl, POLL_INTERVAL)
        task = ReceivedTask(method, state, trio.current_time() + ttl / 1000)
        self._tasks[state.task_id] = task
        task.job = self._jobs.start(lambda: self._run(task, params), name=f"task of {method}")
        return CreateTaskResult(attrs.evolve(state))

    def get(self, params: TaskRequestParams) -> GetTaskResult:
        """Answer `tasks/get`."""
        return _as(GetTaskResult, self._find(params.task_id).state)

    def list(self, params: PaginatedRequestParams) -> ListTasksResult:
        """Answer `tasks/list`. There is one page."""
        self._forget_expired()
        if params.cursor is not None:
            raise InvalidParams("Unknown cursor: begin the list anew")
        return ListTasksResult([attrs.evolve(task.state) for task in self._tasks.values()])

    def cancel(self, params: TaskRequestParams) -> CancelTaskResult:
        """Answer `tasks/cancel`."""
        task = self._find(params.task_id)
        if task.ended.is_set():
            raise InvalidParams(f"Cannot cancel the task: it has ended already, as {task.state.status}")
        self._end(task, "cancelled", "The server cancelled the task")
        return _as(CancelTaskResult, task.state)

    async def result(self, params: TaskRequestParams) -> GetTaskPayloadResult:
        """Answer `tasks/result`, when the task has ended."""
        task = self._find(params.task_id)
        await task.ended.wait()
        if task.error is not None:
            raise task.error
        raw = dict(task.result or {})
        meta = {**raw.pop("_meta", {}), RELATED_TASK: {"taskId": task.state.task_id}}
        return GetTaskPayloadResult(meta=meta, extra=raw)

    # --- their work -------------------------------------------------------------------

    async def _run(self, task: ReceivedTask, params: Any) -> None:
        method = task.method
        try:
            with contained(method):
                task.result = self._codec.result_encoder(method)(await self._features.answer(method, params))
        except RequestFailed as exc:
            task.error = exc
        except Exception as exc:  # noqa: BLE001 - of a function of the program: the server learns that it failed
            log.error(events.HANDLER_FAILED, exc_info=exc, method=method)
            task.error = RequestFailed(INTERNAL_ERROR, "Internal error")
        if task.error is None:
            self._end(task, "completed", None)
        else:
            self._end(task, "failed", task.error.message)

    def _end(self, task: ReceivedTask, status: TaskStatus, why: str | None) -> None:
        """Move a task to a final status, where it stays, and tell the server."""
        if task.ended.is_set():
            return
        task.state.status, task.state.status_message, task.state.last_updated_at = status, why, _now()
        if status == "cancelled":
            task.result, task.error = None, RequestFailed(TASK_CANCELLED, "The task was cancelled")
        task.ended.set()
        self._notifier.notify(STATUS, self._codec.params_encoder(STATUS)(_as(TaskStatusNotificationParams, task.state)))
        if status == "cancelled" and task.job is not None:
            task.job.cancel(CancelReason.CANCELLED)

    def _find(self, id: str) -> ReceivedTask:
        self._forget_expired()
        task = self._tasks.get(id)
        if task is None:
            raise InvalidParams("There is no such task: it may have expired")
        return task

    def _forget_expired(self) -> None:
        now = trio.current_time()
        for id in [id for id, task in self._tasks.items() if task.deadline <= now]:
            self._end(self._tasks.pop(id), "cancelled", "The task has expired")


def _as(cls: type[S], state: Task) -> S:
    return cls(**attrs.asdict(state, recurse=False))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
