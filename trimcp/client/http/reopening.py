"""The id of a legacy session over HTTP, and another session in its place where the server has forgotten it.

Whoever is told so asks for another one and waits; there is one attempt at a time, in a task of its
own, so that it does not depend on the call that noticed. (basic/transports of 2025-03-26 to
2025-11-25, "Session Management".)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final

import trio

from trimcp.errors import ExchangeFailed, TrimcpError
from trimcp.observability import events, log

FORGOTTEN: Final = "the server has forgotten the session"

_OPENS: Final[ContextVar[bool]] = ContextVar("trimcp_opens", default=False)
"""Set in the tasks by which a session is opened: they do not wait for it."""


class _Attempt:
    """One try to open another session."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.failure: ExchangeFailed | None = None


class Reopening:
    """What one `RemoteSession` knows of its session with the server."""

    def __init__(self, *, allowed: bool, on_reopened: Callable[[], Awaitable[None]]) -> None:
        """
        Args:
            allowed: whether another session may take the place of one that the server has forgotten.
            on_reopened: called when it has, before those who wait for it go on.
        """
        self._allowed = allowed
        self._on_reopened = on_reopened
        self._attempt: _Attempt | None = None
        self._is_forgotten = False
        self.id: str | None = None
        """What the server called the session; None where it gave it no name."""
        self.generation = 0
        """Counts the sessions that took the place of another."""
        self.initialize: Callable[[], Awaitable[None]] | None = None
        """Opens a session; set once the first is there."""

    @property
    def is_allowed(self) -> bool:
        """Whether there may be another session."""
        return self._allowed and self.initialize is not None and not _OPENS.get()

    async def ready(self, nursery: trio.Nursery) -> int:
        """Wait until there is a session to say something in, and open one where that failed before.

        Returns:
            Its generation.

        Raises:
            ExchangeFailed: none can be had.
        """
        if self._is_forgotten and not _OPENS.get():
            await self.begin_again(self.generation, nursery)
        return self.generation

    async def begin_again(self, generation: int, nursery: trio.Nursery) -> None:
        """Have another session in the place of the one of that generation, unless there is one by now.

        Args:
            generation: of the session that the server has forgotten.
            nursery: for the task that opens it.

        Raises:
            ExchangeFailed: it cannot be had.
        """
        if self.generation != generation:
            return
        attempt = self._attempt
        if attempt is None:
            attempt = self._attempt = _Attempt()
            nursery.start_soon(self._open, attempt, name="trimcp reopening")
        await attempt.over.wait()
        if attempt.failure is not None:
            raise attempt.failure.again()

    async def _open(self, attempt: _Attempt) -> None:
        log.info(events.SESSION_REOPENED, generation=self.generation + 1)
        self.id, self._is_forgotten = None, True
        assert self.initialize is not None
        token = _OPENS.set(True)
        try:
            await self.initialize()
        except TrimcpError as exc:
            self.id = None
            attempt.failure = ExchangeFailed(f"{FORGOTTEN}, and opens no other: {exc}")
            attempt.failure.__cause__ = exc
        finally:
            _OPENS.reset(token)
        if attempt.failure is None:
            self._is_forgotten = False
            self.generation += 1
            await self._on_reopened()
        self._attempt = None
        attempt.over.set()
