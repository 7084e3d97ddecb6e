"""Opens the transports of a server, each on a run of it, in a nursery of the user.

Signals and other global state stay as they are. See `trimcp.server.process` for a process of trimcp's own.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import ConnectionClosed, UsageError
from trimcp.server.late_modules import load_late_modules
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.session import Session
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.server.run import ServerRun
    from trimcp.server.run_registry import RunRegistry
    from trimcp.transports.endpoints import Endpoint

VIEW: Final = "trimcp.view.serving"
"""The module that serves views. It is above this one, so it is loaded by name."""
loading: ContextVar[str | None] = ContextVar("trimcp loads", default=None)
"""The file that the command line loads at this moment. Its server must not serve yet."""


def check_not_loading() -> None:
    """Check that the command line does not load the file of the server at this moment.

    Raises:
        UsageError: it does, so the options of the command line would be ignored.
    """
    path = loading.get()
    if path is not None:
        raise UsageError(f'{path} serves while it is loaded: guard that line with `if __name__ == "__main__":`')


async def serve_stdio(runs: RunRegistry, task_status: trio.TaskStatus[Session]) -> Session:
    """Serve one client on descriptors 0 and 1 as they are."""
    from trimcp.transports.stdio import stdio_duplex

    check_not_loading()
    async with runs.run_or_join() as run:
        return await _serve_one(run, stdio_duplex(limit=run.limits.message_bytes), task_status)


async def serve_duplex(runs: RunRegistry, duplex: Duplex, task_status: trio.TaskStatus[Session]) -> Session:
    """Serve one client on an open connection."""
    async with runs.run_or_join() as run:
        return await _serve_one(run, duplex, task_status)


async def _serve_one(run: ServerRun, duplex: Duplex, task_status: trio.TaskStatus[Session]) -> Session:
    session = DuplexSession(duplex, run.service, run.admission)
    if not run.admits(session):
        await duplex.aclose()
        raise ConnectionClosed("The server takes no more sessions: it is stopping, or Limits.sessions are open")
    async with trio.open_nursery() as nursery:
        await nursery.start(session.run)
        task_status.started(session)
    return session


@asynccontextmanager
async def open_listener(runs: RunRegistry) -> AsyncIterator[tuple[ServerRun, trio.Nursery]]:
    """Enter a run of the server, and a nursery in it for a listener.

    A `UsageError` (the address cannot be listened on, an option is invalid) leaves as itself, not in a group.
    """
    check_not_loading()
    refusal: UsageError | None = None
    load_late_modules()
    async with runs.run_or_join() as run, trio.open_nursery() as nursery:
        try:
            yield run, nursery
        except UsageError as exc:
            refusal = exc
            nursery.cancel_scope.cancel()
    if refusal is not None:
        raise refusal


async def serve_view(runs: RunRegistry, task_status: trio.TaskStatus[str], **options: Any) -> None:
    """Serve the view. See `Server.serve_view`."""
    check_not_loading()
    view = importlib.import_module(VIEW)
    await view.serve(runs, view.ViewOptions(**options), task_status=task_status)


async def listen(runs: RunRegistry, endpoint: Endpoint, task_status: trio.TaskStatus[Any]) -> None:
    """Accept connections until the server drains, then wait until the open ones have ended."""
    from trimcp.transports.listener import serve_lines

    async with open_listener(runs) as (run, connections):

        async def handle(duplex: Duplex) -> None:
            await run.serve(duplex)

        with trio.CancelScope() as accepting:
            connections.start_soon(stop_accepting, run, accepting)
            await serve_lines(
                handle,
                endpoint,
                connections=connections,
                limit=run.limits.message_bytes,
                max_connections=run.limits.sessions,
                task_status=task_status,
            )


async def stop_accepting(run: ServerRun, accepting: trio.CancelScope) -> None:
    """Cancel accepting when the server drains. Accepted connections go on."""
    await run.draining.wait()
    accepting.cancel()
