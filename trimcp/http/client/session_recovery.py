"""The recovery of a legacy session over HTTP: it opens another session where the server has forgotten this one.

Tasks that find the session forgotten tell the actor and wait. It opens one session at a time, in its own task, so that
the end of a call does not stop it. (basic/transports of 2025-03-26 to 2025-11-25, "Session Management")
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, Protocol

import attrs
import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox
from trimcp.errors import ExchangeFailed, TrimcpError
from trimcp.observability import events, log
from trimcp.session.negotiation import Agreement, Offer

FORGOTTEN: Final = "the server has forgotten the session"

_OPENS: Final[ContextVar[bool]] = ContextVar("trimcp_opens", default=False)
"""Set in the tasks that open a session: they do not wait for it."""


class ForgottenSession(Protocol):
    """A session that the server may forget, as its recovery sees it."""

    @property
    def description(self) -> str:
        """The URL of the server."""
        ...

    async def open_another(self, offer: Offer) -> Agreement:
        """Open another session in its place.

        Raises:
            TrimcpError: the server opens none.
        """
        ...

    async def replaced(self, agreement: Agreement) -> None:
        """Ask the new session for the notices and the streams of the old one."""
        ...


class _Recovery:
    """One recovery, for the tasks that wait for it."""

    def __init__(self) -> None:
        self.over: trio.Event = trio.Event()
        self.failure: ExchangeFailed | None = None
        self.tells_log: bool = False
        """Whether a failure goes to the log, since a task that does not wait has asked for the recovery."""

    def finish(self, failure: ExchangeFailed | None) -> None:
        """Let the waiting tasks go on."""
        self.failure = failure
        self.over.set()


@attrs.frozen
class _Recover:
    """The server has forgotten the session: open another one."""

    recovery: _Recovery


class SessionRecovery(Actor[_Recover]):
    """The actor that opens another session where the server has forgotten one."""

    name = "session recovery"

    def __init__(self, owner: Owner, session: ForgottenSession, *, allowed: bool) -> None:
        """
        Args:
            owner: the supervisor of the session.
            session: opens the other session.
            allowed: whether there may be one.
        """
        super().__init__(owner, Mailbox(1))  # one recovery at a time
        self._session = session
        self._allowed = allowed
        self._pending: _Recovery | None = None
        self._offer: Offer | None = None
        self._is_forgotten = False
        self.generation: int = 0
        """Counts the sessions that took the place of another. For others to read."""

    # --- in front ---------------------------------------------------------------------

    @property
    def is_allowed(self) -> bool:
        """Whether there may be another session."""
        return self._allowed and self._offer is not None and not _OPENS.get()

    def allow(self, offer: Offer) -> None:
        """Open other sessions from now on. `offer`: the client's, in the revision of the first session."""
        self._offer = offer

    async def ready(self) -> int:
        """Wait until there is a session, and open one where that failed before.

        Returns:
            Its generation.

        Raises:
            ExchangeFailed: the server opens none.
        """
        if self._is_forgotten and not _OPENS.get():
            await self.recover(self.generation)
        return self.generation

    async def recover(self, generation: int) -> None:
        """Open another session in the place of the one of that generation, unless there is one by now.

        Args:
            generation: of the session that the server has forgotten.

        Raises:
            ExchangeFailed: the server opens none.
        """
        if self.generation != generation:
            return
        recovery = self._ask()
        await recovery.over.wait()
        if recovery.failure is not None:
            raise recovery.failure.again()

    def recover_soon(self, generation: int) -> None:
        """Do the same without waiting; a failure goes to the log."""
        if self.is_allowed and self.generation == generation:
            self._ask().tells_log = True

    def _ask(self) -> _Recovery:
        recovery = self._pending
        if recovery is None:
            recovery = self._pending = _Recovery()
            self.tell(_Recover(recovery))
        return recovery

    # --- the task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Open one session after the other, as tasks ask for them."""
        _OPENS.set(True)
        while True:
            recovery = (await self.mailbox.receive()).recovery
            failure = await self._open()
            if failure is not None and recovery.tells_log:
                log.warning(events.STREAM_LOST, peer=self._session.description, why=str(failure))
            self._pending = None
            recovery.finish(failure)

    def handle(self, message: _Recover) -> None:
        """See `Actor`. The session is over: no other is opened."""
        self._pending = None
        message.recovery.finish(ExchangeFailed(FORGOTTEN))

    async def _open(self) -> ExchangeFailed | None:
        offer = self._offer
        assert offer is not None
        log.info(events.SESSION_REOPENED, generation=self.generation + 1)
        self._is_forgotten = True
        try:
            agreement = await self._session.open_another(offer)
        except TrimcpError as exc:
            failure = ExchangeFailed(f"{FORGOTTEN}, and opens no other: {exc}")
            failure.__cause__ = exc
            return failure
        self._is_forgotten = False
        self.generation += 1
        await self._session.replaced(agreement)
        return None
