"""Runs a Python file as `python FILE` does, and serves its server if the file does not.

The client commands start this file by its path, and it imports nothing: FILE may be written with any library.
"""

import os
import sys
import traceback
import types


def main(path: str, name: str) -> None:
    """Run a file as the main module of this process.

    Args:
        path: the file.
        name: the name of the server in it; empty for the only one.
    """
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    sys.argv = [path]
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    try:
        with open(path, "rb") as file:
            exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102 - it is what this file is for
    except Exception as exc:  # noqa: BLE001 - of the program
        shown = exc.__traceback__
        while shown is not None and shown.tb_frame.f_code.co_filename == __file__:
            shown = shown.tb_next
        traceback.print_exception(type(exc), exc, shown)
        sys.exit(1)
    app = sys.modules.get("trimcp.server.app")
    if app is None:
        return  # it is written with another library
    servers = {key: each for key, each in vars(module).items() if isinstance(each, app.Server)}
    found = {id(each): each for key, each in servers.items() if name in ("", key)}
    if len(found) == 1:
        found.popitem()[1].run()
    print(f"{path} has {', '.join(servers) or 'no server'}: name one, as {path}:NAME", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
