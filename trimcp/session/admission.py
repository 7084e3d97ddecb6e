"""Admission: how many requests a server runs at once, and whose turn is next.

Shared by all sessions of a server. A free place goes to the next session that waits, in a ring,
so that a session which floods the server gets one turn like every other.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Waiting(Protocol):
    """The register of a session whose requests wait for places."""

    def start_next(self) -> None:
        """Take note that a place was taken for one of the requests that wait. Never waits."""
        ...

    @property
    def wants_place(self) -> bool:
        """Whether a request waits that the session's own cap would let run."""
        ...


class Admission:
    """The places of one server. A synchronous door: nothing here ever waits."""

    __slots__ = ("_ring", "_standing", "free", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.free = most
        """Places that nobody has."""
        self._ring: deque[Waiting] = deque()
        self._standing: set[Waiting] = set()  # who is in the ring, to tell without walking it

    def take(self) -> bool:
        """Take a place, if one is free and nobody waits for it."""
        if self.free <= 0 or self._ring:
            return False
        self.free -= 1
        return True

    def enlist(self, waiting: Waiting) -> None:
        """Stand in the ring for the next free place. One that stands there already stays where it is."""
        if waiting not in self._standing:
            self._standing.add(waiting)
            self._ring.append(waiting)

    def leave(self, waiting: Waiting) -> None:
        """Step out of the ring: the session is over."""
        if waiting in self._standing:
            self._standing.remove(waiting)
            self._ring.remove(waiting)

    def release(self) -> None:
        """Give a place back, and hand what is free round the ring."""
        self.free += 1
        if self._ring:
            self.grant()

    def grant(self) -> None:
        """Hand free places round the ring, one to each in turn."""
        while self.free > 0 and self._ring:
            waiting = self._ring.popleft()
            if waiting.wants_place:
                self.free -= 1
                waiting.start_next()
            if waiting.wants_place:
                self._ring.append(waiting)
            else:
                self._standing.remove(waiting)

    @property
    def sessions_waiting(self) -> int:
        """How many sessions stand in the ring."""
        return len(self._ring)
