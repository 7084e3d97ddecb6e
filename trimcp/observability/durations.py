"""Durations: a histogram, whose values are sorted into buckets when it is read, or when many wait."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

MOST_WAITING: Final = 512
"""Durations that wait to be sorted into buckets: to sort many at once costs each of them a fifth of a search."""


class Durations:
    """Counts durations in buckets. They are given in seconds."""

    __slots__ = ("_bounds", "_buckets", "_longest", "_total", "waiting")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: the upper ends of all buckets but the last, the shortest first."""
        self._bounds = bounds
        self._buckets = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._longest = 0.0
        self.waiting: list[float] = []
        """Durations that are in no bucket yet. To count one, append it, and call `sort` once there are `MOST_WAITING`.

        No method does both: each request would pay for its call.
        """

    @property
    def number(self) -> int:
        """How many were counted."""
        return sum(self.buckets)

    @property
    def total(self) -> float:
        """Their sum."""
        self.sort()
        return self._total

    @property
    def longest(self) -> float:
        """The longest one; 0 before the first."""
        self.sort()
        return self._longest

    @property
    def buckets(self) -> list[int]:
        """How many took at most each bound, and more than the one before; the last: longer than all."""
        self.sort()
        return self._buckets

    def sort(self) -> None:
        """Put the durations that wait into their buckets."""
        waiting = self.waiting
        if not waiting:
            return
        waiting.sort()
        found = 0
        for at, bound in enumerate(self._bounds):
            found_next = bisect_right(waiting, bound, found)
            self._buckets[at] += found_next - found
            found = found_next
            if found == len(waiting):
                break
        self._buckets[-1] += len(waiting) - found
        self._total += sum(waiting)
        self._longest = max(self._longest, waiting[-1])
        waiting.clear()
