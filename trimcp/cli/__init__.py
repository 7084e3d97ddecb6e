"""The command line: `trimcp run` serves, `list`, `call`, `read` and their like are a client, `demo` shows both.

This finds the command and ends the process. Each command is a module that is imported when it is
asked for, so that none costs more to start than it must.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final, Protocol, cast

import trimcp
from trimcp.cli import exits
from trimcp.errors import TrimcpError

LEVELS: Final = ("debug", "info", "warning", "error", "off")


class Command(Protocol):
    """A module that has a command."""

    DESCRIPTION: str
    """What it does, for its help."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments."""
        ...

    def command(self, options: argparse.Namespace) -> int:
        """Run it; return the exit code."""
        ...


SERVING: Final = {
    "run": ("run", "serve the server object in a file: over stdio, HTTP or WebSocket"),
}
ASKING: Final = {
    "list": ("listing", "show what a server offers"),
    "call": ("calling", "call a tool"),
    "read": ("reading", "read a resource"),
    "prompt": ("prompting", "get the messages of a prompt"),
    "complete": ("completing", "ask how an argument of a prompt or template may go on"),
    "listen": ("listening", "show changes and log messages as they come"),
    "ping": ("pinging", "see whether a server is there, and how fast it answers"),
}
SHOWING: Final = {
    "demo": ("demo", "see a server and a client at work, on this terminal"),
}
COMMANDS: Final = {**SERVING, **ASKING, **SHOWING}
"""Each command: the module that has it, and what it does."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process, with one of the codes in `trimcp.cli.exits`.

    Args:
        arguments: those of the process, if not given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    general, rest = _split(words)
    options = _parser().parse_args(general)
    code = exits.FAILED
    try:
        code = _run(options.name, rest, options.log_level)
    except* KeyboardInterrupt:
        code = exits.INTERRUPTED
    except* BrokenPipeError:
        code = exits.unread()
    except* TrimcpError as group:
        # By `except*`, since what fails in a nursery arrives in a group.
        code = exits.told(group)
    sys.exit(code)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """All up to the name of the command, and all that follows it."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] == "--log-level" else 1
    return words[: at + 1], words[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trimcp",
        usage="trimcp [--log-level LEVEL] COMMAND ...",
        description="The Model Context Protocol on Trio.",
        epilog=_commands() + "\ntrimcp COMMAND --help says more.\n\n" + exits.EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="COMMAND", choices=list(COMMANDS), help="one of the commands below")
    parser.add_argument("--log-level", metavar="LEVEL", choices=LEVELS, help=f"what trimcp logs: {', '.join(LEVELS)}")
    parser.add_argument("--version", action="version", version=f"trimcp {trimcp.__version__}")
    return parser


def _commands() -> str:
    parts = {"serving": SERVING, "a client": ASKING, "and": SHOWING}
    return "".join(
        f"{title}:\n" + "".join(f"  {name:<10}{does}\n" for name, (_, does) in part.items())
        for title, part in parts.items()
    )


def _run(name: str, rest: list[str], log_level: str | None) -> int:
    module = cast("Command", importlib.import_module(f"trimcp.cli.{COMMANDS[name][0]}"))
    parser = argparse.ArgumentParser(
        prog=f"trimcp {name}",
        description=module.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    launched: list[str] | None = None
    if name in ASKING:
        # What follows is the command of a server, whose options are its own.
        if "--" in rest:
            at = rest.index("--")
            rest, launched = rest[:at], rest[at + 1 :]
        parser.epilog = f"{parser.epilog or ''}\n\n{exits.EXPLAINED}".lstrip()
        options = parser.parse_intermixed_args(rest)
        options.launched, options.parser = launched, parser
    else:
        options = parser.parse_args(rest)
    if log_level is not None:
        from trimcp.observability.log import set_level

        set_level(log_level)
    return module.command(options)
