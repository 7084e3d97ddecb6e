"""`Recorder`: counts what a load did and keeps the times of its requests, over the window that is measured.

The window begins after the warm-up. A request belongs to it by the time when it was due. Rates count what happened in
the window: the arrivals that were due in it, and the answers that arrived in it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import trio

from trimcp.bench.histogram import Histogram
from trimcp.bench.operations import UNANSWERED, Operation, ProgressTally
from trimcp.bench.result import OperationResult, Point

NANOSECONDS: Final = 1e9


class Tally(ProgressTally):
    """Counts the answers to one operation, and keeps their times."""

    def __init__(self) -> None:
        self.due: Histogram = Histogram()
        self.sent: Histogram = Histogram()
        self.errors: Counter[str] = Counter()

    def result(self, operation: Operation, *, corrects: bool) -> OperationResult:
        """Return the figures.

        Args:
            operation: that was counted.
            corrects: whether callers waited for answers. Then each would have asked as often as half of the answers
                allow.
        """
        corrected = self.sent.corrected(self.sent.percentile(50)) if corrects else Histogram()
        errors, reports = dict(self.errors), self.reports
        return OperationResult(operation.name, operation.weight, self.due, self.sent, corrected, errors, reports)


class Recorder:
    """Keeps the figures of one load."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations: Sequence[Operation] = operations
        self._tallies = [Tally() for _ in operations]
        self._begin, self._end = math.inf, math.inf
        self.late: Histogram = Histogram()
        """Nanoseconds from when requests were due, and could be sent, until this process sent them."""
        self.in_flight: int = 0
        self.offered: int = 0
        """Requests that were due in the window."""
        self.answered: int = 0
        """Results that arrived in the window."""
        self.dropped: int = 0
        """Requests that were due in the window, and not sent, since too many waited."""
        self._point = Point()

    # --- the window -------------------------------------------------------------------

    def set_window(self, begin: float, end: float) -> None:
        """Say when the window begins and ends, before the load begins; an end that is not known is infinite."""
        self._begin, self._end = begin, end

    def end(self, now: float) -> None:
        """End the window before its time."""
        self._end = now

    def begin(self) -> None:
        """Begin the counts that have no times: of progress, and of the timeline."""
        self._point = Point()
        for tally in self._tallies:
            tally.reports = 0

    # --- requests ---------------------------------------------------------------------

    def is_due(self, due: float) -> None:
        """Count a request that is due."""
        if self._begin <= due < self._end:
            self.offered += 1
        self._point.offered += 1

    def was_late(self, due: float, seconds: float) -> None:
        """Record how late this process was with something that it could have done at once."""
        if self._begin <= due < self._end:
            self.late.record(int(seconds * NANOSECONDS))

    def drop(self, due: float) -> None:
        """Count a request that is not sent."""
        if self._begin <= due < self._end:
            self.dropped += 1
        self._point.dropped += 1

    def progress_of(self, index: int) -> ProgressTally:
        """Return the counter of progress reports of an operation."""
        return self._tallies[index]

    def answer(self, index: int, due: float, sent: float, error: str | None) -> None:
        """Record the end of a request.

        Args:
            index: of its operation.
            due: when it should have been sent.
            sent: when it was sent.
            error: the name of the error, or None after a result.
        """
        now = trio.current_time()
        if error is not None:
            self._point.errors += 1
            if self._begin <= due < self._end:
                self._tallies[index].errors[error] += 1
            return
        since_due = int((now - due) * NANOSECONDS)
        point = self._point
        point.answered += 1
        point.times.record(since_due)
        if self._begin <= now < self._end:
            self.answered += 1
        if self._begin <= due < self._end:
            tally = self._tallies[index]
            tally.due.record(since_due)
            tally.sent.record(int((now - sent) * NANOSECONDS))

    def give_up(self, index: int, due: float) -> None:
        """Record a request that had no answer when the run ended."""
        if self._begin <= due < self._end:
            self._tallies[index].errors[UNANSWERED] += 1

    # --- results ----------------------------------------------------------------------

    def take_point(self) -> Point:
        """Return the figures since the last call."""
        point, self._point = self._point, Point()
        point.in_flight = self.in_flight
        return point

    def results(self, *, corrects: bool) -> list[OperationResult]:
        """Return the figures of each operation. `corrects`: see `Tally.result`."""
        pairs = zip(self._tallies, self.operations, strict=True)
        return [tally.result(each, corrects=corrects) for tally, each in pairs]
