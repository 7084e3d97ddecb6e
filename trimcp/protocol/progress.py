"""The rules of progress: it increases, and its rate is limited.

basic/utilities/progress of the legacy revisions, basic/patterns/progress of 2026-07-28. The caller passes the time;
nothing here has a clock.
"""

from __future__ import annotations

import enum
from math import inf, isfinite


class Verdict(enum.Enum):
    """The decision on a progress report."""

    SEND = "send"
    HOLD = "hold"
    """Over the rate: it waits for the next report to replace it, or for the end of the request."""
    REFUSE = "refuse"
    """It does not increase, or is a number that JSON cannot write."""


class ProgressMeter:
    """Judges the progress reports of one request, in one direction.

    A burst of reports passes at once, then `rate` a second.
    """

    __slots__ = ("_allowance", "_burst", "_last", "_rate", "_when")

    def __init__(self, rate: float, burst: int) -> None:
        """
        Args:
            rate: reports a second, once the burst is used up.
            burst: reports that pass at once.
        """
        self._rate = rate
        self._burst = burst
        self._allowance = float(burst)
        self._when = 0.0
        self._last = -inf

    def weigh(self, progress: float, now: float) -> Verdict:
        """Judge a report of `progress` at the time `now` (seconds on any clock that does not go back)."""
        if not isfinite(progress) or progress <= self._last:  # JSON has no form for NaN and the infinities
            return Verdict.REFUSE
        self._last = progress
        allowance = self._allowance + (now - self._when) * self._rate
        self._when = now
        if allowance > self._burst:
            allowance = self._burst
        if allowance < 1:
            self._allowance = allowance
            return Verdict.HOLD
        self._allowance = allowance - 1
        return Verdict.SEND
