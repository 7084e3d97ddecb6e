"""The frame of the client commands: their common options, and the client that they work with.

`client_command` makes a `Command` of a function; `run_client` connects, calls the function and
disconnects.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import trio

import trimcp
from trimcp.actors.containment import run_watched, unwrapped
from trimcp.cli import Command, recorded
from trimcp.cli import exit_codes as exits
from trimcp.cli.arguments import did_you_mean
from trimcp.cli.targets import target_of
from trimcp.cli.terminal import Terminal, print_json
from trimcp.errors import RequestTimedOut, TrimcpError, UsageError
from trimcp.types.revisions import BY_VERSION

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.notifications.notices import Notices

T = TypeVar("T")

NAMING: Final = ("call", "read", "prompt")
"""The commands whose first word after TARGET is the tool, the URI or the prompt."""
MOST: Final = 600.0
"""Seconds that a call may take in all, unless `--timeout` is longer."""

WHERE: Final = """\
TARGET is a URL (http, https, ws, wss, tcp://HOST:PORT, unix:PATH), the path of a script, FILE.py:NAME,
or a name in the file of --config. In place of TARGET, the command of a server may stand at the end,
after `--`, with options of its own: -- npx some-server --its-option"""


@attrs.frozen
class CommandRun:
    """Holds one run of a client command: the connected client, the terminal, the options."""

    client: Client
    terminal: Terminal
    options: argparse.Namespace
    words: list[str]
    """The positional arguments after TARGET."""

    @property
    def server_name(self) -> str:
        """Name and version of the server, for people."""
        info = self.client.server_info
        return "a server without a name" if info is None else f"{info.name} {info.version}"

    def wire(self, value: Any) -> Any:
        """Return an object of `trimcp.types` in its wire form."""
        from trimcp.codec.revisions import codec_for

        return codec_for(BY_VERSION[self.client.protocol_version]).unstructure(value)


Work = Callable[[CommandRun], Awaitable[int]]
"""The work of a client command; returns the exit code."""


def client_command(
    description: str,
    words: str,
    work: Work,
    *,
    json: str = "print the result as JSON",
    configure: Callable[[argparse.ArgumentParser], None] | None = None,
    shows_logs: bool = True,
    actions: Sequence[str] = (),
    examples: str = "",
) -> Command:
    """Make a client command.

    Args:
        description: the text of its help.
        words: the arguments after TARGET, for its usage.
        work: its work.
        json: the help of `--json`.
        configure: adds the options that only this command has.
        shows_logs: whether log messages of the server are shown beside it, on demand.
        actions: the words of which one stands before TARGET, if any.
        examples: lines of examples for its help, each indented.
    """

    def configure_all(parser: argparse.ArgumentParser) -> None:
        _configure(parser, words, json, actions)
        if configure is not None:
            configure(parser)

    return Command(
        description,
        configure_all,
        lambda options: run_client(options, work, shows_logs=shows_logs, actions=actions),
        examples,
    )


def _configure(parser: argparse.ArgumentParser, words: str, json: str, actions: Sequence[str]) -> None:
    name = f"{parser.prog} {'|'.join(actions)}" if actions else parser.prog
    parser.usage = f"{name} TARGET {words}[options]\n       {name} {words}[options] -- COMMAND ..."
    parser.epilog = WHERE
    parser.add_argument("words", nargs="*", metavar=f"TARGET {words}".strip(), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=f"{json}, on stdout")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="wait for each answer; the default is 60")
    parser.add_argument("-v", "--verbose", action="store_true", help="show connection and progress on stderr")
    configure_connection(parser)
    asked = parser.add_argument_group("answers to the server")
    asked.add_argument(
        "--root", action="append", default=[], metavar="DIR", help="a root: a folder that the server may work in"
    )
    asked.add_argument("--answers", metavar="FILE", help="a JSON file with answers to its forms, in place of a person")
    recorded.add_option(parser)
    consent = parser.add_argument_group("consent")
    consent.add_argument("--ask", action="store_true", help="ask before each call of a tool, and what the server wants")
    consent.add_argument("--allow", action="append", default=[], metavar="PATTERN", help="call these tools unasked")
    consent.add_argument("--deny", action="append", default=[], metavar="PATTERN", help="never call these tools")


def configure_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to reach the server."""
    where = parser.add_argument_group("the connection")
    where.add_argument("--config", metavar="FILE", help="a JSON file with mcpServers; TARGET is a name in it")
    where.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="a header field to send")
    where.add_argument("--transport", choices=("http", "sse"), help="the transport of an http URL; detected by default")
    where.add_argument(
        "--revision", choices=list(BY_VERSION), metavar="DATE", help="the only protocol revision to speak"
    )
    where.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an environment variable for a server's command",
    )
    where.add_argument("--inherit-env", action="store_true", help="pass this whole environment to a command")
    where.add_argument("--cwd", metavar="DIR", help="the working directory of a command")


def seconds(text: str) -> float:
    """Parse the seconds of an option: a number above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def times(text: str) -> int:
    """Parse the count of an option: an integer from 1 on."""
    if not text.isdecimal() or int(text[:10]) < 1:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not an integer from 1 on")
    return int(text[:10])


def run_client(options: argparse.Namespace, work: Work, *, shows_logs: bool, actions: Sequence[str] = ()) -> int:
    """Connect, do the work, and disconnect; return the exit code."""
    recorded.check(options)
    if options.log_level == "off":
        options.log_level = None
    options.shows_logs = shows_logs and options.log_level is not None
    words = list(options.words)
    if actions:
        options.action = words.pop(0) if words else ""
        if options.action not in actions:
            options.parser.error(f"the first argument is one of {', '.join(actions)}")
    terminal = Terminal(verbose=options.verbose)
    target, more = find_target(options, words, terminal)
    code = exits.FAILED
    try:
        ended = trio.run(until_sigterm, partial(_run, options, words, terminal, target, more, work))
        code = exits.TERMINATED if ended is None else ended
    except* TrimcpError as group:
        code = exits.report(group, words[0] if words and options.parser.prog.split()[-1] in NAMING else "")
        if options.json:
            print_json(exits.as_json(next(exits.failures(group))))
    return code


async def until_sigterm(run: Callable[[], Awaitable[T]]) -> T | None:
    """Run a command; on SIGTERM leave it, which ends the server that it has started, and return None."""
    return await run_watched(_cancel_on_sigterm, run)


async def _cancel_on_sigterm(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as received:
        task_status.started()
        async for _ in received:
            scope.cancel()


async def _run(
    options: argparse.Namespace,
    words: list[str],
    terminal: Terminal,
    target: object,
    more: dict[str, Any],
    work: Work,
) -> int:
    settings = _settings(options, terminal, target, more)
    async with contextlib.AsyncExitStack() as stack:
        if options.record is not None:
            from trimcp.recording.writer import RecordingWriter

            writer = RecordingWriter(options.record, overwrite=options.overwrite, most_bytes=options.max_size)
            settings["tap"] = stack.enter_context(writer)
        connecting = trimcp.connect(target, **settings)
        try:
            client = await stack.enter_async_context(connecting)
        except (UsageError, RequestTimedOut):
            raise
        except TrimcpError as exc:
            raise exits.Unreached(str(exits.refusal_in(exc) or exc)) from exc
        run = CommandRun(client, terminal, options, words)
        info = client.server_info
        if info is not None:
            terminal.peer = info.title or info.name
        if options.verbose:
            terminal.say(
                f"connected: {run.server_name} speaks {client.protocol_version} ({client.session.description})"
            )
        if options.shows_logs:
            await stack.enter_async_context(_logs_shown(client, terminal))
        return await work(run)


@contextlib.asynccontextmanager
async def _logs_shown(client: Client, terminal: Terminal) -> AsyncIterator[None]:
    """Show the server's log messages while the context lasts, all that have arrived included."""
    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            with block:
                async with contextlib.AsyncExitStack() as stack:
                    notices = await stack.enter_async_context(client.notices())
                    # It goes on after the context is left, until all messages that arrived are shown.
                    nursery.start_soon(_show_logs, notices, terminal)
                    yield


async def _show_logs(notices: Notices, terminal: Terminal) -> None:
    from trimcp.client.notifications.notices import LogMessage

    with contextlib.suppress(TrimcpError):  # the calls report the end of the connection
        async for notice in notices:
            if isinstance(notice, LogMessage):
                terminal.say(log_line(notice.level, notice.logger, notice.data))


def log_line(level: str, logger: str | None, data: Any) -> str:
    """Return a log message as one line."""
    from trimcp.codec.jsontext import dumps

    text = data if isinstance(data, str) else dumps(data).decode()
    return f"{level:<9} {f'{logger}: ' if logger else ''}{text}"


# --- the options ------------------------------------------------------------------------


def find_target(options: argparse.Namespace, words: list[str], terminal: Terminal) -> tuple[object, dict[str, Any]]:
    """Return the target and its configured options; removes TARGET from the words."""
    if options.launched is not None:
        if not options.launched:
            raise UsageError("nothing follows --: write the command of a server behind it")
        return options.launched, {}
    if not words:
        options.parser.error("the following arguments are required: TARGET")
    target = words.pop(0)
    return (target_of(target), {}) if options.config is None else _configured(options.config, target, terminal)


def _configured(path: str, name: str, terminal: Terminal) -> tuple[object, dict[str, Any]]:
    from trimcp.cli.stored_sign_in import configured_sign_in
    from trimcp.client.configuration import load_configuration

    found = load_configuration(path, sign_in=partial(configured_sign_in, terminal)).servers.values()
    servers = {server.name: server for server in found} | {server.key: server for server in found}
    if name not in servers:
        raise UsageError(f"{path} has no server {name}{did_you_mean(name, [server.key for server in found])}")
    return servers[name].target, dict(servers[name].options)


def _settings(
    options: argparse.Namespace, terminal: Terminal, target: object, configured: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of `trimcp.connect`: those of the connection, and answers to the server."""
    from trimcp.cli.elicitation import answerer_of

    settings = connection_settings(options, terminal, target, configured)
    answerer = answerer_of(options, terminal)
    if answerer is not None:
        settings |= {"elicitation": answerer.fill_in, "visit": answerer.visit}
    if options.ask or options.allow or options.deny:
        from trimcp.cli.consent_dialog import policy_of

        settings["consent"] = policy_of(options, terminal)
    given = {"log_level": options.log_level, "roots": options.root}
    return settings | {name: value for name, value in given.items() if value}


def connection_settings(
    options: argparse.Namespace, terminal: Terminal, target: object, configured: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of `trimcp.connect` for the connection: the configuration, overridden by the options."""
    from trimcp.cli.stored_sign_in import sign_in_for
    from trimcp.client.requests import Timeouts

    settings: dict[str, Any] = {"name": "trimcp-cli", "version": trimcp.__version__, **configured}
    timeout: float | None = options.timeout
    if timeout is not None:
        settings["timeouts"] = Timeouts(request=timeout, most=max(MOST, timeout), probe=timeout)
    given = {
        "revision": options.revision,
        "inherit_env": options.inherit_env,
        "cwd": options.cwd,
        "transport": options.transport,
    }
    settings |= {name: value for name, value in given.items() if value}
    headers = headers_of(options.header)
    env = dict(pair(variable, "=", "--env takes NAME=VALUE") for variable in options.env)
    for name, pairs in (("headers", headers), ("env", env)):
        if pairs:
            settings[name] = {**(settings.get(name) or {}), **pairs}
    if any(name.lower() == "authorization" for name in headers):
        settings.pop("auth", None)  # the option goes before the configuration
    auth = sign_in_for(target, settings, terminal)
    if auth is not None:
        settings["auth"] = auth
    return settings


def headers_of(given: Sequence[str]) -> dict[str, str]:
    """Return the header fields that options `--header` give."""
    return dict(pair(header, ":", "--header takes NAME: VALUE") for header in given)


def pair(text: str, mark: str, expected: str) -> tuple[str, str]:
    """Parse the value of an option that has a name and a value.

    Raises:
        UsageError: it has not both.
    """
    name, found, value = text.partition(mark)
    if not found or not name.strip():
        raise UsageError(f"{expected}, not {name[:40]!r}")  # the rest may be secret
    return name.strip(), value.strip() if mark == ":" else value
