"""Instruments: the counters and timings of requests, and their traces. They cost nothing while none is open.

A Router reports each request that ends or is refused. A snapshot (`Server.tree`) has the depths of mailboxes, and the
requests that run and wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

import attrs

from trimcp.observability.durations import MOST_WAITING, Durations
from trimcp.observability.telemetry import OTHER, Telemetry
from trimcp.observability.wire_tap import WireTap
from trimcp.values import FrozenValue

BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""The bounds of durations in histograms, in seconds: those of OpenTelemetry's conventions for MCP."""
REFUSED: Final = 1000
"""Methods with reasons that a meter tells apart: peers choose the names of unknown methods. More count as `_OTHER`."""


class EndedRequest(Protocol):
    """A request that has ended, as its observers see it."""

    serial: int
    id: Any
    size: int
    params: dict[str, Any] | None
    answer: bytes | None
    """The frame of the result or of the error; None where there is none, or where it was sent before the end."""
    code: int | None
    """The code of the error that answered it; None for a result."""
    cancel_reason: Any
    """Why it was cancelled; None where it was not."""
    result: Any
    """What the handler returned; None where it has returned nothing."""
    received_at: float

    @property
    def method(self) -> str:
        """The name of the method."""
        ...

    @property
    def session_number(self) -> int:
        """The number of its session."""
        ...


def outcome_of(request: EndedRequest) -> str:
    """Return how a request has ended: `ok`, `error`, or the reason of its cancellation."""
    if request.cancel_reason is not None:
        return str(request.cancel_reason.value)
    return "ok" if request.code is None else "error"


class RequestObserver(Protocol):
    """Observes requests. Its methods must not wait, nor raise."""

    def ended(self, request: EndedRequest, now: float) -> None:
        """Take note of a request that has ended; `now`: the time, by Trio's clock."""
        ...

    def refused(self, method: str, reason: str) -> None:
        """Take note of a request that was refused."""
        ...


class MessageObserver(Protocol):
    """Observes the messages that are no requests of the peer. Its methods must not wait, nor raise."""

    def answered_at_once(self, request: EndedRequest) -> None:
        """Take note of a request that the Router has answered itself, such as `ping`."""
        ...

    def asked(self, session: int, id: Any, method: str, params: dict[str, Any] | None) -> None:
        """Take note of a request that this side sends."""
        ...

    def received(self, session: int, message: Any) -> None:
        """Take note of an answer or a notification of the peer."""
        ...

    def posted(self, session: int, request: int, frame: bytes) -> None:
        """Take note of a message that a handler sends before its answer."""
        ...


@attrs.frozen(eq=False, repr=False)
class Timing(FrozenValue):
    """Holds the durations of requests, in seconds from reading to the end."""

    number: int
    total: float
    longest: float
    buckets: tuple[int, ...] = ()
    """How many took at most each of `BUCKETS`, and more than the one before; the last: longer than all."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Measurements(FrozenValue):
    """Holds the figures of a meter at one moment. Sizes are bytes.

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
    """Counts requests from its opening on. Made by `Server.measure`."""

    def __init__(self) -> None:
        self._methods: dict[str, _EndedOfMethod] = {}
        self._refused: Counter[tuple[str, str]] = Counter()

    def ended(self, request: EndedRequest, now: float) -> None:
        """Count a request that has ended."""
        try:
            found = self._methods[request.method]
        except KeyError:
            found = self._methods[request.method] = _EndedOfMethod()
        if request.cancel_reason is not None:
            found.cancels[outcome_of(request)] += 1
        elif request.code is not None:
            found.failures[outcome_of(request)] += 1
        found.bytes_read += request.size
        waiting = found.durations.waiting
        waiting.append(now - request.received_at)
        if len(waiting) >= MOST_WAITING:
            found.durations.sort()

    def refused(self, method: str, reason: str) -> None:
        """Count a request that was refused."""
        if (method, reason) not in self._refused and len(self._refused) >= REFUSED:
            method = OTHER
        self._refused[method, reason] += 1

    def read(self) -> Measurements:
        """Return the figures so far."""
        requests: Counter[tuple[str, str]] = Counter()
        cancelled: Counter[str] = Counter()
        for method, found in self._methods.items():
            cancelled += found.cancels
            others = found.failures + found.cancels
            for outcome, number in ({"ok": found.durations.number - others.total()} | others).items():
                requests[method, outcome] += number
        return Measurements(
            requests=dict(+requests),
            refused=dict(self._refused),
            cancelled=dict(cancelled),
            timings={method: found.timing() for method, found in self._methods.items()},
            bytes_read=sum(found.bytes_read for found in self._methods.values()),
        )


class _EndedOfMethod:
    """Counts the requests of one method that ended. Those that are neither failures nor cancels have succeeded."""

    __slots__ = ("bytes_read", "cancels", "durations", "failures")

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.cancels: Counter[str] = Counter()
        self.bytes_read: int = 0
        self.durations: Durations = Durations(BUCKETS)

    def timing(self) -> Timing:
        """Return the durations so far."""
        found = self.durations
        return Timing(found.number, found.total, found.longest, tuple(found.buckets))


class Instruments:
    """Holds the open meters and traces of one server or client."""

    __slots__ = ("_lasting", "ended", "meters", "tap", "telemetry", "traces")

    def __init__(self, telemetry: Telemetry | None = None, tap: WireTap | None = None) -> None:
        self.meters: tuple[RequestObserver, ...] = ()
        self.ended: Callable[[EndedRequest, float], None] | None = None
        """`RequestObserver.ended` of the one meter, or of all; None while there is none. Each request asks."""
        self.traces: tuple[MessageObserver, ...] = ()
        self._lasting: Meter | None = None
        self.telemetry: Telemetry | None = telemetry
        """Follows requests and sessions. Set before the first session."""
        self.tap: WireTap | None = tap
        """Is told of all bytes that pass. Set before the first session."""

    def lasting_meter(self) -> Meter:
        """Return the meter that counts from the first call of this on, for as long as the program lasts."""
        if self._lasting is None:
            self._lasting = Meter()
            self.add_meter(self._lasting)
        return self._lasting

    @contextmanager
    def open_meter(self) -> Iterator[Meter]:
        """Count for as long as the context lasts."""
        meter = Meter()
        self.add_meter(meter)
        try:
            yield meter
        finally:
            self.remove_meter(meter)

    def add_meter(self, meter: RequestObserver) -> None:
        """Tell an observer of requests from now on."""
        self._set_meters((*self.meters, meter))

    def remove_meter(self, meter: RequestObserver) -> None:
        """Tell it no more. Idempotent."""
        self._set_meters(tuple(each for each in self.meters if each is not meter))

    def _set_meters(self, meters: tuple[RequestObserver, ...]) -> None:
        self.meters = meters
        self.ended = meters[0].ended if len(meters) == 1 else self._tell_ended if meters else None

    def _tell_ended(self, request: EndedRequest, now: float) -> None:
        for meter in self.meters:
            meter.ended(request, now)

    def add_trace(self, trace: MessageObserver) -> None:
        """Tell an observer of messages from now on."""
        self.traces = (*self.traces, trace)

    def remove_trace(self, trace: MessageObserver) -> None:
        """Tell it no more. Idempotent."""
        self.traces = tuple(each for each in self.traces if each is not trace)
