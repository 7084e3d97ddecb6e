"""The recovery of a legacy session over HTTP: another session where the server has forgotten the one that there was.

Tasks that find the session forgotten tell the actor and wait; it opens one session at a time, in its own task, so
that this does not depend on the call that noticed. (basic/transports of 2025-03-26 to 2025-11-25, "Session
Management".)
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox
from trimcp.client.negotiation import initialize
from trimcp.errors import ExchangeFailed, TrimcpError
from trimcp.observability import events, log

if TYPE_CHECKING:
    from trimcp.client.http.session import RemoteSession
    from trimcp.client.negotiation import Offer

FORGOTTEN: Final = "the server has forgotten the session"

_OPENS: Final[ContextVar[bool]] = ContextVar("trimcp_opens", default=False)
"""Set in the tasks by which a session is opened: they do not wait for it."""


class _Attempt:
    """One try to open another session."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.failure: ExchangeFailed | None = None
        self.tells_log = False
        """Whether a failure is of interest to the log, since it was asked for by a task that does not wait."""

    def finish(self, failure: ExchangeFailed | None) -> None:
        """Let those who wait go on."""
        self.failure = failure
        self.over.set()


@attrs.frozen
class _Recover:
    """The server has forgotten the session: open another one."""

    attempt: _Attempt


class SessionRecovery(Actor[_Recover]):
    """Opens the sessions that take the place of another."""

    name = "session recovery"

    def __init__(self, session: RemoteSession, *, allowed: bool) -> None:
        """`allowed`: whether another session may take the place of one that the server has forgotten."""
        super().__init__(session.supervisor, Mailbox(1))  # one attempt at a time
        self._session = session
        self._allowed = allowed
        self._attempt: _Attempt | None = None
        self._is_forgotten = False
        self.generation = 0
        """Counts the sessions that took the place of another. For others to read."""
        self.offer: Offer | None = None
        """What the client brings to another session, in the revision of the first; set once the first is there."""

    # --- in front ---------------------------------------------------------------------

    @property
    def is_allowed(self) -> bool:
        """Whether there may be another session."""
        return self._allowed and self.offer is not None and not _OPENS.get()

    async def ready(self) -> int:
        """Wait until there is a session to say something in, and open one where that failed before.

        Returns:
            Its generation.

        Raises:
            ExchangeFailed: none can be had.
        """
        if self._is_forgotten and not _OPENS.get():
            await self.recover(self.generation)
        return self.generation

    async def recover(self, generation: int) -> None:
        """Have another session in the place of the one of that generation, unless there is one by now.

        Args:
            generation: of the session that the server has forgotten.

        Raises:
            ExchangeFailed: it cannot be had.
        """
        if self.generation != generation:
            return
        attempt = self._ask()
        await attempt.over.wait()
        if attempt.failure is not None:
            raise attempt.failure.again()

    def recover_soon(self, generation: int) -> None:
        """The same for a task that does not wait; where it fails, the log says so."""
        if self.is_allowed and self.generation == generation:
            self._ask().tells_log = True

    def _ask(self) -> _Attempt:
        attempt = self._attempt
        if attempt is None:
            attempt = self._attempt = _Attempt()
            self.tell(_Recover(attempt))
        return attempt

    # --- the task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Open one session after the other, as they are asked for."""
        _OPENS.set(True)
        while True:
            attempt = (await self.mailbox.receive()).attempt
            failure = await self._open()
            if failure is not None and attempt.tells_log:
                log.warning(events.STREAM_LOST, peer=self._session.description, why=str(failure))
            self._attempt = None
            attempt.finish(failure)

    def handle(self, message: _Recover) -> None:
        """See `Actor`. The session is over: there is no other to be had."""
        self._attempt = None
        message.attempt.finish(ExchangeFailed(FORGOTTEN))

    async def _open(self) -> ExchangeFailed | None:
        session, offer = self._session, self.offer
        assert offer is not None
        log.info(events.SESSION_REOPENED, generation=self.generation + 1)
        session.session_id, self._is_forgotten = None, True
        session.forget_posts()
        try:
            agreement = await initialize(session, offer, offer.revisions[0])
        except TrimcpError as exc:
            session.session_id = None
            failure = ExchangeFailed(f"{FORGOTTEN}, and opens no other: {exc}")
            failure.__cause__ = exc
            return failure
        finally:
            session.give_up_initialize()
        self._is_forgotten = False
        self.generation += 1
        session.session_replaced(agreement)
        await session.get_stream.open()
        return None
