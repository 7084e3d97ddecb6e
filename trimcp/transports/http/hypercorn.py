"""Serving an ASGI application by hypercorn, which brings TLS, HTTP/2 and WebSocket, with our order of stopping.

Owns how hypercorn is told what to do, and where it must be helped; what is said in HTTP is the
application's. What hypercorn (0.18) does, and what follows here:

- After its shutdown trigger it gives open responses `graceful_timeout` and cancels them, and only
  then tells the application, by `lifespan.shutdown`. So what is in flight is drained within the
  trigger, before it returns, while connections are still accepted and answered.
- It shields every write from cancelling, without a limit of time. A peer that has stopped
  reading would keep the server from ending for as long as it likes: the kernel is asked to give
  up on such a peer (`TCP_USER_TIMEOUT`), and what is left at the end is cut.
- After a peer has gone it neither cancels the application nor fails its `send`; it says so by
  `receive` alone, which the door therefore watches.
- It takes a connection whose peer has ended its own direction for one that is gone.
- It closes a connection whose response has ended before all of the request's body was read, and
  waits meanwhile until the application has taken what it holds of that body (ten events).
- An unfinished response closes an HTTP/1.1 connection, as it should; in HTTP/2 the stream is left
  open until the connection is closed, since nothing resets it.
- It reports every WebSocket that its peer closes as 1006, also those that said goodbye.
- With HTTP/2 a WebSocket works as well (extended CONNECT), and so does a request without `host`.
- It replaces whatever file is at the path of a Unix socket, so the socket is bound here.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import UsageError
from trimcp.transports.http.asgi import WRITE_TIMEOUT, words
from trimcp.transports.listener import BACKLOG, TcpEndpoint, UnixEndpoint
from trimcp.transports.socket import detached, reason
from trimcp.transports.websocket_messages import MESSAGE_BYTES

if TYPE_CHECKING:
    from hypercorn.config import Config

DEFAULT_PORT: Final = 8000
GRACEFUL_TIMEOUT: Final = 1.0
"""Seconds that hypercorn gives responses that are still open once everything has been drained."""
CUT_AFTER: Final = 0.5
"""Seconds more until connections that it cannot end are cut."""
KEEP_ALIVE: Final = 75.0
"""Seconds that a connection may be without a request."""
PING_INTERVAL: Final = 20.0
"""Seconds between pings of a WebSocket."""
REQUESTS: Final = 1_000_000
"""Requests that one connection may bring; hypercorn's own 1000 makes clients connect anew all the time."""

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application."""
Address = tuple[str, int] | str
"""Where somebody listens: (host, port), or the path of a Unix socket."""


async def serve_hypercorn(
    app: Application,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    uds: str | os.PathLike[str] | None = None,
    sockets: Sequence[socket.socket] | None = None,
    certfile: str | os.PathLike[str] | None = None,
    keyfile: str | os.PathLike[str] | None = None,
    config: Config | None = None,
    shutdown: trio.Event | None = None,
    drain: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `shutdown` is set and everything has been drained, or until cancelled.

    The status is the address that was bound: (host, port), or the path of the Unix socket. It
    comes when the application's lifespan has begun.

    Args:
        app: an ASGI 3 application, such as `AsgiDoor`.
        host: address to listen on; the default is reached from this machine alone.
        port: port number; 0 lets the system choose.
        uds: listen on a Unix socket of this path instead, open to this user alone.
        sockets: listen on these instead, which are bound and then owned by this.
        certfile: certificate chain, for TLS; `keyfile` belongs to it.
        keyfile: its private key.
        config: hypercorn's own configuration, for what is not said here. It is copied; where it
            listens, its certificates if they are given, and its log of what runs are replaced.
        shutdown: set it to stop.
        drain: awaited once `shutdown` is set, while the server still answers. When it returns,
            open responses have `graceful_timeout` of the configuration.

    Raises:
        UsageError: hypercorn is not there, the address cannot be listened on, or the certificate
            lacks its key.
    """
    try:
        import hypercorn.trio
        from hypercorn.utils import LifespanFailureError
    except ImportError as exc:
        raise UsageError("serving by hypercorn needs it installed: pip install 'trimcp[http]'") from exc
    if (certfile is None) != (keyfile is None):
        raise UsageError("TLS needs both, certfile and keyfile")
    bound, clean = (list(sockets), None) if sockets is not None else await bind(host, port, uds)
    try:
        settings = _configured(config, bound, certfile, keyfile)
        stop = _Stop(bound, settings.graceful_timeout, shutdown, drain)
        name = bound[0].getsockname()
        address: Address = name if isinstance(name, str) else name[:2]
        serve = functools.partial(hypercorn.trio.serve, shutdown_trigger=stop.trigger, mode="asgi")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop.cut)
            await nursery.start(stop.ending, serve, app, settings)
            task_status.started(address)
    except BaseExceptionGroup as group:
        failed, others = group.split(LifespanFailureError)
        if failed is None or others is not None:
            raise
        raise UsageError(f"the application did not start: {words(failed)}") from group
    finally:
        for sock in bound:
            sock.close()
        if clean is not None:
            clean()


async def bind(
    host: str, port: int, uds: str | os.PathLike[str] | None
) -> tuple[list[socket.socket], Callable[[], None]]:
    """Open the sockets to listen on; with them, what to call when they are closed.

    Raises:
        UsageError: the address cannot be listened on.
    """
    endpoint = TcpEndpoint(host, port) if uds is None else UnixEndpoint(os.fspath(uds), 0o600)
    try:
        return [detached(sock) for sock in await endpoint.open()], endpoint.clean
    except OSError as exc:
        raise UsageError(f"cannot listen on {endpoint}: {reason(exc)}") from exc


def _configured(
    config: Config | None,
    bound: list[socket.socket],
    certfile: str | os.PathLike[str] | None,
    keyfile: str | os.PathLike[str] | None,
) -> Config:
    from hypercorn.config import Config, Sockets

    if config is None:
        config = Config()
        config.loglevel = "WARNING"
        config.include_server_header = False
        config.graceful_timeout = GRACEFUL_TIMEOUT
        config.keep_alive_timeout = KEEP_ALIVE
        config.keep_alive_max_requests = REQUESTS
        config.websocket_ping_interval = PING_INTERVAL
        config.websocket_max_message_size = MESSAGE_BYTES
        config.backlog = BACKLOG
    else:
        config = copy.copy(config)
    if certfile is not None and keyfile is not None:
        config.certfile, config.keyfile = os.fspath(certfile), os.fspath(keyfile)
    for sock in bound:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
            # What is accepted inherits it; of connections themselves the application sees nothing.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_TIMEOUT * 1000))
    secure, insecure = (bound, []) if config.ssl_enabled else ([], bound)
    # It would bind by itself, and forget the port that the system chose; a descriptor by its number
    # would have two owners.
    config.create_sockets = lambda: Sockets(secure, insecure, [])  # type: ignore[method-assign]  # on a copy
    return config


class _Stop:
    """The order of stopping: drain, then hypercorn, then what hypercorn cannot end."""

    def __init__(
        self,
        listening: list[socket.socket],
        graceful_timeout: float,
        shutdown: trio.Event | None,
        drain: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._names = {sock.getsockname() for sock in listening}
        self._graceful_timeout = graceful_timeout
        self._shutdown = trio.Event() if shutdown is None else shutdown
        self._drain = drain
        self._drained = trio.Event()
        self._cutting = trio.CancelScope(shield=True)

    async def trigger(self) -> None:
        """hypercorn's `shutdown_trigger`."""
        await self._shutdown.wait()
        if self._drain is not None:
            await self._drain()
        self._drained.set()

    async def ending(self, serve: Callable[..., Awaitable[None]], *args: Any, task_status: Any) -> None:
        """Run hypercorn, and note when it has ended."""
        try:
            await serve(*args, task_status=task_status)
        finally:
            self._cutting.cancel()
            self._drained.set()

    async def cut(self) -> None:
        """Cut connections that are still there when they should not be: after a stop, or a cancel from outside."""
        patience = CUT_AFTER
        try:
            await self._drained.wait()
            patience += self._graceful_timeout
        finally:
            with self._cutting:
                while True:
                    await trio.sleep(patience)
                    cut_connections(self._names)


def cut_connections(names: set[Any]) -> None:
    """Shut down every connection of this process that was accepted at one of these addresses.

    Nothing else reaches them: hypercorn shows its connections to nobody, and its writes do not end.
    Where a process cannot list its descriptors (Windows) nothing is cut.
    """
    with contextlib.suppress(OSError):
        for entry in os.listdir("/dev/fd"):
            with contextlib.suppress(OSError), _socket_of(int(entry)) as sock:
                name = sock.getsockname()
                is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if not is_listening and any(_is_at(name, listening) for listening in names):
                    sock.shutdown(socket.SHUT_RDWR)


def _socket_of(descriptor: int) -> socket.socket:
    own = os.dup(descriptor)
    try:
        return socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise


def _is_at(name: Any, listening: Any) -> bool:
    if isinstance(name, str) or isinstance(listening, str):
        return bool(name) and name == listening
    return name[1] == listening[1] and listening[0] in (name[0], "0.0.0.0", "::")  # noqa: S104
