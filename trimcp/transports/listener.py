"""Listening on TCP and Unix sockets: each connection that comes is handed to a handler.

Owns the accept loop and what may go wrong with it. A listener does not end because one
connection failed or because the process ran out of descriptors: it backs off, and where its
socket is lost it opens a new one, and says so. What is done with a connection is the handler's.

    await nursery.start(functools.partial(serve_tcp, handler, port=8000))
"""

from __future__ import annotations

import abc
import contextlib
import errno
import functools
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

import trio

from trimcp.errors import ConnectionEnded, UsageError
from trimcp.framing.lines import DEFAULT_LINE_LIMIT
from trimcp.observability import events, log
from trimcp.transports.duplex import Duplex
from trimcp.transports.lines import ByteStream
from trimcp.transports.socket import detached, host_and_port, reason, socket_duplex, socket_stream

Handler = Callable[[Duplex], Awaitable[None]]
"""Serves one connection. It is closed when the handler returns or raises."""
StreamHandler = Callable[[ByteStream], Awaitable[None]]
"""The same, for a framing of its own."""

Report = Callable[[str, dict[str, Any]], None]
"""Told the name of an event and its keys, as they would be logged."""

MAX_CONNECTIONS: Final = 16384
"""Connections of one listener at once; more wait in the kernel. What a session may cost is
limited above this, by refusals that say why; this only keeps tasks from growing without end."""
BACKLOG: Final = 512
"""Connections that the kernel holds until they are accepted."""
EXHAUSTED_PAUSE: Final = 0.1
"""Seconds before another accept, when the process or the system has run out of something."""
FIRST_RESTART: Final = 0.1
LAST_RESTART: Final = 5.0
"""Seconds before a lost socket is opened anew: doubled each time, from first to last."""


_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
# accept(2): errors of the connection that was to be accepted, gone before we came to it.
_GONE: Final = {
    getattr(errno, name)
    for name in (
        *("ECONNABORTED", "EPROTO", "EPERM", "EHOSTDOWN", "EHOSTUNREACH"),
        *("ENETDOWN", "ENETUNREACH", "ENONET", "ENOPROTOOPT", "EOPNOTSUPP"),
    )
    if hasattr(errno, name)
}


async def serve_tcp(
    handler: Handler,
    *,
    port: int,
    host: str = "127.0.0.1",
    limit: int = DEFAULT_LINE_LIMIT,
    max_connections: int = MAX_CONNECTIONS,
    connections: trio.Nursery | None = None,
    report: Report | None = None,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Listen on TCP until cancelled. The status is the address that was bound, as (host, port).

    Args:
        handler: serves each connection, in a task of its own.
        port: port number; 0 lets the system choose.
        host: address to listen on; the default is reached from this machine alone.
        limit: bytes that an incoming line may have.
        max_connections: connections at once; more wait unaccepted.
        connections: the nursery that the handlers run in, so that they may outlive the
            listener; None ends them with it.
        report: told of what goes wrong; None logs it.

    Raises:
        UsageError: the address cannot be listened on. Later failures are reported and retried.
    """
    endpoint = TcpEndpoint(host, port)
    await _serve(endpoint, handler, limit, max_connections, connections, report or _log, task_status)


async def serve_tcp_streams(
    handler: StreamHandler,
    *,
    port: int,
    host: str = "127.0.0.1",
    max_connections: int = MAX_CONNECTIONS,
    connections: trio.Nursery | None = None,
    report: Report | None = None,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """As `serve_tcp`, for a handler that takes bytes as they come."""
    accepting = _Accepting(handler, socket_stream, max_connections, report or _log)
    await _listen(TcpEndpoint(host, port), accepting, connections, task_status)


async def serve_unix(
    handler: Handler,
    *,
    path: str | os.PathLike[str],
    mode: int = 0o600,
    limit: int = DEFAULT_LINE_LIMIT,
    max_connections: int = MAX_CONNECTIONS,
    connections: trio.Nursery | None = None,
    report: Report | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Listen on a Unix socket until cancelled. The status is its path.

    A socket file that nobody answers on is replaced; the file is removed at the end.

    Args:
        handler: serves each connection, in a task of its own.
        path: where the socket's file is made.
        mode: who may connect: the permissions of that file. The default is this user alone.
        limit: bytes that an incoming line may have.
        max_connections: connections at once; more wait unaccepted.
        connections: the nursery that the handlers run in, so that they may outlive the
            listener; None ends them with it.
        report: told of what goes wrong; None logs it.

    Raises:
        UsageError: somebody listens there already, the path is another kind of file, or it
            cannot be made. Later failures are reported and retried.
    """
    endpoint = UnixEndpoint(os.fspath(path), mode)
    await _serve(endpoint, handler, limit, max_connections, connections, report or _log, task_status)


async def serve_unix_streams(
    handler: StreamHandler,
    *,
    path: str | os.PathLike[str],
    mode: int = 0o600,
    max_connections: int = MAX_CONNECTIONS,
    connections: trio.Nursery | None = None,
    report: Report | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """As `serve_unix`, for a handler that takes bytes as they come."""
    accepting = _Accepting(handler, socket_stream, max_connections, report or _log)
    await _listen(UnixEndpoint(os.fspath(path), mode), accepting, connections, task_status)


def _log(event: str, keys: dict[str, Any]) -> None:
    if "exc_info" in keys:
        log.error(event, **keys)
    else:
        log.warning(event, **keys)


class _Endpoint(abc.ABC):
    """Where to listen: how its sockets are opened, each time anew, and cleaned up."""

    @abc.abstractmethod
    async def open(self) -> list[trio.socket.SocketType]:
        """Bind and listen; raises OSError or UsageError."""

    @abc.abstractmethod
    def address(self) -> Any:
        """What was bound, for whoever started the listener."""

    @abc.abstractmethod
    def describe(self, peer: Any) -> str:
        """What a connection from that peer is called."""

    @abc.abstractmethod
    def clean(self) -> None:
        """Remove what `open` left behind beside the sockets."""

    @abc.abstractmethod
    def __str__(self) -> str: ...


class TcpEndpoint(_Endpoint):
    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    async def open(self) -> list[trio.socket.SocketType]:
        listeners = await trio.open_tcp_listeners(self._port, host=self._host, backlog=BACKLOG)
        # A restart must come back to the same port, also where the system chose it.
        self._host, self._port = listeners[0].socket.getsockname()[:2]
        return [listener.socket for listener in listeners]

    def address(self) -> tuple[str, int]:
        return self._host, self._port

    def describe(self, peer: Any) -> str:
        return f"tcp {host_and_port(peer[0], peer[1])}"

    def clean(self) -> None:
        pass

    def __str__(self) -> str:
        return f"tcp {host_and_port(self._host, self._port)}"


class UnixEndpoint(_Endpoint):
    def __init__(self, path: str, mode: int) -> None:
        self._path = path
        self._mode = mode
        self._made: tuple[int, int] | None = None

    async def open(self) -> list[trio.socket.SocketType]:
        await self._remove_stale()
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            await sock.bind(self._path)
            self._made = self._identity()
            # Nobody can connect before `listen`, so the mode is never wider than asked for.
            os.chmod(self._path, self._mode)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            self.clean()
            raise
        return [sock]

    async def _remove_stale(self) -> None:
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise UsageError(f"{self._path} exists and is no socket; choose another path or remove it")
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                await probe.connect(self._path)
            except ConnectionRefusedError:
                # Nobody holds it any more. Only the file that was probed may go.
                if self._identity() == (found.st_dev, found.st_ino):
                    os.unlink(self._path)
                return
            except FileNotFoundError:
                return
        raise UsageError(f"somebody listens on {self._path} already; stop that server or choose another path")

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.lstat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def address(self) -> str:
        return self._path

    def describe(self, peer: Any) -> str:
        return f"unix {self._path}"

    def clean(self) -> None:
        # The path may have been taken over by another server meanwhile: that file stays.
        if self._made is not None and self._identity() == self._made:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._made = None

    def __str__(self) -> str:
        return f"unix {self._path}"


async def _serve(
    endpoint: _Endpoint,
    handler: Handler,
    limit: int,
    max_connections: int,
    connections: trio.Nursery | None,
    report: Report,
    task_status: trio.TaskStatus[Any],
) -> NoReturn:
    accepting = _Accepting(handler, functools.partial(socket_duplex, limit=limit), max_connections, report)
    await _listen(endpoint, accepting, connections, task_status)


async def _listen(
    endpoint: _Endpoint,
    accepting: _Accepting[Any],
    connections: trio.Nursery | None,
    task_status: trio.TaskStatus[Any],
) -> NoReturn:
    report = accepting.report
    try:
        sockets = await endpoint.open()
    except OSError as exc:
        raise UsageError(f"cannot listen on {endpoint}: {reason(exc)}") from exc
    async with trio.open_nursery() as own:
        task_status.started(endpoint.address())
        while True:
            try:
                failure = await accepting.accept_until_failure(endpoint, sockets, connections or own)
            finally:
                for sock in sockets:
                    sock.close()
                endpoint.clean()
            report(events.LISTENER_FAILED, {"endpoint": str(endpoint), "reason": reason(failure)})
            sockets = await _reopen(endpoint, report)
            report(events.LISTENER_RESTARTED, {"endpoint": str(endpoint)})


async def _reopen(endpoint: _Endpoint, report: Report) -> list[trio.socket.SocketType]:
    pause = FIRST_RESTART
    while True:
        await trio.sleep(pause)
        pause = min(pause * 2, LAST_RESTART)
        try:
            return await endpoint.open()
        except (OSError, UsageError) as exc:
            report(events.LISTENER_FAILED, {"endpoint": str(endpoint), "reason": reason(exc), "retry_in": pause})


class _Medium(Protocol):
    """What a handler is given for a connection."""

    async def aclose(self) -> None: ...

    @property
    def description(self) -> str: ...


M = TypeVar("M", bound=_Medium)


class _Accepting(Generic[M]):
    """The accept loop of one endpoint, over all its sockets."""

    def __init__(
        self,
        handler: Callable[[M], Awaitable[None]],
        make: Callable[[socket.socket, str], M],
        max_connections: int,
        report: Report,
    ) -> None:
        """`make` gets each connection's socket and what it is called, and gives what the handler serves."""
        self._handler = handler
        self._make = make
        self._places = trio.Semaphore(max_connections)
        self.report = report

    async def accept_until_failure(
        self, endpoint: _Endpoint, sockets: list[trio.socket.SocketType], connections: trio.Nursery
    ) -> OSError:
        """Accept on all sockets until one of them is beyond use; return why."""
        failures: list[OSError] = []

        async def accept(sock: trio.socket.SocketType) -> None:
            failures.append(await self._accept(endpoint, sock, connections))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for sock in sockets:
                nursery.start_soon(accept, sock)
        return failures[0]

    async def _accept(self, endpoint: _Endpoint, sock: trio.socket.SocketType, connections: trio.Nursery) -> OSError:
        while True:
            await self._places.acquire()
            try:
                connection, peer = await sock.accept()
            except OSError as exc:
                self._places.release()
                if exc.errno in _EXHAUSTED:
                    self.report(events.ACCEPT_FAILED, {"endpoint": str(endpoint), "reason": reason(exc)})
                    await trio.sleep(EXHAUSTED_PAUSE)
                elif exc.errno not in _GONE:
                    return exc
            except BaseException:
                self._places.release()
                raise
            else:
                medium = self._make(detached(connection), endpoint.describe(peer))
                connections.start_soon(self._handle, medium, name=f"trimcp {medium.description}")

    async def _handle(self, medium: M) -> None:
        try:
            await self._handler(medium)
        except ConnectionEnded as exc:
            self.report(events.CONNECTION_LOST, {"peer": medium.description, "reason": reason(exc)})
        except Exception as exc:  # noqa: BLE001
            # The boundary of a connection: what a handler lets pass must not end its siblings.
            self.report(events.CONNECTION_FAILED, {"peer": medium.description, "reason": reason(exc), "exc_info": exc})
        finally:
            self._places.release()
            # Closing waits for nobody, but it must not be cut short by a scope that was cancelled.
            with trio.move_on_after(1, shield=True):
                await medium.aclose()
