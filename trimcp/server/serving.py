"""How a server is reached: its transports opened, one run of it behind each.

`serve_*` are for a nursery of the user's own: they take no signals and touch nothing global.
`run_process` is what `Server.run` and the command line do with a process that is trimcp's.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import ConnectionClosed, UsageError
from trimcp.observability import events, log
from trimcp.server.running import Running
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.session import Session
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.server.app import Server

EXIT_OK: Final = 0
EXIT_LOST: Final = 1
"""Something that was accepted was not answered."""
EXIT_ABANDONED: Final = 3
"""A handler would not end, and was left behind."""

LAST_MOMENTS: Final = 2.0
"""Seconds beyond all that the limits allow, until a process that trimcp owns ends whatever it still does."""

Listen = Callable[..., Awaitable[Any]]


async def serve_stdio(server: Server, task_status: trio.TaskStatus[Session]) -> Session:
    """Serve one client on descriptors 0 and 1 as they are."""
    from trimcp.transports.stdio import stdio_duplex

    async with server.run_or_join() as running:
        return await _serve_one(running, stdio_duplex(limit=server.limits.message_bytes), task_status)


async def serve_duplex(server: Server, duplex: Duplex, task_status: trio.TaskStatus[Session]) -> Session:
    """Serve one client on a connection that is there already."""
    async with server.run_or_join() as running:
        return await _serve_one(running, duplex, task_status)


async def _serve_one(running: Running, duplex: Duplex, task_status: trio.TaskStatus[Session]) -> Session:
    session = DuplexSession(duplex, running.service, running.admission)
    if not running.admits(session):
        await duplex.aclose()
        raise ConnectionClosed("the server is stopping, or has as many sessions as its limits allow")
    async with trio.open_nursery() as nursery:
        await nursery.start(session.run)
        task_status.started(session)
    return session


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[tuple[Running, trio.Nursery]]:
    """A run of the server, and a nursery in it for whatever opens a door to it.

    A `UsageError` (the address cannot be listened on, an option cannot be) leaves as itself, not in a group.
    """
    refusal: UsageError | None = None
    async with server.run_or_join() as running, trio.open_nursery() as nursery:
        try:
            yield running, nursery
        except UsageError as exc:
            refusal = exc
            nursery.cancel_scope.cancel()
    if refusal is not None:
        raise refusal


async def listen(server: Server, listener: Listen, task_status: trio.TaskStatus[Any], **options: Any) -> None:
    """Accept connections until the server drains; then wait until those that are open have ended."""
    async with opened(server) as (running, connections):

        async def handle(duplex: Duplex) -> None:
            await running.serve(duplex)

        with trio.CancelScope() as accepting:
            connections.start_soon(stop_accepting, running, accepting)
            await listener(
                handle,
                connections=connections,
                limit=server.limits.message_bytes,
                max_connections=server.limits.sessions,
                task_status=task_status,
                **options,
            )


async def stop_accepting(running: Running, accepting: trio.CancelScope) -> None:
    """End accepting when the server drains; what was accepted goes on."""
    await running.draining.wait()
    accepting.cancel()


# --- a process of our own -------------------------------------------------------------


def run_process(load: Callable[[], Server]) -> int:
    """Serve stdio in a process that is trimcp's; return its exit code.

    `load` makes the server, once descriptors 0 and 1 are set aside: what it prints goes to stderr.
    """
    from trimcp.transports.stdio import stdio_set_aside

    with stdio_set_aside() as descriptors:
        return trio.run(_own_process, load(), descriptors.read_fd, descriptors.write_fd)


async def _own_process(server: Server, read_fd: int, write_fd: int) -> int:
    from trimcp.transports.stdio import stdio_duplex

    async with server.running() as running:
        duplex = stdio_duplex(read_fd, write_fd, limit=server.limits.message_bytes)
        session = DuplexSession(duplex, running.service, running.admission)
        async with _signals(session, running):
            await session.run()
    return EXIT_LOST if session.lost else EXIT_OK


@asynccontextmanager
async def _signals(session: Session, running: Running) -> AsyncIterator[None]:
    """SIGTERM and SIGINT drain; a second one, or one during a drain, cancels at once."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_take_signals, session, running)
        nursery.start_soon(_leave_behind, session)
        yield
        nursery.cancel_scope.cancel()


async def _take_signals(session: Session, running: Running) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        async with trio.open_nursery() as nursery:
            async for number in received:
                log.info(events.DRAIN_STARTED, signal=signal.Signals(number).name)
                # The client closed our input already and now insists, or the user does.
                at_once = session.is_ending
                running.draining.set()
                nursery.start_soon(_drain_and_close, session, 0.0 if at_once else session.limits.grace)


async def _drain_and_close(session: Session, grace: float) -> None:
    await session.drain(grace)
    session.close()


async def _leave_behind(session: Session) -> None:
    """The last resort for a handler that shields itself for ever: Trio would wait for it as long."""
    await session.wait_ending()
    limits = session.limits
    await trio.sleep(limits.grace + limits.cleanup + LAST_MOMENTS)
    while not session.snapshot().requests:  # noqa: ASYNC110 - there is no event that says "only writing is left"
        await trio.sleep(LAST_MOMENTS)  # answers still leave, and the Writer sees that the peer takes them
    still = [request.method for request in session.snapshot().requests]
    print(f"trimcp: ending with handlers still running: {', '.join(still) or 'none'}", file=sys.stderr, flush=True)
    os._exit(EXIT_ABANDONED)
