"""Admission: how many requests a server runs at once, and which session starts the next one.

All sessions of a server share it. A free place goes to the next session that waits, round robin, so a session
that floods the server gets one turn like every other.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol


class WaitingRegister(Protocol):
    """The register of a session whose requests wait for places."""

    def start_next(self) -> None:
        """Take note that a place was taken for a request that waits. Never waits."""
        ...

    @property
    def wants_place(self) -> bool:
        """Whether a request waits which the session's own cap would let run."""
        ...


class Admission:
    """Hands out the places of one server. Its methods never wait."""

    __slots__ = ("_queue", "_queued", "free", "most")

    def __init__(self, most: int) -> None:
        """`most`: requests that may run at once."""
        self.most: int = most
        self.free: int = most
        """Places that are not taken."""
        self._queue: deque[WaitingRegister] = deque()
        self._queued: set[WaitingRegister] = set()  # the same registers, for a look-up without a walk

    def take(self) -> bool:
        """Take a place, if one is free and no session waits for it."""
        if self.free <= 0 or self._queue:
            return False
        self.free -= 1
        return True

    def enlist(self, register: WaitingRegister) -> None:
        """Queue a register for the next free place. A register that is queued keeps its position."""
        if register not in self._queued:
            self._queued.add(register)
            self._queue.append(register)

    def leave(self, register: WaitingRegister) -> None:
        """Take a register out of the queue: its session is over."""
        if register in self._queued:
            self._queued.remove(register)
            self._queue.remove(register)

    def release(self) -> None:
        """Give a place back, and hand free places to registers that wait."""
        self.free += 1
        if self._queue:
            self.grant()

    def grant(self) -> None:
        """Hand out free places, one to each register in turn."""
        while self.free > 0 and self._queue:
            register = self._queue.popleft()
            if register.wants_place:
                self.free -= 1
                register.start_next()
            if register.wants_place:
                self._queue.append(register)
            else:
                self._queued.remove(register)

    @property
    def sessions_waiting(self) -> int:
        """How many registers are queued."""
        return len(self._queue)
