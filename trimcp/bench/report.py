"""`Report`: a run with all that belongs to it, and its JSON form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from trimcp.bench.find_max import Step, best, limit
from trimcp.bench.histogram import Histogram
from trimcp.bench.plan import Open, Plan
from trimcp.bench.quantities import shown_seconds
from trimcp.bench.result import CONVERTER, OperationResult, Point, Result
from trimcp.bench.schedule import shown
from trimcp.bench.verdict import Verdict

SCHEMA: Final = 1
"""The version of the JSON form."""
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)
FIGURES: Final = ("min", "p50", "p90", "p99", "p99.9", "max")
"""The times of each operation that a report shows."""


@attrs.frozen
class Report:
    """A run, for the writers of reports."""

    target: str
    """The server, as it was named."""
    environment: dict[str, Any]
    plan: Plan
    workers: int
    result: Result
    verdict: Verdict
    steps: tuple[Step, ...] = ()
    """Of a search for the highest rate; `result` is then that of the highest rate that was held."""

    @property
    def load(self) -> str:
        """The load in a few words."""
        load = self.plan.load
        if not isinstance(load, Open):
            return f"closed loop, {load.callers} at once"
        schedule = load.schedule
        steady = len(schedule.stages) == 1 and schedule.first == schedule.stages[0].rate
        rate = f"{schedule.first:g}/s" if steady else f"stages {shown(schedule.stages)}"
        return f"open loop, {rate}, {load.arrivals} arrivals, at most {load.in_flight} in flight"

    @property
    def found(self) -> str | None:
        """The result of a search, as a sentence."""
        if not self.steps:
            return None
        held, missed = best(self.steps), limit(self.steps)
        if held is None:
            return f"no rate was held, down to {min(step.rate for step in self.steps):,.4g}/s"
        if missed is None:
            return f"at least {held.rate:,.0f}/s: the search was ended there"
        why = "; ".join((*missed.invalid, *missed.reasons))
        much = "at least " if missed.invalid else ""
        return f"{much}{held.rate:,.0f}/s are held; {missed.rate:,.0f}/s are not: {why}"

    def times_of(self, each: OperationResult) -> list[tuple[str, Histogram]]:
        """Return the two kinds of times of an operation. In a closed loop they are due when they are sent."""
        if self.plan.is_open:
            return [("due", each.due), ("sent", each.sent)]
        return [("sent", each.sent), ("corrected", each.corrected)]

    def _operation(self, each: OperationResult) -> dict[str, Any]:
        return {
            "name": each.name,
            "weight": each.weight,
            "results": len(each.due),
            "errors": each.errors,
            "progress_reports": each.reports,
            "due": times(each.due),
            "sent": times(each.sent),
            "corrected": None if self.plan.is_open else times(each.corrected),
            "histograms": {"due": CONVERTER.unstructure(each.due), "sent": CONVERTER.unstructure(each.sent)},
        }

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON. Times are milliseconds."""
        result, plan = self.result, self.plan
        return {
            "schema": SCHEMA,
            "target": self.target,
            "server": attrs.asdict(result.peer),
            "environment": self.environment,
            "plan": {
                "load": self.load,
                "sessions": plan.sessions,
                "connect_rate": plan.connect_rate,
                "churn": plan.churn,
                "listens": plan.listens,
                "warmup": plan.warmup,
                "requests": plan.requests,
                "workers": self.workers,
            },
            "seconds": result.seconds,
            "offered": result.offered,
            "offered_rate": result.offered_rate,
            "answered": result.answered,
            "achieved_rate": result.rate,
            "dropped": result.dropped,
            "interrupted": result.is_interrupted,
            "all": self._operation(result.all),
            "operations": [self._operation(each) for each in result.operations],
            "sessions": {
                "opened": result.sessions.opened,
                "lost": result.sessions.lost,
                "replaced": result.sessions.replaced,
                "failed": result.sessions.failed,
                "opening": times(result.sessions.opening),
            },
            "streams": attrs.asdict(result.streams),
            "bytes": {"sent": result.sent_bytes, "received": result.received_bytes},
            "server_processes": None if result.server is None else attrs.asdict(result.server),
            "generator": {
                "cpu": [each.cpu for each in result.generators],
                "waited": [each.waited for each in result.generators],
                "late": times(result.late),
            },
            "timeline": {
                "seconds": result.timeline.seconds,
                "points": [_point(point) for point in result.timeline.points],
            },
            "search": [step.as_json() for step in self.steps],
            "found": self.found,
            "verdict": {
                "verdict": self.verdict.word,
                "invalid": list(self.verdict.invalid),
                "notes": list(self.verdict.notes),
                "gates": [gate.as_json() for gate in self.verdict.gates],
            },
        }


def times(histogram: Histogram) -> dict[str, float]:
    """Return the times of a histogram by the names of `FIGURES`, in milliseconds."""
    values = (histogram.least, *histogram.percentiles(PERCENTILES), histogram.greatest)
    return {name: value / 1e6 for name, value in zip(FIGURES, values, strict=True)}


def shown_times(histogram: Histogram) -> list[str]:
    """Return the same for people."""
    if not histogram.counts:
        return ["–"] * len(FIGURES)
    return [shown_seconds(value / 1e3) for value in times(histogram).values()]


def _point(point: Point) -> dict[str, Any]:
    return {
        "offered": point.offered,
        "answered": point.answered,
        "errors": point.errors,
        "dropped": point.dropped,
        "in_flight": point.in_flight,
        "memory": point.memory or None,
        **times(point.times),
    }


def errors_line(errors: dict[str, int]) -> str:
    """Write errors by their names, the most frequent first."""
    ordered: Sequence[tuple[str, int]] = sorted(errors.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} × {number:,}" for name, number in ordered)
