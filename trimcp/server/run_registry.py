"""`RunRegistry`: the part of a server that enters, shares and drains its runs."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import trio

from trimcp.actors.loop import check_loop
from trimcp.errors import UsageError
from trimcp.observability.instruments import Instruments
from trimcp.server.features.subscriptions.notices import LISTS, NOTICE
from trimcp.server.run import Lifespan, ServerRun, open_run
from trimcp.session.drain_report import DrainReport
from trimcp.transports.lines import READ_CHUNK

if TYPE_CHECKING:
    from trimcp.limits import HttpLimits
    from trimcp.observability.telemetry import Telemetry
    from trimcp.observability.wire_tap import WireTap
    from trimcp.server.context.client_view import NotifyingServer
    from trimcp.server.declarations import Declarations
    from trimcp.server.run_snapshot import RunSnapshot


class RunRegistry:
    """Holds the runs of one server."""

    def __init__(self, declarations: Declarations, server: NotifyingServer, lifespan: Lifespan | None) -> None:
        if lifespan is not None and not callable(lifespan):
            raise UsageError(f"Invalid lifespan={lifespan!r}: give a function that returns an async context manager")
        self.declarations: Declarations = declarations
        self.instruments: Instruments = Instruments()
        """Count the requests of all runs, while a meter is open."""
        self._server = server
        self._lifespan = lifespan
        self._runs: list[ServerRun] = []
        self._shared: ServerRun | None = None

    def use_telemetry(self, telemetry: Telemetry) -> None:
        """Have requests and sessions followed. See `Server.use_telemetry`."""
        if self._runs or self.instruments.telemetry is not None:
            raise UsageError("Second or late use_telemetry: call it once, before the server runs")
        self.instruments.telemetry = telemetry

    @contextmanager
    def tapped(self, tap: WireTap) -> Iterator[None]:
        """Have a tap told of all bytes that pass while the context lasts.

        Raises:
            UsageError: there is a tap already, or the server runs already.
        """
        if self._runs or self.instruments.tap is not None:
            raise UsageError("Second or late recording: begin it once, before the server runs")
        self.instruments.tap = tap
        try:
            yield
        finally:
            self.instruments.tap = None

    @property
    def shared_run(self) -> ServerRun | None:
        """The run that `running` has entered, if it has."""
        return self._shared

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ServerRun]:
        """Enter a run that everything served inside of it shares. See `Server.running`."""
        if self._shared is not None:
            raise UsageError("The server is inside of running() already: use that run")
        async with self._run() as run:
            self._shared = run
            try:
                yield run
            finally:
                self._shared = None

    @asynccontextmanager
    async def run_or_join(self) -> AsyncIterator[ServerRun]:
        """Join the shared run, or enter a run."""
        if self._shared is not None:
            yield self._shared
            return
        async with self._run() as run:
            yield run

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[ServerRun]:
        check_loop(f"The server {self.declarations.info.name}")
        async with open_run(self.declarations, self._server, self._lifespan, self.instruments) as run:
            self.declarations.run_began(run)
            self._runs.append(run)
            try:
                yield run
            finally:
                self._runs.remove(run)
                self.declarations.run_ended(run)

    async def drain(self, deadline: float | None) -> DrainReport:
        """Drain all runs at once. See `Server.drain`."""
        seconds = self.declarations.limits.grace if deadline is None else deadline
        reports: list[DrainReport] = []

        async def drain_one(run: ServerRun) -> None:
            reports.append(await run.drain(seconds))

        async with trio.open_nursery() as nursery:
            for run in self._runs:
                nursery.start_soon(functools.partial(drain_one, run))
        return sum(reports, DrainReport())

    @property
    def runs(self) -> Sequence[ServerRun]:
        """The runs of now."""
        return tuple(self._runs)

    def snapshots(self) -> tuple[RunSnapshot, ...]:
        """Return a snapshot of each run."""
        return tuple(run.snapshot() for run in self._runs)

    def memory_bound(self, http: HttpLimits | None) -> int:
        """Compute the most that the buffers of one run can hold. See `Server.memory_bound`."""
        limits = self.declarations.limits
        # The message that is read, the messages that wait for the Router, and the message that goes over its bound.
        reading = 3 * limits.message_bytes + READ_CHUNK + limits.session_request_bytes + limits.out_bytes
        # The URI of a subscription is kept once, and its notification waits to leave at most once.
        reading += limits.subscriptions * (2 * limits.uri_bytes + NOTICE) + limits.listens * len(LISTS) * NOTICE
        places = min(limits.server_requests, limits.sessions * limits.session_requests)
        bound = limits.sessions * reading + places * limits.result_bytes
        if any(revision.batches for revision in self.declarations.revisions):
            bound += limits.sessions * limits.batches * limits.result_bytes
        if self.declarations.tasks is not None and self.declarations.store is None:
            bound += limits.kept_tasks * 2 * limits.task_bytes  # the params and the result of each
        if http is not None:
            bound += http.connections * (http.head_bytes + READ_CHUNK + limits.message_bytes)
            # The place of a request is free when it is answered, but the answer may wait for a slow peer.
            bound += http.connections * (limits.result_bytes + limits.out_bytes)
            bound += places * limits.out_bytes + limits.stored_bytes
        return bound
