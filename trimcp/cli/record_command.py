"""`trimcp record FILE`: stand between a client and a server, pass everything on, and write each message to FILE."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import trio

from trimcp.cli import Command, bindings, recorded
from trimcp.cli import exit_codes as exits
from trimcp.cli.client_command import until_sigterm
from trimcp.errors import UsageError
from trimcp.observability.stderr import write_line

if TYPE_CHECKING:
    from trimcp.recording.writer import RecordingWriter


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `record`."""
    parser.usage = "trimcp record FILE [options] -- COMMAND ...\n       trimcp record FILE URL --http PORT [options]"
    parser.epilog = """\
Put the first form into the configuration of an editor or another host, in the place of COMMAND. It
passes all bytes on as they are, in both directions, and ends with the exit code of COMMAND.

The second form listens on HTTP, and passes each request on to the server at URL.

Secrets are masked. FILE has mode 0600, and must not exist."""
    parser.add_argument("file", metavar="FILE", help="the recording, as lines of JSON")
    parser.add_argument("url", metavar="URL", nargs="?", help="a server that is reached by Streamable HTTP")
    parser.add_argument(
        "--http", type=bindings.address, metavar="HOST:PORT", help="where to listen for the clients of URL"
    )
    recorded.configure(parser)


def record(options: argparse.Namespace) -> int:
    """Run `record`; return the exit code.

    Raises:
        UsageError: no command, or a file that cannot be made.
    """
    from trimcp.recording.writer import RecordingWriter

    writer = RecordingWriter(options.file, overwrite=options.overwrite, most_bytes=options.max_size)
    if options.url is None and options.launched:
        if options.http is not None:
            raise UsageError("--http is for a server at a URL: leave it out, and the server's command is on stdio")
        with writer:
            return trio.run(_relay, options.launched, writer)
    if options.url is None or options.http is None or options.launched:
        raise UsageError("no server to record: write `trimcp record FILE -- COMMAND` or `… FILE URL --http PORT`")
    with writer:
        ended = trio.run(until_sigterm, functools.partial(_proxy, options, writer))
    return exits.OK if ended is None else ended


async def _relay(command: Sequence[str], writer: RecordingWriter) -> int:
    from trimcp.recording.relay import relay
    from trimcp.transports.stdio import stdio_stream

    return await relay(command, stdio_stream(), writer.connection())


async def _proxy(options: argparse.Namespace, writer: RecordingWriter) -> int:
    from trimcp.recording.http_proxy import RecordingProxy

    async with trio.open_nursery() as nursery:
        proxy = RecordingProxy(options.url, writer)
        url = await nursery.start(proxy.serve, options.http.host, options.http.port)
        write_line(f"trimcp: recording {url}, for {options.url}, to {options.file}; Ctrl-C ends it")
    return exits.OK


COMMANDS: Final = {
    "record": Command(
        "Pass all messages on between a client and a server, and write them to a file.",
        configure,
        record,
        """\
  trimcp record session.ndjson -- python server.py        # a server over stdio, for a host
  trimcp record session.ndjson --overwrite --max-size 20M -- npx some-server
  trimcp record session.ndjson https://example.com/mcp --http 8001    # clients connect to port 8001""",
    )
}
