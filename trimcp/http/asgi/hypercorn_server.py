"""Serves an application by hypercorn's protocols: its connections, its lifespan, and the order of stopping.

The listener, the table of connections and the stop are ours; what one connection speaks and the lifespan are
hypercorn's. See `trimcp.http.asgi.hypercorn` for the reasons.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.events import Event
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.statsd import StatsdLogger
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState
from hypercorn.utils import wrap_app

from trimcp.http.asgi.app import WRITE_TIMEOUT
from trimcp.http.asgi.hypercorn_websocket import in_pieces
from trimcp.transports.endpoints import Endpoint
from trimcp.transports.listener import MAX_CONNECTIONS, Accepting, accept_forever

DEPARTED: Final = 10.0
"""Seconds that the requests of a peer may go on that has left."""
CUT_AFTER: Final = 0.5
"""Seconds after the time for open responses at which connections that hypercorn cannot end are cut."""


class HypercornConnection(TCPServer):
    """One connection, which ends when its peer has left; hypercorn would keep it until `keep_alive_timeout`."""

    _has_left = False

    async def _read_data(self) -> None:
        self.protocol.handle = functools.partial(self._hand_over, self.protocol.handle)  # type: ignore[method-assign]
        await super()._read_data()
        self._has_left = True
        await self.idle_task.stop()
        await trio.aclose_forcefully(self.stream)
        # With HTTP/2, hypercorn may forget to tell a stream that waits to be read.
        nursery = self._task_group._nursery
        assert nursery is not None, "this is called within it"
        nursery.cancel_scope.deadline = trio.current_time() + DEPARTED

    async def _hand_over(self, handle: Callable[[Event], Awaitable[None]], event: Event) -> None:
        # A body of HTTP/1.1 has no small frames. Between requests the protocol may change to HTTP/2.
        protocol = self.protocol.protocol
        has_request = isinstance(protocol, H11Protocol) and protocol.stream is not None
        await (handle(event) if has_request else in_pieces(handle, event))

    async def _idle_timeout(self) -> None:
        if not self._has_left:  # the end of a response begins this time anew
            await super()._idle_timeout()


class Accepted:
    """A connection that was accepted, as hypercorn takes it."""

    def __init__(self, sock: socket.socket, description: str, *, tls: ssl.SSLContext | None) -> None:
        self._socket = sock
        self.description: str = description
        """See `Medium`."""
        with contextlib.suppress(OSError, AttributeError):  # it has gone; it is a Unix socket; the system has no such
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_TIMEOUT * 1000))
        plain = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self.stream: Any = plain
        if tls is not None:
            self.stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)

    async def aclose(self) -> None:
        """See `Medium`."""
        await trio.aclose_forcefully(self.stream)

    def cut(self) -> None:
        """End both directions, which ends a write of hypercorn's to a peer that does not read."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class HypercornServer:
    """Serves one application at one endpoint."""

    def __init__(self, app: Any, settings: Config, endpoint: Endpoint) -> None:
        """`app`: an ASGI 3 application."""
        self._app = wrap_app(app, settings.wsgi_max_body_size, "asgi")
        self._settings = settings
        self._endpoint = endpoint
        self._state: LifespanState = {}
        self._context = WorkerContext(settings.max_requests)
        self._open: set[Accepted] = set()

    async def run(
        self,
        bound: list[socket.socket],
        shutdown: trio.Event,
        drain: Callable[[], Awaitable[None]] | None,
        task_status: trio.TaskStatus[Any],
        *,
        closes_first: bool = False,
    ) -> None:
        """Serve until `shutdown` is set and `drain` has returned.

        Args:
            bound: the open sockets of the endpoint.
            shutdown: set to stop.
            drain: awaited then, while connections are still accepted and answered.
            task_status: gets the address when the lifespan has begun.
            closes_first: whether no further connection is accepted during `drain`.
        """
        settings = self._settings
        settings.set_statsd_logger_class(StatsdLogger)
        tls = settings.create_ssl_context() if settings.ssl_enabled else None
        accepting = Accepting(self._serve, functools.partial(Accepted, tls=tls), MAX_CONNECTIONS)
        lifespan = Lifespan(self._app, settings, self._state)
        async with trio.open_nursery() as around:
            await around.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            cutting = trio.CancelScope(shield=True)
            try:
                async with trio.open_nursery() as connections:
                    patience = CUT_AFTER
                    try:
                        async with trio.open_nursery() as listening:
                            listening.start_soon(accept_forever, self._endpoint, bound, accepting, connections)
                            listening.start_soon(self._enough, listening.cancel_scope)
                            task_status.started(self._endpoint.address())
                            await shutdown.wait()
                            if drain is not None and not closes_first:
                                await drain()
                            listening.cancel_scope.cancel()
                        if drain is not None and closes_first and shutdown.is_set():
                            await drain()
                        patience += settings.graceful_timeout
                    finally:
                        await self._context.terminated.set()
                        connections.cancel_scope.deadline = trio.current_time() + settings.graceful_timeout
                        around.start_soon(self._cut, patience, cutting)
            finally:
                cutting.cancel()
            await lifespan.wait_for_shutdown()
            around.cancel_scope.cancel()

    async def _enough(self, listening: trio.CancelScope) -> None:
        """Stop as soon as the `max_requests` of the configuration were answered."""
        await self._context.terminate.wait()
        listening.cancel()

    async def _serve(self, accepted: Accepted) -> None:
        self._open.add(accepted)
        try:
            state = ConnectionState(self._state.copy())
            await HypercornConnection(self._app, self._settings, self._context, state, accepted.stream)
        finally:
            self._open.discard(accepted)

    async def _cut(self, patience: float, scope: trio.CancelScope) -> None:
        """Cut the connections that are left after a stop, or after a cancel from outside."""
        with scope:
            while True:
                await trio.sleep(patience)
                for accepted in self._open:
                    accepted.cut()
