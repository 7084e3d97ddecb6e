"""Serves the view of a server, on a Unix socket or on loopback, beside all that the server serves otherwise."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from trimcp.errors import UsageError
from trimcp.limits import HttpLimits
from trimcp.server.run_registry import RunRegistry
from trimcp.server.serving import serve_duplex
from trimcp.transports.duplex import Duplex
from trimcp.transports.endpoints import UnixEndpoint
from trimcp.types.tools import Tool
from trimcp.view.access import Guarded, Open
from trimcp.view.control import Control
from trimcp.view.figures import Figures
from trimcp.view.handler import ViewHandler
from trimcp.view.page_client.page_client import ClientTarget
from trimcp.view.page_client.page_clients import PageClients
from trimcp.view.publisher import Publisher
from trimcp.view.sockets import check_supported, own_path

HOST: Final = "127.0.0.1"
LIMITS: Final = HttpLimits(connections=64, write_timeout=10.0)
"""Connections beyond these wait; a browser that reads nothing for ten seconds is cut off."""
LAST_LOOK: Final = 1.0
"""Seconds that pages have to read the last state."""


@attrs.frozen(kw_only=True)
class ViewOptions:
    """How a view is served."""

    where: str | os.PathLike[str] | int | None = None
    """A port of loopback, the path of a Unix socket, or None for the socket where `trimcp view` finds it."""
    control: bool = False
    """Whether the view may cancel requests, close sessions, drain the server, and call it as a client."""
    trace: bool = False
    """Whether messages are recorded also while no page looks."""


async def serve(
    runs: RunRegistry, options: ViewOptions, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve the view until cancelled, or until the run that the server shares has drained.

    See `Server.serve_view`.
    """
    shared = runs.shared_run
    async with opened(runs, options) as address:
        task_status.started(address)
        if shared is None:
            await trio.sleep_forever()
        else:
            await shared.drained.wait()


@asynccontextmanager
async def opened(runs: RunRegistry, options: ViewOptions) -> AsyncIterator[str]:
    """Serve the view while the context lasts; yields its URL or path.

    Raises:
        UsageError: the address cannot be listened on, or the extra is not installed.
    """
    try:
        from trimcp.http.h1.server import HttpServer
    except ImportError as exc:
        raise UsageError.not_installed(exc.name, "http") from exc
    where = own_path() if options.where is None else options.where
    figures = Figures()
    publisher = Publisher(runs, figures, control=options.control, trace=options.trace)
    tools = runs.declarations.tools

    def tool_of(name: str) -> Tool | None:
        tool = tools.catalog.get(name)
        return None if tool is None else tool.definition

    refusal: UsageError | None = None
    runs.instruments.add_meter(figures)
    try:
        async with trio.open_nursery() as nursery:
            control = Control(runs, nursery) if options.control else None
            access = Guarded() if isinstance(where, int) else Open()
            clients = PageClients(ClientTarget(target=_InMemory(runs)), nursery) if options.control else None
            server = HttpServer(ViewHandler(access, publisher, control, clients, tool_of), nursery, limits=LIMITS)
            try:
                address = await _listen(server, nursery, where, access)
            except UsageError as exc:
                refusal = exc
            else:
                nursery.start_soon(publisher.run, name="trimcp view: publisher")
                yield address
                # A browser drops the last event of a stream that is broken off.
                publisher.end()
                server.stop()
                with trio.move_on_after(LAST_LOOK):
                    await server.finished()
            nursery.cancel_scope.cancel()
    finally:
        runs.instruments.remove_meter(figures)
    if refusal is not None:
        raise refusal


class _InMemory:
    """The server of the view, for the clients of pages: a target of `trimcp.connect`."""

    def __init__(self, runs: RunRegistry) -> None:
        self._runs = runs

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[Any]) -> None:
        """See `Server.serve`."""
        await serve_duplex(self._runs, duplex, task_status)


async def _listen(server: Any, nursery: trio.Nursery, where: int | str | os.PathLike[str], access: Any) -> str:
    """Listen; return the URL with its token, or the path."""
    if isinstance(access, Guarded):
        _, port = await nursery.start(functools.partial(server.serve_tcp, host=HOST, port=where))
        access.port = port
        return f"http://{HOST}:{port}/?token={access.token}"
    check_supported()
    return str(await nursery.start(server.serve, UnixEndpoint(str(where))))
