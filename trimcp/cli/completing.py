"""`trimcp complete TARGET NAME=START`: how an argument of a prompt, or a variable of a template, may go on."""

from __future__ import annotations

import argparse

from trimcp.cli import exits
from trimcp.cli.printing import print_json, show
from trimcp.cli.values import texts_of
from trimcp.cli.visiting import Visit, visit
from trimcp.cli.visiting import configure as configure_visit
from trimcp.errors import UsageError

DESCRIPTION = """\
Ask how an argument of a prompt, or a variable of a resource template, may go on.

The first NAME=START is what is to be completed; others are what is known beside it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `complete`."""
    configure_visit(parser, "NAME=START [NAME=TEXT ...] ", json="print the completion as JSON")
    of = parser.add_mutually_exclusive_group()
    of.add_argument("--prompt", metavar="NAME", help="the prompt that has the argument")
    of.add_argument("--template", metavar="URI", help="the resource template that has the variable, as it is listed")


def command(options: argparse.Namespace) -> int:
    """Ask; return the exit code."""
    return visit(options, _complete)


async def _complete(here: Visit) -> int:
    texts = texts_of(here.words)
    prompt, template = here.options.prompt, here.options.template
    if not texts or (prompt is None and template is None):
        raise UsageError("complete takes NAME=START, and --prompt NAME or --template URI")
    name, *others = texts
    completion = await here.client.complete(
        name, texts[name], prompt=prompt, template=template, given={other: texts[other] for other in others} or None
    )
    if here.options.json:
        print_json(here.wire(completion))
        return exits.OK
    for value in completion.values:
        show(value)
    if completion.has_more or (completion.total or 0) > len(completion.values):
        here.terminal.say(f"there are more{f', {completion.total} in all' if completion.total else ''}")
    return exits.OK
