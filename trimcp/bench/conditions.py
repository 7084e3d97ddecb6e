"""`Condition`: a bound of a figure, such as `p99<50ms`, `errors>0.1%`, `add:p99.9>1s`, `sent.p50>1ms`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Final

import attrs

from trimcp.bench import quantities
from trimcp.bench.histogram import Histogram
from trimcp.bench.result import OperationResult, Result
from trimcp.errors import UsageError

_CONDITION: Final = re.compile(
    r"(?:(?P<operation>.+):)?(?:(?P<since>due|sent|corrected|opening)\.)?(?P<figure>[a-z]+(?:\d+(?:\.\d+)?)?)\s*"
    r"(?P<sign><=|>=|<|>)\s*(?P<bound>.+)"
)
_PERCENTILE: Final = re.compile(r"p(\d+(?:\.\d+)?)")
_SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TIMES: Final = ("min", "mean", "max")
COUNTS: Final = ("errors", "dropped")
OTHERS: Final = ("rate", "memory", "cpu", "lost", "failed")
FIGURES: Final = "p50, p99, p99.9, min, mean, max, errors, dropped, rate, memory, cpu, lost, failed"


@attrs.frozen
class Condition:
    """Compares one figure of a result with a bound."""

    text: str
    operation: str | None
    since: str
    figure: str
    percent: float | None
    """Of a percentile."""
    sign: str
    bound: float
    """In seconds, bytes, a part of 1, or a number."""
    is_part: bool
    """Whether a count is compared as a part of all."""

    def value(self, result: Result) -> float:
        """Return the figure.

        Raises:
            UsageError: the result does not have it.
        """
        one = self._operation(result)
        if self.figure in TIMES or self.percent is not None:
            if self.since == "corrected" and one.due.counts and not one.corrected.counts:
                raise UsageError(f"{self.text}: only a closed loop has corrected times: leave out 'corrected.'")
            return self._time(result.sessions.opening if self.since == "opening" else getattr(one, self.since)) / 1e9
        if self.figure in COUNTS:
            number, whole = one.failed, one.failed + len(one.due)
            if self.figure == "dropped":
                number, whole = result.dropped, result.offered
            return number / max(whole, 1) if self.is_part else number
        if self.figure == "rate":
            return result.rate if self.operation is None else len(one.due) / max(result.seconds, 1e-9)
        if self.figure in ("memory", "cpu"):
            if result.server is None:
                raise UsageError(f"{self.text}: the server's processes are not known: give --server-pid")
            return result.server.peak if self.figure == "memory" else result.server.cpu / max(result.seconds, 1e-9)
        return result.sessions.lost if self.figure == "lost" else sum(result.sessions.failed.values())

    def holds(self, value: float) -> bool:
        """Return whether a figure is within the bound."""
        return _SIGNS[self.sign](value, self.bound)

    def shown(self, value: float) -> str:
        """Write a value of the figure with its unit."""
        if self.figure in TIMES or self.percent is not None:
            return quantities.shown_seconds(value)
        if self.figure == "memory":
            return quantities.shown_bytes(value)
        return f"{value:.3%}" if self.is_part or self.figure == "cpu" else f"{value:,.6g}"

    def _operation(self, result: Result) -> OperationResult:
        if self.operation is None:
            return result.all
        for each in result.operations:
            if each.name == self.operation:
                return each
        names = ", ".join(each.name for each in result.operations)
        raise UsageError(f"{self.text}: there is no operation {self.operation}: there are {names}")

    def _time(self, histogram: Histogram) -> float:
        if self.percent is not None:
            return histogram.percentile(self.percent)
        return {"min": histogram.least, "mean": histogram.mean, "max": histogram.greatest}[self.figure]


def condition_of(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: it has another form, or a figure that does not exist.
    """
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text[:60]!r} is not a condition: write a figure, < or >, and a bound, such as p99>50ms")
    figure, bound = found["figure"], found["bound"].strip()
    percentile = _PERCENTILE.fullmatch(figure)
    if percentile is None and figure not in (*TIMES, *COUNTS, *OTHERS):
        raise UsageError(f"{text[:60]!r}: there is no figure {figure}: there are {FIGURES}")
    if percentile is not None and float(percentile[1]) > 100:
        raise UsageError(f"{text[:60]!r}: a percentile is at most p100")
    is_part = bound.endswith("%")
    if percentile is not None or figure in TIMES:
        value = quantities.seconds(bound)
    elif figure == "memory":
        value = quantities.size(bound)
    elif is_part and figure in (*COUNTS, "cpu"):
        value = quantities.split(bound)[0] / 100
    else:
        value, unit = quantities.split(bound)
        if unit:
            raise UsageError(f"{text[:60]!r}: {figure} takes a number without a unit")
    return Condition(
        text.strip(),
        found["operation"],
        found["since"] or "due",
        figure,
        None if percentile is None else float(percentile[1]),
        found["sign"],
        value,
        is_part,
    )
