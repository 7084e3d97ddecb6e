"""Serves the server in a Python file; runs the file as `python FILE` does if it has none.

The client commands start this file by its path. It imports trimcp only if FILE does: FILE may be written with any
library.
"""

import os
import re
import sys
import traceback
import types

_IMPORTS_TRIMCP = re.compile(rb"^\s*(?:import|from)\s.*\btrimcp\b", re.MULTILINE)


def main(path: str, name: str) -> None:
    """Serve the server object in a file, or run the file as the main module of this process.

    A file that imports trimcp is loaded under its own name at first, so that its `if __name__ == "__main__"` block,
    which may be a demonstration or serve HTTP, does not run.

    Args:
        path: the file.
        name: the name of the server in it; empty for the only one.
    """
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    sys.argv = [path]
    with open(path, "rb") as file:
        source = file.read()
    if _IMPORTS_TRIMCP.search(source):
        _serve(_load(path, source, os.path.splitext(os.path.basename(path))[0]), path, name)
    _serve(_load(path, source, "__main__"), path, name)
    if "trimcp.server.app" in sys.modules:
        _refuse(path, "no server")


def _load(path: str, source: bytes, module_name: str) -> types.ModuleType:
    module = types.ModuleType(module_name)
    module.__file__ = path
    if module_name == "__main__" or module_name not in sys.modules:  # a module that FILE may need stays
        sys.modules[module_name] = module
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - it is what this file is for
    except Exception as exc:  # noqa: BLE001 - of the program
        shown = exc.__traceback__
        while shown is not None and shown.tb_frame.f_code.co_filename == __file__:
            shown = shown.tb_next
        traceback.print_exception(type(exc), exc, shown)
        sys.exit(1)
    return module


def _serve(module: types.ModuleType, path: str, name: str) -> None:
    """Serve the server of a module until the client leaves, and end the process; return if there is no server."""
    app = sys.modules.get("trimcp.server.app")
    servers = {key: each for key, each in vars(module).items() if app is not None and isinstance(each, app.Server)}
    found = {id(each): each for key, each in servers.items() if name in ("", key)}
    if len(found) == 1:
        found.popitem()[1].run()
    elif servers:
        _refuse(path, ", ".join(servers))


def _refuse(path: str, has: str) -> None:
    print(f"{path} has {has}: name one, as {path}:NAME", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
