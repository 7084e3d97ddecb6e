"""Tasks on the wire, in both dialects: the core of 2025-11-25, and the extension of 2026-07-28.

basic/utilities/tasks of 2025-11-25; the extension `io.modelcontextprotocol/tasks`.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import attrs

from trimcp.codec.jsontext import dumps, loads
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidParams, RequestFailed
from trimcp.extensions.tasks.lifecycle import questions_of
from trimcp.schema.exact_json import decode
from trimcp.stores.task_store import TaskRecord
from trimcp.types.jsonrpc import INTERNAL_ERROR, TASK_CANCELLED
from trimcp.types.metadata import RELATED_TASK
from trimcp.types.revisions import BY_VERSION
from trimcp.types.task_extension import DetailedTask, ExtensionTask
from trimcp.types.tasks import Task, TaskStatus

STATUS: Final = "notifications/tasks/status"
"""The notification of 2025-11-25."""


# --- records ↔ JSON -----------------------------------------------------------------------


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)


T = TypeVar("T", bound=Task)
X = TypeVar("X", bound=ExtensionTask)


def core_task(record: TaskRecord, cls: type[T]) -> T:
    """Return the state of a task, as 2025-11-25 has it."""
    return cls(
        task_id=record.id,
        status=record.status,
        created_at=_time(record.created_at),
        last_updated_at=_time(record.updated_at),
        ttl=None if record.ttl is None else _milliseconds(record.ttl),
        poll_interval=_milliseconds(record.poll_interval),
        status_message=record.status_message,
    )


def extension_task(record: TaskRecord, cls: type[X]) -> X:
    """Return the state of a task, as the extension has it, without the payload of its status."""
    return cls(
        task_id=record.id,
        status=record.status,
        created_at=_time(record.created_at),
        last_updated_at=_time(record.updated_at),
        ttl_ms=None if record.ttl is None else _milliseconds(record.ttl),
        poll_interval_ms=_milliseconds(record.poll_interval),
        status_message=record.status_message,
    )


def detailed(record: TaskRecord) -> DetailedTask:
    """Return the state of a task with its result, its error or its input requests, as the extension has it."""
    state = extension_task(record, DetailedTask)
    if record.outcome is not None:
        outcome = decode(record.outcome)
        state.result, state.error = outcome.get("result"), outcome.get("error")
    if record.status == "input_required":
        state.input_requests = questions_of(record)
    return state


def detailed_json(record: TaskRecord) -> dict[str, Any]:
    """Return the state of a task as the params of `notifications/tasks`, which have no `resultType`."""
    state: dict[str, Any] = codec_for(BY_VERSION[record.revision]).unstructure(detailed(record))
    state.pop("resultType", None)
    return state


def related(task_id: str) -> dict[str, Any]:
    """Return the `_meta` of a message that belongs to a task (2025-11-25)."""
    return {RELATED_TASK: {"taskId": task_id}}


def with_related(frame: bytes, task_id: str) -> bytes:
    """Add the task to the `_meta` of the params of a message (2025-11-25, "Associating Task-Related Messages")."""
    message = loads(frame)
    params = message.setdefault("params", {})
    params["_meta"] = {**params.get("_meta", {}), **related(task_id)}
    return dumps(message)


# --- outcomes -----------------------------------------------------------------------------


@attrs.frozen
class Outcome:
    """How the work of a task has ended, as its record keeps it."""

    status: TaskStatus
    stored: bytes | None
    message: str | None = None


def completed(result: dict[str, Any], *, errors_fail: bool) -> Outcome:
    """Return the outcome of work that gave a result.

    Args:
        result: the result, as the request would have been answered.
        errors_fail: whether a tool error makes the task `failed` (2025-11-25), and not `completed`.
    """
    failed = errors_fail and result.get("isError") is True
    message = "The tool reported an error" if failed else None
    return Outcome("failed" if failed else "completed", dumps({"result": result}), message)


def failed(error: RequestFailed) -> Outcome:
    """Return the outcome of work that would have been answered by an error."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return Outcome("failed", dumps({"error": told}), error.message)


def result_of(record: TaskRecord) -> dict[str, Any]:
    """Return the result of a task that has ended: what the request would have been answered.

    Raises:
        RequestFailed: it was answered by an error, or it was cancelled.
    """
    if record.status == "cancelled":
        raise RequestFailed(TASK_CANCELLED, "The task was cancelled, and has no result", {"reason": "cancelled"})
    kept = {} if record.outcome is None else decode(record.outcome)
    error = kept.get("error")
    if error is not None:
        raise RequestFailed(error["code"], error["message"], error.get("data"))
    if "result" not in kept:
        raise RequestFailed(INTERNAL_ERROR, "The result of the task is lost")
    result: dict[str, Any] = kept["result"]
    return result


def no_such_task() -> InvalidParams:
    """Make the error for a task that is unknown, has expired, or belongs to another client: the same for all."""
    return InvalidParams("Task not found")
