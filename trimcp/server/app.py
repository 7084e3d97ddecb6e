"""`Server`: what a program declares, and the ways to serve it. The public face of this package."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import trio

from trimcp.server import serving
from trimcp.server.runs import Runs
from trimcp.session.session import Session

if TYPE_CHECKING:
    import os
    import socket
    import ssl

    from hypercorn.config import Config

    from trimcp.endpoint.authentication import Authenticate
    from trimcp.endpoint.options import HttpOptions
    from trimcp.transports.duplex import Duplex
    from trimcp.transports.http.asgi import AsgiDoor
    from trimcp.transports.http.limits import HttpLimits


class Server(Runs):
    """An MCP server: tools declared on plain functions, served to any client of any revision.

        server = trimcp.Server("adder")

        @server.tool
        async def add(a: int, b: int) -> int:
            "Add two numbers."
            return a + b

        server.run()

    Declaring is plain and synchronous, and may go on while the server runs. Serving is
    structured: every `serve_…` runs until it is cancelled, drained, or its peer leaves, and
    leaves no task behind.
    """

    def run(self) -> None:
        """Serve stdio, and end the process: the last line of a server's file.

        stdout carries nothing but messages: descriptor 1 is moved aside, and what else is
        written to it goes to stderr. End of input, SIGTERM and SIGINT drain the server, for
        `Limits.grace` seconds; a second signal ends it at once.

        Exits with 0 where everything accepted was answered, 1 where something was lost, 3 where
        a handler would not end.
        """
        sys.exit(serving.run_process(lambda: self))

    def run_http(
        self,
        port: int = 8000,
        host: str = "127.0.0.1",
        *,
        uds: str | os.PathLike[str] | None = None,
        limits: HttpLimits | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Serve HTTP, and end the process: `serve_http` in a process that is trimcp's.

        Where it listens is said on stderr. SIGTERM and SIGINT drain the server, for `Limits.grace`
        seconds; a second signal ends it at once. It exits as `run` does.

        Raises:
            UsageError: as `serve_http`.
        """
        from trimcp.server import process

        serve = functools.partial(self.serve_http, port, host, uds=uds, limits=limits, **options)
        path = options.get("path", "/mcp")
        sys.exit(process.run_listening(self, [process.Door(serve, functools.partial(process.url, "http", path))]))

    async def serve_stdio(self, *, task_status: trio.TaskStatus[Session] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve one client on descriptors 0 and 1, in a program that is not trimcp's alone.

        Nothing is redirected and no signal is taken: what the program prints to stdout breaks
        the stream. Returns when the client has left and its requests are answered.
        """
        await serving.serve_stdio(self, task_status)

    async def serve_tcp(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve every client that connects by TCP, newline-delimited as on stdio, until drained or cancelled.

        There is no authentication: whoever can connect is served. The address that was bound
        is the task's status.

        Raises:
            UsageError: the address cannot be listened on.
        """
        from trimcp.transports.listener import serve_tcp

        await serving.listen(self, serve_tcp, task_status, host=host, port=port)

    async def serve_unix(
        self,
        path: str | os.PathLike[str],
        *,
        mode: int = 0o600,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve every client that connects to a Unix socket; `mode` says who may. See `serve_tcp`."""
        from trimcp.transports.listener import serve_unix

        await serving.listen(self, serve_unix, task_status, path=path, mode=mode)

    async def serve_http(
        self,
        port: int = 8000,
        host: str = "127.0.0.1",
        *,
        uds: str | os.PathLike[str] | None = None,
        limits: HttpLimits | None = None,
        task_status: trio.TaskStatus[tuple[str, int] | str] = trio.TASK_STATUS_IGNORED,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Serve every client of every revision by HTTP, until drained or cancelled: the direct door.

        It speaks plain HTTP/1.1, on loopback or behind a proxy, and needs `trimcp[http]`. For TLS and
        HTTP/2 see `serve_hypercorn`, to mount the server in another application see `asgi`.

        Args:
            port: 0 lets the system choose.
            host: what to listen on; the default is reached from this machine alone.
            uds: listen on this Unix socket instead.
            limits: the bounds of the door.
            task_status: told the address that was bound: (host, port), or the path.
            options: see `HttpOptions`; the endpoint is at `/mcp` unless `path` says otherwise.

        Raises:
            UsageError: the address cannot be listened on, an option cannot be, or the extra is not installed.
        """
        from trimcp.server.http import serve_http

        await serve_http(self, host, port, uds, limits, options, task_status)

    async def serve_hypercorn(
        self,
        port: int = 8000,
        host: str = "127.0.0.1",
        *,
        uds: str | os.PathLike[str] | None = None,
        sockets: Sequence[socket.socket] | None = None,
        certfile: str | os.PathLike[str] | None = None,
        keyfile: str | os.PathLike[str] | None = None,
        config: Config | None = None,
        task_status: trio.TaskStatus[tuple[str, int] | str] = trio.TASK_STATUS_IGNORED,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Serve every client of every revision by HTTP until drained or cancelled, with hypercorn before it.

        That brings TLS and HTTP/2, and WebSocket at the same path; it needs `trimcp[http]`.

        Args:
            port: 0 lets the system choose.
            host: what to listen on; the default is reached from this machine alone.
            uds: listen on this Unix socket instead.
            sockets: listen on these instead, which are bound, and then owned by this; `host` then says
                whether that is loopback.
            certfile: the certificate and what leads to its authority, for TLS.
            keyfile: its private key.
            config: hypercorn's own configuration, for what is not said here.
            task_status: told the address that was bound: (host, port), or the path.
            options: see `HttpOptions`; the endpoint is at `/mcp` unless `path` says otherwise.

        Raises:
            UsageError: the address cannot be listened on, the certificate lacks its key, an option
                cannot be, or the extra is not installed.
        """
        from trimcp.server.http import serve_hypercorn

        await serve_hypercorn(
            *(self, host, port, options, task_status),
            uds=uds,
            sockets=sockets,
            certfile=certfile,
            keyfile=keyfile,
            config=config,
        )

    async def serve_websocket(
        self,
        port: int = 8000,
        host: str = "127.0.0.1",
        *,
        path: str = "/mcp",
        ssl_context: ssl.SSLContext | None = None,
        hosts: Sequence[str] = (),
        origins: Sequence[str] = (),
        authenticate: Authenticate | None = None,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve every client that connects by WebSocket, a message in each text message, until drained or cancelled.

        It needs `trimcp[http]`.

        Args:
            port: 0 lets the system choose.
            host: what to listen on; the default is reached from this machine alone.
            path: the one path that is served.
            ssl_context: speaks TLS by it.
            hosts: names that it answers to, as in `HttpOptions`.
            origins: those of web pages that may connect, as in `HttpOptions`.
            authenticate: says who connects, by the request that opens the connection, as in `HttpOptions`. A
                request that it sends away is refused with its challenge, before the WebSocket is accepted.
            task_status: told the address that was bound, as (host, port).

        Raises:
            UsageError: the address cannot be listened on, an option cannot be, or the extra is not installed.
        """
        from trimcp.server.http import serve_websocket

        await serve_websocket(
            *(self, host, port, task_status),
            path=path,
            ssl_context=ssl_context,
            hosts=hosts,
            origins=origins,
            authenticate=authenticate,
        )

    def asgi(self, *, loopback: bool = True, **options: Unpack[HttpOptions]) -> AsgiDoor:
        """An ASGI application that serves this server: for hypercorn on Trio, or mounted in another application.

        Its lifespan is a run of the server. An application that it is mounted in forwards its own lifespan, or
        enters `server.running()` in it.

        Args:
            loopback: whether what serves it is bound to loopback, which decides the names it answers to.
            options: see `HttpOptions`; the endpoint is at `/mcp` below where it is mounted, unless `path` says
                otherwise.

        Raises:
            UsageError: an option cannot be.
        """
        from trimcp.server.http import asgi

        return asgi(self, options, loopback=loopback)

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[Session] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve one client on a connection of any kind; it is closed at the end."""
        await serving.serve_duplex(self, duplex, task_status)
