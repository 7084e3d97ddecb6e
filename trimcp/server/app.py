"""`Server`: the object on which a program declares its features, and that serves them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Unpack

import trio

from trimcp.limits import HttpLimits, Limits
from trimcp.server import serving
from trimcp.server.declarations import Declarations
from trimcp.server.feature_decorators import FeatureDecorators
from trimcp.server.features.caching import Caching
from trimcp.server.hook_decorators import HookDecorators
from trimcp.server.observation import ServerObservation
from trimcp.server.run_registry import RunRegistry
from trimcp.server.settings import ServerSettings
from trimcp.stores.server_secrets import ServerSecrets
from trimcp.types.metadata import Icon, Implementation

if TYPE_CHECKING:
    import os
    import socket
    import ssl

    from hypercorn.config import Config

    from trimcp.http.asgi.app import AsgiBinding
    from trimcp.http.server.endpoint import HttpOptions, SecurityOptions
    from trimcp.server.run import ServerRun
    from trimcp.server.server_extension import ServerExtension
    from trimcp.session.drain_report import DrainReport
    from trimcp.session.session import Session
    from trimcp.stores.store import Store
    from trimcp.transports.duplex import Duplex
    from trimcp.types.utilities import LoggingLevel


class Server(ServerSettings, ServerObservation, FeatureDecorators, HookDecorators):
    """Serves the tools, prompts and resources that a program declares on it, to clients of every revision.

        server = trimcp.Server("adder")

        @server.tool
        async def add(a: int, b: int) -> int:
            "Add two numbers."
            return a + b

        server.run()

    Declaring is plain and synchronous, and may go on while the server runs. Serving is structured: every `serve_…` runs
    until it is cancelled or drained, or its peer leaves, and leaves no task behind.
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
        lifespan: Callable[[Server], AbstractAsyncContextManager[Any]] | None = None,
        limits: Limits | None = None,
        revisions: Sequence[str] | None = None,
        show_errors: bool = False,
        ignored_arguments: Iterable[str] = (),
        keys: Sequence[bytes] | None = None,
        store: Store | None = None,
        logging: bool = True,
        log_level: LoggingLevel | None = "info",
        caching: Caching | None = None,
        extensions: Sequence[ServerExtension] = (),
    ) -> None:
        """
        Args:
            name: the name of the server, for programs.
            version: the version of the server, not of the protocol.
            title, description: the name to show to people, and one sentence on what the server does.
            instructions: how a model should use the server.
            website_url: a web page about the server.
            icons: icons to show to people.
            lifespan: an async context manager function, called with the server. It is entered before the first request
                of a run and left after the last; `ctx.state` is the value that it yields.
            limits: all bounds; see `Limits`.
            revisions: the revisions to serve, such as `["2025-11-25"]`; all five if not given.
            show_errors: whether clients get the text of unexpected exceptions of tools, and not of `ToolError` alone.
            ignored_arguments: arguments that are dropped before the check, such as `{"toolCallId"}`, which n8n adds to
                every call. A tool that declares one gets it. Other unknown arguments are refused.
            keys: secrets of 16 random bytes or more, the newest first, for the data that clients keep (cursors, request
                states). Processes that serve the same clients share them. If not given, those of the store, or one
                for this process alone.
            store: where sessions, events, tasks and secrets are kept, such as `trimcp.stores.SQLite("state.db")`; in
                the memory of each run, if not given. Servers that share a store serve the same clients.
            logging: whether the server declares that it sends log messages (`ctx.log`).
            log_level: of log messages to legacy clients that have not set a level; None sends none before they do.
            caching: how long clients may cache lists and contents (2026-07-28); not at all, if not given.
            extensions: the extensions to use; see `use`.

        Raises:
            UsageError: a revision that does not exist; extensions that do not go together.
        """
        self.name: str = name
        self.keys: ServerSecrets = ServerSecrets(keys)
        """The secrets for the data that clients keep for the server. Its `rotate()` puts a new one in front."""
        shown = None if icons is None else list(icons)
        self._declarations = Declarations(
            Implementation(
                name=name, version=version, title=title, description=description, website_url=website_url, icons=shown
            ),
            instructions,
            limits=Limits() if limits is None else limits,
            keys=self.keys,
            revisions=revisions,
            show_errors=show_errors,
            ignored_arguments=frozenset(ignored_arguments),
            logging=logging,
            log_level=log_level,
            caching=Caching() if caching is None else caching,
        )
        self._runs = RunRegistry(self._declarations, self, lifespan)
        self.store = store
        for extension in extensions:
            self.use(extension)

    # --- runs -------------------------------------------------------------------------

    def running(self) -> AbstractAsyncContextManager[ServerRun]:
        """Enter one run of the server, which everything served inside of it shares.

            async with server.running(), trio.open_nursery() as nursery:
                await nursery.start(server.serve_stdio)
                await nursery.start(server.serve_unix, "/run/adder.sock")

        Without it each `serve_…` is a run of its own, with its own lifespan and places.

        Raises:
            UsageError: the server is inside of `running` already.
        """
        return self._runs.running()

    async def drain(self, deadline: float | None = None) -> DrainReport:
        """Stop in good order: refuse new work, let requests in flight finish, flush, close.

        Every `serve_…` then returns.

        Args:
            deadline: seconds after which running requests are cancelled; `Limits.grace` if not given.

        Returns:
            The numbers of requests that finished, were cancelled, and were lost.
        """
        return await self._runs.drain(deadline)

    def memory_bound(self, http: HttpLimits | None = None) -> int:
        """Compute the most that trimcp's own buffers can hold in one run, in bytes of wire text.

        The sum, over the sessions allowed, of the messages that are read, that wait to run, and that wait to leave.
        Answers are counted for the places of the server. The memory of handlers, and the objects that text becomes
        while it is handled, come on top.

        Args:
            http: the limits of the built-in HTTP server, if it serves: adds the memory of its connections, of its
                streams, and of the messages that are kept for clients that lose a connection.
        """
        return self._runs.memory_bound(http)

    # --- serving ----------------------------------------------------------------------

    def run(self) -> None:
        """Serve stdio, and end the process: the last line of a server's file.

        stdout carries messages only: descriptor 1 is moved aside, and other output to it goes to stderr. End of input,
        SIGTERM and SIGINT drain the server, for `Limits.grace` seconds; a second signal ends it at once.

        Exits with 0 if every accepted request was answered, 1 if one was lost, 3 if a handler did not end.
        """
        from trimcp.server.process import run_alone

        sys.exit(run_alone(self))

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

        The address is printed to stderr. SIGTERM and SIGINT drain the server, for `Limits.grace` seconds; a second
        signal ends it at once. It exits as `run` does, with errors as `serve_http`.
        """
        from trimcp.server.process import Binding, http_url, run_listening

        serve = functools.partial(self.serve_http, port, host, uds=uds, limits=limits, **options)
        path = options.get("path", "/mcp")
        sys.exit(run_listening(self, [Binding(serve, functools.partial(http_url, "http", path))]))

    async def serve_stdio(self, *, task_status: trio.TaskStatus[Session] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve one client on descriptors 0 and 1, in a program that does more than serve.

        Nothing is redirected and no signal is handled: text that the program prints to stdout breaks the stream.
        Returns when the client has left and its requests are answered.
        """
        await serving.serve_stdio(self._runs, task_status)

    async def serve_tcp(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve every client that connects by TCP, newline-delimited as on stdio, until drained or cancelled.

        There is no authentication: every peer that can connect is served. The task status is the bound address.

        Raises:
            UsageError: the address cannot be listened on.
        """
        from trimcp.transports.endpoints import TcpEndpoint

        await serving.listen(self._runs, TcpEndpoint(host, port), task_status)

    async def serve_unix(
        self,
        path: str | os.PathLike[str],
        *,
        mode: int = 0o600,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve every client that connects to a Unix socket; `mode` is its file mode. See `serve_tcp`."""
        from trimcp.transports.endpoints import UnixEndpoint

        await serving.listen(self._runs, UnixEndpoint(path, mode), task_status)

    async def serve_http(
        self,
        port: int = 8000,
        host: str = "127.0.0.1",
        *,
        uds: str | os.PathLike[str] | None = None,
        sockets: Sequence[socket.socket] | None = None,
        limits: HttpLimits | None = None,
        task_status: trio.TaskStatus[tuple[str, int] | str] = trio.TASK_STATUS_IGNORED,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Serve clients of every revision by HTTP, with the built-in server, until drained or cancelled.

        It serves plain HTTP/1.1, on loopback or behind a proxy, and needs `trimcp[http]`. For TLS and HTTP/2 see
        `serve_hypercorn`; to mount the server in another application see `asgi`.

        Args:
            port: 0 lets the system choose.
            host: the address to listen on; the default is reached from this machine alone.
            uds: the path of a Unix socket to listen on instead.
            sockets: bound sockets to listen on instead, which this call then owns; `host` then says whether they are
                loopback.
            limits: the bounds of the built-in server.
            task_status: gets the bound address: (host, port), or the path.
            options: see `HttpOptions`; the path of the endpoint is `/mcp`, if `path` is not given.

        Raises:
            UsageError: the address cannot be listened on, an option is invalid, or the extra is not installed.
        """
        from trimcp.server.http import serve_http

        await serve_http(self._runs, host, port, uds, sockets, limits, options, task_status)

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
        """Serve clients of every revision by HTTP, with hypercorn, until drained or cancelled.

        Hypercorn adds TLS, HTTP/2, and WebSocket at the same path. It needs `trimcp[http]`.

        Args:
            port: see `serve_http`, as for `host`, `uds`, `task_status` and `options`.
            sockets: see `serve_http`.
            certfile: the certificate and its chain, for TLS.
            keyfile: the private key of the certificate.
            config: a configuration of hypercorn, for all other settings.

        Raises:
            UsageError: as `serve_http`, or the certificate lacks its key.
        """
        from trimcp.server.http import serve_hypercorn

        tls = {"certfile": certfile, "keyfile": keyfile}
        await serve_hypercorn(self._runs, host, port, uds, sockets, options, task_status, **tls, config=config)

    async def serve_websocket(
        self,
        port: int = 8000,
        host: str = "127.0.0.1",
        *,
        path: str = "/mcp",
        sockets: Sequence[socket.socket] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
        **options: Unpack[SecurityOptions],
    ) -> None:
        """Serve every client that connects by WebSocket, with one message in each text message, until drained.

        It needs `trimcp[http]`.

        Args:
            port: see `serve_http`, as for `host` and `task_status`.
            path: the only path that is served.
            sockets: see `serve_http`.
            ssl_context: for TLS.
            options: see `SecurityOptions`. The request that opens the connection is checked: one without a principal is
                refused with a challenge, before the WebSocket is accepted. The metadata of `auth` is not served here:
                serve `trimcp.auth.protected_resource_app` at the same origin.

        Raises:
            UsageError: the address cannot be listened on, an option is invalid, or the extra is not installed.
        """
        from trimcp.server.http import serve_websocket

        await serve_websocket(self._runs, host, port, path, sockets, ssl_context, task_status, **options)

    async def serve_view(
        self,
        where: int | str | os.PathLike[str] | None = None,
        *,
        control: bool = False,
        trace: bool = False,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve a page that shows clients, requests, messages and actors, until drained or cancelled.

        Args:
            where: a port of loopback, or the path of a Unix socket; if not given, where `trimcp view` finds it.
            control: whether the page may cancel requests, close sessions, drain, and call the server as its client.
            trace: whether messages are recorded also while no page looks.
            task_status: gets the URL with its token, or the path.
        """
        await serving.serve_view(self._runs, task_status, where=where, control=control, trace=trace)

    def asgi(self, *, loopback: bool = True, **options: Unpack[HttpOptions]) -> AsgiBinding:
        """Make an ASGI application that serves this server: for hypercorn on Trio, or mounted in another application.

        Its lifespan is a run of the server. If it is mounted, the outer application forwards its own lifespan, or
        enters `server.running()` in it.

        Args:
            loopback: whether the listener is bound to loopback, which decides the allowed host names.
            options: see `HttpOptions`; the endpoint is at `/mcp` below the mount, if `path` is not given.

        Raises:
            UsageError: an option is invalid.
        """
        from trimcp.server.http import asgi

        return asgi(self._runs, options, loopback=loopback)

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[Session] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve one client on a connection of any kind, and close the connection at the end."""
        await serving.serve_duplex(self._runs, duplex, task_status)
