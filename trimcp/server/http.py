"""How a server is reached by HTTP: the endpoint, and a door to it.

The endpoint is the same behind every door. What is here puts the two together, and stops them in
order: the sessions drain while the doors stay open for what they still need, then the doors close.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from trimcp.endpoint.authentication import admission
from trimcp.endpoint.endpoint import Endpoint, check_routes
from trimcp.endpoint.options import HttpOptions
from trimcp.endpoint.security import Guard, is_loopback
from trimcp.errors import UsageError
from trimcp.server.serving import opened, stop_accepting

if TYPE_CHECKING:
    import os
    import socket
    import ssl

    from hypercorn.config import Config

    from trimcp.endpoint.authentication import Authenticate
    from trimcp.server.app import Server
    from trimcp.server.running import Running
    from trimcp.transports.duplex import Duplex
    from trimcp.transports.http.asgi import AsgiDoor
    from trimcp.transports.http.door import HttpRequest, Refusal
    from trimcp.transports.http.limits import HttpLimits
    from trimcp.transports.websocket import Admit

NOT_RUNNING = (
    "the server does not run: forward the lifespan to its application, or enter its `lifespan`, or "
    "`server.running()`, in the lifespan of the application that it is mounted in"
)


def endpoint_of(running: Running, options: HttpOptions, *, loopback: bool) -> Endpoint:
    """An endpoint for a run of a server.

    Raises:
        UsageError: an option that cannot be, or a route with a path of the endpoint's own.
    """
    check_routes(options, running.routes)
    guard = Guard(
        loopback=loopback,
        hosts=options.get("hosts", ()),
        origins=options.get("origins", ()),
        cors=options.get("cors"),
    )
    return Endpoint(running, guard, options)


async def serve_http(
    server: Server,
    host: str,
    port: int,
    uds: str | os.PathLike[str] | None,
    limits: HttpLimits | None,
    options: HttpOptions,
    task_status: trio.TaskStatus[Any],
) -> None:
    """Serve by the direct door until drained or cancelled."""
    try:
        from trimcp.transports.http.listener import HttpServer
    except ImportError as exc:
        raise missing(exc) from exc
    async with opened(server) as (running, nursery):
        endpoint = endpoint_of(running, options, loopback=uds is not None or is_loopback(host))
        await nursery.start(endpoint.run)
        door = HttpServer(endpoint, nursery, limits=limits)

        async def stop() -> None:
            await running.draining.wait()
            door.wind_down()
            await running.drained.wait()
            door.stop()

        nursery.start_soon(stop)
        if uds is None:
            await door.serve_tcp(host=host, port=port, task_status=task_status)
        else:
            await door.serve_unix(path=uds, task_status=task_status)
        await door.finished()
        nursery.cancel_scope.cancel()


async def serve_hypercorn(
    server: Server,
    host: str,
    port: int,
    options: HttpOptions,
    task_status: trio.TaskStatus[Any],
    *,
    uds: str | os.PathLike[str] | None,
    sockets: Sequence[socket.socket] | None,
    certfile: str | os.PathLike[str] | None,
    keyfile: str | os.PathLike[str] | None,
    config: Config | None,
) -> None:
    """Serve by hypercorn until drained or cancelled."""
    from trimcp.transports.http import hypercorn

    async with opened(server) as (running, nursery):
        is_local = uds is not None or is_loopback(host)
        door = await _asgi_door(running, nursery, options, loopback=is_local)

        async def drained() -> None:
            await running.drained.wait()
            await door.finished()  # hypercorn itself gives what is on its way a moment, and cuts it

        await hypercorn.serve_hypercorn(
            door,
            host=host,
            port=port,
            uds=uds,
            sockets=sockets,
            certfile=certfile,
            keyfile=keyfile,
            config=config,
            shutdown=running.draining,
            drain=drained,
            task_status=task_status,
        )
        nursery.cancel_scope.cancel()


async def _asgi_door(running: Running, nursery: trio.Nursery, options: HttpOptions, *, loopback: bool) -> AsgiDoor:
    """The door for a run that is there already, with its endpoint in that nursery."""
    from trimcp.transports.http.asgi import AsgiDoor

    endpoint = endpoint_of(running, options, loopback=loopback)
    await nursery.start(endpoint.run)
    limits = running.server.limits
    return AsgiDoor(
        lambda: endpoint,
        websocket=functools.partial(_serve_upgraded, running),
        admit=_admit(running, options.get("authenticate")),
        message_bytes=limits.message_bytes,
        write_timeout=limits.write_timeout,
    )


async def serve_websocket(
    server: Server,
    host: str,
    port: int,
    task_status: trio.TaskStatus[Any],
    *,
    path: str,
    ssl_context: ssl.SSLContext | None,
    hosts: Sequence[str],
    origins: Sequence[str],
    authenticate: Authenticate | None,
) -> None:
    """Serve whoever upgrades to WebSocket, until drained or cancelled."""
    try:
        from trimcp.transports import websocket
    except ImportError as exc:
        raise missing(exc) from exc
    async with opened(server) as (running, connections):
        guard = Guard(loopback=is_loopback(host), hosts=hosts, origins=origins)
        limits = server.limits
        with trio.CancelScope() as accepting:
            connections.start_soon(stop_accepting, running, accepting)
            await websocket.serve_websocket(
                functools.partial(_serve_upgraded, running),
                port=port,
                host=host,
                path=path,
                refuse=guard.refuse,
                admit=_admit(running, authenticate),
                ssl_context=ssl_context,
                message_bytes=limits.message_bytes,
                max_connections=limits.sessions,
                connections=connections,
                task_status=task_status,
            )


def _admit(running: Running, authenticate: Authenticate | None) -> Admit | None:
    """Return what judges the requests that open WebSockets, in workers of the run; None where all are let in."""
    if authenticate is None:
        return None
    pool = running.supervisor.open_pool("authenticate", running.server.limits.sessions)
    return functools.partial(admission, authenticate, pool)


async def _serve_upgraded(running: Running, duplex: Duplex, request: HttpRequest) -> None:
    """Serve a WebSocket as a session, until it is over."""
    await running.serve(duplex, principal=request.principal, fields=request.fields)


def missing(exc: ImportError) -> UsageError:
    """What is said where the extra is not installed."""
    return UsageError(f"{exc.name} is missing: pip install 'trimcp[http]'")


class Mounted:
    """An ASGI application's side of a server: its endpoint in whatever run of it there is now."""

    def __init__(self, server: Server, options: HttpOptions, *, loopback: bool) -> None:
        self._server = server
        self._options = options
        self._loopback = loopback
        self._endpoint: Endpoint | None = None
        self._running: Running | None = None
        self._admit: Admit | None = None

    def endpoint(self) -> Endpoint:
        """The endpoint of the run that is shared now, begun in its nursery where this is the first request.

        Raises:
            UsageError: the server does not run.
        """
        running = self._server.shared_run
        if running is None:
            raise UsageError(NOT_RUNNING)
        if self._endpoint is None or self._running is not running:
            self._running = running
            self._admit = _admit(running, self._options.get("authenticate"))
            self._endpoint = endpoint_of(running, self._options, loopback=self._loopback)
            running.nursery.start_soon(self._endpoint.run, name="trimcp endpoint")
        return self._endpoint

    async def admit(self, request: HttpRequest) -> Refusal | None:
        """Judge a request that opens a WebSocket; None lets it in."""
        self.endpoint()
        return None if self._admit is None else await self._admit(request)

    async def serve_websocket(self, duplex: Duplex, request: HttpRequest) -> None:
        """Serve a WebSocket as a session, until it is over."""
        self.endpoint()
        assert self._running is not None
        await _serve_upgraded(self._running, duplex, request)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """A run of the server, drained at its end; or that which the program has entered already."""
        check_routes(self._options, self._server.http_routes)
        if self._server.shared_run is not None:
            yield
            return
        async with self._server.running() as running:
            yield
            if not running.drained.is_set():
                await running.drain(self._server.limits.grace)


def asgi(server: Server, options: HttpOptions, *, loopback: bool) -> AsgiDoor:
    """An ASGI application that serves a server."""
    from trimcp.transports.http.asgi import AsgiDoor

    check_routes(options, server.http_routes)
    mounted = Mounted(server, options, loopback=loopback)
    return AsgiDoor(
        mounted.endpoint,
        websocket=mounted.serve_websocket,
        admit=mounted.admit,
        lifespan=mounted.lifespan,
        message_bytes=server.limits.message_bytes,
        write_timeout=server.limits.write_timeout,
    )
