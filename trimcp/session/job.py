"""A job: work with a scope, a reason when it is cancelled, and an outcome; apart from any exchange.

A request owns its job, which runs in a handler actor and ends with the session. Work that must
outlive its request (a task of 2025-11-25, or of the extension) is handed to `Jobs`, a pool of the
server's own: the same job, another owner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.errors import UsageError
from trimcp.protocol.cancelling import CancelReason

PASSING: Final = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)
"""What is raised in a piece of work without being its failure."""


def parted(exc: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What of an exception is the failure of the work that raised it, and what must go on its way.

    SystemExit is a failure: a library that calls `sys.exit()` in a handler must not end the server. A
    group may be both, as when something fails in a nursery that is being cancelled.
    """
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(lambda inner: not isinstance(inner, (BaseExceptionGroup, *PASSING)))
    return (None, exc) if isinstance(exc, PASSING) else (exc, None)


class Job:
    """A piece of work that can be cancelled with a reason. It is `Work` of a worker pool in all but what it does."""

    __slots__ = ("cancel_reason", "scope")

    def __init__(self) -> None:
        self.scope: trio.CancelScope | None = None
        self.cancel_reason: CancelReason | None = None

    def cancel(self, reason: CancelReason) -> bool:
        """Cancel it; the first reason stays. Returns False where it was cancelled before.

        A job that has not begun never begins.
        """
        if self.cancel_reason is not None:
            return False
        self.cancel_reason = reason
        if self.scope is not None:
            self.scope.cancel()
        return True


class HandedJob(Job):
    """A job of the server's own, with an outcome that any task may await. It is `Work` of the pool of jobs."""

    __slots__ = ("_finished", "_jobs", "_outcome", "_work", "error", "name", "result")

    def __init__(self, name: str, work: Callable[[], Awaitable[Any]], jobs: Jobs) -> None:
        super().__init__()
        self.name = name
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._jobs = jobs
        self._outcome = trio.Event()
        self._finished = False

    @property
    def is_done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._outcome.is_set()

    async def wait(self) -> Any:
        """Wait for its end and return the result.

        Raises:
            Exception: the exception that the work raised.
            UsageError: it was cancelled, so there is no result.
        """
        await self._outcome.wait()
        if self.error is not None:
            raise self.error
        if not self._finished and self.cancel_reason is not None:
            raise UsageError(f"the job {self.name} was cancelled ({self.cancel_reason.value}) and has no result")
        return self.result

    # --- Work -------------------------------------------------------------------------

    async def run(self) -> None:
        """Do the work."""
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
    """The jobs that outlive their requests: one pool of workers for each server that runs."""

    def __init__(self, supervisor: Supervisor, most: int) -> None:
        """At most `most` jobs at once; one more is refused."""
        self._pool = supervisor.open_pool("jobs", most)
        self._most = most
        self._jobs: set[HandedJob] = set()

    def start(self, work: Callable[[], Awaitable[Any]], *, name: str) -> HandedJob:
        """Start work whose life is the server's, not the request's.

        Raises:
            UsageError: as many jobs as allowed run already.
        """
        if len(self._jobs) >= self._most:
            raise UsageError(f"{self._most} jobs run already, which is the most that the limits allow")
        job = HandedJob(name, work, self)
        self._jobs.add(job)
        self._pool.post(job)
        return job

    def discard(self, job: HandedJob) -> None:
        """Forget a job that has ended."""
        self._jobs.discard(job)

    def cancel_all(self) -> None:
        """Cancel every job, as the server stops."""
        for job in list(self._jobs):
            job.cancel(CancelReason.SHUTDOWN)

    def __len__(self) -> int:
        return len(self._jobs)
