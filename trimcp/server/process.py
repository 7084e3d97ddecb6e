"""Runs a server in a process of trimcp's own: its signals, its end and its exit code.

`Server.run`, `Server.run_http` and the command line use it. The first signal drains: new work is refused, requests in
flight finish, then the connections close. A second signal ends everything at once (`process_signals`: also where a
handler blocks the event loop).
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

import attrs
import trio

from trimcp.actors.containment import unwrapped
from trimcp.actors.loop import is_in_task
from trimcp.errors import ConnectionClosed, UsageError
from trimcp.observability import events, log
from trimcp.observability.stderr import write_line
from trimcp.server import serving
from trimcp.server.process_signals import EXIT_ABANDONED, open_signals
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.session import FLUSH_TIMEOUT, Session

if TYPE_CHECKING:
    from trimcp.server.run import ServerRun
    from trimcp.session.request import InboundRequest

EXIT_OK: Final = 0
EXIT_LOST: Final = 1
"""An accepted request was not answered."""
EXIT_USAGE: Final = 2
"""stdin or stdout is not open."""

LAST_MOMENTS: Final = 2.0
"""Seconds beyond all limits until the process ends with whatever still runs in it."""

THREADS: Final = 0.5
"""Seconds that the threads of requests which were cancelled have to end."""
POLLING: Final = 0.02
"""Seconds between two looks for threads that still run."""

OnListening = Callable[[str], None]


class RunnableServer(Protocol):
    """A server, as the process runs it."""

    name: str

    def running(self) -> AbstractAsyncContextManager[ServerRun]:
        """Enter a run of the server."""
        ...


class HandedOver(BaseException):
    """Carries a server from `Server.run` to the command line, which loads the file of the server."""

    def __init__(self, server: RunnableServer) -> None:
        self.server: RunnableServer = server


def _check_not_in_trio(use: str) -> None:
    if is_in_task():
        raise UsageError(f"The server starts Trio itself, but Trio runs here already: write {use}")


# --- stdio ----------------------------------------------------------------------------


def run_alone(server: RunnableServer) -> int:
    """Serve stdio as the last line of a program; return the exit code of the process.

    Raises:
        HandedOver: the command line loads the program, and serves it as its options say.
        UsageError: Trio runs already.
    """
    if serving.loading.get() is not None:
        raise HandedOver(server)
    _check_not_in_trio("`await server.serve_stdio()`")
    return run_stdio(lambda: server)


def run_stdio(load: Callable[[], RunnableServer]) -> int:
    """Serve stdio; return the exit code of the process.

    Args:
        load: makes the server, after descriptors 0 and 1 were moved aside: its output goes to stderr.
    """
    from trimcp.transports.stdio import stdio_set_aside

    with ExitStack() as stack:
        try:
            descriptors = stack.enter_context(stdio_set_aside())
        except UsageError as exc:
            write_line(f"trimcp: {exc}")
            return EXIT_USAGE
        return trio.run(_serve_stdio, load(), descriptors.read_fd, descriptors.write_fd)


async def _serve_stdio(server: RunnableServer, read_fd: int, write_fd: int) -> int:
    from trimcp.transports.stdio import stdio_duplex

    async with server.running() as run:
        duplex = stdio_duplex(read_fd, write_fd, limit=run.limits.message_bytes)
        session = DuplexSession(duplex, run.service, run.admission)
        async with _session_signals(session, run):
            if os.isatty(read_fd):
                write_line(f"trimcp: {server.name} waits on stdio for messages; Ctrl-C ends it")
            await session.run()
            if run.draining.is_set():
                await run.drained.wait()
            return await _exit_code(run, session.lost)


@asynccontextmanager
async def _session_signals(session: Session, run: ServerRun) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(_drain_session_on_signal, session, run)
        nursery.start_soon(_abandon_session, session, run)
        yield
        nursery.cancel_scope.cancel()


async def _drain_session_on_signal(
    session: Session, run: ServerRun, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Drain on SIGTERM and SIGINT; cancel at once on a second signal, or on one during a drain."""
    with open_signals() as received:
        task_status.started()
        async with trio.open_nursery() as nursery:
            async for number in received:
                log.info(events.DRAIN_STARTED, signal=signal.Signals(number).name)
                if session.has_input_ended:
                    # The client that closed our input reads no more, and may fail over answers.
                    session.lose(ConnectionClosed("a signal came after the end of input"))
                    continue
                # The session drains already after an earlier signal.
                at_once = session.is_ending
                run.leaving.set()  # no balancer has to see before that the server is not ready
                nursery.start_soon(_drain_and_close, session, run, at_once)


async def _drain_and_close(session: Session, run: ServerRun, at_once: bool) -> None:
    limits = session.limits
    # At once: handlers have their time to clean up, and a peer that does not read is not waited for.
    with trio.move_on_after(limits.cleanup + LAST_MOMENTS if at_once else math.inf) as scope:
        await run.drain(0.0 if at_once else limits.grace)
    if scope.cancelled_caught:
        session.lost = max(session.lost, 1)
    session.close()  # it may not have begun to run when the drain looked for it


async def _abandon_session(session: Session, run: ServerRun) -> None:
    """End the process if a handler shields itself: Trio would wait for it without end."""
    await session.wait_ending()
    limits = session.limits
    await trio.sleep(limits.grace + limits.cleanup + LAST_MOMENTS)
    await _abandon(run, [session])


# --- listeners ------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class Binding:
    """Binds a server to one address."""

    serve: Callable[..., Awaitable[None]]
    """Listens, and returns when the server has drained. Its task status is the address."""
    describe: Callable[[Any], str]
    """Returns the URL of an address, for people."""


def run_listening(
    server: RunnableServer, bindings: Sequence[Binding], *, on_listening: OnListening | None = None
) -> int:
    """Serve on these addresses until a signal comes; return the exit code of the process.

    Args:
        server: the server.
        bindings: the addresses, all served by one run.
        on_listening: called with each URL; prints it to stderr, if not given.

    Returns:
        0 if every accepted request was answered, 1 if one was lost. If a handler does not end, the process ends here,
        with 3.

    Raises:
        UsageError: an address cannot be listened on, or Trio runs already.
    """
    serving.check_not_loading()
    _check_not_in_trio("`await server.serve_http(port)`")
    say = on_listening or (lambda url: write_line(f"trimcp: {server.name} on {url}"))
    return trio.run(_serve_bindings, server, bindings, say)


def http_url(scheme: str, path: str, address: tuple[str, int] | str) -> str:
    """Return the URL of an endpoint at an address."""
    from trimcp.transports.socket import host_and_port

    if isinstance(address, str):
        return f"unix:{address} ({scheme}, {path})"
    return f"{scheme}://{host_and_port(*address)}{path}"


async def _serve_bindings(server: RunnableServer, bindings: Sequence[Binding], say: OnListening) -> int:
    code = EXIT_LOST
    with unwrapped() as block:
        async with server.running() as run, trio.open_nursery() as nursery:
            shutdown = _Shutdown(run)
            await nursery.start(shutdown.drain_on_signal)
            nursery.start_soon(shutdown.abandon_handlers)
            with block:
                await _listen(bindings, shutdown, say)
            code = await _exit_code(run, shutdown.lost)
            nursery.cancel_scope.cancel()
    return code


async def _listen(bindings: Sequence[Binding], shutdown: _Shutdown, say: OnListening) -> None:
    """Listen on all addresses, and wait until the listeners have ended."""
    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            shutdown.listening = nursery.cancel_scope
            with block:
                try:
                    for binding in bindings:
                        if shutdown.run.draining.is_set():
                            break  # a signal came during the start
                        say(binding.describe(await nursery.start(binding.serve)))
                except UsageError:
                    nursery.cancel_scope.cancel()
                    raise


class _Shutdown:
    """Ends the run of a process that listens."""

    def __init__(self, run: ServerRun) -> None:
        self.run = run
        self.limits = run.limits
        self.listening = trio.CancelScope()
        self.lost = 0
        """Requests that were accepted and not answered."""
        self._at_once = trio.Event()

    async def drain_on_signal(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Drain on SIGTERM and SIGINT; end at once on a second signal."""
        with open_signals() as received:
            task_status.started()
            async with trio.open_nursery() as nursery:
                async for number in received:
                    log.info(events.DRAIN_STARTED, signal=signal.Signals(number).name)
                    if self.run.leaving.is_set():
                        self._at_once.set()
                    nursery.start_soon(self._drain)

    async def _drain(self) -> None:
        grace = trio.current_time() + self.limits.drain_delay + self.limits.grace
        report = await self.run.drain(0.0 if self._at_once.is_set() else self.limits.grace)
        self.lost = max(self.lost, report.lost)
        # Answers are on their way out. The listeners end by themselves when peers have read them; a peer that does
        # not read has the rest of the grace.
        with trio.move_on_after(max(grace - trio.current_time(), FLUSH_TIMEOUT)):
            await self._at_once.wait()
        await trio.sleep(LAST_MOMENTS)
        log.warning(events.WRITER_BLOCKED, seconds=LAST_MOMENTS)
        self.lost = max(self.lost, 1)
        self.listening.cancel()

    async def abandon_handlers(self) -> None:
        """End the process if a handler shields itself: Trio would wait for it without end."""
        run = self.run
        await run.draining.wait()
        sessions = [*run.sessions, *run.callers]  # they leave the run before their handlers end
        with trio.move_on_after(self.limits.grace):
            await self._at_once.wait()
        await trio.sleep(self.limits.cleanup + LAST_MOMENTS)
        await _abandon(run, sessions)


def _show_report(run: ServerRun) -> None:
    """Show what became of the requests that were in flight when the run began to drain."""
    if run.drained.is_set():
        report = run.report
        counts = f"{report.finished} finished, {report.cancelled} cancelled, {report.lost} lost"
        write_line(f"trimcp: {run.name} drained: {counts if report.requests else 'no request was in flight'}")


async def _exit_code(run: ServerRun, lost: int) -> int:
    """Return the exit code of a run that has ended, and show its report. Its threads get a moment to end."""
    _show_report(run)
    with trio.move_on_after(THREADS):
        while run.threads:  # noqa: ASYNC110 - threads that were abandoned tell no event that they end
            await trio.sleep(POLLING)
    if run.threads:
        write_line(f"trimcp: ending with {run.threads} threads of sync functions still running")
        return EXIT_ABANDONED
    return EXIT_LOST if lost else EXIT_OK


async def _abandon(run: ServerRun, sessions: Sequence[Session]) -> NoReturn:
    """End the process with the handlers that still run. While none runs, wait: answers still leave."""
    while not (methods := [request.method for session in sessions for request in _unfinished(session)]):  # noqa: ASYNC110 - no event says that only writing is left
        await trio.sleep(LAST_MOMENTS)
    _show_report(run)
    write_line(f"trimcp: ending with handlers still running: {', '.join(methods)}")
    os._exit(EXIT_ABANDONED)


def _unfinished(session: Session) -> Iterable[InboundRequest]:
    """Return the requests whose handlers have not ended. Imports nothing: the process may have no descriptor left."""
    # A session that has ended has waited for its handlers; a stateless peer has not.
    return session.requests.in_flight if session.is_running or session.is_stateless else ()
