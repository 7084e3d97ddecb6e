"""The task store: tasks as data, so that they outlive requests, connections and processes.

basic/utilities/tasks of 2025-11-25, and the extension `io.modelcontextprotocol/tasks` of 2026-07-28. A task that is not
finished belongs to the node with its incarnation, which alone runs it. Every change is a compare-and-set of the record.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Final

import attrs

from trimcp.codec.jsontext import dumps, loads
from trimcp.stores.failures import reading
from trimcp.types.tasks import TaskStatus

FINAL: Final[frozenset[TaskStatus]] = frozenset(("completed", "failed", "cancelled"))
"""The statuses that never change again."""


@attrs.frozen(kw_only=True)
class TaskRecord:
    """Holds one task as data. Times are seconds since the epoch."""

    id: str
    """At least 128 random bits: without a principal, the id alone gives access."""
    principal: str | None
    """The key of the principal that created it, who alone may see it; None where it was created anonymously."""
    version: int = 0
    """Counts updates: an update of another version is refused."""
    incarnation: int
    """The node that runs it, and may finish it."""
    method: str
    """The request that became the task, such as `tools/call`."""
    params: bytes
    """The params of that request, as JSON."""
    revision: str
    """The revision of that request, such as `2025-11-25`."""
    status: TaskStatus = "working"
    status_message: str | None = None
    created_at: float
    updated_at: float
    """When the status changed last."""
    ttl: float | None
    """Seconds after `created_at` for which the task is kept, finished or not; None: for ever."""
    poll_interval: float
    """Seconds to wait between polls."""
    on_lost: str = "fail"
    """What another node does when the node of the task is dead: `fail` or `rerun`."""
    outcome: bytes | None = None
    """The result or the error of the request, as a JSON object with the member `result` or `error`; None before the
    end."""
    questions: bytes | None = None
    """The input requests that wait for answers, by key, as JSON."""
    answers: bytes | None = None
    """The answers that were given, by key, as JSON."""
    kept: bytes | None = None
    """The results of `ctx.once` by key, as JSON, where the task may run again."""
    scopes: tuple[str, ...] = ()
    """The scopes of the request that became the task."""
    is_cancelling: bool = False
    """Whether a client has asked to cancel it, and its node has not yet ended it."""

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self.status in FINAL

    @property
    def expires_at(self) -> float | None:
        """When the store may forget the task; None: never."""
        return None if self.ttl is None else self.created_at + self.ttl


class TaskStore(abc.ABC):
    """Keeps the records of tasks, durably where the store is durable.

    A store forgets a task at `expires_at`, never before. It may raise any exception, and take long: trimcp gives each
    call a deadline.
    """

    @abc.abstractmethod
    async def create(self, record: TaskRecord, *, most: int) -> bool:
        """Keep a new task. It is kept when this returns: the client is told its id only then.

        Returns False, and keeps nothing, where the principal has `most` tasks already.

        Raises:
            ValueError: there is a task with that id.
        """

    @abc.abstractmethod
    async def find(self, id: str) -> TaskRecord | None:
        """Return the task with this id, if there is one. The caller checks the principal."""

    @abc.abstractmethod
    async def update(self, record: TaskRecord) -> TaskRecord | None:
        """Replace a record of the same version, and return the new one with the next version.

        Returns None, and changes nothing, where the store has another version, or no such task.
        """

    @abc.abstractmethod
    async def list(self, principal: str | None, after: str | None, limit: int) -> Sequence[TaskRecord]:
        """Return tasks of a principal in the order of their creation, at most `limit` of them.

        `after` is the id of a task, which may be forgotten meanwhile: the tasks created after it follow. An id that the
        store cannot place raises `KeyError`.
        """

    @abc.abstractmethod
    async def unfinished(self, incarnation: int) -> Sequence[TaskRecord]:
        """Return the tasks of a node that are not final."""


# --- records as bytes, for stores that keep bytes -----------------------------------------

_JSON: Final = ("params", "outcome", "questions", "answers", "kept")
"""Fields that are JSON, and are kept as strings in the record, byte for byte."""
_FIELDS: Final = frozenset(field.name for field in attrs.fields(TaskRecord))


def encode_task(record: TaskRecord) -> bytes:
    """Encode a record as JSON."""
    members: dict[str, Any] = attrs.asdict(record)
    for name in _JSON:
        if members[name] is not None:
            members[name] = members[name].decode()
    return dumps(members)


def decode_task(data: bytes) -> TaskRecord:
    """Decode a record that `encode_task` has encoded. Members that a newer version has added are ignored.

    Raises:
        RecordUnreadable: a member is missing that a task must have.
    """
    with reading("task"):
        members = {name: value for name, value in loads(data).items() if name in _FIELDS}
        for name in _JSON:
            if members.get(name) is not None:
                members[name] = members[name].encode()
        return TaskRecord(**{**members, "scopes": tuple(members.get("scopes", ()))})
