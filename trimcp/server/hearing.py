"""Hearing: the functions of a program that are told what clients let the server know, one job for each at most.

The reader of a session hands over and goes on. What comes while a function runs waits, one notice
after the other; of notices that say no more than that something changed, the newest stands for
all. It has no task while nothing is heard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Final

from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.protocol.cancelling import CancelReason
from trimcp.session.containment import contained

if TYPE_CHECKING:
    from trimcp.session.job import HandedJob, Jobs
    from trimcp.session.session import Session

WAITING: Final = 64
"""Notices of one kind and session that wait for the function; beyond, the oldest are dropped, and the log says so."""

Work = Callable[[], Awaitable[None]]


class _Ear:
    """One function, for one session."""

    __slots__ = ("dropped", "job", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Work] = deque()
        self.job: HandedJob | None = None
        self.dropped = 0


class Hearing:
    """All that is heard in one run of a server. Its doors are synchronous."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._ears: dict[Session, dict[Hashable, _Ear]] = {}

    def hear(self, session: Session, key: Hashable, work: Work, *, latest: bool = False) -> None:
        """Run work for a session after what runs by that key already. Never waits, nor raises.

        Args:
            session: whose notice it is; what it started is cancelled when it ends.
            key: what works one at a time.
            work: calls the function; what it raises goes to the log.
            latest: whether it stands for all that wait by that key.
        """
        ear = self._ears.setdefault(session, {}).setdefault(key, _Ear())
        if latest:
            ear.waiting.clear()
        elif len(ear.waiting) >= WAITING:
            ear.waiting.popleft()
            ear.dropped += 1
            if log.is_worth_saying(ear.dropped):
                log.warning(events.MESSAGE_IGNORED, method=str(key), why="too many wait", count=ear.dropped)
        ear.waiting.append(work)
        if ear.job is None:
            try:
                ear.job = self._jobs.start(lambda: self._run(ear, key), name=f"hearing {key}")
            except UsageError as exc:  # as many jobs run as may: the next notice finds a place, or this one is lost
                log.warning(events.MESSAGE_IGNORED, method=str(key), why=str(exc))

    async def _run(self, ear: _Ear, key: Hashable) -> None:
        try:
            while ear.waiting:
                try:
                    with contained(str(key)):
                        await ear.waiting.popleft()()
                except Exception as exc:  # noqa: BLE001 - the program's own; what is heard next is not to blame
                    log.error(events.HANDLER_FAILED, exc_info=exc, method=str(key))
        finally:
            ear.job = None

    def forget(self, session: Session) -> None:
        """A session is over."""
        for ear in self._ears.pop(session, {}).values():
            ear.waiting.clear()
            if ear.job is not None:
                ear.job.cancel(CancelReason.SESSION_LOST)
