"""The command line: `trimcp run FILE[:NAME]` and `trimcp demo`.

Each command is a module that is imported when it is asked for, so that serving a file costs no
more to start than it must.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

import trimcp
from trimcp.errors import TrimcpError, UsageError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process.

    Exits with what the command returns; 2 for a mistake in how it was called, 1 where it failed
    otherwise, 130 after Ctrl-C.

    Args:
        arguments: those of the process, if not given.
    """
    options = _parser().parse_args(arguments)
    code = EXIT_FAILED
    try:
        code = options.command(options)
    except* KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except* TrimcpError as group:
        # By `except*`, since what fails in a nursery arrives in a group.
        usage, others = group.split(UsageError)
        code = EXIT_USAGE if others is None else EXIT_FAILED
        for exc in (*_each(usage), *_each(others)):
            print(f"trimcp: {exc}", file=sys.stderr)
    sys.exit(code)


def _each(group: BaseExceptionGroup[TrimcpError] | None) -> Iterator[BaseException]:
    for exc in () if group is None else group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _each(exc)
        else:
            yield exc


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trimcp", description="The Model Context Protocol on Trio.")
    parser.add_argument(
        "--log-level", choices=["debug", "info", "warning", "error", "off"], help="what to log on stderr"
    )
    parser.add_argument("--version", action="version", version=f"trimcp {trimcp.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="serve the server object in a file, over stdio")
    run.add_argument("file", metavar="FILE[:NAME]", help="a Python file, and the name of the server in it")
    run.set_defaults(command=_run)

    demo = commands.add_parser("demo", help="see a server and a client at work, on this terminal")
    demo.add_argument("--plain", action="store_true", help="no colours and no moving bars")
    demo.set_defaults(command=_demo)
    return parser


def _run(options: argparse.Namespace) -> int:
    from trimcp.cli.run import run

    _set_level(options)
    return run(options.file)


def _demo(options: argparse.Namespace) -> int:
    from trimcp.cli.demo import demo

    _set_level(options)
    return demo(plain=options.plain)


def _set_level(options: argparse.Namespace) -> None:
    if options.log_level is not None:
        from trimcp.observability.log import set_level

        set_level(options.log_level)
