"""Backoff: the pauses between tries of one thing, and when to give up. Pure, but for random numbers."""

from __future__ import annotations

import math
import random
from typing import Final

FIRST: Final = 0.5
"""Seconds before the second try."""
LEAST: Final = 0.1
"""Seconds between tries, also where the peer asks for no pause: a peer at fault is not asked in a tight loop."""
LONGEST: Final = 30.0
"""Seconds between tries, at most."""
JITTER: Final = 0.5
"""The part of a pause that is cut at random, so that many clients do not come back at once."""
LONGEST_ASKED: Final = 300.0
"""Seconds that a peer may ask for, at most."""
BUDGET: Final = 10
"""Tries in a row that may fail."""


def doubled_pause(failures: int, *, first: float = FIRST, longest: float = LONGEST, jitter: float = JITTER) -> float:
    """Return the seconds before the next try, after a number of failures: each doubles the pause."""
    # Doubling stops before it leaves the range of floats; the pause is `longest` by then.
    pause = min(longest, first * 2.0 ** min(failures - 1, 64))
    return pause * (1 - jitter * random.random())  # noqa: S311 - no secret


class Backoff:
    """Counts the failed tries of one thing, and says how long to wait before the next."""

    __slots__ = ("_budget", "_first", "_jitter", "_longest", "tries")

    def __init__(
        self, *, first: float = FIRST, longest: float = LONGEST, jitter: float = JITTER, budget: int | None = BUDGET
    ) -> None:
        """
        Args:
            first: seconds before the second try.
            longest: seconds between tries, at most.
            jitter: the part of a pause, from 0 to 1, that is cut at random.
            budget: tries in a row that may fail; None: any number.
        """
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._budget = budget
        self.tries: int = 0
        """Tries that failed, in a row."""

    def succeeded(self) -> None:
        """Note that a try succeeded."""
        self.tries = 0

    def next_pause(self, asked: float | None = None) -> float | None:
        """Note that a try failed; return the seconds to wait before the next, or None to give up.

        Args:
            asked: seconds that the peer wants to pass; the pause is at least as long, up to `LONGEST_ASKED`, and at
                least `LEAST`.
        """
        self.tries += 1
        if self._budget is not None and self.tries > self._budget:
            return None
        pause = doubled_pause(self.tries, first=self._first, longest=self._longest, jitter=self._jitter)
        if asked is None or math.isnan(asked):
            return pause
        asked = min(asked, LONGEST_ASKED)
        # The first time the peer knows best; a peer that is asked in vain again and again is given more time.
        return max(asked, LEAST if self.tries == 1 else pause)
