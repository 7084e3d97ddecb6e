"""Figures: for each tool the number of calls, errors and cancels, and how long its calls took.

Durations are counted in buckets, each a fifth longer than the one before, so a figure never grows: percentiles are
exact to 10 %. A call costs one look into a dict and one search for its bucket.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from trimcp.framing.headers import NAMED_PARAMS
from trimcp.observability.instruments import EndedRequest

SHORTEST: Final = 10e-6
"""Seconds, the upper end of the first bucket."""
GROWTH: Final = 1.2
"""How much longer a bucket is than the one before."""
BUCKETS: Final = 96
"""The last bucket begins at some 5 minutes and takes all that took longer."""
MOST_NAMES: Final = 512
"""Names that are counted apart. Those of further ones are counted under `(others)`."""
OTHERS: Final = "(others)"
_NAMED: Final = dict(NAMED_PARAMS)
"""A plain dict: a look into a view of one takes three times as long."""
_ENDS: Final = tuple(SHORTEST * GROWTH**at for at in range(BUCKETS - 1))
"""The upper ends of all buckets but the last."""


class Durations:
    """Counts calls of one tool."""

    __slots__ = ("buckets", "cancelled", "count", "errors", "longest")

    def __init__(self) -> None:
        self.count: int = 0
        self.errors: int = 0
        """Errors of the protocol, and results with `isError`."""
        self.cancelled: int = 0
        self.longest: float = 0.0
        self.buckets: list[int] = [0] * BUCKETS

    def percentile(self, share: float) -> float:
        """Return the seconds within which that share of the calls ended."""
        left = self.count * share
        for at, number in enumerate(self.buckets):
            left -= number
            if number and left <= 1e-9:
                return min(SHORTEST * GROWTH ** (at - 0.5), self.longest) if at else min(SHORTEST, self.longest)
        return self.longest

    def shown(self) -> dict[str, Any]:
        """Return the figures for the page, with milliseconds."""
        used = [at for at, number in enumerate(self.buckets) if number]
        return {
            "count": self.count,
            "errors": self.errors,
            "cancelled": self.cancelled,
            **{f"p{p}": round(self.percentile(p / 100) * 1000, 3) for p in (50, 95, 99)},
            "longest": round(self.longest * 1000, 3),
            "buckets": self.buckets[used[0] : used[-1] + 1] if used else [],
        }


class Figures:
    """Counts the requests of a server, by tool, prompt and resource, and other methods by their name."""

    def __init__(self) -> None:
        self._by_method: dict[str, dict[str, Durations]] = {}
        self._names: int = 0
        self.refusals: int = 0
        """Requests that were refused, of all methods."""

    def ended(self, request: EndedRequest, outcome: str, seconds: float, *, is_cancelled: bool) -> None:
        """See `RequestObserver`."""
        method, params = request.method, request.params
        member = _NAMED.get(method)
        name = params.get(member) if member is not None and params is not None else ""
        if type(name) is not str:
            name = ""
        by_name = self._by_method.get(method)
        found = None if by_name is None else by_name.get(name)
        if found is None:
            found = self._new(method, name)
        found.count += 1
        if seconds > found.longest:
            found.longest = seconds
        found.buckets[bisect_left(_ENDS, seconds)] += 1
        if is_cancelled:
            found.cancelled += 1
        elif outcome != "ok" or (request.answer is not None and request.answer.find(b'"isError":true') >= 0):
            found.errors += 1

    def _new(self, method: str, name: str) -> Durations:
        if self._names >= MOST_NAMES:
            name = OTHERS
        by_name = self._by_method.setdefault(method, {})
        found = by_name.get(name)
        if found is None:
            found = by_name[name] = Durations()
            self._names += 1
        return found

    def refused(self, method: str, reason: str) -> None:
        """See `RequestObserver`."""
        self.refusals += 1

    def shown(self) -> dict[str, dict[str, Any]]:
        """Return the figures by `method name`."""
        return {
            f"{method} {name}".rstrip(): {"method": method, "name": name, **found.shown()}
            for method, by_name in self._by_method.items()
            for name, found in by_name.items()
        }
