"""`trimcp call TARGET TOOL NAME=VALUE…`: call a tool."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from trimcp.cli import exits
from trimcp.cli.printing import pretty, print_json, show, show_content
from trimcp.cli.values import arguments_of, did_you_mean
from trimcp.cli.visiting import Visit, visit
from trimcp.cli.visiting import configure as configure_visit
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.types.tools import Tool

DESCRIPTION = """\
Call a tool. What it answers goes to stdout; its progress, and what it asks, to stderr.

  NAME=VALUE     an argument, read as the type that the tool's schema gives it;
                 more than once for the items of an array
  NAME:=JSON     an argument as JSON
  NAME=@FILE     what is in a file (@- is stdin; @@ begins a text with @)"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `call`."""
    configure_visit(parser, "TOOL [NAME=VALUE ...] ", json="print the whole result as JSON")
    parser.add_argument("--json-args", metavar="JSON", help="arguments as one JSON object, or @FILE with one")


def command(options: argparse.Namespace) -> int:
    """Call it; return the exit code."""
    return visit(options, _call)


async def _call(here: Visit) -> int:
    client = here.client
    if not here.words:
        raise UsageError("which tool? trimcp list shows them")
    name, *words = here.words
    tool = await _find(here, name)
    arguments = arguments_of(words, tool.input_schema, here.options.json_args)
    with here.terminal.progress(name) as on_progress:
        result = await client.call_tool(name, arguments, on_progress=on_progress)
    if here.options.json:
        print_json(here.wire(result.raw))
    else:
        # What failed is no result: who reads stdout is not to take it for one.
        stream = sys.stderr if result.is_error else sys.stdout
        show_content(result.content, to=stream)
        if result.has_structured and not result.content:
            show(pretty(result.structured), to=stream)
    if result.is_error:
        here.terminal.say(f"trimcp: {name} says that it failed")
        return exits.FAILED
    return exits.OK


async def _find(here: Visit, name: str) -> Tool:
    if here.client.server_capabilities.tools is None:
        raise UsageError("the server has no tools")
    tools = {tool.name: tool for tool in await here.client.list_tools()}
    if name not in tools:
        raise UsageError(f"there is no tool {name}{did_you_mean(name, tools)}")
    return tools[name]
