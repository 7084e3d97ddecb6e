"""The registry of legacy HTTP sessions: by the id that only their clients know.

An interface, so that a registry which several processes share can stand in for the one in memory:
what it must give back is a session that can be served here.
"""

from __future__ import annotations

import abc
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trimcp.endpoint.http_session import HttpSession

ID_BYTES: Final = 24
"""Random bytes of an id: nobody guesses 192 bits."""


class SessionRegistry(abc.ABC):
    """Which sessions there are."""

    def new_id(self) -> str:
        """An id that nobody can guess, of visible ASCII characters."""
        return secrets.token_urlsafe(ID_BYTES)

    @abc.abstractmethod
    async def add(self, session: HttpSession) -> None:
        """A session has begun."""

    @abc.abstractmethod
    async def find(self, id: str) -> HttpSession | None:
        """The session with this id, if there is one. Whose it is, is for the caller to check."""

    @abc.abstractmethod
    def forget(self, session: HttpSession) -> None:
        """A session is over. Must not wait, nor raise."""

    @abc.abstractmethod
    def __iter__(self) -> Iterator[HttpSession]:
        """The sessions that live in this process, over a copy."""


class LocalSessions(SessionRegistry):
    """The sessions of this process. How many there may be is the server's business."""

    def __init__(self) -> None:
        self._sessions: dict[str, HttpSession] = {}

    async def add(self, session: HttpSession) -> None:
        self._sessions[session.id] = session

    async def find(self, id: str) -> HttpSession | None:
        return self._sessions.get(id)

    def forget(self, session: HttpSession) -> None:
        self._sessions.pop(session.id, None)

    def __iter__(self) -> Iterator[HttpSession]:
        return iter(list(self._sessions.values()))
