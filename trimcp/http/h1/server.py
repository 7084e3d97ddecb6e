"""The built-in server: HTTP/1.1 on TCP and Unix sockets, for loopback or behind a proxy.

It owns the connections, the watch over their deadlines, and the stop. It has neither TLS nor HTTP/2; a proxy or a
server for ASGI has.

    server = HttpServer(handler, nursery)
    host, port = await nursery.start(functools.partial(server.serve_tcp, port=8000))
"""

from __future__ import annotations

from typing import Any, Final

import trio

from trimcp.http.binding import Handler
from trimcp.http.h1.server_connection import ServerConnection
from trimcp.limits import HttpLimits
from trimcp.transports.endpoints import Endpoint, TcpEndpoint
from trimcp.transports.lines import ByteStream
from trimcp.transports.listener import Report, serve_streams

WATCH_INTERVAL: Final = 1.0
"""Seconds between two looks at the deadlines of connections."""


class HttpServer:
    """Serves HTTP/1.1 on any number of sockets, until it is stopped."""

    def __init__(
        self,
        handler: Handler,
        connections: trio.Nursery,
        *,
        limits: HttpLimits | None = None,
        report: Report | None = None,
    ) -> None:
        """Nothing runs yet; see `serve`.

        Args:
            handler: answers the requests.
            connections: the nursery that connections run in, one task for each; they may outlive
                the listeners, which is how a server drains. Cancelling it closes them all.
            limits: the bounds of connections and requests.
            report: called with failures of listeners and connections; None logs them.
        """
        self._handler = handler
        self._nursery = connections
        self._limits = limits or HttpLimits()
        self._report = report
        self._connections: set[ServerConnection] = set()
        self._accepting: set[trio.CancelScope] = set()
        self._watch: trio.CancelScope | None = None
        self._empty: trio.Event | None = None
        self.is_stopping: bool = False
        """Whether `stop` was called."""
        self._is_winding_down = False

    async def serve_tcp(
        self,
        *,
        port: int,
        host: str = "127.0.0.1",
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen on TCP. The status is the address that was bound, as (host, port). See `serve`.

        Args:
            port: port number; 0 lets the system choose.
            host: address to listen on; the default is reached from this machine alone.
        """
        await self.serve(TcpEndpoint(host, port), task_status=task_status)

    async def serve(self, endpoint: Endpoint, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until stopped or cancelled. The status is the address that was bound.

        Raises:
            UsageError: the address cannot be listened on. Later failures are reported and retried.
        """
        with trio.CancelScope() as scope:
            self._accepting.add(scope)
            try:
                await serve_streams(
                    self.serve_stream,
                    endpoint,
                    max_connections=self._limits.connections,
                    connections=self._nursery,
                    report=self._report,
                    task_status=task_status,
                )
            finally:
                self._accepting.discard(scope)

    async def serve_stream(self, stream: ByteStream) -> None:
        """Serve one connection until either side ends it. The caller closes the stream.

        Raises:
            Exception: the handler raised it, which it should not.
        """
        connection = ServerConnection(stream, self._handler, self._limits, self._nursery)
        self._connections.add(connection)
        connection.is_last = self._is_winding_down
        if self.is_stopping:
            connection.stop()
        if self._watch is None:
            self._watch = trio.CancelScope()
            self._nursery.start_soon(self._look_at_clock, self._watch, name="trimcp http watch")
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._now_empty()

    async def _look_at_clock(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await trio.sleep(WATCH_INTERVAL)
                now = trio.current_time()
                for connection in [each for each in self._connections if each.expires <= now]:
                    connection.expire()

    def _now_empty(self) -> None:
        # A watch without connections would keep the nursery open, and wake the process.
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        if self._empty is not None:
            self._empty.set()
            self._empty = None

    @property
    def open_connections(self) -> int:
        """The number of connections."""
        return len(self._connections)

    def wind_down(self) -> None:
        """Say in every response from now on that its connection ends with it. Idempotent.

        Called some time before `stop`, so that clients open other connections before this one is closed.
        """
        self._is_winding_down = True
        for connection in self._connections:
            connection.is_last = True

    def stop(self) -> None:
        """Accept no further connection and no further request. Nothing is cut off.

        Connections without a request close at once, others when they have answered the one they
        have, and say so to the client where its response has not begun. Idempotent.
        """
        self.is_stopping = True
        for scope in list(self._accepting):
            scope.cancel()
        for connection in list(self._connections):
            connection.stop()

    async def finished(self) -> None:
        """Wait until there is no connection, and all output has left."""
        while self._connections:
            if self._empty is None:
                self._empty = trio.Event()
            await self._empty.wait()
