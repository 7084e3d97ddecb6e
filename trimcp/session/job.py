"""A job: work with a scope, a reason when it is cancelled, and an outcome; apart from any exchange.

A request owns its job, which runs in the crew of the session and ends with it. Work that must
outlive its request (a task of 2025-11-25, or of the extension) is handed to `Jobs`, the nursery
of the server: the same job, another owner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

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
    """A piece of work that can be cancelled with a reason. It is `Work` of a crew in all but what it does."""

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
    """A job in the nursery of the server, with an outcome that anybody may await."""

    __slots__ = ("_done", "_finished", "error", "name", "result")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.result: Any = None
        self.error: BaseException | None = None
        self._done = trio.Event()
        self._finished = False

    @property
    def is_done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._done.is_set()

    async def wait(self) -> Any:
        """Wait for its end and return the result.

        Raises:
            Exception: what the work raised.
            UsageError: it was cancelled, so there is no result.
        """
        await self._done.wait()
        if self.error is not None:
            raise self.error
        if not self._finished and self.cancel_reason is not None:
            raise UsageError(f"the job {self.name} was cancelled ({self.cancel_reason.value}) and has no result")
        return self.result

    async def run(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Do the work; what it raises is its outcome, and nobody else's trouble."""
        try:
            with trio.CancelScope() as self.scope:
                if self.cancel_reason is not None:
                    self.scope.cancel()
                try:
                    self.result = await work()
                    self._finished = True
                except BaseException as exc:  # noqa: BLE001 - the outcome, raised to whoever waits for it
                    self.error, passing = parted(exc)
                    if passing is not None:
                        if self.error is None and self.cancel_reason is None:
                            self.cancel_reason = CancelReason.SHUTDOWN
                        raise passing from None
        finally:
            self._done.set()


class Jobs:
    """The nursery of jobs that outlive their requests: one for each server that runs."""

    def __init__(self, nursery: trio.Nursery, most: int) -> None:
        """At most `most` jobs at once; one more is refused."""
        self._nursery = nursery
        self._most = most
        self._jobs: set[HandedJob] = set()

    def start(self, work: Callable[[], Awaitable[Any]], *, name: str) -> HandedJob:
        """Start work whose life is the server's, not the request's.

        Raises:
            UsageError: as many jobs as allowed run already.
        """
        if len(self._jobs) >= self._most:
            raise UsageError(f"{self._most} jobs run already, which is the most that the limits allow")
        job = HandedJob(name)
        self._jobs.add(job)
        self._nursery.start_soon(self._run, job, work, name=f"trimcp job {name}")
        return job

    async def _run(self, job: HandedJob, work: Callable[[], Awaitable[Any]]) -> None:
        try:
            await job.run(work)
        finally:
            self._jobs.discard(job)

    def cancel_all(self) -> None:
        """Cancel every job, as the server stops."""
        for job in list(self._jobs):
            job.cancel(CancelReason.SHUTDOWN)

    def __len__(self) -> int:
        return len(self._jobs)
