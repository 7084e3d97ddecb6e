"""The command line: `run` serves, and `new` and `install` are around it; `list`, `call` and others are a client.

This module finds the command and ends the process. The module of a command is imported when the
command is used, so that each starts as fast as it can.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import trimcp
from trimcp.cli import exit_codes as exits
from trimcp.errors import TrimcpError, UsageError

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency", "off")
OWN_LEVELS: Final = {"notice": "info", "critical": "error", "alert": "error", "emergency": "error"}
"""The levels that only servers have, and the levels of trimcp's own log that stand for them."""
_LOG_LEVEL: Final = f"least severe level to show, of trimcp's log and of the server's log messages: {', '.join(LEVELS)}"


class Command(NamedTuple):
    """Holds one command; each module of a command has a dict `COMMANDS` of them, by name."""

    description: str
    """The text of its help."""
    configure: Callable[[argparse.ArgumentParser], None]
    """Adds its arguments to the parser."""
    run: Callable[[argparse.Namespace], int]
    """Runs it with the parsed arguments; returns the exit code."""
    examples: str = ""
    """Lines of examples for its help, each indented."""
    rewrite: Callable[[list[str]], list[str]] = list
    """Returns its command line in a form that the parser can read."""


SERVING: Final = {
    "new": ("new_command", "make the project of a new server"),
    "run": ("run", "serve the server object in a file: over stdio, HTTP or WebSocket"),
    "dev": ("dev.command", "try out a server on a page, and serve its file again after each change"),
    "install": ("install.commands", "add a server to the configuration of an editor or another host"),
    "uninstall": ("install.commands", "remove it from there"),
}
CLIENT: Final = {
    "list": ("list_command", "show what a server offers"),
    "call": ("requests", "call a tool"),
    "tasks": ("tasks_command", "show, await and cancel calls that go on by themselves"),
    "read": ("requests", "read a resource"),
    "prompt": ("requests", "get the messages of a prompt"),
    "complete": ("requests", "complete an argument of a prompt or of a resource template"),
    "listen": ("listen_command", "show changes and log messages as they arrive"),
    "ping": ("requests", "check that a server answers, and how fast"),
    "inspect": ("inspect_command", "describe all that a server offers, as Markdown or JSON"),
    "doctor": ("doctor.command", "check a server against the specification"),
    "bench": ("bench_command", "measure what a server can take"),
}
LOOKING: Final = {
    "view": ("view_command", "open the view of a running server in a browser"),
    "top": ("view_command", "show what a running server does, in the terminal"),
    "record": ("record_command", "write all messages between a client and a server to a file"),
    "replay": ("replay_command", "send a recording to a server and show differences, or serve it as a mock"),
}
SIGNING: Final = {
    "login": ("auth_commands", "sign in at a server"),
    "logout": ("auth_commands", "forget a sign-in"),
    "whoami": ("auth_commands", "show the sign-in that is stored for a server"),
}
CONSENT: Final = {
    "consent": ("consent_command", "list and revoke the decisions on tools that are remembered"),
}
SHOWING: Final = {
    "demo": ("demo", "show a server and a client at work, on this terminal"),
    "completion": ("completion_command", "print what makes a shell complete this command line"),
}
COMMANDS: Final = {**SERVING, **LOOKING, **CLIENT, **SIGNING, **CONSENT, **SHOWING}
"""Each command: its module, and the line about it in the help."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and end the process with one of the codes in `trimcp.cli.exit_codes`.

    Args:
        arguments: the command line; the default is that of the process.
    """
    if "_ARGCOMPLETE" in os.environ:
        importlib.import_module("trimcp.cli.completion_command").complete()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        _parser().print_help(sys.stderr)
        sys.exit(exits.USAGE)
    general, rest = _split(words)
    options = _parser().parse_args(general)
    code = exits.FAILED
    try:
        code = _run(options.name, rest, options.log_level)
    except* KeyboardInterrupt:
        code = exits.INTERRUPTED
    except* BrokenPipeError:
        code = exits.reader_left()
    except* TrimcpError as group:
        # `except*`, since failures in a nursery arrive in a group.
        code = exits.report(group)
    sys.exit(code)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words up to the name of the command, and the words behind it."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] == "--log-level" else 1
    return words[: at + 1], words[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = general_parser()
    parser.add_argument("name", metavar="COMMAND", choices=list(COMMANDS), help="one of the commands below")
    return parser


def general_parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before the name of the command."""
    parser = argparse.ArgumentParser(
        prog="trimcp",
        usage="trimcp [--log-level LEVEL] COMMAND ...",
        description="The Model Context Protocol on Trio.",
        epilog=_commands() + "\ntrimcp COMMAND --help shows its options.\n\n" + exits.EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--log-level", metavar="LEVEL", choices=LEVELS, help=_LOG_LEVEL)
    parser.add_argument("--version", action="version", version=f"trimcp {trimcp.__version__}")
    return parser


def _commands() -> str:
    parts = {
        "a server": SERVING,
        "looking into a server": LOOKING,
        "a client": CLIENT,
        "signing in": SIGNING,
        "consent": CONSENT,
        "and": SHOWING,
    }
    return "".join(
        f"{title}:\n" + "".join(f"  {name:<12}{does}\n" for name, (_, does) in part.items())
        for title, part in parts.items()
    )


def find_command(name: str) -> Command:
    """Import the module of a command.

    Raises:
        UsageError: it needs a library that is not installed.
    """
    try:
        command: Command = importlib.import_module(f"trimcp.cli.{COMMANDS[name][0]}").COMMANDS[name]
    except ModuleNotFoundError as exc:
        if name not in SIGNING:
            raise
        raise UsageError.not_installed(exc.name, "auth") from exc
    return command


def configure_command(command: Command, parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options and the help of a command to its parser."""
    command.configure(parser)
    if name != "demo":
        parser.add_argument("--log-level", choices=LEVELS, metavar="LEVEL", help=_LOG_LEVEL)
    if command.examples:
        parser.epilog = f"{parser.epilog or ''}\n\nexamples:\n{command.examples}".lstrip()
    if name in CLIENT or name in SIGNING:
        parser.epilog = f"{parser.epilog or ''}\n\n{exits.EXPLAINED}".lstrip()


def _run(name: str, rest: list[str], log_level: str | None) -> int:
    command = find_command(name)
    parser = argparse.ArgumentParser(
        prog=f"trimcp {name}",
        description=command.description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    configure_command(command, parser, name)
    # Behind `--` stands the command of a server with its options, or what a served file gets as `sys.argv`.
    at = rest.index("--") if "--" in rest else len(rest)
    options = parser.parse_intermixed_args(command.rewrite(rest[:at]))
    options.launched, options.parser = rest[at + 1 :] if at < len(rest) else None, parser
    options.given = rest
    options.log_level = log_level = getattr(options, "log_level", None) or log_level
    if log_level is not None:
        from trimcp.observability.log import set_level

        set_level(OWN_LEVELS.get(log_level, log_level))
    return command.run(options)
