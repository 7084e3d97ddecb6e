"""`trimcp run FILE[:NAME]`: serve the server object that a Python file makes, by stdio or by doors.

The doors themselves are in `doors`, several processes in `workers`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from types import ModuleType

import attrs

from trimcp.cli import exits
from trimcp.errors import UsageError
from trimcp.server.app import Server

DESCRIPTION = "Serve the server object in a file: over stdio, or by what the options say, on one run of it."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    from trimcp.cli import doors

    parser.usage = "trimcp run FILE[:NAME] [--http | --hypercorn [HOST:PORT]] [--websocket [HOST:PORT]] [options]"
    parser.epilog = f"""\
SIGTERM and Ctrl-C end a server in good order: new work is refused, what is in flight has --grace
seconds to finish, then it closes. A second signal ends it at once.

{exits.EXPLAINED}"""
    parser.add_argument("file", metavar="FILE[:NAME]", help="a Python file, and the name of the server in it")
    doors.configure(parser)
    parser.add_argument(
        "--grace", type=_seconds, metavar="SECONDS", help="how long handlers may go on after the first signal"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds


def command(options: argparse.Namespace) -> int:
    """Serve until the client leaves, or a signal comes; return the exit code.

    Raises:
        UsageError: there is no such file, no server in it, or an option that cannot be.
    """
    from trimcp.cli import doors

    path, name = _split(options.file)
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}")

    def load() -> Server:
        server = server_in(_load(path), name, path)
        if options.grace is not None:
            server.limits = attrs.evolve(server.limits, grace=options.grace)
        return server

    if not doors.check(options):
        from trimcp.server.serving import run_process

        return run_process(load)
    if options.workers is not None:
        from trimcp.cli.workers import run_workers

        return run_workers(load(), options)
    from trimcp.server.process import run_listening

    server = load()
    return run_listening(server, doors.doors_of(server, options))


def _split(where: str) -> tuple[str, str | None]:
    path, colon, name = where.rpartition(":")
    # A drive letter of Windows is no name to look for.
    if colon and name.isidentifier() and not (len(path) == 1 and path.isalpha()):
        return path, name
    return where, None


def _load(path: str) -> ModuleType:
    """Import the file as a module of its stem's name, so that its `if __name__ == "__main__"` stays asleep."""
    name = os.path.splitext(os.path.basename(path))[0]
    # As Python does for a script, so that it finds the modules beside it.
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Not over a module of that name which something has imported already.
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


def server_in(module: ModuleType, name: str | None, path: str) -> Server:
    """The server object of a module: the one named, or the only one there is.

    Raises:
        UsageError: there is none, or no saying which.
    """
    if name is not None:
        found = getattr(module, name, None)
        if not isinstance(found, Server):
            raise UsageError(f"{name} in {path} is {'not there' if found is None else 'no trimcp.Server'}")
        return found
    servers = {key: value for key, value in vars(module).items() if isinstance(value, Server)}
    distinct = {id(server) for server in servers.values()}
    if len(distinct) != 1:
        found_names = ", ".join(servers) or "none"
        raise UsageError(f"{path} must have one trimcp.Server, or name it as {path}:NAME; it has {found_names}")
    return next(iter(servers.values()))
