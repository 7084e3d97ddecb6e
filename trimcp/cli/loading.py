"""Loads the Python file that has the server of a command, and reports its errors without the lines of trimcp."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Final

import trimcp
from trimcp.errors import TrimcpError, UsageError
from trimcp.server.app import Server
from trimcp.server.process import HandedOver
from trimcp.server.serving import loading

OURS: Final = (os.path.dirname(os.path.abspath(trimcp.__file__)) + os.sep, "<frozen ")
"""How the file names of code begin that is not of the program."""


class LoadFailed(TrimcpError):
    """The file raised an exception while it was loaded."""


def load_file(path: str, arguments: Sequence[str]) -> tuple[ModuleType, Server | None]:
    """Import a file as a module named after it, so that its `if __name__ == "__main__"` block does not run.

    Args:
        path: the file.
        arguments: its `sys.argv`, without the path.

    Returns:
        The module, and the server whose `run` the file has called, if it has: the call ends the loading.

    Raises:
        UsageError: it is no Python file, declares something that is invalid, or serves by other means than `run`.
        LoadFailed: it raised another exception. The text has its traceback.
    """
    name = os.path.splitext(os.path.basename(path))[0]
    # As Python does for a script, so that the file finds the modules beside it.
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    sys.argv = [path, *arguments]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # A module of that name that is imported already stays.
    sys.modules.setdefault(name, module)
    with _marked_as_loading(path):
        try:
            spec.loader.exec_module(module)
        except HandedOver as handed_over:
            return module, handed_over.server if isinstance(handed_over.server, Server) else None
        except UsageError as exc:
            raise UsageError(f"{_line_of(exc, path)}: {exc}") from None
        except Exception as exc:  # noqa: BLE001 - of the program
            raise LoadFailed(f"cannot load {path}\n{_traceback_of(exc)}") from None
    return module, None


@contextmanager
def _marked_as_loading(path: str) -> Iterator[None]:
    before = loading.set(path)
    try:
        yield
    finally:
        loading.reset(before)


def _is_ours(entry: TracebackType) -> bool:
    return entry.tb_frame.f_code.co_filename.startswith(OURS)


def _line_of(exc: BaseException, path: str) -> str:
    """Return the place in the program that an error of trimcp is about: the innermost line beside the file."""
    place, entry = path, exc.__traceback__
    beside = os.path.dirname(os.path.abspath(path)) + os.sep
    while entry is not None:
        name = entry.tb_frame.f_code.co_filename
        if name.startswith(beside) and "site-packages" not in name and not _is_ours(entry):
            place = f"{os.path.relpath(name)}, line {entry.tb_lineno}"
        entry = entry.tb_next
    return place


def _traceback_of(exc: Exception) -> str:
    """Return the traceback of an exception, from the first line of the program on."""
    entry = exc.__traceback__
    while entry is not None and _is_ours(entry):
        entry = entry.tb_next
    return "".join(traceback.format_exception(type(exc), exc, entry)).rstrip()
