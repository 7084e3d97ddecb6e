"""The options of a recording, which several commands share."""

from __future__ import annotations

import argparse
import re
from typing import Final

from trimcp.errors import UsageError

_SIZE: Final = re.compile(r"(\d{1,12})([kKmMgG]?)")
_UNITS: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
DEFAULT: Final = 256 * 2**20
LEAST: Final = 4096
"""Bytes of the smallest recording."""


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
    several = {name: getattr(options, name, None) for name in ("reload", "reload_dir", "workers")}
    if options.record is not None and any(several.values()):
        raise UsageError("--record needs a server of one process: leave out --reload and --workers")
