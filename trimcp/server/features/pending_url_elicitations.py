"""Pending URL elicitations: the sessions to notify when their users have finished on a web page.

Only 2025-11-25 has the notification, `notifications/elicitation/complete` (client/elicitation of that revision). In
2026-07-28 a client sends its request again.
"""

from __future__ import annotations

from typing import Final

from trimcp.codec.envelope import encode_notification
from trimcp.session.peer import Peer
from trimcp.types.methods import methods_of

MOST: Final = 4096
"""Elicitations that are held. Of more, the oldest is dropped, and its client is not notified."""
COMPLETE: Final = "notifications/elicitation/complete"


class PendingUrlElicitations:
    """Holds the URL elicitations of one run of a server that are not complete, by their ids."""

    def __init__(self) -> None:
        self._sessions: dict[str, Peer] = {}

    def add(self, id: str, session: Peer) -> None:
        """Hold the session to notify, if its revision has the notification."""
        if session.revision is None or COMPLETE not in methods_of(session.revision, "server"):
            return
        if len(self._sessions) >= MOST:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[id] = session

    def complete(self, id: str) -> bool:
        """Notify the client that was asked, once. Returns whether there is a client to notify."""
        session = self._sessions.pop(id, None)
        if session is None or session.end is not None:
            return False
        session.writer.post(encode_notification(COMPLETE, {"elicitationId": id}))
        return True

    def session_ended(self, session: Peer) -> None:
        """Remove the elicitations of a session."""
        for id in [id for id, asked in self._sessions.items() if asked is session]:
            del self._sessions[id]
