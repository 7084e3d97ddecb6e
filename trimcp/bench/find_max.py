"""Finds the highest rate at which a condition holds: by doubling the rate, and then by halving the gap.

Each step is an open loop of its own. A rate is held if the condition holds, nothing was dropped, and nearly all
results arrived. The search ends when the gap is small, or when the load generator itself cannot make more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import attrs

from trimcp.bench.conditions import Condition
from trimcp.bench.plan import Open, Plan
from trimcp.bench.result import Result
from trimcp.bench.schedule import Schedule
from trimcp.bench.verdict import MOST_LATE, problems

FIRST: Final = 100.0
"""The rate that the search begins with, by default."""
CLOSE: Final = 1.05
"""The ratio of two rates, one held and the other not, at which the search ends."""
LEAST: Final = 1.0
"""The lowest rate that is tried."""
ACHIEVED: Final = 0.95
"""The part of the offered rate that must be achieved."""
SLACK: Final = 2
"""Results that may come after the end, which matter at the lowest rates."""


@attrs.frozen
class Step:
    """One rate that was tried."""

    rate: float
    result: Result
    reasons: tuple[str, ...]
    """Why the rate was not held."""
    invalid: tuple[str, ...]
    """Why the step says nothing of the server."""

    @property
    def is_held(self) -> bool:
        """Whether the server held the rate."""
        return not self.reasons and not self.invalid

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        due = self.result.all.due
        return {
            "rate": self.rate,
            "achieved": self.result.rate,
            "p99": due.percentile(99) / 1e6,
            "held": self.is_held,
            "why": [*self.invalid, *self.reasons],
        }


def judged(rate: float, result: Result, conditions: Sequence[Condition], most_late: float = MOST_LATE) -> Step:
    """Say whether a rate was held."""
    reasons = []
    if result.dropped:
        reasons.append(f"{result.dropped} requests were dropped")
    if result.answered < ACHIEVED * result.offered - SLACK:
        reasons.append(f"only {result.rate:,.0f}/s of {result.offered_rate:,.0f}/s were achieved")
    for condition in conditions:
        value = condition.value(result)
        if not condition.holds(value):
            reasons.append(f"{condition.text}: {condition.shown(value)}")
    # In a search, what to do about a problem of the generator is clear: nothing.
    invalid = tuple(problem.partition(":")[0] for problem in problems(result, most_late))
    return Step(rate, result, tuple(reasons), invalid)


def rate_after(steps: Sequence[Step], first: float = FIRST) -> float | None:
    """Return the rate to try next; None where the search has ended."""
    if not steps:
        return first
    last = steps[-1]
    if last.invalid and sum(step.rate == last.rate for step in steps) == 1:
        return last.rate  # a moment in which other programs kept this one from its work says little
    held, missed = best(steps), limit(steps)
    if missed is None:
        return 2 * last.rate
    if held is None:
        return missed.rate / 2 if missed.rate / 2 >= LEAST else None
    return None if missed.rate / held.rate <= CLOSE else math.sqrt(held.rate * missed.rate)


def best(steps: Sequence[Step]) -> Step | None:
    """Return the step of the highest rate that was held."""
    return max((step for step in steps if step.is_held), key=_rate, default=None)


def limit(steps: Sequence[Step]) -> Step | None:
    """Return the last step of the lowest rate that was not held."""
    held = {step.rate for step in steps if step.is_held}
    return min((step for step in reversed(steps) if step.rate not in held), key=_rate, default=None)


def _rate(step: Step) -> float:
    return step.rate


def plan_at(plan: Plan, rate: float) -> Plan:
    """Return a plan whose open loop has this rate."""
    load = plan.load if isinstance(plan.load, Open) else Open(schedule=Schedule.steady(rate))
    return attrs.evolve(plan, load=attrs.evolve(load, schedule=Schedule.steady(rate)))
