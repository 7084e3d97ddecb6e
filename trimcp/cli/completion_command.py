"""`trimcp completion SHELL`, and what the shell then asks for: commands, options, servers, tools, arguments.

argcomplete reads the command line as the shell has it. Commands and options come from the parsers. The names of servers
come from the file of `--config`; tools, prompts, resources and arguments from the server itself, which is asked only if
it is in that file, or at a URL: no other program is started by the Tab key.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from trimcp.cli import COMMANDS as ALL
from trimcp.cli import Command, configure_command, find_command, general_parser
from trimcp.cli import exit_codes as exits
from trimcp.errors import TrimcpError, UsageError

SHELLS: Final = ("bash", "zsh", "fish")
_CONFIG: Final = re.compile(r" --config[ =](\S+)(?= )")
PATIENCE: Final = 5.0
"""Seconds that a server has, since a person waits."""
NAMED: Final = {"call": "tools", "prompt": "prompts", "read": "resources"}
"""The list that the word behind TARGET is from."""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def _completion(options: argparse.Namespace) -> int:
    try:
        from argcomplete.shell_integration import shellcode
    except ModuleNotFoundError as exc:
        raise UsageError.not_installed("argcomplete", "completion") from exc
    print(shellcode(["trimcp"], shell=options.shell))
    return exits.OK


# --- what the shell asks for ------------------------------------------------------------


def complete() -> None:
    """Answer the question of a shell, and end the process. Without argcomplete there is no answer."""
    try:
        import argcomplete
    except ModuleNotFoundError:
        sys.exit(exits.FAILED)
    line = os.environ.get("COMP_LINE", "")
    name = next((word for word in line.split()[1:] if word in ALL), None)
    if name is not None and os.environ.get("COMP_POINT") == str(len(line.encode())):
        os.environ["COMP_LINE"] = _with_config_first(line, name)
    argcomplete.autocomplete(_parser(name), always_complete_options=False)


def _with_config_first(line: str, command: str) -> str:
    """Move `--config FILE` behind the command: argcomplete takes words on both sides of an option for two groups."""
    found = _CONFIG.search(line)
    if found is None:
        return line
    before, _, rest = (line[: found.start()] + line[found.end() :]).partition(f" {command} ")
    return f"{before} {command} --config {found.group(1)} {rest}"


def _parser(name: str | None) -> argparse.ArgumentParser:
    """Return a parser of the whole line.

    Only the command in it has its options, as only its module is imported.
    """
    parser = general_parser()
    commands = parser.add_subparsers(metavar="COMMAND")
    for each in ALL:
        inner = commands.add_parser(each)
        if each == name:
            with contextlib.suppress(UsageError):
                configure_command(find_command(each), inner, each)
            for action in inner._actions:
                if action.dest == "words":
                    action.completer = Words(each)  # type: ignore[attr-defined]
                elif action.dest == "host":
                    action.completer = _hosts  # type: ignore[attr-defined]
    return parser


class Words:
    """Completes what follows the name of a client command: TARGET, then a name, then `NAME=VALUE`."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __call__(self, prefix: str, parsed_args: argparse.Namespace, **others: Any) -> Iterable[str]:
        """Return the candidates for a word; see argcomplete."""
        words = [word for word in getattr(parsed_args, "words", None) or [] if word != prefix]
        config: str | None = parsed_args.config
        if not words:
            return _servers(config) if config is not None else _files(prefix)
        if self._command not in NAMED and self._command != "list":
            return []
        if self._command == "list":
            from trimcp.cli.list_command import KINDS

            return KINDS
        target = words[0]
        if config is None and "://" not in target:
            return []
        with contextlib.suppress(TrimcpError, OSError):
            return _from_server(self._command, target, parsed_args, words[1:])
        return []


def _hosts(**others: Any) -> Iterable[str]:
    from trimcp.cli.install.hosts import HOSTS

    return HOSTS


def _servers(config: str) -> list[str]:
    """Return the names in a configuration file."""
    from trimcp.client.configuration import load_configuration

    with contextlib.suppress(TrimcpError):
        return [server.key for server in load_configuration(config).servers.values()]
    return []


def _files(prefix: str) -> Iterator[str]:
    """Yield scripts and folders that begin so."""
    folder, _, start = prefix.rpartition("/")
    place = f"{folder}/" if folder or prefix.startswith("/") else ""
    with contextlib.suppress(OSError):
        for entry in os.scandir(place or "."):
            if entry.name.startswith(start) and (start.startswith(".") or not entry.name.startswith(".")):
                if entry.is_dir():
                    yield f"{place}{entry.name}/"
                elif entry.name.endswith((".py", ".js", ".mjs", ".sh")):
                    yield f"{place}{entry.name}"


def _from_server(command: str, target: str, options: argparse.Namespace, words: list[str]) -> list[str]:
    """Ask a server for names, or for the arguments of a name.

    Raises:
        TrimcpError: it cannot be reached in time.
    """
    import trio

    return trio.run(_ask, command, target, options, words)


async def _ask(command: str, target: str, options: argparse.Namespace, words: list[str]) -> list[str]:
    import trio

    import trimcp
    from trimcp.client.configuration import load_configuration

    where: object = target
    settings: dict[str, Any] = {}
    if options.config is not None:
        found = {server.key: server for server in load_configuration(options.config).servers.values()}
        if target not in found:
            return []
        where, settings = found[target].target, dict(found[target].options)
    with trio.move_on_after(PATIENCE):
        async with trimcp.connect(where, **settings, on_stderr=lambda line: None) as client:
            if command == "read":
                return [resource.uri for resource in await client.list_resources()]
            items: list[Any] = await (client.list_tools() if command == "call" else client.list_prompts())
            if not words:
                return [item.name for item in items]
            for item in items:
                if item.name == words[0]:
                    given = {word.partition("=")[0].rstrip(":") for word in words[1:]}
                    return list(_arguments(command, item, given))
    return []


def _arguments(command: str, item: Any, given: set[str]) -> Iterator[str]:
    """Yield `NAME=` for each argument that is not given, and `NAME=VALUE` for the values that a schema lists."""
    if command == "prompt":
        yield from (f"{each.name}=" for each in item.arguments or () if each.name not in given)
        return
    properties = item.input_schema.get("properties")
    for name, schema in properties.items() if isinstance(properties, Mapping) else ():
        is_array = isinstance(schema, Mapping) and schema.get("type") == "array"
        if name in given and not is_array:
            continue
        listed = schema.get("enum") if isinstance(schema, Mapping) else None
        if isinstance(schema, Mapping) and schema.get("type") == "boolean":
            listed = ["true", "false"]
        yield from (f"{name}={value}" for value in listed) if listed else [f"{name}="]


COMMANDS: Final = {
    "completion": Command(
        "Print what makes a shell complete commands, options, servers of a file, and their tools and arguments.",
        _configure,
        _completion,
        """\
  source <(trimcp completion bash)                      # or in ~/.bashrc
  trimcp completion zsh > ~/.zfunc/_trimcp
  trimcp completion fish > ~/.config/fish/completions/trimcp.fish""",
    )
}
