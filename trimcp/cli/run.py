"""`trimcp run FILE[:NAME]`: serve the server object that a Python file makes."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType

from trimcp.errors import UsageError
from trimcp.server.app import Server
from trimcp.server.serving import run_process


def run(where: str) -> int:
    """Serve it over stdio until the client leaves; return the exit code (see `Server.run`).

    Raises:
        UsageError: there is no such file, or no server in it.
    """
    path, name = _split(where)
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}")
    return run_process(lambda: server_in(_load(path), name, path))


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
