"""The rules of progress: it increases, and it is limited in rate.

basic/utilities/progress of the legacy revisions, basic/patterns/progress of 2026-07-28. The
caller brings the time; nothing here has a clock.
"""

from __future__ import annotations

import enum
from math import isfinite


class Verdict(enum.Enum):
    """What becomes of a progress report."""

    SEND = "send"
    HOLD = "hold"
    """Over the rate: it waits for the next one to replace it, or for the end of the request."""
    REFUSE = "refuse"
    """It does not increase, or is no number that JSON could write."""


class Meter:
    """The progress of one request, in one direction.

    A burst of reports passes at once, then `rate` a second.
    """

    __slots__ = ("_allowance", "_burst", "_last", "_rate", "_when")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._allowance = float(burst)
        self._when: float | None = None
        self._last: float | None = None

    def weigh(self, progress: float, now: float) -> Verdict:
        """Judge a report of `progress` at the time `now` (seconds on any clock that does not go back)."""
        # JSON has no form for NaN and the infinities.
        if not isfinite(progress) or (self._last is not None and progress <= self._last):
            return Verdict.REFUSE
        self._last = progress
        if self._when is not None:
            self._allowance = min(self._burst, self._allowance + (now - self._when) * self._rate)
        self._when = now
        if self._allowance < 1:
            return Verdict.HOLD
        self._allowance -= 1
        return Verdict.SEND
