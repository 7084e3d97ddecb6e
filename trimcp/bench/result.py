"""The figures of a run. Those of several processes add up to those of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import attrs
import cattrs

from trimcp.bench.histogram import Histogram

MOST_POINTS: Final = 1000
"""Points of a timeline. Beyond it, two points become one of twice the seconds."""


@attrs.define
class OperationResult:
    """The answers to one operation. The times are those of results; errors are only counted."""

    name: str
    weight: float
    due: Histogram
    """Nanoseconds from when it was due."""
    sent: Histogram
    """Nanoseconds from when it was sent."""
    corrected: Histogram = attrs.field(factory=Histogram)
    """Of a closed loop: with the times of requests that were not made while callers waited for a slow answer."""
    errors: dict[str, int] = attrs.field(factory=dict)
    reports: int = 0
    """Reports of progress."""

    @property
    def failed(self) -> int:
        """The number of all errors."""
        return sum(self.errors.values())

    def add(self, other: OperationResult) -> None:
        """Add the figures of the same operation in another process."""
        self.due.add(other.due)
        self.sent.add(other.sent)
        self.corrected.add(other.corrected)
        self.errors = _sum(self.errors, other.errors)
        self.reports += other.reports


@attrs.define
class Point:
    """The figures of some seconds of a timeline."""

    offered: int = 0
    answered: int = 0
    errors: int = 0
    dropped: int = 0
    in_flight: int = 0
    """Requests in flight at its end."""
    times: Histogram = attrs.field(factory=Histogram)
    """Nanoseconds from when a request was due, of the results that arrived."""
    memory: int = 0
    """Bytes that the server processes held at its end."""

    def add(self, other: Point) -> None:
        """Add what another process did in the same seconds."""
        self._count(other)
        self.in_flight += other.in_flight
        self.memory += other.memory

    def extend(self, later: Point) -> None:
        """Add the seconds that follow."""
        self._count(later)
        self.in_flight = later.in_flight
        self.memory = max(self.memory, later.memory)

    def _count(self, other: Point) -> None:
        self.offered += other.offered
        self.answered += other.answered
        self.errors += other.errors
        self.dropped += other.dropped
        self.times.add(other.times)


@attrs.define
class Timeline:
    """Points in a row, each of the same number of seconds."""

    seconds: int = 1
    points: list[Point] = attrs.field(factory=list)
    _open: int = 0
    """Seconds that the last point still takes."""

    def append(self, second: Point) -> None:
        """Add the point of one more second."""
        if self._open:
            self.points[-1].extend(second)
            self._open -= 1
            return
        if len(self.points) >= MOST_POINTS:
            self._halve()
        self.points.append(second)
        self._open = self.seconds - 1

    def _halve(self) -> None:
        halved = self.points[::2]
        for first, second in zip(halved, self.points[1::2], strict=False):
            first.extend(second)
        self.points, self.seconds = halved, self.seconds * 2

    def add(self, other: Timeline) -> None:
        """Add the same seconds in another process."""
        while self.seconds < other.seconds:
            self._halve()
        while other.seconds < self.seconds:
            other._halve()
        for mine, theirs in zip(self.points, other.points, strict=False):
            mine.add(theirs)
        self.points += other.points[len(self.points) :]


@attrs.define
class SessionsResult:
    """What became of the sessions, from the first one on, the warm-up included."""

    opened: int = 0
    lost: int = 0
    """Sessions that ended though the run went on."""
    replaced: int = 0
    """Sessions that were closed by `--churn`."""
    failed: dict[str, int] = attrs.field(factory=dict)
    """Sessions that could not be opened, by error."""
    opening: Histogram = attrs.field(factory=Histogram)
    """Nanoseconds that it took to open each."""

    def add(self, other: SessionsResult) -> None:
        """Add the sessions of another process."""
        self.opened += other.opened
        self.lost += other.lost
        self.replaced += other.replaced
        self.failed = _sum(self.failed, other.failed)
        self.opening.add(other.opening)


@attrs.define
class StreamsResult:
    """What became of the streams of notices."""

    opened: int = 0
    lost: int = 0
    notices: int = 0
    """Notices that arrived in the window."""
    failed: dict[str, int] = attrs.field(factory=dict)

    def add(self, other: StreamsResult) -> None:
        """Add the streams of another process."""
        self.opened += other.opened
        self.lost += other.lost
        self.notices += other.notices
        self.failed = _sum(self.failed, other.failed)


@attrs.define
class GeneratorResult:
    """How well one process of the load generator kept up."""

    cpu: float
    """Its processor time, as a part of the window."""
    waited: float
    """The part of the window in which it could have gone on, and waited for a processor."""
    late: Histogram
    """Nanoseconds by which it was late with requests that it could have sent."""


@attrs.define
class ServerResult:
    """What the processes of a server took that this side started, or that were named."""

    processes: int
    cpu: float
    """Seconds of processor time in the window."""
    memory: int
    """Bytes held at the end of the window."""
    peak: int
    """The most bytes held at the end of any second."""

    def add(self, other: ServerResult) -> None:
        """Add other processes."""
        self.processes += other.processes
        self.cpu += other.cpu
        self.memory += other.memory
        self.peak += other.peak


@attrs.define
class Peer:
    """The server, as it describes itself, and the connection to it."""

    name: str
    version: str
    revision: str
    connection: str


@attrs.define
class Result:
    """The figures of a run."""

    peer: Peer
    seconds: float
    """The length of the window."""
    offered: int
    answered: int
    """Results that arrived in the window."""
    dropped: int
    operations: list[OperationResult]
    sessions: SessionsResult
    streams: StreamsResult
    generators: list[GeneratorResult]
    timeline: Timeline
    server: ServerResult | None = None
    sent_bytes: int | None = None
    received_bytes: int | None = None
    is_interrupted: bool = False
    """Whether the window was ended before its time."""

    def add(self, other: Result) -> None:
        """Add the figures of another process that made another share of the same load."""
        self.is_interrupted |= other.is_interrupted
        self.seconds = max(self.seconds, other.seconds)
        self.offered += other.offered
        self.answered += other.answered
        self.dropped += other.dropped
        for mine, theirs in zip(self.operations, other.operations, strict=True):
            mine.add(theirs)
        self.sessions.add(other.sessions)
        self.streams.add(other.streams)
        self.generators += other.generators
        self.timeline.add(other.timeline)
        if self.server is not None and other.server is not None:
            self.server.add(other.server)
        if self.sent_bytes is not None and self.received_bytes is not None:
            self.sent_bytes += other.sent_bytes or 0
            self.received_bytes += other.received_bytes or 0

    # --- sums -------------------------------------------------------------------------

    @property
    def all(self) -> OperationResult:
        """All operations as one."""
        whole = OperationResult("all", 1.0, Histogram(), Histogram())
        for each in self.operations:
            whole.add(each)
        return whole

    @property
    def rate(self) -> float:
        """Results a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def offered_rate(self) -> float:
        """Requests that were due, a second."""
        return self.offered / self.seconds if self.seconds else 0.0

    @property
    def late(self) -> Histogram:
        """How late all processes of the load generator were."""
        late = Histogram()
        for each in self.generators:
            late.add(each.late)
        return late

    @property
    def busiest(self) -> GeneratorResult:
        """The process of the load generator that had the least time left."""
        return max(self.generators, key=lambda each: each.cpu + each.waited)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))


CONVERTER: Final = cattrs.Converter()
"""Makes JSON of the classes of this module, and reads it: `unstructure`, `structure`."""


def _structure_histogram(value: Any, _: Any) -> Histogram:
    return Histogram.from_json(value)


CONVERTER.register_unstructure_hook(Histogram, Histogram.as_json)
CONVERTER.register_structure_hook(Histogram, _structure_histogram)
