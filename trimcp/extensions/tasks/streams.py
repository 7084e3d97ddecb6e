"""The messages of the work of a task: progress, logs, and in 2025-11-25 the notifications of its status.

In 2026-07-28 a task has neither progress nor logs. In both, the messages of progress describe the state of the task.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Sequence
from typing import Protocol

from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import codec_for
from trimcp.extensions.tasks import wire
from trimcp.limits import Limits
from trimcp.session.delivery import Delivery
from trimcp.session.detached import DiscardingStream, NoSupervisor
from trimcp.session.peer import Peer
from trimcp.session.progress_tracker import ProgressTracker, ReportingRequest
from trimcp.stores.task_store import TaskRecord
from trimcp.types.revisions import BY_VERSION
from trimcp.types.tasks import TaskStatus, TaskStatusNotificationParams


class DescribedTask(Protocol):
    """A running task, as the progress of its work sees it."""

    def say(self, text: str) -> None:
        """Describe the state of the task. Never waits."""
        ...


class TaskProgress(ProgressTracker):
    """Takes the progress of the work of a task: its messages describe the state of the task."""

    def __init__(self, task: DescribedTask, limits: Limits) -> None:
        super().__init__(NoSupervisor(), limits)
        self._task = task

    def report(self, request: ReportingRequest, progress: float, total: float | None, message: str | None) -> bool:
        """See `ProgressTracker`."""
        if message is not None and not request.is_settled:
            self._task.say(message)
        return super().report(request, progress, total, message)


class TaskStream(DiscardingStream):
    """Takes the messages of the work of a task of 2025-11-25, for the session that asked.

    Each names the task (basic/utilities/tasks, "Associating Task-Related Messages").
    """

    def __init__(self, task_id: str, session: Peer, room: int, delivery: Delivery) -> None:
        super().__init__(room, delivery)
        self._task_id = task_id
        self._status: TaskStatus = "working"
        self._session = weakref.ref(session)  # a task does not keep its session

    @property
    def session(self) -> Peer | None:
        """The session that asked for the task, while it goes on."""
        session = self._session()
        return session if session is not None and session.end is None else None

    def tell_status(self, record: TaskRecord) -> None:
        """Notify the session of the status of the task, if it has changed."""
        session = self.session
        if record.status == self._status or session is None:
            return
        self._status = record.status
        revision = BY_VERSION[record.revision]
        params = codec_for(revision).unstructure(wire.core_task(record, TaskStatusNotificationParams))
        session.writer.post_latest((wire.STATUS, self._task_id), encode_notification(wire.STATUS, params))

    def post_reports(self, key: Hashable, frames: Sequence[bytes], /) -> None:
        """See `MessageStream`."""
        session = self.session
        if session is not None:
            session.writer.post_latest(("progress", self._task_id), wire.with_related(frames[-1], self._task_id))

    def post_log(self, frame: bytes, /) -> None:
        """See `MessageStream`."""
        session = self.session
        if session is not None:
            session.writer.post_log(wire.with_related(frame, self._task_id))
