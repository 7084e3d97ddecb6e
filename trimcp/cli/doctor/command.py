"""`trimcp doctor TARGET`: examine a server in both eras, and say what it does against the specification."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any, Final

import trio

from trimcp.cli import Command
from trimcp.cli import exit_codes as exits
from trimcp.cli.client_command import WHERE, configure_connection, find_target, seconds
from trimcp.cli.doctor.authorization_checks import CHECKS as AUTHORIZATION_CHECKS
from trimcp.cli.doctor.examination import (
    LEGACY,
    MODERN,
    Check,
    Examination,
    Failed,
    TokenNeeded,
    Verdict,
    examine,
    examine_refusals,
)
from trimcp.cli.doctor.feature_checks import CHECKS as FEATURE_CHECKS
from trimcp.cli.doctor.http_checks import CHECKS as HTTP_CHECKS
from trimcp.cli.doctor.http_wire import open_http_wire
from trimcp.cli.doctor.lifecycle_checks import CHECKS as LIFECYCLE_CHECKS
from trimcp.cli.doctor.lifecycle_checks import LAST
from trimcp.cli.doctor.message_checks import AT_LAST
from trimcp.cli.doctor.message_checks import CHECKS as MESSAGE_CHECKS
from trimcp.cli.doctor.report import EraReport, counted, show_report, show_sum
from trimcp.cli.doctor.sse_2024 import CHECKS as SSE_CHECKS
from trimcp.cli.doctor.sse_2024 import REVISION as SSE_REVISION
from trimcp.cli.doctor.sse_2024 import TRANSPORT as SSE_TRANSPORT
from trimcp.cli.doctor.sse_2024 import open_sse_wire
from trimcp.cli.doctor.task_checks import CHECKS as TASK_CHECKS
from trimcp.cli.doctor.wire import NoAnswer, open_duplex_wire
from trimcp.cli.openers import headers_for, is_http, opener_for
from trimcp.cli.stored_sign_in import sign_in_for
from trimcp.cli.terminal import BOLD, Terminal, print_json, show
from trimcp.errors import ConnectionEnded, UsageError
from trimcp.types.revisions import BY_VERSION

ALL: Final = (
    *LIFECYCLE_CHECKS,
    *MESSAGE_CHECKS,
    *FEATURE_CHECKS,
    *TASK_CHECKS,
    *HTTP_CHECKS,
    *SSE_CHECKS,
    *AUTHORIZATION_CHECKS,
    *AT_LAST,
    *LAST,
)
AGAIN: Final = Check("basic", "the server answers for as long as it is asked", Examination.alive)
SIGN_IN_FIRST: Final = (
    "the server wants a token, or another one: run trimcp login URL, or give it by --header 'Authorization: Bearer …'"
)
TIMEOUT: Final = 10.0


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "trimcp doctor TARGET [options]\n       trimcp doctor [options] -- COMMAND ..."
    parser.epilog = WHERE
    parser.add_argument("words", nargs="*", metavar="TARGET", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON, on stdout")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"wait for each answer; {TIMEOUT:g} if not given",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show the stderr of a server that is started")
    configure_connection(parser)


def _doctor(options: argparse.Namespace) -> int:
    words = list(options.words)
    target, configured = find_target(options, words, Terminal())
    if words:
        raise UsageError(f"doctor takes only a TARGET: remove {words[0]}")
    examinations, fallback = _examinations(target, options, configured)
    reports = trio.run(_examine_all, examinations, fallback, options.json)
    counts = counted(reports)
    if options.json:
        print_json({"server": _server_of(reports), "eras": [report.as_json() for report in reports], "counts": counts})
    else:
        show_sum(reports)
    if counts["failed"]:
        return exits.FAILED
    if not any(report.is_spoken for report in reports):
        raise exits.Unreached(SIGN_IN_FIRST)
    return exits.OK


def _examinations(
    target: object, options: argparse.Namespace, configured: dict[str, Any]
) -> tuple[list[Examination], Examination | None]:
    """Return an examination for each era, and one to make if the server speaks none of them."""
    asked = None if options.revision is None else BY_VERSION[options.revision]
    revisions = [MODERN, LEGACY] if asked is None else [asked]
    if not is_http(target):
        over_duplex = partial(open_duplex_wire, opener_for(target, options, configured), options.timeout)
        return [Examination(over_duplex, revision) for revision in revisions], None

    headers = headers_for(options, configured)
    over_sse = partial(Examination, partial(open_sse_wire, target, headers, options.timeout), transport=SSE_TRANSPORT)

    if options.transport == "sse":
        if asked is MODERN:
            raise UsageError(f"{MODERN.version} has no HTTP+SSE: leave out --transport or --revision")
        return [over_sse(asked or SSE_REVISION)], None
    sign_in = sign_in_for(target, {"headers": headers}, Terminal())
    opening = partial(open_http_wire, target, headers, options.timeout, sign_in)
    over_http = [Examination(opening, revision) for revision in revisions]
    return over_http, over_sse(SSE_REVISION) if asked in (None, SSE_REVISION) and options.transport is None else None


async def _examine_all(examinations: list[Examination], fallback: Examination | None, quiet: bool) -> list[EraReport]:
    """Examine a server in each era, and over HTTP+SSE if it speaks none.

    Raises:
        Unreached: it does not speak that either.
    """
    reports: list[EraReport] = []
    shown = 0
    waiting = [*examinations]
    while waiting:
        examination = waiting.pop(0)
        report = await _examine(examination)
        reports.append(report)
        if fallback is not None and not waiting and all(each.verdicts is None for each in reports):
            waiting, fallback = [fallback], None
        name = _server_of(reports)
        if quiet or (name is None and waiting):  # an era that the server speaks says its name
            continue
        if not shown:
            show(name or "a server without a name", BOLD)
        for each in reports[shown:]:
            show_report(each)
        shown = len(reports)
    if all(report.verdicts is None for report in reports):
        raise exits.Unreached("; ".join(f"{report.name}: {report.why_not}" for report in reports))
    return reports


async def _examine(examination: Examination) -> EraReport:
    verdicts: list[Verdict] = []
    total = len([check for check in ALL if examination.era in check.eras])
    try:
        with Terminal().progress(examination.revision.version) as moved:

            def report(verdict: Verdict) -> None:
                verdicts.append(verdict)
                if moved is not None and sys.stderr.isatty():
                    moved(len(verdicts), total, verdict.check.rule)

            await examine(examination, ALL, report)
    except TokenNeeded:
        await examine_refusals(examination, AUTHORIZATION_CHECKS, verdicts.append)
        return EraReport(examination, verdicts, SIGN_IN_FIRST)
    except (Failed, NoAnswer, ConnectionEnded) as exc:
        if not verdicts:
            return EraReport(examination, None, str(exc))
        verdicts.append(Verdict(AGAIN, "failed", str(exc)))
    return EraReport(examination, verdicts)


def _server_of(reports: list[EraReport]) -> str | None:
    """Return name and version of the server, as far as it names itself."""
    for report in reports:
        meta = report.examination.server.get("_meta")
        named = meta.get("io.modelcontextprotocol/serverInfo") if isinstance(meta, dict) else None
        info = named or report.examination.server.get("serverInfo")
        if isinstance(info, dict):
            return f"{info.get('name')} {info.get('version')}".rstrip()
    return None


COMMANDS: Final = {
    "doctor": Command(
        "Check a server against the specification, in both eras, and list the outcome by section. No tool is called.",
        _configure,
        _doctor,
        """\
  trimcp doctor server.py
  trimcp doctor http://127.0.0.1:8000/mcp --header 'Authorization: Bearer …'
  trimcp doctor --json -- npx some-server
  trimcp doctor server.py --revision 2025-11-25""",
    )
}
