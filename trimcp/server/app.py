"""`Server`: what a program declares, and the ways to serve it. The public face of this package."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Unpack

import trio

from trimcp.errors import UsageError
from trimcp.server import serving
from trimcp.server.caching import Caching
from trimcp.server.declarations import Declarations
from trimcp.server.keys import Keys
from trimcp.server.registering import KINDS
from trimcp.server.running import Running, RunSnapshot, run_of
from trimcp.server.subscriptions import LISTS, NOTICE
from trimcp.session.limits import Limits
from trimcp.session.session import DrainReport, Session
from trimcp.transports.lines import READ_CHUNK
from trimcp.types.metadata import Icon, Implementation
from trimcp.types.revisions import BY_VERSION, REVISIONS

if TYPE_CHECKING:
    import os
    import socket
    import ssl

    from hypercorn.config import Config

    from trimcp.endpoint.options import Authenticate, HttpOptions
    from trimcp.server.extension import ServerExtension
    from trimcp.transports.duplex import Duplex
    from trimcp.transports.http.asgi import AsgiDoor
    from trimcp.transports.http.limits import HttpLimits

Lifespan = Callable[["Server"], AbstractAsyncContextManager[Any]]


class Server(Declarations):
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

    def __init__(
        self,
        name: str,
        *,
        version: str = "0",
        title: str | None = None,
        description: str | None = None,
        instructions: str | None = None,
        website_url: str | None = None,
        icons: Sequence[Icon] | None = None,
        lifespan: Lifespan | None = None,
        limits: Limits | None = None,
        revisions: Sequence[str] | None = None,
        show_errors: bool = False,
        keys: Sequence[bytes] | None = None,
        logging: bool = True,
        caching: Caching | None = None,
        extensions: Sequence[ServerExtension] = (),
    ) -> None:
        """
        Args:
            name: what the server calls itself to programs.
            version: of the server, not of the protocol.
            title: what it is called to people.
            description: what it is, in a sentence.
            instructions: how a model should use it.
            website_url: where people read more.
            icons: pictures for it.
            lifespan: an async context manager function, called with the server, that is entered
                before the first request of a run and left after the last; what it yields is `ctx.state`.
            limits: every bound there is; see `Limits`.
            revisions: those to speak, such as `["2025-11-25"]`; all five if not given.
            show_errors: whether the text of a tool's unexpected exception goes to the client.
                By default only that of `ToolError` does.
            keys: secrets of 16 random bytes or more, the newest first, for what clients keep for
                the server (cursors, request states); processes that serve the same clients share
                them. One for this process alone, if not given.
            logging: whether the server may send log messages (`ctx.log`), and declares it.
            caching: how long clients may keep lists and contents (2026-07-28); not at all, if not given.
            extensions: those that the server offers, as `use` takes them.

        Raises:
            UsageError: a revision that does not exist; extensions that do not go together.
        """
        unknown = [version for version in revisions or () if version not in BY_VERSION]
        if unknown or revisions == []:
            raise UsageError(f"no revision {', '.join(unknown) or 'given'}; there are {', '.join(BY_VERSION)}")
        self.name = name
        self.info = Implementation(
            name=name,
            version=version,
            title=title,
            description=description,
            website_url=website_url,
            icons=None if icons is None else list(icons),
        )
        self.instructions = instructions
        self.lifespan = lifespan
        super().__init__(Limits() if limits is None else limits, Keys(keys), show_errors=show_errors)
        self.revisions = tuple(r for r in REVISIONS if revisions is None or r.version in revisions)
        self.logging = logging
        self.caching = Caching() if caching is None else caching
        self._shared: Running | None = None
        for extension in extensions:
            self.use(extension)

    # --- running ----------------------------------------------------------------------

    @property
    def shared_run(self) -> Running | None:
        """The run that `running` has entered, if it has."""
        return self._shared

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Running]:
        """Enter one run of the server, which everything served inside of it shares.

            async with server.running(), trio.open_nursery() as nursery:
                await nursery.start(server.serve_stdio)
                await nursery.start(server.serve_unix, "/run/adder.sock")

        Without it each `serve_…` is a run of its own, with its own lifespan and places.

        Raises:
            UsageError: a run is shared already.
        """
        if self._shared is not None:
            raise UsageError("the server is inside of running() already")
        async with self._run() as running:
            self._shared = running
            try:
                yield running
            finally:
                self._shared = None

    @asynccontextmanager
    async def run_or_join(self) -> AsyncIterator[Running]:
        """The run that `running` shares, or one of its own."""
        if self._shared is not None:
            yield self._shared
            return
        async with self._run() as running:
            yield running

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[Running]:
        async with run_of(self) as running:
            self._began_with = frozenset(kind for kind in KINDS if self.count(kind))
            self._runs.append(running)
            try:
                yield running
            finally:
                self._runs.remove(running)

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
            authenticate: says who connects, by the request that opens the connection; that of somebody
                who is sent away is closed.
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

    async def drain(self, deadline: float | None = None) -> DrainReport:
        """Stop in good order: refuse new work, let what is in flight finish, flush, close.

        Every `serve_…` then returns.

        Args:
            deadline: seconds until what still runs is cancelled; `Limits.grace` if not given.

        Returns:
            What became of the requests in flight.
        """
        reports: list[DrainReport] = []

        async def drain_one(running: Running) -> None:
            reports.append(await running.drain(self.limits.grace if deadline is None else deadline))

        async with trio.open_nursery() as nursery:
            for running in self._runs:
                nursery.start_soon(functools.partial(drain_one, running))
        return sum(reports, DrainReport())

    # --- a look at it -----------------------------------------------------------------

    def tree(self) -> tuple[RunSnapshot, ...]:
        """What every run of the server does now: actors, how full they are, requests with their age.

        Print one to see it drawn. It costs nothing while nobody asks.
        """
        return tuple(running.snapshot() for running in self._runs)

    def memory_bound(self) -> int:
        """The most that trimcp's own buffers can hold in one run, in bytes of wire text.

        The sum, over the sessions allowed, of what is being read, what waits to run, and what
        waits to leave; answers are counted for the places that the server has. What handlers
        hold themselves, and the objects that text becomes while it is handled, come on top.
        """
        limits = self.limits
        reading = limits.message_bytes + READ_CHUNK + limits.session_request_bytes + limits.out_bytes
        # A resource subscribed to is kept once, and waits to leave once at the most.
        reading += limits.subscriptions * (2 * limits.uri_bytes + NOTICE) + limits.listens * len(LISTS) * NOTICE
        answers = min(limits.server_requests, limits.sessions * limits.session_requests) * limits.result_bytes
        batches = limits.sessions * limits.batches * limits.result_bytes
        return limits.sessions * reading + answers + (batches if any(r.batches for r in self.revisions) else 0)
