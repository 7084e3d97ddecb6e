"""Listens on TCP and Unix sockets, and hands each connection to a handler.

A listener does not end because a connection failed or the process ran out of descriptors: it pauses. If its socket is
lost, it opens another, and reports that.

    await nursery.start(serve_lines, handler, TcpEndpoint("127.0.0.1", 8000))
"""

from __future__ import annotations

import errno
import functools
import math
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

import trio

from trimcp.actors.backoff import Backoff
from trimcp.errors import ConnectionEnded, UsageError
from trimcp.framing.lines import DEFAULT_LINE_LIMIT
from trimcp.observability import events, log
from trimcp.transports.duplex import Duplex
from trimcp.transports.endpoints import Endpoint
from trimcp.transports.lines import ByteStream
from trimcp.transports.socket import SocketStream, reason, socket_duplex

Handler = Callable[[Duplex], Awaitable[None]]
"""Serves one connection. It is closed when the handler returns or raises."""
StreamHandler = Callable[[ByteStream], Awaitable[None]]
"""Serves one connection as a stream of bytes. It is closed when the handler returns or raises."""

Report = Callable[[str, dict[str, Any]], None]
"""Called with the name of an event and its keys, as they would be logged."""

MAX_CONNECTIONS: Final = 16384
"""Connections of one listener at once; more wait in the kernel. Sessions are limited above this, by refusals that say
why; this bound keeps the number of tasks finite."""
ACCEPTED_AT_ONCE: Final = 32
"""Connections that are accepted before those that are open have their turn: one at a time, new connections would wait
behind busy ones, since each pass of Trio's loop serves all connections that have sent something."""
EXHAUSTED_PAUSE: Final = 0.1
"""Seconds before another accept, after the process or the system has run out of descriptors or memory."""
EXHAUSTED_QUIET: Final = 60.0
"""Seconds without that after which it is reported again: clients can cause it over and over."""
FIRST_RESTART: Final = 0.1
"""Seconds before a lost socket is opened again; each failure doubles them."""
LONGEST_RESTART: Final = 5.0
"""Seconds between two tries to open a lost socket, at most."""

_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
# accept(2): the connection that was to be accepted is gone.
_GONE: Final = {
    getattr(errno, name)
    for name in (
        *("ECONNABORTED", "EPROTO", "EPERM", "EHOSTDOWN", "EHOSTUNREACH"),
        *("ENETDOWN", "ENETUNREACH", "ENONET", "ENOPROTOOPT", "EOPNOTSUPP"),
    )
    if hasattr(errno, name)
}


async def serve_lines(
    handler: Handler,
    endpoint: Endpoint,
    *,
    limit: int = DEFAULT_LINE_LIMIT,
    max_connections: int = MAX_CONNECTIONS,
    connections: trio.Nursery | None = None,
    report: Report | None = None,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Listen until cancelled, for connections that carry one message per line. The status is the bound address.

    Args:
        handler: serves each connection, in a task of its own.
        endpoint: where to listen.
        limit: bytes that an incoming line may have.
        max_connections: connections at once; more wait unaccepted.
        connections: the nursery that the handlers run in, so that they may outlive the
            listener; None ends them with it.
        report: called with failures; None logs them.

    Raises:
        UsageError: the address cannot be listened on. Later failures are reported and retried.
    """
    make = functools.partial(socket_duplex, limit=limit)
    await _listen(endpoint, Accepting(handler, make, max_connections, report), connections, task_status)


async def serve_streams(
    handler: StreamHandler,
    endpoint: Endpoint,
    *,
    max_connections: int = MAX_CONNECTIONS,
    connections: trio.Nursery | None = None,
    report: Report | None = None,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Listen as `serve_lines`, for a handler that takes a stream of bytes."""
    await _listen(endpoint, Accepting(handler, SocketStream, max_connections, report), connections, task_status)


def _log(event: str, keys: dict[str, Any]) -> None:
    if "exc_info" in keys:
        log.error(event, **keys)
    else:
        log.warning(event, **keys)


async def _listen(
    endpoint: Endpoint,
    accepting: Accepting[Any],
    connections: trio.Nursery | None,
    task_status: trio.TaskStatus[Any],
) -> NoReturn:
    sockets = await open_sockets(endpoint)
    async with trio.open_nursery() as own:
        task_status.started(endpoint.address())
        await accept_forever(endpoint, sockets, accepting, connections or own)


async def open_sockets(endpoint: Endpoint) -> list[socket.socket]:
    """Listen at an address.

    Raises:
        UsageError: the address cannot be listened on.
    """
    try:
        return await endpoint.open()
    except OSError as exc:
        raise UsageError(f"cannot listen on {endpoint}: {reason(exc)}") from exc


async def accept_forever(
    endpoint: Endpoint,
    sockets: list[socket.socket],
    accepting: Accepting[Any],
    connections: trio.Nursery,
) -> NoReturn:
    """Accept on the open sockets of an endpoint until cancelled, and open them again if they are lost."""
    report = accepting.report
    while True:
        try:
            failure = await accepting.accept_until_failure(endpoint, sockets, connections)
        finally:
            for sock in sockets:
                sock.close()
            endpoint.clean()
        report(events.LISTENER_FAILED, {"endpoint": str(endpoint), "reason": reason(failure)})
        sockets = await _reopen(endpoint, report)
        report(events.LISTENER_RESTARTED, {"endpoint": str(endpoint)})


async def _reopen(endpoint: Endpoint, report: Report) -> list[socket.socket]:
    backoff = Backoff(first=FIRST_RESTART, longest=LONGEST_RESTART, jitter=0.0, budget=None)
    pause = backoff.next_pause()
    while True:
        assert pause is not None, "there is no budget"
        await trio.sleep(pause)
        pause = backoff.next_pause()
        try:
            return await endpoint.open()
        except (OSError, UsageError) as exc:
            report(events.LISTENER_FAILED, {"endpoint": str(endpoint), "reason": reason(exc), "retry_in": pause})


class Medium(Protocol):
    """A connection, as a listener sees it."""

    @property
    def description(self) -> str:
        """The other end, for logs and errors."""
        ...

    async def aclose(self) -> None:
        """Close the connection, without waiting for the peer. Idempotent."""
        ...


M = TypeVar("M", bound=Medium)
"""The medium of a connection, as its handler gets it."""


class Accepting(Generic[M]):
    """Accepts connections on the sockets of one endpoint."""

    def __init__(
        self,
        handler: Callable[[M], Awaitable[None]],
        make: Callable[[socket.socket, str], M],
        max_connections: int,
        report: Report | None = None,
    ) -> None:
        """`make`: makes the medium of a connection from its socket and its name."""
        self._handler = handler
        self._make = make
        self._places = trio.Semaphore(max_connections)
        self._exhausted_at = -math.inf
        self.report: Report = report or _log

    async def accept_until_failure(
        self, endpoint: Endpoint, sockets: list[socket.socket], connections: trio.Nursery
    ) -> OSError:
        """Accept on all sockets until one of them fails; return its error."""
        failures: list[OSError] = []

        async def accept(sock: socket.socket) -> None:
            failures.append(await self._accept(endpoint, sock, connections))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for sock in sockets:
                nursery.start_soon(accept, sock)
        return failures[0]

    async def _accept(self, endpoint: Endpoint, sock: socket.socket, connections: trio.Nursery) -> OSError:
        while True:
            await trio.lowlevel.wait_readable(sock)
            for _ in range(ACCEPTED_AT_ONCE):
                await self._take_place()
                try:
                    connection, peer = sock.accept()
                except BlockingIOError:
                    self._places.release()
                    break
                except OSError as exc:
                    self._places.release()
                    if exc.errno in _EXHAUSTED:
                        self._exhausted(endpoint, exc)
                        await trio.sleep(EXHAUSTED_PAUSE)
                    elif exc.errno not in _GONE:
                        return exc
                else:
                    medium = self._make(connection, endpoint.describe(peer))
                    connections.start_soon(self._handle, medium, name=f"trimcp {medium.description}")

    async def _take_place(self) -> None:
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await self._places.acquire()

    def _exhausted(self, endpoint: Endpoint, exc: OSError) -> None:
        before, self._exhausted_at = self._exhausted_at, trio.current_time()
        if self._exhausted_at - before > EXHAUSTED_QUIET:
            self.report(events.ACCEPT_FAILED, {"endpoint": str(endpoint), "reason": reason(exc)})

    async def _handle(self, medium: M) -> None:
        try:
            await self._handler(medium)
        except ConnectionEnded as exc:
            self.report(events.CONNECTION_LOST, {"peer": medium.description, "reason": reason(exc)})
        except Exception as exc:  # noqa: BLE001
            # The failure of one connection must not end the others.
            self.report(events.CONNECTION_FAILED, {"peer": medium.description, "reason": reason(exc), "exc_info": exc})
        finally:
            self._places.release()
            # Closing does not wait for the peer, and a cancelled scope must not cut it short.
            with trio.move_on_after(1, shield=True):
                await medium.aclose()
