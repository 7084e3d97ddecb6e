"""Reads a few rows in Trio's thread.

A hop to the thread that reads costs several times as much. But a read that waits holds up every request of the process.
So it waits for no lock, and while the disk is slow the thread reads instead.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

SLOW: Final = 0.01
"""Seconds after which a read, or a commit that is under way, shows that the disk is slow."""
PAUSE: Final = 10.0
"""Seconds without such reads after a slow one."""


class ThreadNeeded(Exception):
    """The read would have to wait, or has failed: have the thread read."""


class DirectReader:
    """Reads in the thread of its caller. Never waits for a lock."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection`: of its own, with a timeout of 0."""
        self._connection = connection
        self._next_at = -math.inf

    def read(self, function: Callable[[sqlite3.Connection], T], commit_began: float = math.inf) -> T:
        """Return the value of a function that reads a few rows by their keys. All that it reads is of one moment.

        Args:
            function: reads.
            commit_began: when the commit of another thread began that is under way; infinite while there is none.

        Raises:
            ThreadNeeded: the file is locked, the disk is slow, or a statement has failed.
        """
        began = time.monotonic()
        if began < self._next_at or began - commit_began > SLOW:
            raise ThreadNeeded
        try:
            self._connection.execute("BEGIN")
            try:
                return function(self._connection)
            finally:
                self._connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise ThreadNeeded from exc
        finally:
            ended = time.monotonic()
            if ended - began > SLOW:
                self._next_at = ended + PAUSE

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
