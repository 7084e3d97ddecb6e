"""The dispatcher: each message of the peer's to the actor that owns it, whichever way it came.

Requests, cancels and `initialized` go to the Router, in the order in which they were read; answers to our
calls and progress go to their owner. The Reader of a duplex connection and the POST handler of an HTTP
endpoint call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.errors import ConnectionLost
from trimcp.session.outlet import Outlet
from trimcp.types.jsonrpc import Message, Notification, Request

if TYPE_CHECKING:
    from trimcp.session.session import Session


class Dispatcher:
    """Hands on the messages of one session. It never waits."""

    __slots__ = ("_is_server", "_owed", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_server = session.service.role == "server"
        self._owed = 0

    def take(self, message: Message, outlet: Outlet, size: int, now: float) -> None:
        """Hand a message to its owner.

        Args:
            message: as it was read.
            outlet: where the messages that belong to it, if it is a request, leave.
            size: its bytes.
            now: the time at which it was read.

        Raises:
            ConnectionLost: a server asks and asks, and does not read the answers.
        """
        session = self._session
        kind = type(message)
        if kind is Request:
            if not self._is_server:
                self._check_owed()
            session.router.request(session.requests, message, outlet, size, now)  # type: ignore[arg-type]
        elif kind is Notification:
            self._take_notification(message)  # type: ignore[arg-type]  # `type` narrows no union
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
                session.router.cancelled(session.requests, message.params)
        elif method == "notifications/progress":
            session.progress.arrived(session.calls, message.params)
        elif method == "notifications/initialized":
            session.router.initialized(session.requests)
        else:
            session.service.notified(session, method, message.params)
