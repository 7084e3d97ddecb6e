"""`SessionContext`: the legacy session that a notification handler works for.

2026-07-28 has no sessions: a client of it sends requests only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult
from trimcp.server.context.client_view import ClientView, ContextRun
from trimcp.types.methods import METHODS
from trimcp.types.revisions import LATEST_LEGACY

if TYPE_CHECKING:
    from trimcp.protocol.client_profile import ClientProfile
    from trimcp.session.call import CallRoute
    from trimcp.session.delivery import Delivery
    from trimcp.session.peer import Peer
    from trimcp.types.revisions import Revision
    from trimcp.types.roots import Root

ROOTS_TIMEOUT: Final = METHODS["roots/list"].default_deadline
"""Seconds that a client may take to list its roots."""


class SessionContext(ClientView):
    """Holds the legacy session whose notification a function handles."""

    __slots__ = ("_of", "_run")

    def __init__(self, session: Peer, run: ContextRun) -> None:
        self._of = session
        self._run = run

    @property
    def _session(self) -> Peer:
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
    def _notify_route(self) -> CallRoute:
        return self._of.reply_stream

    @property
    def _call_route(self) -> CallRoute | None:
        return None

    async def roots(self) -> list[Root]:
        """Ask for the directories and files that the client lets the server work in (client/roots).

        Raises:
            CapabilityMissing: the client did not declare roots.
            InvalidResult, RequestFailed, RequestTimedOut, ConnectionEnded: there is no valid answer.
        """
        from trimcp.server.context.questions import Roots
        from trimcp.server.context.requirements import check_profile

        question = Roots()
        check_profile(self._profile, self._revision, question.requires, "SessionContext.roots")
        raw = await self._of.calls.call(question.method, None, timeout=ROOTS_TIMEOUT)
        try:
            return question.answer(raw, codec_for(self._revision))
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None
