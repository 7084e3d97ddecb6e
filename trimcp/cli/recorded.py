"""The options of a recording, which several commands share."""

from __future__ import annotations

import argparse
import os
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from trimcp.errors import UsageError
from trimcp.observability.stderr import write_line

if TYPE_CHECKING:
    from trimcp.server.app import Server

_SIZE: Final = re.compile(r"(\d{1,12})([kKmMgG]?)")
_UNITS: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
DEFAULT: Final = 256 * 2**20
LEAST: Final = 4096
"""Bytes of the smallest recording."""
MOST_FILES: Final = 10_000
"""Files of one name that are looked at for a free number."""


def configure(parser: argparse._ActionsContainer) -> None:
    """Add the options of the file."""
    parser.add_argument("--overwrite", action="store_true", help="replace a recording that exists")
    parser.add_argument(
        "--max-size",
        type=_size,
        default=DEFAULT,
        metavar="BYTES",
        help="stop recording before the file is larger, such as 500k, 20M, 1G; the default is 256M",
    )


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--record` and the options of its file to a command that does something else."""
    group = parser.add_argument_group("a recording")
    group.add_argument("--record", metavar="FILE", help="write all messages to a file that `trimcp replay` reads")
    configure(group)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    size = 0 if found is None else int(found[1]) * _UNITS[found[2].lower()]
    if size < LEAST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size of at least {LEAST} bytes, such as 20M")
    return size


def check(options: argparse.Namespace) -> None:
    """Check that the options of a recording go together with each other and with those of a server.

    Raises:
        UsageError: they do not.
    """
    if options.record is None and options.overwrite:
        raise UsageError("--overwrite needs a recording: add --record FILE")
    if options.record is not None and options.overwrite and _has_several(options):
        raise UsageError("--overwrite is for one process: leave it out, and each process takes the next free number")


def _has_several(options: argparse.Namespace) -> bool:
    """Whether several processes serve, at once or one after the other."""
    return any(getattr(options, name, None) for name in ("reload", "reload_dir", "workers"))


def begin(stack: ExitStack, server: Server, options: argparse.Namespace) -> None:
    """Record what a server does, as long as the stack lasts. Each of several processes has a file of its own.

    Raises:
        UsageError: the file exists, or cannot be made.
    """
    how = {"overwrite": options.overwrite, "most_bytes": options.max_size}
    if not _has_several(options):
        stack.enter_context(server.record(options.record, **how))
        return
    stem, suffix = os.path.splitext(options.record)
    for number in range(1, MOST_FILES + 1):
        path = f"{stem}.{number}{suffix}"
        try:
            stack.enter_context(server.record(path, **how))
        except UsageError:
            if not os.path.lexists(path):
                raise
        else:
            write_line(f"trimcp: process {os.getpid()} records to {path}")
            return
    raise UsageError(f"{stem}.{MOST_FILES}{suffix} exists, as all before it: remove them, or name another file")
