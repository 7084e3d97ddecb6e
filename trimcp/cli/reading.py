"""`trimcp read TARGET URI`: read a resource."""

from __future__ import annotations

import argparse
import base64
import binascii
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trimcp.cli import exits
from trimcp.cli.printing import contents, print_json, show
from trimcp.cli.visiting import Visit, visit
from trimcp.cli.visiting import configure as configure_visit
from trimcp.errors import InvalidResult, UsageError

if TYPE_CHECKING:
    from trimcp.types.content import ResourceContents

DESCRIPTION = "Read a resource. What is in it goes to stdout as it is; bytes do not go to a terminal."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `read`."""
    configure_visit(parser, "URI ", json="print the whole result as JSON")
    parser.add_argument("-o", "--output", metavar="FILE", help="write what is in it there")


def command(options: argparse.Namespace) -> int:
    """Read it; return the exit code."""
    return visit(options, _read)


async def _read(here: Visit) -> int:
    if len(here.words) != 1:
        raise UsageError("read takes one URI; trimcp list shows them")
    with here.terminal.progress(here.words[0]) as on_progress:
        result = await here.client.read_resource(here.words[0], on_progress=on_progress)
    path = here.options.output
    if path is not None:
        try:
            Path(path).write_bytes(_data(result.contents))  # noqa: ASYNC240 - nothing else waits here
        except OSError as exc:
            raise UsageError(f"cannot write {path}: {exc.strerror}") from exc
    if here.options.json:
        print_json(here.wire(result.raw))
    elif path is None and sys.stdout.isatty():
        for item in result.contents:
            show(contents(item))
    elif path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(_data(result.contents))
        sys.stdout.buffer.flush()
    return exits.OK


def _data(items: Sequence[ResourceContents]) -> bytes:
    """All of it as bytes, one after the other."""
    from trimcp.types.content import TextResourceContents

    pieces: list[bytes] = []
    for item in items:
        if isinstance(item, TextResourceContents):
            pieces.append(item.text.encode())
            continue
        try:
            pieces.append(base64.b64decode(item.blob, validate=True))
        except (binascii.Error, ValueError):
            raise InvalidResult([f"the blob of {item.uri} is no base64"]) from None
    return b"".join(pieces)
