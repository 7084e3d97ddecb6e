"""The rules of progress: it increases, and its rate is limited.

basic/utilities/progress of the legacy revisions, basic/patterns/progress of 2026-07-28. The caller passes the time;
nothing here has a clock.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from math import inf, isfinite
from typing import Final


class Verdict(enum.Enum):
    """The decision on a progress report."""

    SEND = "send"
    HOLD = "hold"
    """Over the rate: it waits for the next report to replace it, or for the end of the request."""
    REFUSE = "refuse"
    """It does not increase, or is a number that JSON cannot write."""


SEND: Final = Verdict.SEND  # in Python 3.11, an attribute of an Enum costs as much as two calls
HOLD: Final = Verdict.HOLD
REFUSE: Final = Verdict.REFUSE


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
        return self.weigh_all((progress,), now)[0]

    def weigh_all(self, run: Iterable[float], now: float) -> list[Verdict]:
        """Judge reports that come at one time, in their order."""
        allowance = min(self._allowance + (now - self._when) * self._rate, self._burst)
        last = self._last
        verdicts: list[Verdict] = []
        for progress in run:
            try:
                if not isfinite(progress) or progress <= last:  # JSON has no form for NaN and the infinities
                    verdicts.append(REFUSE)
                    continue
            except (TypeError, OverflowError):  # no number, or one beyond all floats
                verdicts.append(REFUSE)
                continue
            last = progress
            if allowance < 1:
                verdicts.append(HOLD)
            else:
                allowance -= 1
                verdicts.append(SEND)
        self._when, self._allowance, self._last = now, allowance, last
        return verdicts
