"""A process that is trimcp's, with a server that listens in it: its signals, the order of its end, its exit code.

`Server.run_http` and the command line use it; `serving.run_process` is the same for stdio, where one
session is all there is. The first signal refuses new work, lets what is in flight finish, and closes
the doors then; a second one ends it all at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.server.serving import EXIT_ABANDONED, EXIT_LOST, EXIT_OK, LAST_MOMENTS

if TYPE_CHECKING:
    from trimcp.server.app import Server
    from trimcp.server.running import Running
    from trimcp.session.session import Session

OnListening = Callable[[str], None]


@attrs.frozen
class Door:
    """One way to reach a server."""

    serve: Callable[..., Awaitable[None]]
    """Opens it, and returns when the server has drained. Its status is the address."""
    describe: Callable[[Any], str]
    """What clients connect to, by that address."""


def run_listening(server: Server, doors: Sequence[Door], *, on_listening: OnListening | None = None) -> int:
    """Serve by these doors until a signal comes; return the exit code of the process.

    Args:
        server: what to serve.
        doors: all of one run of it.
        on_listening: told where each of them is; stderr is, if not given.

    Returns:
        0 where everything accepted was answered, 1 where something was lost. Where a handler would
        not end, the process ends here, with 3.

    Raises:
        UsageError: a door could not be opened.
    """
    say = on_listening or (lambda where: print(f"trimcp: {server.name} on {where}", file=sys.stderr, flush=True))
    return trio.run(_own_process, server, doors, say)


def url(scheme: str, path: str, address: tuple[str, int] | str) -> str:
    """What an endpoint at some address is connected to by."""
    from trimcp.transports.socket import host_and_port

    if isinstance(address, str):
        return f"unix:{address} ({scheme}, {path})"
    return f"{scheme}://{host_and_port(*address)}{path}"


async def _own_process(server: Server, doors: Sequence[Door], say: OnListening) -> int:
    refusal: UsageError | None = None
    async with server.running() as running, trio.open_nursery() as nursery:
        stop = _Stop(running)
        await nursery.start(stop.take_signals)
        nursery.start_soon(stop.leave_behind)
        try:
            await _open(doors, stop, say)
        except UsageError as exc:
            refusal = exc  # leaves below as itself, rather than in a group
        nursery.cancel_scope.cancel()
    if refusal is not None:
        raise refusal
    return EXIT_LOST if stop.lost else EXIT_OK


async def _open(doors: Sequence[Door], stop: _Stop, say: OnListening) -> None:
    """Open the doors, and wait until they are closed again."""
    refusal: UsageError | None = None
    async with trio.open_nursery() as nursery:
        stop.doors = nursery.cancel_scope
        for door in doors:
            if stop.running.draining.is_set():
                break  # asked to stop while it started
            try:
                say(door.describe(await nursery.start(door.serve)))
            except UsageError as exc:
                refusal = exc
                nursery.cancel_scope.cancel()
                break
    if refusal is not None:
        raise refusal


class _Stop:
    """How the run of a process comes to its end."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.limits = running.server.limits
        self.doors = trio.CancelScope()
        self.lost = 0
        """Requests that were accepted and not answered."""
        self._in_haste = trio.Event()

    async def take_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        """SIGTERM and SIGINT drain; another one ends what still runs."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
            task_status.started()
            async with trio.open_nursery() as nursery:
                async for number in received:
                    log.info(events.DRAIN_STARTED, signal=signal.Signals(number).name)
                    if self.running.draining.is_set():
                        self._in_haste.set()
                    nursery.start_soon(self._drain)

    async def _drain(self) -> None:
        report = await self.running.drain(0.0 if self._in_haste.is_set() else self.limits.grace)
        self.lost = max(self.lost, report.lost)
        # What was answered is on its way out, and the doors see to it that its readers read.
        with trio.move_on_after(self.limits.write_timeout):
            await self._in_haste.wait()
        await trio.sleep(LAST_MOMENTS)
        log.warning(events.WRITER_BLOCKED, seconds=LAST_MOMENTS)
        self.lost = max(self.lost, 1)
        self.doors.cancel()

    async def leave_behind(self) -> None:
        """The last resort for a handler that shields itself for ever: Trio would wait for it as long."""
        running = self.running
        await running.draining.wait()
        sessions = [*running.sessions, *running.callers]  # they leave the run before their handlers end
        with trio.move_on_after(self.limits.grace):
            await self._in_haste.wait()
        await trio.sleep(self.limits.cleanup + LAST_MOMENTS)
        while not (still := _methods_of(sessions)):  # noqa: ASYNC110 - no event says "only writing is left"
            await trio.sleep(LAST_MOMENTS)
        print(f"trimcp: ending with handlers still running: {', '.join(still)}", file=sys.stderr, flush=True)
        os._exit(EXIT_ABANDONED)


def _methods_of(sessions: Sequence[Session]) -> list[str]:
    """The requests that still run on sessions."""
    return [request.method for session in sessions for request in session.snapshot().requests]
