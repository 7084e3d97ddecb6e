"""What a function may know and do that is told of something a client let the server know, outside of any request.

Only sessions of the legacy era have such things: in 2026-07-28 all that a client says is a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult
from trimcp.server.client_view import ClientView
from trimcp.types.methods import METHODS
from trimcp.types.revisions import LATEST_LEGACY

if TYPE_CHECKING:
    from trimcp.protocol.profile import ClientProfile
    from trimcp.server.running import Running
    from trimcp.session.calls import Way
    from trimcp.session.delivery import Delivery
    from trimcp.session.session import Session
    from trimcp.types.revisions import Revision
    from trimcp.types.roots import Root

PATIENCE: Final = METHODS["roots/list"].default_deadline
"""Seconds that a client may take to tell its roots."""


class SessionContext(ClientView):
    """A session of the legacy era, as those see it who are told of its notifications."""

    __slots__ = ("_of", "_running")

    def __init__(self, session: Session, running: Running) -> None:
        self._of = session
        self._running = running

    @property
    def _session(self) -> Session:
        return self._of

    @property
    def _profile(self) -> ClientProfile | None:
        return self._of.client

    @property
    def _revision(self) -> Revision:
        return self._of.revision or LATEST_LEGACY

    @property
    def _delivery(self) -> Delivery:
        return self._of.delivery

    @property
    def _way(self) -> Way:
        return self._of.outlet

    @property
    def _call_way(self) -> Way | None:
        return None

    async def roots(self) -> list[Root]:
        """Ask for the places that the client lets the server work in (client/roots).

        Raises:
            CapabilityMissing: the client did not declare that it has any.
            InvalidResult, RequestFailed, RequestTimedOut, ConnectionEnded: it did not work out.
        """
        from trimcp.server.questions import Roots
        from trimcp.server.requirements import check_profile

        question = Roots()
        check_profile(self._profile, self._revision, question.requires, "telling of roots")
        raw = await self._of.calls.call(question.method, None, timeout=PATIENCE)
        try:
            return question.answer(raw, codec_for(self._revision))
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None
