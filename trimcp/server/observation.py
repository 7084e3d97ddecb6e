"""`ServerObservation`: the part of `Server` by which a program observes it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from trimcp.observability.instruments import Meter
    from trimcp.observability.telemetry import Telemetry
    from trimcp.server.run_registry import RunRegistry
    from trimcp.server.run_snapshot import RunSnapshot


class ServerObservation:
    """Shows what a server does: snapshots, counters, traces, metrics. What is not asked for costs nothing."""

    _runs: RunRegistry

    def tree(self) -> tuple[RunSnapshot, ...]:
        """Return a snapshot of every run: actors, how full they are, requests with their age. Print one to draw it."""
        return self._runs.snapshots()

    def measure(self) -> AbstractContextManager[Meter]:
        """Count requests for as long as the context lasts: by method and outcome, with durations and cancels.

            with server.measure() as meter:
                print(meter.read().requests)

        While no such context is open, nothing is counted, and nothing costs anything.
        """
        return self._runs.instruments.open_meter()

    def use_telemetry(self, telemetry: Telemetry) -> None:
        """Have all requests and sessions followed, as by `trimcp.telemetry.OpenTelemetry`.

        Raises:
            UsageError: there is telemetry already, or the server runs already.
        """
        self._runs.use_telemetry(telemetry)

    @contextmanager
    def record(
        self, path: str | os.PathLike[str], *, overwrite: bool = False, most_bytes: int | None = None
    ) -> Iterator[None]:
        """Write all messages of all clients to a file, masked, while the context lasts; see docs/recording.md.

            with server.record("session.ndjson"):
                server.run_http()

        Args:
            path: of the file, which gets the mode 0600.
            overwrite: whether a file of that name may be replaced.
            most_bytes: bytes of the file, 256 MiB if not given. Before it would have more, the recording stops.

        Raises:
            UsageError: the file exists, or cannot be made; or the server runs or is recorded already.
        """
        # By name, since the server is below the package in the layers.
        writer_class = importlib.import_module("trimcp.recording.writer").RecordingWriter
        tools = self._runs.declarations.tools

        def schemas_of(name: str) -> tuple[Any, Any] | None:
            tool = tools.catalog.get(name)
            return None if tool is None else (tool.definition.input_schema, tool.definition.output_schema)

        options = {} if most_bytes is None else {"most_bytes": most_bytes}
        writer = writer_class(path, overwrite=overwrite, schemas_of=schemas_of, **options)
        with writer, self._runs.tapped(writer):
            yield

    async def serve_metrics(
        self,
        port: int = 9464,
        host: str = "127.0.0.1",
        *,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve `GET /metrics` for Prometheus at an address of its own, until cancelled; see docs/observing.md."""
        from trimcp.server.metrics import serve_metrics

        await serve_metrics(self._runs, self, host, port, task_status)
