"""`Histogram`: counts of integers in buckets whose width grows with the value, so that the relative error is bounded.

Values below 256 have a bucket each. Above, each power of two has 128 buckets of equal width. So a bucket is narrower
than 1/128 of its least value, and a value that is read back is wrong by less than 0.8 %. Two histograms add up
bucket by bucket, without any further error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

BITS: Final = 7
"""The number of buckets for each power of two, as a power of two."""
RELATIVE_ERROR: Final = 1 / 2**BITS
"""The bound of the error of a value that is read back, as a part of the value."""


class Histogram:  # noqa: PLW1641 - it changes, so it has no hash
    """Counts integers from 0 on. Trimcp's are nanoseconds."""

    __slots__ = ("counts", "greatest", "least", "total")

    def __init__(self, values: Iterable[int] = ()) -> None:
        """`values` are recorded."""
        self.counts: dict[int, int] = {}
        """The number of values in each bucket that has any."""
        self.total: int = 0
        """The sum of all values, exactly."""
        self.least: int = 0
        self.greatest: int = 0
        for value in values:
            self.record(value)

    def record(self, value: int) -> None:
        """Count a value. A negative one counts as 0."""
        counts = self.counts
        if value < 0:
            value = 0
        if value < self.least or not counts:
            self.least = value
        if value > self.greatest:
            self.greatest = value
        index = _index(value)
        counts[index] = counts.get(index, 0) + 1
        self.total += value

    def add(self, other: Histogram) -> None:
        """Count all values of another histogram as well."""
        if not other.counts:
            return
        self.least = min(self.least, other.least) if self.counts else other.least
        self.greatest = max(self.greatest, other.greatest)
        for index, number in other.counts.items():
            self.counts[index] = self.counts.get(index, 0) + number
        self.total += other.total

    def corrected(self, interval: int) -> Histogram:
        """Return a histogram that has also the values that a caller left out who waited for an answer.

        The caller would have asked each `interval`. So beside a value above it there are those of the requests that
        were not made meanwhile: the value less one interval, less two, and so on, down to one interval.
        """
        corrected, interval = Histogram(), max(interval, 1)
        corrected.add(self)
        for value, number in self:
            corrected._add_steps(value - interval, interval, number)
        return corrected

    def _add_steps(self, value: int, step: int, number: int) -> None:
        """Count a value, and all that are smaller by whole steps, down to one step; each so many times."""
        while value >= step:
            shift = max(value.bit_length() - BITS - 1, 0)
            steps = (value - max(value >> shift << shift, step)) // step + 1  # all in the bucket of the value
            index = _index(value)
            self.counts[index] = self.counts.get(index, 0) + steps * number
            self.total += number * (steps * value - step * (steps * (steps - 1) // 2))
            self.least = min(self.least, value - (steps - 1) * step)
            value -= steps * step

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def mean(self) -> float:
        """The mean of all values, exactly; 0 where there are none."""
        return self.total / len(self) if self.counts else 0.0

    def percentile(self, percent: float) -> int:
        """Return the least value that so many percent of all values do not exceed; 0 where there are none.

        It is the greatest value of its bucket, or of the histogram. So it is never too low, and less than
        `RELATIVE_ERROR` too high.
        """
        return next(self.percentiles((percent,)))

    def percentiles(self, percents: Iterable[float]) -> Iterator[int]:
        """Yield the values of several percentiles, which are in rising order."""
        number, seen, value = len(self), 0, 0
        buckets = iter(sorted(self.counts.items()))
        for percent in percents:
            # The epsilon keeps 99.9 % of 1000 from becoming the 1000th value by rounding.
            rank = max(1, -int(-(number * percent / 100 - 1e-9) // 1))
            while seen < min(rank, number):
                index, count = next(buckets)
                seen += count
                value = _upper_end(index)
            yield self.least if percent <= 0 else min(value, self.greatest)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the greatest value of each bucket, and its count, in rising order."""
        for index, number in sorted(self.counts.items()):
            yield min(_upper_end(index), self.greatest), number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.as_json() == other.as_json()

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object, which `from_json` reads."""
        counts = {str(index): number for index, number in sorted(self.counts.items())}
        return {"bits": BITS, "least": self.least, "greatest": self.greatest, "total": self.total, "counts": counts}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Histogram:
        """Make a histogram of a JSON object.

        Raises:
            ValueError: it has buckets of another width.
        """
        if value["bits"] != BITS:
            raise ValueError(f"a histogram has 2**{value['bits']} buckets for each power of two, not 2**{BITS}")
        histogram = cls()
        histogram.counts = {int(index): int(number) for index, number in value["counts"].items()}
        histogram.least, histogram.greatest = int(value["least"]), int(value["greatest"])
        histogram.total = int(value["total"])
        return histogram


def _index(value: int) -> int:
    """Return the bucket of a value."""
    shift = value.bit_length() - BITS - 1
    return value if shift <= 0 else (shift << BITS) + (value >> shift)


def _upper_end(index: int) -> int:
    """Return the greatest value of a bucket."""
    shift = (index >> BITS) - 1
    if shift <= 0:
        return index
    return ((index - (shift << BITS) + 1) << shift) - 1
