"""Finds what TARGET stands for: a file with a server, or a target of `trimcp.connect`."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

from trimcp.errors import UsageError

SCRIPT: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "script.py")


def split_name(where: str) -> tuple[str, str | None]:
    """Split `FILE:NAME` into the file and the name of a server; None without a name."""
    path, colon, name = where.rpartition(":")
    # A drive letter of Windows is not a path with a name behind it.
    if colon and name.isidentifier() and not (len(path) == 1 and path.isalpha()):
        return path, name
    return where, None


def target_of(word: str) -> object:
    """Return what to connect to for a TARGET that is not in a configuration.

    Raises:
        UsageError: it looks like a name in a configuration.
    """
    path, name = split_name(word)
    if path.lower().endswith(".py") and os.path.exists(path):
        return [sys.executable, SCRIPT, path, name or ""]
    is_name = word.replace("-", "").replace("_", "").replace(".", "").isalnum() and not os.path.splitext(word)[1]
    if is_name and shutil.which(word) is None:
        raise UsageError(
            f"{word!r} is neither a script nor a command: add --config FILE if it is a server's name in a configuration"
        )
    return word
