"""One thread for work that blocks: it takes all jobs that wait at once, and does them as one group."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import trio

from trimcp.actors.reply import Reply

W = TypeVar("W")

MOST_IN_GROUP: Final = 512
"""Jobs of one group."""


class ThreadJob(Generic[W]):
    """One piece of work: the function of the thread sets `value` or `error`."""

    __slots__ = ("error", "reply", "value", "work")

    def __init__(self, work: W) -> None:
        self.work: W = work
        self.value: Any = None
        self.error: BaseException | None = None
        self.reply: Reply[Any] = Reply()


class ThreadBusy(Exception):
    """More jobs wait for the thread than it may have, or it has stopped."""


class GroupingThread(Generic[W]):
    """Runs a function in a thread of its own, with the jobs that have come together.

    A cancelled caller leaves its job to the thread, which does it all the same.
    """

    def __init__(
        self,
        name: str,
        run_group: Callable[[Sequence[ThreadJob[W]]], None],
        *,
        most: int,
        look: Callable[[], object] | None = None,
        interval: float = 1.0,
    ) -> None:
        """
        Args:
            name: of the thread.
            run_group: does the jobs of one group, and raises nothing.
            most: jobs that may wait; the next one is refused.
            look: called in the thread after each group, and once in `interval`; raises nothing.
            interval: seconds.
        """
        self._run_group = run_group
        self._most = most
        self._look = look
        self.interval: float = interval
        """Seconds between two looks. It counts from the next look on."""
        self._waiting = 0
        self._jobs: queue.SimpleQueue[ThreadJob[W] | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._is_stopped = False
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, work: W, seconds: float) -> Any:
        """Have the thread do this work, and return its value.

        Raises:
            ThreadBusy: too many jobs wait.
            TooSlowError: the thread took longer than `seconds`.
            BaseException: the error of the job.
        """
        if self._is_stopped or self._waiting >= self._most:
            raise ThreadBusy(f"{self._thread.name} takes no more work: {self._waiting} jobs wait")
        self._waiting += 1
        job = ThreadJob(work)
        self._jobs.put(job)
        with trio.move_on_after(seconds) as scope:
            await job.reply.wait_set()
        if scope.cancelled_caught:
            await trio.lowlevel.checkpoint()  # the thread may have been in time, and a handler held up the event loop
            if not job.reply.is_set:
                raise trio.TooSlowError
        return job.reply.get()

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in Trio's thread soon. For the functions of this thread."""
        try:
            self._token.run_sync_soon(function, *args)
        except trio.RunFinishedError:
            return

    async def stop(self, seconds: float) -> bool:
        """Do the jobs that wait, and end the thread. Not cancelled: the thread uses what its owner closes next.

        Args:
            seconds: for the thread to end. One that hangs, such as on a dead disk, is abandoned: it does no more jobs.

        Returns:
            Whether the thread has ended. If not, it still uses what its owner would close.
        """
        self._is_stopped = True
        self._jobs.put(None)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join, seconds)
        self._is_abandoned = self._thread.is_alive()
        return not self._is_abandoned

    def _run(self) -> None:
        is_running = True
        while is_running and not self._is_abandoned:
            group = self._next_group()
            is_running = None not in group
            jobs = [job for job in group if job is not None]
            if jobs:
                self._run_group(jobs)
                self.soon(self._deliver, jobs)
            if self._look is not None and not self._is_abandoned:
                self._look()

    def _next_group(self) -> list[ThreadJob[W] | None]:
        """Wait for a job, and return it with those that have come meanwhile; None says that the thread ends."""
        group: list[ThreadJob[W] | None] = []
        try:
            group.append(self._jobs.get(timeout=None if self._look is None else self.interval))
            while group[-1] is not None and len(group) < MOST_IN_GROUP:
                group.append(self._jobs.get_nowait())
        except queue.Empty:
            pass
        return group

    def _deliver(self, jobs: Sequence[ThreadJob[W]]) -> None:
        self._waiting -= len(jobs)
        for job in jobs:
            if job.error is None:
                job.reply.set(job.value)
            else:
                job.reply.fail(job.error)
