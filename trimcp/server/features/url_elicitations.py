"""Pending URL elicitations: which session sent its user to which web page, to tell it when the user is done there.

2025-11-25 alone has the notice (`notifications/elicitation/complete`, for the client that was asked:
client/elicitation of that revision). In 2026-07-28 a client learns by asking again.
"""

from __future__ import annotations

from typing import Final

from trimcp.codec.envelope import encode_notification
from trimcp.session.session import Session
from trimcp.types.methods import methods_of

MOST: Final = 4096
"""Elicitations that are remembered; the oldest is forgotten first, and its client is then not told."""
COMPLETE: Final = "notifications/elicitation/complete"


class PendingUrlElicitations:
    """The URL elicitations of one run of a server that are not complete, by their ids."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def add(self, id: str, session: Session) -> None:
        """Remember which session to tell, where its revision has the notice."""
        if session.revision is None or COMPLETE not in methods_of(session.revision, "server"):
            return
        if len(self._sessions) >= MOST:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[id] = session

    def complete(self, id: str) -> bool:
        """Tell the client that asked, once. Returns whether there is one to tell."""
        session = self._sessions.pop(id, None)
        if session is None or session.end is not None:
            return False
        session.writer.post(encode_notification(COMPLETE, {"elicitationId": id}))
        return True

    def session_ended(self, session: Session) -> None:
        """Forget those of a session."""
        for id in [id for id, asked in self._sessions.items() if asked is session]:
            del self._sessions[id]
