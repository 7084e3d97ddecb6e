"""The options `--view…` of `trimcp run`, and a server with a view beside each of its runs."""

from __future__ import annotations

import argparse
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from trimcp.errors import UsageError
from trimcp.observability.stderr import write_line

if TYPE_CHECKING:
    from trimcp.server.app import Server
    from trimcp.server.process import RunnableServer
    from trimcp.server.run import ServerRun

FINDABLE: Final = True
"""The value of `--view` alone: a Unix socket where `trimcp view` finds it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the view."""
    group = parser.add_argument_group("a view into the running server")
    group.add_argument(
        "--view",
        nargs="?",
        const=FINDABLE,
        type=_where,
        metavar="PORT|SOCKET",
        help="serve it: at a port of loopback, on a Unix socket, or where `trimcp view` finds it",
    )
    group.add_argument(
        "--view-control", action="store_true", help="let it cancel requests, close sessions, drain, and call the server"
    )
    group.add_argument("--view-trace", action="store_true", help="record messages also while no page looks")


def _where(text: str) -> str | int:
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    if text.endswith(".py") or "/" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a port nor the path of a socket: put FILE before --view")
    return text


def check(options: argparse.Namespace) -> None:
    """Check that the options go together.

    Raises:
        UsageError: they contradict each other.
    """
    if options.view is None:
        names = {"--view-control": options.view_control, "--view-trace": options.view_trace}
        if any(names.values()):
            raise UsageError(f"{', '.join(name for name, given in names.items() if given)} needs a view: add --view")
    elif options.workers is not None and options.view is not FINDABLE:
        raise UsageError("--workers has a view for each process: give --view without a port or path")


def viewed(server: Server, options: argparse.Namespace) -> RunnableServer:
    """Return the server, with a view beside it where the options ask for one."""
    return server if options.view is None else ViewedServer(server, options)


class ViewedServer:
    """A server for `trimcp.server.process`, each of whose runs has a view."""

    def __init__(self, server: Server, options: argparse.Namespace) -> None:
        self.name: str = server.name
        self._server = server
        where = None if options.view is FINDABLE else options.view
        self._serve = functools.partial(
            server.serve_view, where, control=options.view_control, trace=options.view_trace
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ServerRun]:
        """See `RunnableServer`."""
        async with self._server.running() as run, trio.open_nursery() as nursery:
            address = await nursery.start(self._serve)
            write_line(f"trimcp: the view of {self.name} is at {address}")
            yield run
            if not run.drained.is_set():  # after a drain the view shows the report, and ends by itself
                nursery.cancel_scope.cancel()
