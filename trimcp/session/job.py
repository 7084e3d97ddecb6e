"""A job: work with a scope, a reason when it is cancelled, and an outcome; apart from any request.

A request is a job that runs in a handler actor and ends with the session. Work that must outlive its request (a task
of 2025-11-25, or of the extension) is handed to `Jobs`, a pool of the server: the same job, another owner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.errors import UsageError
from trimcp.protocol.cancel_reason import CancelReason


class Job:
    """Holds a piece of work that can be cancelled with a reason. Subclasses are `Work` of a worker pool."""

    __slots__ = ("cancel_reason", "scope")

    def __init__(self) -> None:
        self.scope: trio.CancelScope | None = None
        self.cancel_reason: CancelReason | None = None

    def cancel(self, reason: CancelReason) -> bool:
        """Cancel the job; the first reason stays. Returns False where it was cancelled before.

        A job that has not begun never begins.
        """
        if self.cancel_reason is not None:
            return False
        self.cancel_reason = reason
        if self.scope is not None:
            self.scope.cancel()
        return True

    async def become_task(self) -> bool:
        """Let the work go on as a task, if it may be one. Returns whether it is a task."""
        await trio.lowlevel.checkpoint()
        return False


class ServerJob(Job):
    """Holds a job of the server, as `Work` of the pool of jobs. Any task may await its outcome."""

    __slots__ = ("_finished", "_jobs", "_outcome", "_work", "error", "name", "result")

    cancel_reason: CancelReason | None

    def __init__(self, name: str, work: Callable[[], Awaitable[Any]], jobs: Jobs) -> None:
        super().__init__()
        self.name: str = name
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._jobs = jobs
        self._outcome = trio.Event()
        self._finished = False

    @property
    def is_done(self) -> bool:
        """Whether the job has ended, with or without a result."""
        return self._outcome.is_set()

    async def wait(self) -> Any:
        """Wait for the end of the job, and return its result.

        Raises:
            Exception: the exception that the work raised.
            UsageError: the job was cancelled, so there is no result.
        """
        await self._outcome.wait()
        if self.error is not None:
            raise self.error
        if not self._finished and self.cancel_reason is not None:
            raise UsageError(f"the job {self.name} was cancelled ({self.cancel_reason.value}) and has no result")
        return self.result

    # --- Work -------------------------------------------------------------------------

    async def run(self) -> None:
        """Do the work. See `Work`."""
        if self.cancel_reason is None:
            self.result = await self._work()
            self._finished = True

    def failed(self, error: BaseException) -> None:
        """Keep the exception as the outcome. See `Work`."""
        self._finished = False
        self.error = error

    def finished(self) -> bool:
        """Set the outcome. See `Work`."""
        if not self._finished and self.error is None and self.cancel_reason is None:
            self.cancel_reason = CancelReason.SHUTDOWN
        self._outcome.set()
        return self.cancel_reason is not None

    def left(self) -> None:
        """Give the place back. See `Work`."""
        self._jobs.discard(self)

    def handed_back(self) -> None:
        """End without having run. See `Work`."""
        self.finished()
        self._jobs.discard(self)


class Jobs:
    """Runs the jobs that outlive their requests, in one pool of workers for each server that runs."""

    def __init__(self, supervisor: Supervisor, most: int) -> None:
        """At most `most` jobs at once; one more is refused."""
        self._pool = supervisor.open_pool("jobs", most)
        self._most = most
        self._jobs: set[ServerJob] = set()

    def start(self, work: Callable[[], Awaitable[Any]], *, name: str) -> ServerJob:
        """Start work that ends with the server, not with the request.

        Raises:
            UsageError: too many jobs run already.
        """
        if len(self._jobs) >= self._most:
            raise UsageError(f"Cannot start job {name!r}: {self._most} jobs run, the most that the limits allow")
        job = ServerJob(name, work, self)
        self._jobs.add(job)
        self._pool.post(job)
        return job

    def discard(self, job: ServerJob) -> None:
        """Forget a job that has ended."""
        self._jobs.discard(job)

    def cancel_all(self) -> None:
        """Cancel every job, as the server stops."""
        for job in list(self._jobs):
            job.cancel(CancelReason.SHUTDOWN)

    def __len__(self) -> int:
        return len(self._jobs)
