"""`DrainReport`: what became of the requests that were in flight when a drain began."""

from __future__ import annotations

import attrs

from trimcp.values import FrozenValue


@attrs.frozen(eq=False, repr=False)
class DrainReport(FrozenValue):
    """Counts what became of the requests that were in flight when a drain began."""

    finished: int = 0
    """Answered within the deadline."""
    cancelled: int = 0
    """Cancelled at the deadline, and answered so."""
    lost: int = 0
    """Left without an answer: the handler did not end, or the peer did not read."""

    def __add__(self, other: DrainReport) -> DrainReport:
        return DrainReport(self.finished + other.finished, self.cancelled + other.cancelled, self.lost + other.lost)

    @property
    def requests(self) -> int:
        """How many requests were in flight."""
        return self.finished + self.cancelled + self.lost
