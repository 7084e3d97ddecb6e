"""`trimcp replay FILE`: send a recording to a server and show differences; `--serve`: answer clients as it says."""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.cli import Command
from trimcp.cli import exit_codes as exits
from trimcp.cli.bindings import Address, address
from trimcp.cli.client_command import WHERE, configure_connection, find_target, seconds, until_sigterm
from trimcp.cli.terminal import Terminal, print_json
from trimcp.errors import TrimcpError, UsageError
from trimcp.observability.stderr import write_line

if TYPE_CHECKING:
    from trimcp.cli.replay_report import SessionReport
    from trimcp.recording.connections import Connecting
    from trimcp.recording.filling import Fills
    from trimcp.recording.format import Recording
    from trimcp.recording.server import RecordedServer

TIMEOUT: Final = 30.0
"""Seconds to wait for an answer, beside the time that it took when it was recorded."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `replay`."""
    parser.usage = (
        "trimcp replay FILE TARGET [options]\n"
        "       trimcp replay FILE [options] -- COMMAND ...\n"
        "       trimcp replay FILE --serve [--http PORT] [--timing fast|as-recorded]"
    )
    parser.epilog = f"{WHERE}\n\n{exits.EXPLAINED}"
    parser.add_argument("file", metavar="FILE", help="a recording")
    parser.add_argument("words", nargs="*", metavar="TARGET", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help="answer clients as the recording says, on stdio")
    parser.add_argument("--http", type=address, metavar="HOST:PORT", help="with --serve: over HTTP, at /mcp")
    parser.add_argument(
        "--timing",
        choices=("fast", "as-recorded"),
        default="fast",
        help="send (with --serve: answer) at once, or at the recorded pace; the default is fast",
    )
    parser.add_argument(
        "--fill",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="what to send in the place of masks: NAME=@FILE, or NAME alone for the environment variable of that name",
    )
    comparing = parser.add_argument_group("comparing")
    comparing.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATH",
        help="values that may differ, such as $.result.content[0].text, $.result.tools[*].description, $..version",
    )
    comparing.add_argument("--session", type=int, metavar="N", help="replay only this session of the recording")
    comparing.add_argument(
        "--timeout",
        type=seconds,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"wait for an answer that much longer than it took when it was recorded; {TIMEOUT:g} if not given",
    )
    comparing.add_argument("--json", action="store_true", help="print the differences as JSON, on stdout")
    comparing.add_argument("-v", "--verbose", action="store_true", help="show the stderr of a server that is started")
    configure_connection(parser)


def replay(options: argparse.Namespace) -> int:
    """Run `replay`; return the exit code.

    Raises:
        UsageError: the file is no recording, or options do not go together.
    """
    from trimcp.recording.format import read_recording

    recording = read_recording(options.file)
    if recording.is_cut:
        Terminal().say(f"trimcp: the last line of {options.file} is incomplete, and is left out")
    if options.http is not None and not options.serve:
        raise UsageError("--http is where --serve listens: add --serve, or give the URL of the server as TARGET")
    fills = _fills(options.fill)
    if options.serve:
        return _serve(fills.filled(recording, "server"), options)
    return _compare(fills.filled(recording, "client"), options, fills)


def _fills(words: Sequence[str]) -> Fills:
    """Return the values in the place of masks.

    Raises:
        UsageError: there is no such file or variable, or a name is given twice.
    """
    from trimcp.cli.arguments import from_file, split
    from trimcp.codec.jsontext import InvalidJson, loads
    from trimcp.recording.filling import Fills

    values: dict[str, Any] = {}
    for word in words:
        if "=" not in word and word not in os.environ:
            raise UsageError(f"--fill {word}: the environment has no {word}: set it, or write {word}=@FILE")
        name, is_json, value = (word, False, os.environ[word]) if "=" not in word else split(word)
        if name in values:
            raise UsageError(f"--fill {name} is given more than once")
        text = value if "=" not in word else from_file(value).removesuffix("\n")
        try:
            values[name] = loads(text.encode()) if is_json else text
        except InvalidJson as exc:
            raise UsageError(f"--fill {name}: the value is not JSON: {exc.reason}") from None
    return Fills(values)


# --- as a mock ------------------------------------------------------------------------


def _serve(recording: Recording, options: argparse.Namespace) -> int:
    if options.words or options.launched:
        raise UsageError("--serve is the server itself: leave out the target")
    from trimcp.recording.server import RecordedServer

    server = RecordedServer(recording, timing=options.timing)
    serve = _serve_stdio if options.http is None else functools.partial(_serve_http, address=options.http)
    ended = trio.run(until_sigterm, functools.partial(serve, server))
    for request in server.unrecorded:
        Terminal().say(f"trimcp: {request['method']} was asked, and is not recorded with these params")
    return exits.TERMINATED if ended is None else ended


async def _serve_stdio(server: RecordedServer) -> int:
    from trimcp.transports.stdio import stdio_duplex

    await server.serve(stdio_duplex())
    return exits.OK


async def _serve_http(server: RecordedServer, address: Address) -> int:
    from trimcp.recording.http_server import serve_http

    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_http, server, address.host, address.port)
        write_line(f"trimcp: the recording is served on {url}; Ctrl-C ends it")
    return exits.OK


# --- against a server -----------------------------------------------------------------


def _compare(recording: Recording, options: argparse.Namespace, fills: Fills) -> int:
    from trimcp.cli.replay_report import counts_of, show_report, show_sum
    from trimcp.recording.differences import IgnoredPaths

    words = list(options.words)
    target, configured = find_target(options, words, Terminal())
    if words:
        raise UsageError(f"replay takes a FILE and one TARGET: remove {words[0]}")
    if options.transport == "sse" or options.revision is not None:
        raise UsageError("the recording decides on the revision: leave out --revision and --transport sse")
    ignored = IgnoredPaths(options.ignore)
    connecting = _connecting(target, options, configured)
    reports = trio.run(until_sigterm, functools.partial(_replay_all, recording, options, connecting, ignored, fills))
    if reports is None:
        return exits.TERMINATED
    counts = counts_of(reports)
    if options.json:
        print_json({"schema": 1, "sessions": [report.as_json() for report in reports], "counts": counts})
    else:
        for report in reports:
            show_report(report)
        show_sum(counts, sum(report.masked for report in reports))
    return exits.DIFFERENT if counts["different"] else exits.OK


def _connecting(target: object, options: argparse.Namespace, configured: dict[str, Any]) -> Connecting:
    from trimcp.cli.openers import headers_for, is_http, opener_for
    from trimcp.recording.connections import duplex_connection, http_connection

    if is_http(target):
        return functools.partial(http_connection, str(target), headers_for(options, configured))
    return functools.partial(duplex_connection, opener_for(target, options, configured))


async def _replay_all(
    recording: Recording, options: argparse.Namespace, connecting: Connecting, ignored: Any, fills: Fills
) -> list[SessionReport]:
    """Replay the sessions one after the other, each on a connection of its own."""
    from trimcp.cli.replay_report import SessionReport
    from trimcp.recording.differences import Comparison
    from trimcp.recording.replaying import Replay

    reports: list[SessionReport] = []
    for entries in recording.sessions():
        number = entries[0].session
        if options.session not in (None, number):
            continue
        session = Replay(entries, Comparison(ignored), timing=options.timing, timeout=options.timeout)
        try:
            async with connecting() as connection:
                await session.run(connection)
        except (UsageError, exits.Unreached):
            raise
        except TrimcpError as exc:
            raise exits.Unreached(str(exc)) from exc
        for step in session.steps:
            step.differences = [attrs.evolve(each, replayed=fills.hidden(each.replayed)) for each in step.differences]
        reports.append(SessionReport(number, session.steps, session.masked_answers))
    if options.session is not None and not reports:
        raise UsageError(f"{options.file} has no session {options.session}: leave out --session")
    if not any(report.compared for report in reports):
        raise UsageError(f"{options.file} has no request: record a session with one")
    return reports


COMMANDS: Final = {
    "replay": Command(
        "Send the requests of a recording to a server, and show where it does not do the same. With --serve:\n"
        "be a server that answers as recorded.",
        configure,
        replay,
        """\
  trimcp replay session.ndjson -- python server.py
  trimcp replay session.ndjson http://127.0.0.1:8000/mcp --ignore '$..serverInfo.version'
  trimcp replay session.ndjson server.py --fill password=@password.txt --json
  trimcp replay session.ndjson --serve                    # the server of a host's tests, over stdio
  trimcp replay session.ndjson --serve --http 8001        # the same, at http://127.0.0.1:8001/mcp""",
    )
}
