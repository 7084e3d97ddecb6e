"""The metrics of a server for Prometheus: counters of its own, read when they are scraped.

Nothing is registered with the client library of Prometheus. It only writes the page, which needs the extra
`prometheus`. Labels are bounded: methods are those that are served; all others are `_OTHER`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from trimcp.errors import UsageError
from trimcp.http.binding import HttpRequest, HttpResponse, Refusal
from trimcp.http.server.routes import NOT_FOUND, HttpReply, HttpRoute, user_route
from trimcp.observability.instruments import BUCKETS, Instruments, Meter
from trimcp.observability.telemetry import OTHER
from trimcp.types.methods import METHODS

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.registry import Collector
except ImportError as _exc:
    raise UsageError.not_installed("prometheus-client", "prometheus") from _exc

if TYPE_CHECKING:
    from trimcp.actors.snapshots import SupervisorSnapshot
    from trimcp.server.run_registry import RunRegistry
    from trimcp.server.run_snapshot import RunSnapshot

PATH: Final = "/metrics"


class MeasuredServer(Protocol):
    """The server, as its metrics see it."""

    def tree(self) -> tuple[RunSnapshot, ...]:
        """Return a snapshot of every run."""
        ...


class ServerCollector(Collector):
    """Collects the metrics of one server, in the task that scrapes."""

    def __init__(self, meter: Meter, server: MeasuredServer) -> None:
        self._meter = meter
        self._server = server

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of now."""
        yield from self._requests()
        yield from _state(self._server.tree())

    def _requests(self) -> Iterator[Metric]:
        figures = self._meter.read()
        ended = CounterMetricFamily("trimcp_requests", "Requests that ended.", labels=["method", "outcome"])
        for (method, outcome), number in figures.requests.items():
            ended.add_metric([method, outcome], number)
        yield ended
        refused = CounterMetricFamily(
            "trimcp_requests_refused", "Requests that were refused.", labels=["method", "reason"]
        )
        known = {*METHODS, *figures.timings}
        refusals: Counter[tuple[str, str]] = Counter()
        for (method, reason), number in figures.refused.items():
            refusals[method if method in known else OTHER, reason] += number
        for labels, number in refusals.items():
            refused.add_metric(labels, number)
        yield refused
        durations = HistogramMetricFamily(
            "mcp_server_operation_duration_seconds", "From reading a request to its end.", labels=["mcp_method_name"]
        )
        for method, timing in figures.timings.items():
            total, buckets = 0, []
            for bound, number in zip((*map(str, BUCKETS), "+Inf"), timing.buckets, strict=True):
                total += number
                buckets.append((bound, float(total)))
            durations.add_metric([method], buckets, timing.total)
        yield durations
        yield CounterMetricFamily("trimcp_read_bytes", "Bytes of requests that ended.", figures.bytes_read)


def _state(runs: tuple[RunSnapshot, ...]) -> Iterator[Metric]:
    """Yield the gauges: the sums over the runs of the server."""
    peers = [peer for run in runs for peer in (*run.sessions, *run.callers)]
    gauges = {
        "trimcp_sessions": ("Sessions that are open.", sum(len(run.sessions) for run in runs)),
        "trimcp_callers": ("Connections and principals without a session.", sum(len(run.callers) for run in runs)),
        "trimcp_requests_in_flight": ("Requests that wait or run.", sum(len(peer.requests) for peer in peers)),
        "trimcp_requests_waiting": ("Requests that wait for a place.", sum(peer.waiting for peer in peers)),
        "trimcp_calls": ("Requests of the server that wait for a client.", sum(peer.calls for peer in peers)),
        "trimcp_writer_bytes": ("Bytes that wait to leave.", sum(peer.out_bytes for peer in peers)),
        "trimcp_places": ("Requests that may run at once.", sum(run.places for run in runs)),
        "trimcp_places_free": ("Places that are free.", sum(run.places_free for run in runs)),
        "trimcp_tool_threads": ("Threads that run functions of tools.", sum(run.tool_threads for run in runs)),
        "trimcp_jobs": ("Jobs that outlive their requests.", sum(run.jobs for run in runs)),
        "trimcp_tasks": ("Calls of tools that run as tasks.", sum(run.tasks for run in runs)),
        "trimcp_listens": ("Open listens.", sum(run.listens for run in runs)),
        "trimcp_subscriptions": ("Subscriptions to resources.", sum(run.subscriptions for run in runs)),
        "trimcp_draining": ("Runs that drain.", sum(run.draining for run in runs)),
    }
    for name, (help_text, value) in gauges.items():
        yield GaugeMetricFamily(name, help_text, value)
    depths: Counter[str] = Counter()
    for supervisor in _supervisors(runs):
        for actor in supervisor.actors:
            depths[_kind(actor.name)] += actor.mailbox.waiting
        for pool in supervisor.pools:
            depths[_kind(pool.name)] += pool.waiting
    mailboxes = GaugeMetricFamily("trimcp_mailbox_messages", "Messages that wait for an actor.", labels=["actor"])
    for name, number in depths.items():
        mailboxes.add_metric([name], number)
    yield mailboxes


def _supervisors(runs: tuple[RunSnapshot, ...]) -> Iterator[SupervisorSnapshot]:
    for run in runs:
        yield run.supervisor
        yield from run.endpoints
        yield from (peer.supervisor for peer in run.sessions if peer.supervisor is not None)


def _kind(name: str) -> str:
    """Return the kind of an actor, without the number of its session: `session 7: router` is a `router`."""
    return name.rpartition(": ")[2]


class MetricsPage:
    """Writes the page of the metrics of one server."""

    def __init__(self, instruments: Instruments, server: MeasuredServer) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(ServerCollector(instruments.lasting_meter(), server))

    async def reply(self, request: HttpRequest) -> HttpReply:
        """Return the page."""
        await trio.lowlevel.checkpoint()
        headers = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
        return HttpReply(generate_latest(self._registry), headers=headers)


def metrics_route(instruments: Instruments, server: Any) -> HttpRoute:
    """Make the route of the metrics on the endpoint of a server."""
    page = MetricsPage(instruments, server)
    return user_route(PATH, page.reply, ["GET"], authenticate=True, guarded=True, prefix=False)


class MetricsHandler:
    """Serves the metrics alone, at an address of their own. A `Handler`."""

    body_limit: int = 0

    def __init__(self, route: HttpRoute) -> None:
        self._route = route

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        return None if request.path == PATH and request.method in self._route.methods else NOT_FOUND

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        await self._route.take(request, response)


async def serve_metrics(
    runs: RunRegistry, server: MeasuredServer, host: str, port: int, task_status: trio.TaskStatus[tuple[str, int]]
) -> None:
    """Serve the metrics until cancelled, or until the run that `running` has entered is drained."""
    try:
        from trimcp.http.h1.server import HttpServer
    except ImportError as exc:
        raise UsageError.not_installed(exc.name, "http") from exc
    run = runs.shared_run
    handler = MetricsHandler(metrics_route(runs.instruments, server))
    async with trio.open_nursery() as nursery:
        listener = HttpServer(handler, nursery)

        async def stop() -> None:
            if run is not None:
                await run.drained.wait()
                listener.stop()

        nursery.start_soon(stop)
        await listener.serve_tcp(host=host, port=port, task_status=task_status)
        nursery.cancel_scope.cancel()
