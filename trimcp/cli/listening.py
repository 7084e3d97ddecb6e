"""`trimcp listen TARGET [URI…]`: show what a server tells, as it comes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import trio

from trimcp.cli import exits
from trimcp.cli.printing import print_json, show
from trimcp.cli.visiting import Visit, log_line, times, visit
from trimcp.cli.visiting import configure as configure_visit
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.client.notices import Notice, Notices, Topics

DESCRIPTION = """\
Show what changes as it does, until the server ends it, or Ctrl-C: its lists, resources by their URIs,
and, with --log-level, what it logs. Of all its lists, if nothing is named."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `listen`."""
    configure_visit(parser, "[URI ...] ", json="print each notice as JSON, on a line of its own")
    parser.add_argument("--tools", action="store_true", help="changes of the list of tools")
    parser.add_argument("--prompts", action="store_true", help="changes of the list of prompts")
    parser.add_argument("--resources", action="store_true", help="changes of the list of resources")
    parser.add_argument("-n", "--count", type=times, metavar="N", help="end after so many notices")


def command(options: argparse.Namespace) -> int:
    """Listen; return the exit code."""
    return visit(options, _listen, shows_logs=False)


async def _listen(here: Visit) -> int:
    options, can = here.options, here.client.server_capabilities
    wanted = {"tools": options.tools, "prompts": options.prompts, "resources": options.resources}
    if not any(wanted.values()) and not here.words:
        declared = {"tools": can.tools, "prompts": can.prompts, "resources": can.resources}
        wanted = {name: bool(each and each.list_changed) for name, each in declared.items()}
    is_told = any(wanted.values()) or bool(here.words)
    if not is_told and options.log_level is None:
        raise UsageError("the server tells of no list: name the URIs of resources, or a --log-level")
    printer = _Printer(options.count, as_json=options.json)
    failure: Exception | None = None
    async with here.client.notices() as everything, trio.open_nursery() as nursery:

        async def logs() -> None:
            await printer.read(everything, logs=True)

        try:
            if is_told:
                tools, prompts, resources = wanted.values()
                listening = here.client.listen(tools=tools, prompts=prompts, resources=resources, uris=here.words)
                async with listening as notices:
                    nursery.start_soon(logs)
                    here.terminal.say(f"listening to {_named(notices.acknowledged)}")
                    with printer.enough:
                        await printer.read(notices, logs=False)
            else:
                here.terminal.say("listening to its log")
                with printer.enough:
                    await logs()
        except Exception as exc:  # noqa: BLE001
            failure = exc  # leaves below as itself, rather than in a group
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return exits.OK


def _named(topics: Topics) -> str:
    lists = [name for name in ("tools", "prompts", "resources") if getattr(topics, name)]
    return ", ".join([*lists, *topics.uris]) or "nothing: the server did not agree"


class _Printer:
    """Prints notices, up to some number."""

    def __init__(self, most: int | None, *, as_json: bool) -> None:
        self._left = most
        self._as_json = as_json
        self.enough = trio.CancelScope()
        """Cancelled when there have been enough."""

    async def read(self, notices: Notices, *, logs: bool) -> None:
        """Print what comes, until it ends: log messages, or everything else."""
        from trimcp.client.notices import LogMessage

        async for notice in notices:
            if isinstance(notice, LogMessage) is logs:
                self._print(notice)

    def _print(self, notice: Notice) -> None:
        if self._left == 0:
            return
        line, value = _said(notice)
        if self._as_json:
            print_json(value)
        else:
            show(line)
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.enough.cancel()


def _said(notice: Notice) -> tuple[str, dict[str, Any]]:
    """A notice for people, and for scripts."""
    from trimcp.client import notices

    match notice:
        case notices.LogMessage(level=level, data=data, logger=logger):
            value = {"notice": "log", "level": level, "data": data}
            return log_line(level, logger, data), value if logger is None else {**value, "logger": logger}
        case notices.ResourceUpdated(uri=uri):
            return f"resource updated: {uri}", {"notice": "resource", "uri": uri}
        case notices.ToolsChanged():
            return "tools changed", {"notice": "tools"}
        case notices.PromptsChanged():
            return "prompts changed", {"notice": "prompts"}
        case notices.ResourcesChanged():
            return "resources changed", {"notice": "resources"}
        case notices.Interrupted():
            return "the connection was lost, and there is another: look again", {"notice": "interrupted"}
        case _:
            return f"{type(notice).__name__}", {"notice": type(notice).__name__}
