"""`Steps`: runs the steps of a check, and collects the faults.

Each step has a thread with a Trio loop of its own. A handler that never ends then costs its thread, and not the test.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs
import trio

from trimcp.client.client import Client
from trimcp.client.connect import connect
from trimcp.errors import TrimcpError
from trimcp.observability.log import LogLine
from trimcp.server.app import Server
from trimcp.testing.server_checks.faults import Check, Kind, ServerFault

ENDING: Final = 1.0
"""Seconds that the server has to end after a step, beside `Limits.cleanup`."""

Over = Callable[[], None]
"""Tells that a step has come to its end, and that only the server must still end."""
Step = Callable[[Over], Awaitable[None]]


@attrs.define
class Steps:
    """The settings of a check, and the faults that it has found."""

    server: Server
    timeout: float
    """Seconds that a request may take."""
    revision: str
    options: Mapping[str, Any]
    """Of `trimcp.connect`."""
    faults: list[ServerFault] = attrs.field(factory=list)

    def found(self, kind: Kind, name: str, check: Check, problem: str) -> None:
        """Add a fault."""
        self.faults.append(ServerFault(kind, name, check, problem))

    def connect(self) -> AbstractAsyncContextManager[Client]:
        """Open a client of the server."""
        return connect(self.server, revision=self.revision, **{"cache": False, **self.options})

    def run(self, kind: Kind, name: str, check: Check, step: Step) -> bool:
        """Run a step in a thread of its own; return whether it found nothing and ended."""
        before = len(self.faults)
        over = threading.Event()
        failures: list[Exception] = []

        def run() -> None:
            try:
                trio.run(step, over.set)
            except Exception as exc:  # noqa: BLE001 - raised again in the thread of the test
                failures.append(exc)
            finally:
                over.set()

        thread = threading.Thread(target=run, name=f"check of {kind} {name}", daemon=True)
        thread.start()
        over.wait()
        if len(self.faults) == before:
            thread.join(self.server.limits.cleanup + ENDING)
        if failures:
            raise failures[0]
        if thread.is_alive() and len(self.faults) == before:
            self.found(kind, name, check, "the server does not end: its lifespan or a task waits for ever")
        return len(self.faults) == before


def told(exc: TrimcpError, lines: Iterable[LogLine]) -> str:
    """Return an error of the server with the exception behind it, if the log has one."""
    failures = [line.keys["exc_info"] for line in lines if "exc_info" in line.keys]
    return f"{exc} ({failures[-1]!r})" if failures else str(exc)
