"""Backoff: how long to wait before another try, and when to give up. Pure, but for the dice."""

from __future__ import annotations

import random
from typing import Final

FIRST: Final = 0.5
"""Seconds before the second try."""
LEAST: Final = 0.1
"""Seconds between tries, also where the server asks for no pause: one that is at fault is not asked in a tight loop."""
LONGEST: Final = 30.0
"""Seconds between tries, at most."""
BUDGET: Final = 10
"""Tries that come to nothing, one after the other."""


def may_pass(status: int) -> bool:
    """Whether what is answered with that status may be answered otherwise a moment later."""
    return status == 429 or (status >= 500 and status != 501)


class Backoff:
    """Tries of one thing: doubled pauses with jitter, so that many clients do not come back at once."""

    def __init__(self, *, budget: int | None = BUDGET) -> None:
        """`budget`: fruitless tries until it is over; None: never."""
        self._budget = budget
        self.tries = 0
        """Those that came to nothing, in a row."""

    def succeeded(self) -> None:
        """A try was worth it."""
        self.tries = 0

    def next_pause(self, asked: float | None = None) -> float | None:
        """Seconds to wait before the next try, at least what was asked for and `LEAST`; None: give up."""
        self.tries += 1
        if self._budget is not None and self.tries > self._budget:
            return None
        pause: float = min(LONGEST, FIRST * 2.0 ** min(self.tries - 1, 16))
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        if asked is None:
            return pause
        # The first time the server knows best; one that is asked in vain again and again is given more time.
        return max(asked, LEAST if self.tries == 1 else pause)
