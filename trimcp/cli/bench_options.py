"""The options of `trimcp bench`, and the plan that they make."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from trimcp.bench import quantities, schedule
from trimcp.bench.find_max import FIRST
from trimcp.bench.plan import DURATION, IN_FLIGHT, PATIENCE, WAITING, WARMUP, Closed, Open, Plan
from trimcp.bench.verdict import MOST_LATE
from trimcp.cli import bench_work
from trimcp.cli.client_command import WHERE, configure_connection, seconds, times
from trimcp.errors import UsageError

SEARCH_WARMUP: Final = 1.0
SEARCH_DURATION: Final = 5.0
"""Seconds of each step of a search, by default."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bench`."""
    parser.usage = "trimcp bench TARGET [options]\n       trimcp bench [options] -- COMMAND ..."
    parser.epilog = WHERE
    parser.add_argument("words", nargs="*", metavar="TARGET", help=argparse.SUPPRESS)
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="wait for each answer; the default is 60")
    parser.add_argument("-v", "--verbose", action="store_true", help="show connection and progress on stderr")
    configure_connection(parser)
    bench_work.configure(parser)
    streams = parser.add_argument_group("streams of notices")
    streams.add_argument(
        "--listen", type=times, default=0, metavar="N", help="streams open meanwhile, over all sessions"
    )
    streams.add_argument(
        "--subscribe", action="append", default=[], metavar="URI", help="a resource whose changes the streams ask for"
    )
    _configure_load(parser)
    _configure_reports(parser)


def _configure_load(parser: argparse.ArgumentParser) -> None:
    load = parser.add_argument_group("the load")
    load.add_argument("--concurrency", type=times, metavar="N", help="closed loop: requests at once; the default is 1")
    load.add_argument("--rate", type=_rate, metavar="R", help="open loop: requests that are due each second")
    load.add_argument("--stages", metavar="STAGES", help="open loop: such as 10s:100,30s:1000,10s:0; rates rise evenly")
    load.add_argument("--arrivals", choices=("constant", "poisson"), default="constant", help="even, or at random")
    load.add_argument(
        "--in-flight", type=times, default=IN_FLIGHT, metavar="N", help=f"open loop: requests at once; {IN_FLIGHT}"
    )
    load.add_argument(
        "--waiting", type=_count, default=WAITING, metavar="N", help=f"open loop: that may wait for a place; {WAITING}"
    )
    load.add_argument("--sessions", type=times, default=1, metavar="N", help="sessions that take turns; 1")
    load.add_argument("--connect-rate", type=_rate, metavar="R", help="sessions opened each second")
    load.add_argument("--churn", type=_duration, metavar="SECONDS", help="replace each session after this time")
    load.add_argument("--workers", type=times, default=1, metavar="N", help="processes that make the load; 1")
    load.add_argument("--seed", type=_count, metavar="N", help="repeat the random choices of another run")
    phases = parser.add_argument_group("the time")
    phases.add_argument("--warmup", type=_time, metavar="SECONDS", help=f"load before it is measured; {WARMUP:g}s")
    phases.add_argument("--duration", type=_duration, metavar="SECONDS", help=f"to measure; {DURATION:g}s")
    phases.add_argument("--requests", type=times, metavar="N", help="measure so many requests instead")
    phases.add_argument(
        "--patience", type=_time, default=PATIENCE, metavar="SECONDS", help=f"for answers after the end; {PATIENCE:g}s"
    )
    phases.add_argument(
        "--find-max",
        metavar="CONDITION",
        help="search the highest rate at which it holds, such as 'p99<50ms' or 'p99<50ms,errors<0.1%%'",
    )


def _configure_reports(parser: argparse.ArgumentParser) -> None:
    reports = parser.add_argument_group("the report")
    reports.add_argument("--json", metavar="FILE", help="write it as JSON; - is stdout, in place of the table")
    reports.add_argument("--csv", metavar="FILE", help="write operations and seconds as CSV")
    reports.add_argument("--html", metavar="FILE", help="write a page with charts")
    reports.add_argument("--hdr", metavar="FILE", help="write the times as a log of HdrHistogram")
    reports.add_argument("--compare", metavar="OLD.json", help="compare with a report that --json wrote")
    view = reports.add_mutually_exclusive_group()
    view.add_argument("--live", action="store_true", help="show the seconds as they pass, as on a terminal")
    view.add_argument("--plain", action="store_true", help="show them as lines")
    reports.add_argument("--server-pid", type=times, action="append", default=[], metavar="PID", help="measure it too")
    gates = parser.add_argument_group("the verdict")
    gates.add_argument(
        "--fail-if", action="append", default=[], metavar="CONDITION", help="exit code 5: 'p99>50ms', 'errors>0.1%%'"
    )
    gates.add_argument(
        "--max-late",
        type=_duration,
        default=MOST_LATE,
        metavar="SECONDS",
        help=f"p99 of its own lateness that makes a run invalid; {MOST_LATE * 1e3:g}ms",
    )


def _argument(read: Callable[[str], float], text: str) -> float:
    try:
        return read(text)
    except UsageError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _time(text: str) -> float:
    return _argument(quantities.seconds, text)


def _duration(text: str) -> float:
    seconds = _time(text)
    if not seconds:
        raise argparse.ArgumentTypeError("it must be above 0")
    return seconds


def _rate(text: str) -> float:
    number, unit = _argument(lambda text: quantities.split(text)[0], text), text.strip().lstrip("0123456789.")
    if not number or unit not in ("", "/s"):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number for each second, above 0")
    return number


def _count(text: str) -> int:
    return 0 if text == "0" else times(text)


def plan_of(options: argparse.Namespace, *, has_work: bool) -> Plan:
    """Return the plan that the options make.

    Args:
        options: as they were parsed.
        has_work: whether there is a request to make.

    Raises:
        UsageError: they do not go together.
    """
    given = [name for name in ("concurrency", "rate", "stages") if getattr(options, name) is not None]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} do not go together: they are different loads")
    if options.find_max is not None and (given not in ([], ["rate"]) or options.requests is not None):
        raise UsageError("--find-max chooses the rate: of the load give only --rate, the first rate to try")
    if options.stages is not None and options.duration is not None:
        raise UsageError("--stages has its own duration: leave out --duration")
    is_search = options.find_max is not None
    duration = options.duration or (SEARCH_DURATION if is_search else DURATION)
    planned: Closed | Open = Closed(callers=(options.concurrency or 1) if has_work else 0)
    if options.stages is not None:
        stages = schedule.stages_of(options.stages)
        planned, duration = _open(options, stages), stages.seconds
    elif options.rate is not None or is_search:
        planned = _open(options, schedule.Schedule.steady(options.rate or FIRST))
    if given and not has_work:
        raise UsageError(f"--{given[0]} needs a request to make: add --call, --list, --read, --prompt or --ping")
    default = SEARCH_WARMUP if is_search else 0.0 if options.stages is not None else WARMUP
    return Plan(
        load=planned,
        sessions=options.sessions,
        connect_rate=options.connect_rate,
        churn=options.churn,
        listens=options.listen or (options.sessions if options.subscribe else 0),
        uris=tuple(options.subscribe),
        warmup=default if options.warmup is None else options.warmup,
        duration=duration,
        requests=options.requests,
        patience=options.patience,
        seed=options.seed,
    )


def _open(options: argparse.Namespace, rates: schedule.Schedule) -> Open:
    return Open(schedule=rates, arrivals=options.arrivals, in_flight=options.in_flight, waiting=options.waiting)
