"""What the client commands have in common: where to, with which options, and a client at the end of it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

import trimcp
from trimcp.cli import exits
from trimcp.cli.printing import print_json
from trimcp.cli.terminal import Terminal
from trimcp.cli.values import did_you_mean
from trimcp.errors import RequestTimedOut, TrimcpError, UsageError
from trimcp.types.revisions import BY_VERSION

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.notices import Notices

PROBE: Final = 10.0
"""Seconds to find out what a server speaks, if `--timeout` is no shorter."""
MOST: Final = 600.0
"""Seconds that a call may take in all, if `--timeout` is no longer."""
LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

WHERE: Final = """\
TARGET is a URL (http, https, ws, wss, tcp://HOST:PORT, unix:PATH), the path of a script, or a name in
the file of --config. In place of TARGET, a server's command may follow at the end:

  trimcp list -- npx some-server --its-option"""


@attrs.frozen
class Visit:
    """One client command at work."""

    client: Client
    terminal: Terminal
    options: argparse.Namespace
    words: list[str]
    """The positional arguments after TARGET."""

    def wire(self, value: Any) -> Any:
        """An object of trimcp's types as it stands on the wire."""
        from trimcp.codec.revisions import codec_for

        return codec_for(BY_VERSION[self.client.protocol_version]).unstructure(value)


Work = Callable[[Visit], Awaitable[int]]


def configure(parser: argparse.ArgumentParser, words: str, *, json: str = "print the result as JSON") -> None:
    """Add what all client commands take.

    Args:
        parser: of the command.
        words: what follows TARGET, for its usage.
        json: what `--json` does.
    """
    name = parser.prog
    parser.usage = f"{name} TARGET {words}[options]\n       {name} {words}[options] -- COMMAND ..."
    parser.epilog = WHERE
    parser.add_argument("words", nargs="*", metavar=f"TARGET {words}".strip(), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=f"{json}, on stdout")
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="to wait for each answer; 60, if not given")
    parser.add_argument("-v", "--verbose", action="store_true", help="say on stderr who is spoken to, and more")
    parser.add_argument("--log-level", choices=LEVELS, metavar="LEVEL", help="show what the server logs, from here on")
    where = parser.add_argument_group("the connection")
    where.add_argument("--config", metavar="FILE", help="a JSON file with mcpServers, which TARGET is a name in")
    where.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="to send with HTTP")
    where.add_argument("--transport", choices=("http", "sse"), help="what an http URL speaks; found out, if not given")
    where.add_argument("--revision", choices=list(BY_VERSION), metavar="DATE", help="the protocol's, to insist on")
    where.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for a server's command")
    where.add_argument("--inherit-env", action="store_true", help="give a command all of this environment")
    where.add_argument("--cwd", metavar="DIR", help="where a command runs")
    asked = parser.add_argument_group("what the server may ask")
    asked.add_argument("--root", action="append", default=[], metavar="DIR", help="a folder that it may work in")
    asked.add_argument("--answers", metavar="FILE", help="a JSON file that answers its forms, rather than a person")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds


def times(text: str) -> int:
    """How often, as an option says it."""
    if not text.isdecimal() or int(text[:10]) < 1:
        raise argparse.ArgumentTypeError(f"{text[:40]} is no number from 1 on")
    return int(text[:10])


def visit(options: argparse.Namespace, work: Work, *, shows_logs: bool = True) -> int:
    """Connect, do the work, and leave; return the exit code.

    Args:
        options: of the command line.
        work: what is done with the client.
        shows_logs: whether log messages are shown beside it, where they are asked for.
    """
    options.shows_logs = shows_logs and options.log_level is not None
    words = list(options.words)
    target, more = _target(options, words)
    code = exits.FAILED
    try:
        code = trio.run(_visit, options, words, target, more, work)
    except* TrimcpError as group:
        code = exits.told(group)
        if options.json:
            print_json(exits.as_json(next(exits.failures(group))))
    return code


async def _visit(
    options: argparse.Namespace, words: list[str], target: object, more: dict[str, Any], work: Work
) -> int:
    terminal = Terminal(verbose=options.verbose)
    connecting = trimcp.connect(target, **_settings(options, terminal, more))
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(connecting)
        except (UsageError, RequestTimedOut):
            raise
        except TrimcpError as exc:
            raise exits.Unreached(str(exc)) from exc
        info = client.server_info
        if info is not None:
            terminal.peer = info.title or info.name
        if options.verbose:
            name = "a server without a name" if info is None else f"{info.name} {info.version}"
            terminal.say(f"connected: {name} speaks {client.protocol_version} ({client.session.description})")
        if options.shows_logs:
            await stack.enter_async_context(_logs_shown(client, terminal))
        return await work(Visit(client, terminal, options, words))


@contextlib.asynccontextmanager
async def _logs_shown(client: Client, terminal: Terminal) -> AsyncIterator[None]:
    """Show the server's log messages on the side, until the last that has come."""
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            async with contextlib.AsyncExitStack() as stack:
                notices = await stack.enter_async_context(client.notices())
                # It reads on after the context is left, until what has come is shown.
                nursery.start_soon(_show_logs, notices, terminal)
                yield
        except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001
            failure = exc  # leaves below as itself, rather than in a group
    if failure is not None:
        raise failure


async def _show_logs(notices: Notices, terminal: Terminal) -> None:
    from trimcp.client.notices import LogMessage

    with contextlib.suppress(TrimcpError):  # the end of the connection is told by the calls
        async for notice in notices:
            if isinstance(notice, LogMessage):
                terminal.say(log_line(notice.level, notice.logger, notice.data))


def log_line(level: str, logger: str | None, data: Any) -> str:
    """A log message as one line."""
    from trimcp.codec.jsontext import dumps

    said = data if isinstance(data, str) else dumps(data).decode()
    return f"{level:<9} {f'{logger}: ' if logger else ''}{said}"


# --- what the options say -------------------------------------------------------------


def _target(options: argparse.Namespace, words: list[str]) -> tuple[object, dict[str, Any]]:
    """What to connect to, and what its configuration says of it; a TARGET is taken from the words."""
    if options.launched is not None:
        if not options.launched:
            raise UsageError("after -- the command of a server is expected")
        return options.launched, {}
    if not words:
        options.parser.error("the following arguments are required: TARGET")
    target = words.pop(0)
    return (target, {}) if options.config is None else _configured(options.config, target)


def _configured(path: str, name: str) -> tuple[object, dict[str, Any]]:
    from trimcp.client.configuration import load_configuration

    found = load_configuration(path).servers.values()
    servers = {server.name: server for server in found} | {server.key: server for server in found}
    if name not in servers:
        raise UsageError(f"{path} has no server {name}{did_you_mean(name, [server.key for server in found])}")
    return servers[name].target, dict(servers[name].options)


def _settings(options: argparse.Namespace, terminal: Terminal, configured: Mapping[str, Any]) -> dict[str, Any]:
    """What `trimcp.connect` is told: by the configuration, and by the options, which go before it."""
    from trimcp.cli.asked import Asked
    from trimcp.client.client import Timeouts

    settings: dict[str, Any] = {"name": "trimcp-cli", "version": trimcp.__version__, **configured}
    timeout: float | None = options.timeout
    if timeout is not None:
        settings["timeouts"] = Timeouts(request=timeout, most=max(MOST, timeout), probe=min(PROBE, timeout))
    asked = Asked.of(options, terminal)
    if asked is not None:
        settings |= {"elicitation": asked.fill_in, "visit": asked.visit}
    given = {
        "revision": options.revision,
        "log_level": options.log_level,
        "roots": options.root,
        "inherit_env": options.inherit_env,
        "cwd": options.cwd,
        "transport": options.transport,
    }
    settings |= {name: value for name, value in given.items() if value}
    headers = dict(_pair(header, ":", "--header is NAME: VALUE") for header in options.header)
    env = dict(_pair(variable, "=", "--env is NAME=VALUE") for variable in options.env)
    for name, pairs in (("headers", headers), ("env", env)):
        if pairs:
            settings[name] = {**(settings.get(name) or {}), **pairs}
    return settings


def _pair(text: str, mark: str, expected: str) -> tuple[str, str]:
    name, found, value = text.partition(mark)
    if not found or not name.strip():
        raise UsageError(f"{expected}, and {name[:40]!r} is not")  # the rest may be secret
    return name.strip(), value.strip() if mark == ":" else value
