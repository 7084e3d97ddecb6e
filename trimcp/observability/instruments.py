"""Instruments: the one place where counters and timings of requests are taken. Free while no meter is open.

A Router tells of each request that ends or is refused. Depths of mailboxes, requests in flight and requests that
wait are not counted: a snapshot (`Server.tree`) has them at the moment of reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import attrs


@attrs.frozen
class Timing:
    """The durations of some requests, in seconds from reading to the end."""

    number: int
    total: float
    longest: float


@attrs.frozen(kw_only=True)
class Measurements:
    """The figures of a meter at one moment. Sizes are bytes.

    Attributes:
        requests: how many requests ended, by method and outcome: `ok`, `error`, or the reason of a cancel.
        refused: how many requests were refused, by method and reason: `busy`, `draining`, `unfit`.
        cancelled: how many requests were cancelled, by reason.
        timings: of requests, by method.
        bytes_read: of requests that ended.
    """

    requests: Mapping[tuple[str, str], int]
    refused: Mapping[tuple[str, str], int]
    cancelled: Mapping[str, int]
    timings: Mapping[str, Timing]
    bytes_read: int


class Meter:
    """Counts from when it is opened. Made by `Server.measure`."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._cancelled: Counter[str] = Counter()
        self._timings: dict[str, list[float]] = {}
        self._bytes_read = 0

    def ended(self, method: str, outcome: str, seconds: float, size: int, *, is_cancelled: bool) -> None:
        """Count a request that has ended."""
        self._requests[method, outcome] += 1
        if is_cancelled:
            self._cancelled[outcome] += 1
        timing = self._timings.setdefault(method, [0, 0.0, 0.0])
        timing[0] += 1
        timing[1] += seconds
        timing[2] = max(timing[2], seconds)
        self._bytes_read += size

    def refused(self, method: str, reason: str) -> None:
        """Count a request that was refused."""
        self._refused[method, reason] += 1

    def read(self) -> Measurements:
        """Return the figures so far."""
        return Measurements(
            requests=dict(self._requests),
            refused=dict(self._refused),
            cancelled=dict(self._cancelled),
            timings={method: Timing(int(n), total, most) for method, (n, total, most) in self._timings.items()},
            bytes_read=self._bytes_read,
        )


class Instruments:
    """The meters of one server or client. A Router looks whether there is one before it counts anything."""

    __slots__ = ("meters",)

    def __init__(self) -> None:
        self.meters: tuple[Meter, ...] = ()

    @contextmanager
    def open_meter(self) -> Iterator[Meter]:
        """Count for as long as the context lasts."""
        meter = Meter()
        self.meters = (*self.meters, meter)
        try:
            yield meter
        finally:
            self.meters = tuple(each for each in self.meters if each is not meter)
