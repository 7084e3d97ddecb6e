"""Figures: for each tool the number of calls, errors and cancels, and how long its calls took.

Durations are counted in buckets, each a fifth longer than the one before, so a figure never grows: percentiles are
exact to 10 %. A call costs three looks into a dict; see `Durations` for its bucket.
"""

from __future__ import annotations

from typing import Any, Final

from trimcp.codec.encoded_results import EncodedToolResult
from trimcp.framing.headers import NAMED_PARAMS
from trimcp.observability.durations import MOST_WAITING, Durations
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
_ENDS: Final = tuple(SHORTEST * GROWTH**at for at in range(BUCKETS - 1))
"""The upper ends of all buckets but the last."""


class Calls:
    """Counts calls of one tool."""

    __slots__ = ("cancelled", "durations", "errors")

    def __init__(self) -> None:
        self.errors: int = 0
        """Errors of the protocol, and results with `isError`."""
        self.cancelled: int = 0
        self.durations: Durations = Durations(_ENDS)

    def percentile(self, share: float) -> float:
        """Return the seconds within which that share of the calls ended."""
        longest, left = self.durations.longest, self.durations.number * share
        for at, number in enumerate(self.durations.buckets):
            left -= number
            if number and left <= 1e-9:
                return min(SHORTEST * GROWTH ** (at - 0.5), longest) if at else min(SHORTEST, longest)
        return longest

    def shown(self) -> dict[str, Any]:
        """Return the figures for the page, with milliseconds."""
        buckets = self.durations.buckets
        used = [at for at, number in enumerate(buckets) if number]
        return {
            "count": self.durations.number,
            "errors": self.errors,
            "cancelled": self.cancelled,
            **{f"p{p}": round(self.percentile(p / 100) * 1000, 3) for p in (50, 95, 99)},
            "longest": round(self.durations.longest * 1000, 3),
            "buckets": buckets[used[0] : used[-1] + 1] if used else [],
        }


class Figures:
    """Counts the requests of a server, by tool, prompt and resource, and other methods by their name."""

    def __init__(self) -> None:
        self._by_method: dict[str, tuple[str, dict[str, Calls]]] = {}
        """By method: the member of the params that has the name, "" where there are no names; and the figures."""
        self._names: int = 0
        self.refusals: int = 0
        """Requests that were refused, of all methods."""

    def ended(self, request: EndedRequest, now: float) -> None:
        """See `RequestObserver`."""
        try:
            member, by_name = self._by_method[request.method]
            found = by_name[request.params[member]]  # type: ignore[index]  # caught: most have a name
        except (KeyError, TypeError):
            found = self._found(request.method, request.params)
        waiting = found.durations.waiting
        waiting.append(now - request.received_at)
        if len(waiting) >= MOST_WAITING:
            found.durations.sort()
        if request.cancel_reason is not None:
            found.cancelled += 1
        elif request.code is not None or (
            # A value of a function is no error; a search in its answer would be half the cost of counting.
            type(request.result) is not EncodedToolResult
            and request.answer is not None
            and request.answer.find(b'"isError":true') >= 0
        ):
            found.errors += 1

    def _found(self, method: str, params: dict[str, Any] | None) -> Calls:
        """Return the figures of a request that is the first of its name, or of a method without names."""
        member, by_name = self._by_method.setdefault(method, (NAMED_PARAMS.get(method, ""), {}))
        name = params.get(member) if member and params is not None else ""
        if type(name) is not str:
            name = ""
        found = by_name.get(name)
        if found is None and self._names >= MOST_NAMES:
            name = OTHERS
            found = by_name.get(name)
        if found is None:
            found = by_name[name] = Calls()
            self._names += 1
        return found

    def refused(self, method: str, reason: str) -> None:
        """See `RequestObserver`."""
        self.refusals += 1

    def shown(self) -> dict[str, dict[str, Any]]:
        """Return the figures by `method name`."""
        return {
            f"{method} {name}".rstrip(): {"method": method, "name": name, **found.shown()}
            for method, (_, by_name) in self._by_method.items()
            for name, found in by_name.items()
        }
