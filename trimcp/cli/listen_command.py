"""`trimcp listen TARGET [URI…]`: show the notifications of a server as they arrive."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.actors.containment import unwrapped
from trimcp.cli import exit_codes as exits
from trimcp.cli.client_command import CommandRun, client_command, log_line, times
from trimcp.cli.terminal import print_json, show
from trimcp.errors import UsageError
from trimcp.types.capabilities import announced_lists

if TYPE_CHECKING:
    from trimcp.client.notifications.notices import Notice, Notices, Topics

DESCRIPTION = """\
Show changes as they happen, until the server or Ctrl-C ends it: of lists, of the resources with these
URIs, and, with --log-level, the log of the server. The default is all lists of the server."""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tools", action="store_true", help="changes of the list of tools")
    parser.add_argument("--prompts", action="store_true", help="changes of the list of prompts")
    parser.add_argument("--resources", action="store_true", help="changes of the list of resources")
    parser.add_argument("-n", "--count", type=times, metavar="N", help="end after this number of notices")


async def _listen(run: CommandRun) -> int:
    options = run.options
    wanted = {"tools": options.tools, "prompts": options.prompts, "resources": options.resources}
    if not any(wanted.values()) and not run.words:
        wanted = announced_lists(run.client.server_capabilities)
    is_told = any(wanted.values()) or bool(run.words)
    if not is_told and options.log_level is None:
        raise UsageError("the server announces changes of no list: give URIs of resources, or --log-level")
    printer = _Printer(options.count, as_json=options.json)

    async def logs(everything: Notices) -> None:
        await printer.read(everything, logs=True)

    with unwrapped() as block:
        async with run.client.notices() as everything, trio.open_nursery() as nursery:
            with block:
                if is_told:
                    tools, prompts, resources = wanted.values()
                    listening = run.client.listen(tools=tools, prompts=prompts, resources=resources, uris=run.words)
                    async with listening as notices:
                        nursery.start_soon(logs, everything)
                        run.terminal.say(f"listening to {_named(notices.acknowledged)}")
                        with printer.enough:
                            await printer.read(notices, logs=False)
                else:
                    run.terminal.say("listening to the log of the server")
                    with printer.enough:
                        await logs(everything)
            nursery.cancel_scope.cancel()
    return exits.OK


def _named(topics: Topics) -> str:
    lists = [name for name in ("tools", "prompts", "resources") if getattr(topics, name)]
    return ", ".join([*lists, *topics.uris]) or "nothing: the server accepted none of it"


class _Printer:
    """Prints notices, up to a number."""

    def __init__(self, most: int | None, *, as_json: bool) -> None:
        self._left = most
        self._as_json = as_json
        self.enough = trio.CancelScope()
        """Cancelled when that number is printed."""

    async def read(self, notices: Notices, *, logs: bool) -> None:
        """Print notices until they end: only log messages, or only the others."""
        from trimcp.client.notifications.notices import LogMessage

        async for notice in notices:
            if isinstance(notice, LogMessage) is logs:
                self._print(notice)

    def _print(self, notice: Notice) -> None:
        if self._left == 0:
            return
        line, value = _forms_of(notice)
        if self._as_json:
            print_json(value)
        else:
            show(line)
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.enough.cancel()


def _forms_of(notice: Notice) -> tuple[str, dict[str, Any]]:
    """Return a notice as a line for people, and as JSON for scripts."""
    from trimcp.client.notifications import notices

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
            return "the connection was lost and made again: notices may be missing", {"notice": "interrupted"}
        case _:
            return f"{type(notice).__name__}", {"notice": type(notice).__name__}


COMMANDS: Final = {
    "listen": client_command(
        DESCRIPTION,
        "[URI ...] ",
        _listen,
        json="print each notice as JSON, on a line of its own",
        configure=_configure,
        shows_logs=False,
        examples="""\
  trimcp listen server.py --tools
  trimcp listen http://127.0.0.1:8000/mcp notes://today --count 1""",
    )
}
