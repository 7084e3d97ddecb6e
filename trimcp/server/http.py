"""Serves a server by HTTP and WebSocket: makes its endpoint, and binds it to a listener.

The endpoint is the same for the built-in server, for hypercorn and for other ASGI servers. When the server drains, its
listeners stay open until the sessions have drained, since clients need them until then.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import UsageError
from trimcp.http.server.authentication import admission
from trimcp.http.server.endpoint import Endpoint, HttpOptions, SecurityOptions, check_routes
from trimcp.http.server.security import RequestGuard, is_loopback
from trimcp.server.features.access import Access
from trimcp.server.late_modules import load_late_modules
from trimcp.server.serving import open_listener, stop_accepting
from trimcp.transports.endpoints import endpoint_at

if TYPE_CHECKING:
    import os
    import socket
    import ssl

    from hypercorn.config import Config

    from trimcp.http.asgi.app import AsgiBinding
    from trimcp.http.binding import HttpRequest, Refusal
    from trimcp.http.server.authentication import Authenticate
    from trimcp.http.server.protection import Protection
    from trimcp.http.server.routes import HttpRoute
    from trimcp.http.websocket.connections import Admit
    from trimcp.limits import HttpLimits
    from trimcp.server.run import ServerRun
    from trimcp.server.run_registry import RunRegistry
    from trimcp.transports.duplex import Duplex

NONCE_PURPOSE: Final = b"trimcp dpop nonce"
"""The purpose of the key from which nonces of DPoP are derived."""
NOT_RUNNING: Final = (
    "The server does not run: forward the lifespan to its application, or enter its `lifespan`, or "
    "`server.running()`, in the lifespan of the application that it is mounted in"
)


def endpoint_of(run: ServerRun, options: HttpOptions, *, loopback: bool) -> Endpoint:
    """Make the endpoint of a run.

    Raises:
        UsageError: an option is invalid, or a route has a path of the endpoint's own.
    """
    own_routes = (*_routes_of(options), *_metrics_of(run, options))
    check_routes(options, (*own_routes, *run.routes))
    guard = RequestGuard(
        loopback=loopback,
        hosts=options.get("hosts", ()),
        origins=options.get("origins", ()),
        cors=options.get("cors"),
    )
    endpoint = Endpoint(run, guard, {**options, "authenticate": authenticate_of(run.service.access, options, run)})
    for route in own_routes:
        endpoint.routes.add(route)
    return endpoint


def _routes_of(options: HttpOptions) -> Sequence[HttpRoute]:
    """Return the routes that `auth=` brings."""
    auth = options.get("auth")
    return () if auth is None else auth.routes


def _metrics_of(run: ServerRun, options: HttpOptions) -> Sequence[HttpRoute]:
    """Return the route of the metrics, if they are served here."""
    if not options.get("metrics"):
        return ()
    from trimcp.server.metrics import metrics_route

    return (metrics_route(run.service.instruments, run.server),)


def authenticate_of(access: Access, options: SecurityOptions, run: ServerRun | None = None) -> Authenticate | None:
    """Return the function that identifies the sender of a request: the user's, or that of `auth=`.

    Raises:
        UsageError: there are both.
    """
    auth, authenticate = options.get("auth"), options.get("authenticate")
    if auth is None:
        return authenticate
    if authenticate is not None:
        raise UsageError("Two ways to authenticate requests: pass auth= or authenticate=")
    needed = functools.partial(_needed_by, access)
    if run is None or run.node is None:
        return auth.bound(needed)
    assert run.store is not None
    secret = run.secrets.current.derive(NONCE_PURPOSE)[0]
    return auth.bound(needed, replay=run.store.replay, nonce_secret=secret)


def _needed_by(access: Access, request: HttpRequest) -> frozenset[str]:
    return access.needed_by(request.body)


async def serve_http(
    runs: RunRegistry,
    host: str,
    port: int,
    uds: str | os.PathLike[str] | None,
    sockets: Sequence[socket.socket] | None,
    limits: HttpLimits | None,
    options: HttpOptions,
    task_status: trio.TaskStatus[Any],
) -> None:
    """Serve with the built-in server until drained or cancelled. See `Server.serve_http`."""
    try:
        from trimcp.http.h1.server import HttpServer
    except ImportError as exc:
        raise missing(exc) from exc
    async with open_listener(runs) as (run, nursery):
        endpoint = endpoint_of(run, options, loopback=uds is not None or is_loopback(host))
        await nursery.start(endpoint.run)
        listener = HttpServer(endpoint, nursery, limits=limits)

        async def stop() -> None:
            await run.draining.wait()
            listener.wind_down()
            if run.node is not None:
                listener.stop()  # another node serves the clients from now on
            await run.drained.wait()
            listener.stop()

        nursery.start_soon(stop)
        await listener.serve(endpoint_at(host, port, uds=uds, sockets=sockets), task_status=task_status)
        if run.draining.is_set():
            await run.drained.wait()
        await listener.finished()
        nursery.cancel_scope.cancel()


async def serve_hypercorn(
    runs: RunRegistry,
    host: str,
    port: int,
    uds: str | os.PathLike[str] | None,
    sockets: Sequence[socket.socket] | None,
    options: HttpOptions,
    task_status: trio.TaskStatus[Any],
    *,
    certfile: str | os.PathLike[str] | None,
    keyfile: str | os.PathLike[str] | None,
    config: Config | None,
) -> None:
    """Serve with hypercorn until drained or cancelled. See `Server.serve_hypercorn`."""
    from trimcp.http.asgi import hypercorn

    async with open_listener(runs) as (run, nursery):
        is_local = uds is not None or is_loopback(host)
        binding = await _asgi_binding(run, nursery, options, loopback=is_local)

        async def drained() -> None:
            await run.drained.wait()
            await binding.finished()  # hypercorn itself cuts off answers after a moment

        await hypercorn.serve_hypercorn(
            binding,
            host=host,
            port=port,
            uds=uds,
            sockets=sockets,
            certfile=certfile,
            keyfile=keyfile,
            config=config,
            shutdown=run.draining,
            drain=drained,
            closes_first=run.node is not None,  # another node serves the clients from then on
            task_status=task_status,
        )
        nursery.cancel_scope.cancel()


async def _asgi_binding(run: ServerRun, nursery: trio.Nursery, options: HttpOptions, *, loopback: bool) -> AsgiBinding:
    """Make the ASGI application of a run, with its endpoint in a nursery."""
    from trimcp.http.asgi.app import AsgiBinding

    endpoint = endpoint_of(run, options, loopback=loopback)
    await nursery.start(endpoint.run)
    limits = run.limits
    return AsgiBinding(
        lambda: endpoint,
        websocket=functools.partial(_serve_upgraded, run),
        admit=_admit(run, options),
        message_bytes=limits.message_bytes,
        write_timeout=limits.write_timeout,
    )


async def serve_websocket(
    runs: RunRegistry,
    host: str,
    port: int,
    path: str,
    sockets: Sequence[socket.socket] | None,
    ssl_context: ssl.SSLContext | None,
    task_status: trio.TaskStatus[Any],
    *,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    authenticate: Authenticate | None = None,
    auth: Protection | None = None,
) -> None:
    """Serve WebSockets until drained or cancelled. See `Server.serve_websocket`."""
    try:
        from trimcp.http.websocket import connections as websocket
    except ImportError as exc:
        raise missing(exc) from exc
    async with open_listener(runs) as (run, connections):
        guard = RequestGuard(loopback=is_loopback(host), hosts=hosts, origins=origins)
        limits = run.limits
        with trio.CancelScope() as accepting:
            connections.start_soon(stop_accepting, run, accepting)
            await websocket.serve_websocket(
                functools.partial(_serve_upgraded, run),
                port=port,
                host=host,
                path=path,
                sockets=sockets,
                refuse=guard.refuse,
                admit=_admit(run, {"authenticate": authenticate, "auth": auth}),
                ssl_context=ssl_context,
                message_bytes=limits.message_bytes,
                max_connections=limits.sessions,
                connections=connections,
                task_status=task_status,
            )


def _admit(run: ServerRun, options: SecurityOptions) -> Admit | None:
    """Return the check of requests that open WebSockets, run in workers; None without authentication."""
    authenticate = authenticate_of(run.service.access, options, run)
    if authenticate is None:
        return None
    pool = run.supervisor.open_pool("authenticate", run.limits.sessions)
    return functools.partial(admission, authenticate, pool)


async def _serve_upgraded(run: ServerRun, duplex: Duplex, request: HttpRequest) -> None:
    """Serve a WebSocket as a session until it ends."""
    await run.serve(duplex, principal=request.principal, fields=request.fields, hides_forbidden=request.hides_forbidden)


def missing(exc: ImportError) -> UsageError:
    """Make the error for an extra that is not installed."""
    return UsageError.not_installed(exc.name, "http")


class MountedServer:
    """Gives an ASGI application the endpoint of the run that the server shares now."""

    def __init__(self, runs: RunRegistry, options: HttpOptions, *, loopback: bool) -> None:
        self._runs = runs
        self._options = options
        self._loopback = loopback
        self._endpoint: Endpoint | None = None
        self._run: ServerRun | None = None
        self._admit: Admit | None = None

    def endpoint(self) -> Endpoint:
        """Return the endpoint of the shared run. The first request starts it, in the nursery of the run.

        Raises:
            UsageError: the server does not run.
        """
        run = self._runs.shared_run
        if run is None:
            raise UsageError(NOT_RUNNING)
        if self._endpoint is None or self._run is not run:
            self._run = run
            self._admit = _admit(run, self._options)
            self._endpoint = endpoint_of(run, self._options, loopback=self._loopback)
            run.nursery.start_soon(self._endpoint.run, name="trimcp endpoint")
        return self._endpoint

    async def admit(self, request: HttpRequest) -> Refusal | None:
        """Check a request that opens a WebSocket. Returns its refusal, or None."""
        self.endpoint()
        return None if self._admit is None else await self._admit(request)

    async def serve_websocket(self, duplex: Duplex, request: HttpRequest) -> None:
        """Serve a WebSocket as a session until it ends."""
        self.endpoint()
        assert self._run is not None
        await _serve_upgraded(self._run, duplex, request)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Enter a run and drain it at the end, or join the run that the program has entered."""
        check_routes(self._options, (*_routes_of(self._options), *self._runs.declarations.http_routes))
        if self._runs.shared_run is not None:
            yield
            return
        async with self._runs.running() as run:
            yield
            if not run.drained.is_set():
                await run.drain(run.limits.grace)


def asgi(runs: RunRegistry, options: HttpOptions, *, loopback: bool) -> AsgiBinding:
    """Make an ASGI application. See `Server.asgi`."""
    from trimcp.http.asgi.app import AsgiBinding

    check_routes(options, (*_routes_of(options), *runs.declarations.http_routes))
    authenticate_of(Access(runs.declarations), options)  # which refuses options that contradict each other
    load_late_modules()
    limits = runs.declarations.limits
    mounted = MountedServer(runs, options, loopback=loopback)
    return AsgiBinding(
        mounted.endpoint,
        websocket=mounted.serve_websocket,
        admit=mounted.admit,
        lifespan=mounted.lifespan,
        message_bytes=limits.message_bytes,
        write_timeout=limits.write_timeout,
    )
