"""The commands that send one request each: `call`, `read`, `prompt`, `complete` and `ping`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from trimcp.cli import exit_codes as exits
from trimcp.cli.arguments import arguments_of, did_you_mean, texts_of
from trimcp.cli.client_command import CommandRun, client_command, times
from trimcp.cli.terminal import (
    BOLD,
    DIM,
    contents,
    described,
    indented,
    pretty,
    print_json,
    show,
    show_content,
)
from trimcp.errors import InvalidResult, UsageError

if TYPE_CHECKING:
    from trimcp.client.features.tools import ToolResult
    from trimcp.session.tasks.state import TaskState
    from trimcp.types.content import ResourceContents
    from trimcp.types.tools import Tool


# --- call -----------------------------------------------------------------------------

_CALL = """\
Call a tool. The result goes to stdout; progress, and questions of the server, go to stderr.

  NAME=VALUE     an argument, read as the type that the tool's schema gives it;
                 more than once for the items of an array
  NAME:=JSON     an argument as JSON
  NAME=@FILE     the content of a file (@- is stdin; @@ begins a text with @)"""


def _configure_call(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json-args", metavar="JSON", help="arguments as one JSON object, or @FILE with one")
    parser.add_argument(
        "--task", action="store_true", help="have the server run it as a task, and print the id: see trimcp tasks"
    )


async def _call(run: CommandRun) -> int:
    if not run.words:
        raise UsageError("no TOOL is given: trimcp list shows the tools")
    name, *words = run.words
    tool = await _find_tool(run, name)
    arguments = arguments_of(words, tool.input_schema, run.options.json_args)
    if run.options.task:
        task = await run.client.call_tool(name, arguments, task=True)
        if task.state is not None:
            show_task(run, task.state)
            return exits.OK
        return show_result(run, name, await task.result())
    with run.terminal.progress(name) as on_progress:
        result = await run.client.call_tool(name, arguments, on_progress=on_progress)
    return show_result(run, name, result)


def show_task(run: CommandRun, state: TaskState) -> None:
    """Print the id of a task that works; with `--json`, its state."""
    if run.options.json:
        print_json(run.wire(state.raw))
    else:
        show(state.id)
        run.terminal.say(f"the task is {state.status}: trimcp tasks result TARGET {state.id}")


def show_result(run: CommandRun, name: str, result: ToolResult) -> int:
    """Print the result of a tool; return the exit code."""
    if run.options.json:
        print_json(run.wire(result.raw))
    else:
        # An error goes to stderr, so that a reader of stdout does not take it for a result.
        stream = sys.stderr if result.is_error else sys.stdout
        show_content(result.content, to=stream)
        if result.has_structured and not result.content:
            show(pretty(result.structured), to=stream)
    if result.is_error:
        run.terminal.say(f"trimcp: the tool {name} reported an error")
        return exits.FAILED
    return exits.OK


async def _find_tool(run: CommandRun, name: str) -> Tool:
    if run.client.server_capabilities.tools is None:
        raise UsageError(f"the server has no tools, so there is no {name}: trimcp list shows its features")
    tools = {tool.name: tool for tool in await run.client.list_tools()}
    if name not in tools:
        raise UsageError(f"there is no tool {name}{did_you_mean(name, tools)}")
    return tools[name]


# --- read -----------------------------------------------------------------------------

_READ = "Read a resource. Its content goes to stdout as it is; bytes are not written to a terminal."


def _configure_read(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", help="write the content to this file")


async def _read(run: CommandRun) -> int:
    if len(run.words) != 1:
        raise UsageError("read takes one URI: trimcp list shows the resources")
    with run.terminal.progress(run.words[0]) as on_progress:
        result = await run.client.read_resource(run.words[0], on_progress=on_progress)
    path = run.options.output
    if path is not None:
        try:
            Path(path).write_bytes(_bytes_of(result.contents))  # noqa: ASYNC240 - nothing else waits here
        except OSError as exc:
            raise UsageError(f"cannot write {path}: {exc.strerror}") from exc
    if run.options.json:
        print_json(run.wire(result.raw))
    elif path is None and sys.stdout.isatty():
        for item in result.contents:
            show(contents(item))
    elif path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(_bytes_of(result.contents))
        sys.stdout.buffer.flush()
    return exits.OK


def _bytes_of(items: Sequence[ResourceContents]) -> bytes:
    """Return the contents as bytes, one after the other."""
    from trimcp.client.features.resources import decoded_base64
    from trimcp.types.content import TextResourceContents

    pieces: list[bytes] = []
    for item in items:
        if isinstance(item, TextResourceContents):
            pieces.append(item.text.encode())
            continue
        try:
            pieces.append(decoded_base64(item.blob))
        except ValueError:
            raise InvalidResult([f"the blob of {item.uri} is not base64"]) from None
    return b"".join(pieces)


# --- prompt ---------------------------------------------------------------------------

_PROMPT = """\
Get the messages of a prompt.

  NAME=TEXT      an argument
  NAME=@FILE     the content of a file (@- is stdin; @@ begins a text with @)"""


async def _prompt(run: CommandRun) -> int:
    if not run.words:
        raise UsageError("no PROMPT is given: trimcp list shows the prompts")
    name, *words = run.words
    with run.terminal.progress(name) as on_progress:
        result = await run.client.get_prompt(name, texts_of(words), on_progress=on_progress)
    if run.options.json:
        print_json(run.wire(result))
        return exits.OK
    if result.description:
        show(result.description, DIM)
    for message in result.messages:
        show(f"{message.role}:", BOLD)
        show(indented(described(message.content), "  "))
    return exits.OK


# --- complete -------------------------------------------------------------------------

_COMPLETE = """\
Complete an argument of a prompt, or a variable of a resource template.

The first NAME=START is the argument to complete; the others are the values known so far."""


def _configure_complete(parser: argparse.ArgumentParser) -> None:
    of = parser.add_mutually_exclusive_group()
    of.add_argument("--prompt", metavar="NAME", help="the prompt that has the argument")
    of.add_argument("--template", metavar="URI", help="the resource template that has the variable, as it is listed")


async def _complete(run: CommandRun) -> int:
    texts = texts_of(run.words)
    prompt, template = run.options.prompt, run.options.template
    if not texts or (prompt is None and template is None):
        raise UsageError("complete takes NAME=START, and --prompt NAME or --template URI")
    name, *others = texts
    completion = await run.client.complete(
        name, texts[name], prompt=prompt, template=template, given={other: texts[other] for other in others} or None
    )
    if run.options.json:
        print_json(run.wire(completion))
        return exits.OK
    for value in completion.values:
        show(value)
    if completion.has_more or (completion.total or 0) > len(completion.values):
        run.terminal.say(f"there are more{f', {completion.total} in all' if completion.total else ''}")
    return exits.OK


# --- ping -----------------------------------------------------------------------------

_PING = "Connect, and measure how long the server takes to answer."


def _configure_ping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--count", type=times, default=1, metavar="N", help="pings to send; the default is 1")


async def _ping(run: CommandRun) -> int:
    if run.words:
        raise UsageError(f"ping takes only a TARGET: remove {run.words[0]}")
    client = run.client
    took: list[float] = []
    for _ in range(run.options.count):
        began = trio.current_time()
        await client.ping()
        took.append((trio.current_time() - began) * 1000)
        if not run.options.json:
            show(f"{run.server_name}, {client.protocol_version}: {took[-1]:.1f} ms")
    if run.options.json:
        server = None if client.server_info is None else run.wire(client.server_info)
        rounded = [round(each, 3) for each in took]
        print_json({"server": server, "protocolVersion": client.protocol_version, "milliseconds": rounded})
    return exits.OK


WHOLE: Final = "print the whole result as JSON"
COMMANDS: Final = {
    "call": client_command(
        _CALL,
        "TOOL [NAME=VALUE ...] ",
        _call,
        json=WHOLE,
        configure=_configure_call,
        examples="""\
  trimcp call server.py add a=1 b=2
  trimcp call https://notes.example/mcp store text=@notes.txt tags=a tags=b
  trimcp call notes search text=milk --config .mcp.json --json""",
    ),
    "read": client_command(
        _READ,
        "URI ",
        _read,
        json=WHOLE,
        configure=_configure_read,
        examples="  trimcp read server.py notes://today\n  trimcp read server.py notes://picture -o picture.png",
    ),
    "prompt": client_command(
        _PROMPT,
        "PROMPT [NAME=TEXT ...] ",
        _prompt,
        json=WHOLE,
        examples="  trimcp prompt server.py summarise text=@notes.txt",
    ),
    "complete": client_command(
        _COMPLETE,
        "NAME=START [NAME=TEXT ...] ",
        _complete,
        json="print the completion as JSON",
        configure=_configure_complete,
        examples="""\
  trimcp complete server.py --prompt summarise style=fo
  trimcp complete server.py --template 'notes://{day}' day=mon""",
    ),
    "ping": client_command(
        _PING,
        "",
        _ping,
        json="print the server and the times as JSON",
        configure=_configure_ping,
        examples="  trimcp ping https://notes.example/mcp\n  trimcp ping server.py --count 5",
    ),
}
