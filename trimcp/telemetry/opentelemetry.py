"""`OpenTelemetry`: spans of requests, and histograms of requests and sessions, in either role."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from trimcp.codec.jsontext import dumps
from trimcp.errors import ConnectionLost, UsageError
from trimcp.observability.instruments import BUCKETS
from trimcp.observability.telemetry import TOOL_ERROR
from trimcp.observability.tracing import KEYS
from trimcp.telemetry import attributes as names

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.context import Context
    from opentelemetry.propagators.composite import CompositePropagator
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as _exc:
    raise UsageError.not_installed("opentelemetry-api", "otel") from _exc

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from trimcp.observability.telemetry import ObservedPeer, ObservedSession

VERSION: Final[str] = sys.modules["trimcp"].__version__
"""Of trimcp, whose package imports this one for type checkers: so it is not imported here."""
NAMES: Final = 1000
"""Names of tools and prompts that become attributes of the histograms, so that a peer cannot make up series."""

_PROPAGATOR: Final = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])


class OpenTelemetry:
    """Makes spans and histograms by the conventions of OpenTelemetry for MCP.

        server.use_telemetry(OpenTelemetry())
        trimcp.connect(target, telemetry=OpenTelemetry())

    One object may serve any number of servers and clients.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        arguments: bool = False,
    ) -> None:
        """
        Args:
            tracer_provider: makes the spans; the provider of the process, if not given.
            meter_provider: takes the durations; the provider of the process, if not given.
            arguments: whether spans have the arguments of tool calls, which may be secret.
        """
        self._tracer = trace.get_tracer("trimcp", VERSION, tracer_provider)
        meter = metrics.get_meter("trimcp", VERSION, meter_provider)
        self._operations: dict[SpanKind, Histogram] = {
            SpanKind.CLIENT: _histogram(meter, "mcp.client.operation.duration", "a request takes, for its sender"),
            SpanKind.SERVER: _histogram(meter, "mcp.server.operation.duration", "a request takes, for its receiver"),
        }
        self._sessions: dict[bool, Histogram] = {
            False: _histogram(meter, "mcp.client.session.duration", "a session lasts, for the client"),
            True: _histogram(meter, "mcp.server.session.duration", "a session lasts, for the server"),
        }
        self._opened: dict[int, float] = {}
        """When each session of now was opened."""
        self._arguments = arguments
        self._names: set[tuple[str, str]] = set()
        """The tools and prompts that have answered with a result: no others are attributes of histograms."""

    # --- Telemetry --------------------------------------------------------------------

    def received(
        self,
        peer: ObservedPeer,
        method: str,
        id: Any,
        params: Mapping[str, Any] | None,
        version: str | None,
        headers: Mapping[str, str],
    ) -> OpenOperation:
        """See `Telemetry`. The parent is the context in `_meta`; the ambient span, or that of HTTP, is a link."""
        ambient = context.get_current()
        carried = _extract((params or {}).get("_meta"), ambient)
        has_span = trace.get_current_span(ambient).get_span_context().is_valid
        around = ambient if has_span else _extract(headers, ambient)  # the ambient span continues the header's
        parent = around if carried is ambient else carried
        links = []
        if around is not parent:
            outer = trace.get_current_span(around).get_span_context()
            if outer.is_valid and outer.span_id != trace.get_current_span(parent).get_span_context().span_id:
                links.append(Link(outer))
        operation = OpenOperation(self, SpanKind.SERVER, peer, method, params, version, parent, links)
        with operation.active():
            self.sent(id)
        return operation

    def asked(
        self, peer: ObservedPeer, method: str, params: Mapping[str, Any] | None, version: str | None
    ) -> OpenOperation:
        """See `Telemetry`."""
        return OpenOperation(self, SpanKind.CLIENT, peer, method, params, version, context.get_current(), [])

    def sent(self, id: Any) -> None:
        """See `Telemetry`."""
        trace.get_current_span().set_attribute(names.REQUEST_ID, str(id)[: names.LENGTH])

    def session_opened(self, session: ObservedSession) -> None:
        """See `Telemetry`."""
        self._opened.setdefault(session.number, time.perf_counter())

    def session_ended(self, session: ObservedSession) -> None:
        """See `Telemetry`. A peer that has said that it sends no more has not broken off."""
        began = self._opened.pop(session.number, None)
        if began is None:
            return
        attributes = dict(names.network_of(session.description, is_server=session.is_server)[0])
        if isinstance(session.end, ConnectionLost) and not session.has_input_ended:
            attributes[names.ERROR_TYPE] = type(session.end).__name__
        self._sessions[session.is_server].record(time.perf_counter() - began, attributes)

    # --- for operations ---------------------------------------------------------------

    def start(
        self, kind: SpanKind, parent: Context, links: list[Link], method: str, params: Mapping[str, Any] | None
    ) -> Span:
        """Start the span of an operation."""
        target = names.target_of(method, params)
        attributes: dict[str, str] = {names.METHOD: method}
        if target is not None:
            attributes[target[0]] = target[1]
        uri = names.uri_of(method, params)
        if uri is not None:
            attributes[names.RESOURCE] = uri
        if self._arguments and method == "tools/call":
            attributes[names.ARGUMENTS] = dumps((params or {}).get("arguments")).decode()
        name = method if target is None else f"{method} {target[1]}"
        return self._tracer.start_span(name, parent, kind, attributes, links)

    def record(
        self,
        kind: SpanKind,
        seconds: float,
        attributes: dict[str, Any],
        target: tuple[str, str] | None,
        error: str | None,
        at: Context,
    ) -> None:
        """Record the duration of an operation; `target`: its tool or prompt."""
        if target is not None and error in (None, TOOL_ERROR) and len(self._names) < NAMES:
            self._names.add(target)
        if target is not None and target in self._names:
            attributes[target[0]] = target[1]
        self._operations[kind].record(seconds, attributes, at)


class OpenOperation:
    """A request that is followed: its span, and its duration when it ends."""

    __slots__ = ("_attributes", "_began", "_context", "_kind", "_owner", "_span", "_target", "carrier")

    def __init__(
        self,
        owner: OpenTelemetry,
        kind: SpanKind,
        peer: ObservedPeer,
        method: str,
        params: Mapping[str, Any] | None,
        version: str | None,
        parent: Context,
        links: list[Link],
    ) -> None:
        self._owner = owner
        self._kind = kind
        self._began: float | None = time.perf_counter()
        self._target = names.target_of(method, params)
        transport, address = names.network_of(peer.description, is_server=peer.is_server)
        self._attributes: dict[str, Any] = {names.METHOD: method, **transport}
        if method == "tools/call":
            self._attributes[names.OPERATION] = "execute_tool"
        if version is not None:
            self._attributes[names.VERSION] = version
        span = self._span = owner.start(kind, parent, links, method, params)
        span.set_attributes({**self._attributes, **address, names.SESSION: peer.number})
        self._context = trace.set_span_in_context(span, parent)
        self.carrier: dict[str, str] = {}
        """See `Operation`."""
        if kind is SpanKind.CLIENT:
            _PROPAGATOR.inject(self.carrier, self._context)

    @contextmanager
    def active(self) -> Iterator[None]:
        """See `Operation`."""
        token = context.attach(self._context)
        try:
            yield
        finally:
            context.detach(token)

    def failed(self, error: BaseException) -> None:
        """See `Operation`."""
        self._span.record_exception(error)

    def end(self, error: str | None, code: int | None = None) -> None:
        """See `Operation`."""
        if self._began is None:
            return
        seconds, self._began = time.perf_counter() - self._began, None
        ended: dict[str, str] = {}
        if error is not None:
            ended[names.ERROR_TYPE] = error
        if code is not None:
            ended[names.STATUS_CODE] = str(code)
        if error is not None:
            self._span.set_attributes(ended)
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()
        self._owner.record(self._kind, seconds, {**self._attributes, **ended}, self._target, error, self._context)


def _extract(carrier: object, base: Context) -> Context:
    """Return the trace context that a carrier brings; the base itself, if it brings none."""
    if not isinstance(carrier, Mapping):
        return base
    given = {key: carrier[key] for key in KEYS if isinstance(carrier.get(key), str)}
    if "traceparent" not in given:
        return base
    found = _PROPAGATOR.extract(given, base)
    valid = trace.get_current_span(found).get_span_context().is_remote
    return found if valid else base


def _histogram(meter: Meter, name: str, what: str) -> Histogram:
    return meter.create_histogram(name, "s", f"How long {what}.", explicit_bucket_boundaries_advisory=BUCKETS)
