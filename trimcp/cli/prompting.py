"""`trimcp prompt TARGET NAME ARGUMENT=TEXT…`: get the messages of a prompt."""

from __future__ import annotations

import argparse

from trimcp.cli import exits
from trimcp.cli.printing import BOLD, DIM, described, indented, print_json, show
from trimcp.cli.values import texts_of
from trimcp.cli.visiting import Visit, visit
from trimcp.cli.visiting import configure as configure_visit
from trimcp.errors import UsageError

DESCRIPTION = """\
Get the messages of a prompt.

  NAME=TEXT      an argument
  NAME=@FILE     what is in a file (@- is stdin; @@ begins a text with @)"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `prompt`."""
    configure_visit(parser, "PROMPT [NAME=TEXT ...] ", json="print the whole result as JSON")


def command(options: argparse.Namespace) -> int:
    """Get it; return the exit code."""
    return visit(options, _get)


async def _get(here: Visit) -> int:
    if not here.words:
        raise UsageError("which prompt? trimcp list shows them")
    name, *words = here.words
    with here.terminal.progress(name) as on_progress:
        result = await here.client.get_prompt(name, texts_of(words), on_progress=on_progress)
    if here.options.json:
        print_json(here.wire(result))
        return exits.OK
    if result.description:
        show(result.description, DIM)
    for message in result.messages:
        show(f"{message.role}:", BOLD)
        show(indented(described(message.content), "  "))
    return exits.OK
