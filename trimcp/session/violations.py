"""Violations: what a peer sends that is no message, and how it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimcp.codec.envelope import InvalidMessage, encode_error
from trimcp.observability import events, log
from trimcp.types.fields import ABSENT

if TYPE_CHECKING:
    from trimcp.session.outlet import Outlet
    from trimcp.session.session import Session


class Violations:
    """Answers, on a server, what has no id to answer to; a client only takes note. For the Router of a session."""

    __slots__ = ("_count", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._count = 0

    def answer(self, exc: InvalidMessage, outlet: Outlet, *, is_in_flight: bool) -> None:
        """Answer a frame that is no message.

        Args:
            exc: the problem.
            outlet: where an answer by its id would leave.
            is_in_flight: whether a request in flight has its id: an answer by that id would settle that request.
        """
        session = self._session
        if exc.kind == "response":  # in a batch
            session.calls.invalid_response(exc.id, str(exc))
        elif exc.kind == "notification":
            log.warning(events.MESSAGE_IGNORED, why=str(exc))
        elif is_in_flight:
            outlet.withdraw()
            self.refuse(exc.code, exc.message, {"path": exc.path})
        elif exc.id is None and outlet is session.outlet:
            self.refuse(exc.code, exc.message, {"path": exc.path} if exc.path else ABSENT)
        else:
            outlet.answer(self._error(exc.id, exc.code, exc.message, {"path": exc.path}))

    def refuse(self, code: int, message: str, data: Any = ABSENT) -> None:
        """Answer something that has no id to answer to."""
        session = self._session
        self._count += 1
        if log.is_worth_saying(self._count):
            peer, count = session.description, self._count
            log.warning(events.MESSAGE_REFUSED, peer=peer, code=code, why=message, count=count)
        if session.service.role == "server":
            session.writer.post(self._error(None, code, message, data))

    def _error(self, request_id: Any, code: int, message: str, data: Any) -> bytes:
        return encode_error(request_id, code, message, data, null_id=self._session.unreadable_id_is_null)
