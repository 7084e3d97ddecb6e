"""The intake: each message of the peer's to whom it concerns, whichever way it came.

Answers, cancels and progress go straight to their owner; requests go to the Router, which never
waits. The Reader of a duplex connection brings what it reads here, an HTTP endpoint what is posted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.errors import ConnectionLost
from trimcp.observability import events, log
from trimcp.protocol.lifecycle import Step
from trimcp.session.outlet import Outlet
from trimcp.types.jsonrpc import ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from trimcp.session.session import Session

Message = Request | Notification | Response | ErrorResponse


class Intake:
    """Takes the messages of one session. It has no state but a count, and no task."""

    __slots__ = ("_is_server", "_owed", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_server = session.service.role == "server"
        self._owed = 0

    def take(self, message: Message, outlet: Outlet, size: int, now: float) -> None:
        """Hand a message to its owner.

        Args:
            message: as it was read.
            outlet: where what belongs to it, if it is a request, leaves.
            size: its bytes.
            now: the time that it was read.

        Raises:
            ConnectionLost: a server asks and asks, and does not read the answers.
        """
        session = self._session
        kind = type(message)
        if kind is Request:
            if not self._is_server:
                self._check_owed()
            session.router.accept(message, outlet, size, now)  # type: ignore[arg-type]  # `type` narrows no union
        elif kind is Notification:
            self._take_notification(message)  # type: ignore[arg-type]  # as above
        else:
            session.calls.response(message)  # type: ignore[arg-type]  # as above

    def _check_owed(self) -> None:
        """A client reads always, so what it owes a server that asks and does not read needs a bound of its own."""
        session = self._session
        self._owed = self._owed + 1 if session.writer.is_over else 0
        if self._owed > session.limits.session_waiting:
            raise ConnectionLost("the server asks, and does not read the answers")

    def _take_notification(self, message: Notification) -> None:
        session, method = self._session, message.method
        if method == "notifications/cancelled":
            if self._is_server or not session.calls.torn_down(message.params):
                session.cancellation.cancelled(message.params)
        elif method == "notifications/progress":
            session.progress.arrived(message.params)
        elif method == "notifications/initialized":
            if not session.handshake.take(Step.INITIALIZED):
                log.debug(events.MESSAGE_IGNORED, method=method, why="initialize was not answered")
        else:
            session.service.notified(session, method, message.params)
