"""Progress of a task of 2025-11-25: the token of the call stays valid until the task ends (basic/utilities/tasks)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trimcp.session.call import Call, OnProgress
    from trimcp.session.session import Session


class TaskProgress:
    """Calls the callback of a program for each report on a task, while a caller waits for the task."""

    def __init__(self, session: Session, on_progress: OnProgress) -> None:
        """`on_progress`: raises errors alone."""
        self._session = session
        self._on_progress = on_progress
        self._call: Call = session.calls.open_reports("tools/call")
        self._over = trio.Event()

    @property
    def token(self) -> int | str:
        """The progress token of the call."""
        return self._call.id

    async def run(self) -> None:
        """Call the callback, until `finish`. May be cancelled, and run again."""
        await self._call.wait(self._on_progress)
        self._over.set()

    async def finish(self) -> None:
        """Wait until the reports that have arrived are reported; `run` runs meanwhile."""
        await self._session.progress.flushed()
        self.close()
        await self._over.wait()

    def close(self) -> None:
        """Take no further reports. Never waits."""
        self._session.calls.close_reports(self._call)
