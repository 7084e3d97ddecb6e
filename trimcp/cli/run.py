"""`trimcp run FILE[:NAME]`: serve the server object of a Python file, over stdio or by listening.

The options of listening are in `bindings`; several processes are in `workers`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from types import ModuleType
from typing import TYPE_CHECKING, Final

import attrs

from trimcp.cli import Command
from trimcp.cli import exit_codes as exits
from trimcp.cli.targets import split_name
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.server.app import Server


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    from trimcp.cli import bindings, recorded, viewed

    parser.usage = "trimcp run FILE[:NAME] [--http | --hypercorn [HOST:PORT]] [--port PORT] [options] [-- WORD ...]"
    parser.epilog = f"""\
SIGTERM and Ctrl-C shut a server down: it refuses new work, gives the requests in flight --grace
seconds to finish, and closes. A second signal ends it at once.

What follows -- is in sys.argv of FILE.

{exits.EXPLAINED}"""
    parser.add_argument("file", metavar="FILE[:NAME]", help="a Python file, and the name of the server in it")
    bindings.configure(parser)
    viewed.configure(parser)
    recorded.add_option(parser)
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where sessions, events and tasks are kept: memory:, sqlite:FILE, valkey://HOST:PORT/PREFIX, valkeys://…",
    )
    parser.add_argument(
        "--otel",
        action="store_true",
        help="make spans and durations with the OpenTelemetry of the process",
    )
    parser.add_argument(
        "--drain-delay", type=_seconds, metavar="SECONDS", help="time to serve on after the first signal, not ready"
    )
    parser.add_argument(
        "--grace", type=_seconds, metavar="SECONDS", help="time for handlers to finish after the first signal"
    )
    reload = parser.add_argument_group("while you work on it")
    reload.add_argument("--reload", action="store_true", help="start again when a Python file beside FILE changes")
    reload.add_argument(
        "--reload-dir", action="append", default=[], metavar="DIR", help="look for changes in DIR as well"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 on")
    return seconds


def command(options: argparse.Namespace) -> int:
    """Serve until the client leaves or a signal arrives; return the exit code.

    Raises:
        UsageError: the file is missing, has no server, or options do not go together.
    """
    from trimcp.cli import bindings, recorded
    from trimcp.cli.loading import load_file  # late: it brings the server, which no help needs
    from trimcp.cli.viewed import check, viewed

    path, name = split_name(options.file)
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}")

    recordings = contextlib.ExitStack()

    def load() -> Server:
        module, handed_over = load_file(path, options.launched or ())
        server = handed_over if handed_over and name is None else server_in(module, name, path)
        _apply(options, server)
        if options.record is not None:
            recorded.begin(recordings, server, options)
        return server

    listens = bindings.check(options)
    check(options)
    recorded.check(options)
    if options.reload or options.reload_dir:
        from trimcp.cli.reload.command import is_reloaded, run_reloading

        if options.workers is not None:
            raise UsageError("--reload does not go with --workers: leave one of them out")
        if not is_reloaded():
            return run_reloading(options, path, stdio=not listens)
    if not listens:
        from trimcp.server.process import run_stdio

        with recordings:
            return run_stdio(lambda: viewed(load(), options))
    if options.workers is not None:
        from trimcp.cli.workers import run_workers

        with recordings:
            return run_workers(load, options)
    from trimcp.server.process import run_listening

    with recordings:
        server = load()
        return run_listening(viewed(server, options), bindings.bindings_of(server, options))


def _apply(options: argparse.Namespace, server: Server) -> None:
    """Give a server what the options say about it."""
    if options.grace is not None:
        server.limits = attrs.evolve(server.limits, grace=options.grace)
    if options.drain_delay is not None:
        server.limits = attrs.evolve(server.limits, drain_delay=options.drain_delay)
    if options.otel:
        from trimcp.telemetry.opentelemetry import OpenTelemetry

        server.use_telemetry(OpenTelemetry())
    if options.store is not None:
        from trimcp.stores.urls import store_at

        server.store = store_at(options.store)


def server_in(module: ModuleType, name: str | None, path: str) -> Server:
    """Return the server object of a module: the named one, or the only one.

    Raises:
        UsageError: there is none, or there are several and no name.
    """
    from trimcp.server.app import Server

    if name is not None:
        found = getattr(module, name, None)
        if not isinstance(found, Server):
            raise UsageError(f"{name} in {path} is {'missing' if found is None else 'not a trimcp.Server'}")
        return found
    servers = {key: value for key, value in vars(module).items() if isinstance(value, Server)}
    distinct = {id(server) for server in servers.values()}
    if len(distinct) != 1:
        found_names = ", ".join(servers) or "none"
        raise UsageError(f"{path} must have exactly one trimcp.Server, and has {found_names}: name one as {path}:NAME")
    return next(iter(servers.values()))


COMMANDS: Final = {
    "run": Command(
        "Serve the server object in a file: over stdio, or over all that the options name.",
        configure,
        command,
        """\
  trimcp run server.py                                  # stdio, for a client that starts its server
  trimcp run server.py --http                           # http://127.0.0.1:8000/mcp
  trimcp run server.py:notes --http :9000 --reload      # and again after each change of a file
  trimcp run server.py --hypercorn :8443 --certfile chain.pem --keyfile key.pem""",
    )
}
