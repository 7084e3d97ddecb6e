"""When the requests of an open loop are due: at a rate that may change, at even or random times.

The rate is a function of time, made of stages in which it rises or falls evenly. Its integral is the number of
arrivals that are due until then; an arrival is where the integral passes the next number. With `poisson` the steps
between these numbers are random, exponentially distributed with a mean of 1, which gives a Poisson process.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Literal

import attrs

from trimcp.bench.quantities import seconds, split
from trimcp.errors import UsageError

Arrivals = Literal["constant", "poisson"]


@attrs.frozen
class Stage:
    """A part of a schedule: the rate goes from the rate before to `rate` in so many seconds, evenly."""

    seconds: float
    rate: float


@attrs.frozen
class Share:
    """The part of a load that one of several processes makes."""

    number: int = 0
    """The process, from 0 on."""
    of: int = 1

    def part(self, whole: int) -> int:
        """Return this process's part of a number of things."""
        return whole // self.of + (self.number < whole % self.of)


ALL = Share()


@attrs.frozen
class Schedule:
    """Rates of arrivals over time."""

    first: float
    """The rate at the beginning."""
    stages: tuple[Stage, ...]

    @classmethod
    def steady(cls, rate: float, seconds: float = math.inf) -> Schedule:
        """Return a schedule of one rate."""
        return cls(rate, (Stage(seconds, rate),))

    def preceded_by(self, warmup: float) -> Schedule:
        """Return the schedule with a time before it, at its first rate that is not 0."""
        rate = self.first or self.stages[0].rate
        return self if warmup <= 0 else attrs.evolve(self, first=rate, stages=(Stage(warmup, rate), *self._stages()))

    def _stages(self) -> tuple[Stage, ...]:
        """Return the stages so that they may follow another rate."""
        return (Stage(0.0, self.first), *self.stages)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def highest(self) -> float:
        """The highest rate in it."""
        return max(self.first, *(stage.rate for stage in self.stages))

    def arrivals(self, kind: Arrivals, share: Share = ALL, seed: int | None = None) -> Iterator[float]:
        """Yield the times of the arrivals, in seconds from the beginning, without those of the other shares."""
        chance = random.Random(seed)  # noqa: S311 - no secret
        before, rate, began = 0.0, self.first, 0.0
        # Shares of even arrivals take turns; shares of a Poisson process are Poisson processes of their own.
        due = float(share.number + 1) if kind == "constant" else chance.expovariate(1 / share.of)
        for stage in self.stages:
            number = (rate + stage.rate) / 2 * stage.seconds if stage.seconds else 0.0
            while due <= before + number:
                yield began + _time_of(due - before, rate, stage)
                due += share.of if kind == "constant" else chance.expovariate(1 / share.of)
            before, rate, began = before + number, stage.rate, began + stage.seconds


def _time_of(number: float, rate: float, stage: Stage) -> float:
    """Return the seconds from the beginning of a stage until so many arrivals of it are due."""
    slope = (stage.rate - rate) / stage.seconds
    if slope == 0.0:
        return number / rate
    # rate * t + slope * t² / 2 = number, in the form that loses no digits where the slope is small.
    return 2 * number / (rate + math.sqrt(max(rate * rate + 2 * slope * number, 0.0)))


def stages_of(text: str) -> Schedule:
    """Read `--stages`: `10s:100,30s:1000,10s:0`. The first stage rises from 0.

    Raises:
        UsageError: it has another form.
    """
    stages: list[Stage] = []
    for part in text.split(","):
        length, colon, rate = part.partition(":")
        if not colon or split(rate)[1]:
            raise UsageError(f"{part[:40]!r} is not a stage: write SECONDS:RATE, such as 30s:1000")
        stages.append(Stage(seconds(length), split(rate)[0]))
    schedule = Schedule(0.0, tuple(stages))
    if not sum(stage.seconds for stage in stages) or not schedule.highest:
        raise UsageError("--stages has no requests: give it a time and a rate above 0")
    return schedule


def shown(stages: Sequence[Stage]) -> str:
    """Write stages as the option takes them."""
    return ",".join(f"{stage.seconds:g}s:{stage.rate:g}" for stage in stages)
