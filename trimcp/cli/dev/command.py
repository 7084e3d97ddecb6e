"""`trimcp dev FILE[:NAME]`: serve a file again after each change, with the view and a client on the page.

Of a server that is started by a command, or that is reached by a URL, there is the client on the page alone.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import webbrowser
from typing import Final

import trio

from trimcp.cli import Command
from trimcp.cli import exit_codes as exits
from trimcp.cli.client_command import configure_connection, connection_settings, find_target, seconds, until_sigterm
from trimcp.cli.targets import split_name
from trimcp.errors import UsageError
from trimcp.observability.stderr import write_line
from trimcp.view.page_client.page_client import ClientTarget, PagePolicy

HOST: Final = "127.0.0.1"
GRACE: Final = "2"
"""Seconds that the requests of a process have to finish when a new one takes its place."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `dev`."""
    parser.usage = """\
trimcp dev FILE[:NAME] [--port PORT] [options] [-- WORD ...]
       trimcp dev TARGET [options]
       trimcp dev [options] -- COMMAND ..."""
    parser.epilog = """\
FILE is served at http://127.0.0.1:PORT/mcp, and again after each change of a Python file beside it. The page has the
view into it, and a client. A new process takes over when it listens; if it does not start, the one before goes on.
What follows -- is in sys.argv of FILE.

Of another TARGET (see trimcp list --help) and of COMMAND the page has a client alone."""
    parser.add_argument("words", nargs="*", metavar="FILE[:NAME]|TARGET", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=_port, default=8000, help="of the server; the default is 8000, 0 is any")
    parser.add_argument("--view-port", type=_port, metavar="PORT", help="of the page; the default is 8001")
    parser.add_argument("--no-browser", action="store_true", help="print the URL, and open no browser")
    parser.add_argument(
        "--reload-dir", action="append", default=[], metavar="DIR", help="look for changes in DIR as well"
    )
    parser.add_argument(
        "--one-process", action="store_true", help="end a process of FILE before the next one starts, not after"
    )
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="wait for each answer; the default is 60")
    configure_connection(parser)
    consent = parser.add_argument_group("consent, for servers that are not FILE")
    consent.add_argument("--ask", action="store_true", help="ask on the page before each call of a tool")
    consent.add_argument("--allow", action="append", default=[], metavar="PATTERN", help="call these tools unasked")
    consent.add_argument("--deny", action="append", default=[], metavar="PATTERN", help="never call these tools")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def dev(options: argparse.Namespace) -> int:
    """Serve until a signal arrives; return the exit code.

    Raises:
        UsageError: there is no such file, or a port is taken.
    """
    words = list(options.words)
    if len(words) > 1:
        options.parser.error(f"one FILE or TARGET is served, and {words[1]!r} is another one")
    run = functools.partial(_serve_target, options)
    if words and options.config is None and split_name(words[0])[0].lower().endswith(".py"):
        from trimcp.cli.reload.files import check_installed

        if sys.platform == "win32":
            raise UsageError("Windows shares no ports between processes: write trimcp dev -- python FILE")
        if not os.path.isfile(split_name(words[0])[0]):
            raise UsageError(f"there is no file {split_name(words[0])[0]}")
        check_installed()
        folders = [os.path.dirname(os.path.abspath(split_name(words[0])[0])), *options.reload_dir]
        run = functools.partial(_serve_file, options, words[0], folders)
    try:
        return exits.TERMINATED if trio.run(until_sigterm, run) is None else exits.OK
    except ImportError as exc:
        raise UsageError.not_installed(exc.name, "http") from exc


async def _serve_file(options: argparse.Namespace, word: str, folders: list[str]) -> None:
    from trimcp.cli.dev.desk import open_desk
    from trimcp.cli.dev.file_server import FileServer
    from trimcp.cli.reload.files import watch_files
    from trimcp.server.workers.port import SharedPort

    with SharedPort(HOST, options.port) as port, tempfile.TemporaryDirectory(prefix="trimcp-") as directory:
        number = port.address[1]
        url = f"http://{HOST}:{number}/mcp"
        target = ClientTarget(target=url, words=[word])
        send, receive = trio.open_memory_channel[str](1)
        async with trio.open_nursery() as nursery:
            desk, address = await nursery.start(open_desk, target, os.path.basename(word), options.view_port)
            await _show(address, options)
            await nursery.start(watch_files, folders, send)
            command, overlaps = _command(options, word, number), not options.one_process
            await FileServer(command, port, directory, desk, overlaps=overlaps).run(receive)


def _command(options: argparse.Namespace, word: str, port: int) -> list[str]:
    """Return the command of a process that serves the file, as the only worker at that time."""
    level = () if options.log_level is None else ("--log-level", options.log_level)
    command = [sys.executable, "-m", "trimcp", *level, "run", word, "--http", f"{HOST}:{port}", "--workers", "1"]
    command += ["--grace", GRACE, "--view", "--view-control"]
    return command if options.launched is None else [*command, "--", *options.launched]


async def _serve_target(options: argparse.Namespace) -> None:
    from trimcp.cli.consent_dialog import directory
    from trimcp.cli.dev.desk import open_desk
    from trimcp.cli.terminal import Terminal
    from trimcp.consent.rules import Rule

    terminal, words = Terminal(verbose=False), list(options.words)
    if options.log_level == "off":
        options.log_level = None
    found, configured = find_target(options, words, terminal)
    settings = connection_settings(options, terminal, found, configured)
    rules = [Rule("deny", tool=pattern) for pattern in options.deny]
    rules += [Rule("allow", tool=pattern) for pattern in options.allow]
    policy = PagePolicy(rules=rules, default="ask" if options.ask or options.allow else "allow", directory=directory())
    named = options.words or ["--", *options.launched]
    if options.config is not None:
        named = ["--config", options.config, *named]
    target = ClientTarget(target=found, words=named, settings=settings, policy=policy)
    async with trio.open_nursery() as nursery:
        _, address = await nursery.start(open_desk, target, " ".join(named).removeprefix("-- "), options.view_port)
        await _show(address, options)


async def _show(address: str, options: argparse.Namespace) -> None:
    write_line(f"trimcp: the view is at {address}")
    if not options.no_browser:
        await trio.to_thread.run_sync(webbrowser.open, address)


COMMANDS: Final = {
    "dev": Command(
        "Try out a server on a page in the browser, and serve its file again after each change.",
        configure,
        dev,
        """\
  trimcp dev server.py                               # served at http://127.0.0.1:8000/mcp
  trimcp dev server.py:notes --port 9000 --no-browser
  trimcp dev https://example.com/mcp --ask
  trimcp dev -- npx some-server --its-option""",
    )
}
