"""`trimcp bench TARGET`: make a load of requests, and report how the server answers it.

This module runs the load and writes the reports. The options are in `bench_options`, those of the requests in
`bench_work`; the load is made by `trimcp.bench`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

import trimcp
from trimcp.actors.containment import run_watched
from trimcp.bench import schedule
from trimcp.bench.conditions import condition_of
from trimcp.bench.environment import environment
from trimcp.bench.find_max import FIRST, Step, best, judged, limit, plan_at, rate_after
from trimcp.bench.plan import Open, Plan
from trimcp.bench.verdict import Verdict, verdict_on
from trimcp.cli import Command, bench_options, bench_work
from trimcp.cli import exit_codes as exits
from trimcp.cli.client_command import connection_settings, find_target
from trimcp.cli.terminal import Terminal, print_json, show
from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.errors import RequestTimedOut, TrimcpError, UsageError

if TYPE_CHECKING:
    from trimcp.bench.live import View
    from trimcp.bench.report import Report
    from trimcp.bench.result import Result
    from trimcp.bench.run import Progress, Spectator
    from trimcp.bench.schedule import Share
    from trimcp.bench.workers import Begin
    from trimcp.client.client import Client

DESCRIPTION: Final = """\
Make a load of requests, and report how the server answers it: rates, errors, and the times of the answers.

With --concurrency (a closed loop) a server that stalls is asked less while it stalls. With --rate (an open loop)
requests are due at their times, and a time counts from when a request was due. docs/benchmarking.md says more."""
EXAMPLES: Final = """\
  trimcp bench adder.py --call add a:=1 b:=2                         one request after the other
  trimcp bench adder.py --call add a:=1 b:=2 --concurrency 32        32 at once: what it can do at most
  trimcp bench http://127.0.0.1:8000/mcp --call add a:=1 b:=2 --rate 500 --sessions 20    500/s: the times users see
  trimcp bench adder.py --call@9 add a:=1 b:=2 --list@1 --rate 200   a mix, nine calls to one list
  trimcp bench adder.py --call add a:=1 b:=2 --find-max 'p99<50ms'   the highest rate that holds this
  trimcp bench adder.py --ping --rate 100 --fail-if 'p99>20ms' --fail-if 'errors>0'   for CI: exit code 5 if it fails
  trimcp bench --rate 100 --html report.html -- npx some-server"""


# --- the run --------------------------------------------------------------------------


def command(options: argparse.Namespace) -> int:
    """Make the load and write the reports; return the exit code.

    Raises:
        UsageError: options do not go together, or do not suit the server.
        TrimcpError: the server could not be reached.
    """
    from trimcp.bench import table

    if options.log_level == "off":
        options.log_level = None
    run = _Bench(options)
    old = None if options.compare is None else _earlier(options.compare)
    _check_files(options)
    _allow_many_files()
    report = run.search() if run.conditions else run.once()
    if report is None:
        return exits.INTERRUPTED if run.stop.is_set() else exits.TERMINATED
    if options.json != "-":
        show(table.text(report))
    whole = report.as_json()
    if old is not None:
        text = table.comparison(whole, old)
        show(f"\n{text}") if options.json != "-" else run.terminal.say(text)
    _write(options, report, whole)
    if run.stop.is_set():
        return exits.INTERRUPTED
    if report.verdict.invalid:
        return exits.INVALID
    return exits.GATE if report.verdict.failed or (report.steps and best(report.steps) is None) else exits.OK


class _Bench:
    """One command: its plan, its target, and the runs of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.terminal = Terminal(verbose=options.verbose)
        self.stop: trio.Event = trio.Event()
        """Set by Ctrl-C: ends the load, and lets its figures be reported."""
        self._facts = environment()  # before the load raises the load average
        words = list(options.words)
        self._name = _shown_target(options)
        target, configured = find_target(options, words, self.terminal)
        if words:
            raise UsageError(f"bench takes one TARGET: what to request is an option, such as --call {words[0]}")
        self._target: object = target
        self._wanted = bench_work.wanted(options)
        self.conditions = [condition_of(text) for text in (options.find_max or "").split(",") if text]
        self._gates = [condition_of(text) for text in options.fail_if]
        self._plan = bench_options.plan_of(options, has_work=bool(self._wanted))
        self._is_live = not options.plain and (options.live or sys.stderr.isatty()) and _has_rich(options.live)
        self._settings = self._connect_settings(configured)

    def _connect_settings(self, configured: dict[str, Any]) -> dict[str, Any]:
        from trimcp.cli.stored_sign_in import StoredSignIn, token_store
        from trimcp.client.connect import CLIENT_MESSAGE_BYTES
        from trimcp.limits import Limits

        settings = connection_settings(self._options, self.terminal, self._target, configured)
        if isinstance(settings.get("auth"), StoredSignIn) and not Path(token_store().directory).exists():
            del settings["auth"]  # nothing is stored, and each request would look
        load = self._plan.load
        calls = load.in_flight if isinstance(load, Open) else load.callers
        # All reports of progress shall arrive, and no call wait on this side.
        many = Limits(message_bytes=CLIENT_MESSAGE_BYTES, calls=calls + 16, progress_rate=1e6, progress_burst=10**6)
        settings |= {"limits": many, "cache": False, "reopen": False}
        if not self._options.verbose:
            settings["on_stderr"] = _drop
        return settings

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Client]:
        async with trimcp.connect(self._target, **self._settings) as client:
            yield client

    async def _work(
        self, plan: Plan, share: Share, begin: Begin, spectator: Spectator | None, stop: trio.Event
    ) -> Result | None:
        from trimcp.bench.run import run_load

        async def prepare(client: Client) -> Any:
            return await bench_work.operations_of(client, self._wanted, self._options.payload)

        gc.collect()
        gc.freeze()  # collections then look at what the run makes, and not at all modules
        pids = self._options.server_pid if share.number == 0 else ()
        return await run_load(
            self._connect, plan, prepare, share=share, pids=pids, begin=begin, spectator=spectator, stop=stop
        )

    def _measure(self, plan: Plan, view: View) -> Result | None:
        """Run a plan: in this process, or in others that this one watches. None where nothing was measured."""
        workers = self._options.workers
        try:
            if workers > 1 or (self._is_live and hasattr(os, "fork")):
                from trimcp.bench.workers import run_workers

                return run_workers(workers, partial(self._work, plan), view, self._run, self.stop)
            return self._run(partial(self._alone, plan, view))
        except* UsageError:
            raise
        except* RequestTimedOut:
            raise
        except* TrimcpError as group:
            failure = next(exits.failures(group))
            raise exits.Unreached(str(exits.refusal_in(failure) or failure)) from failure

    def _run(self, run: Callable[[], Awaitable[Result | None]]) -> Result | None:
        """Run a load. Ctrl-C stops it; a second Ctrl-C, or SIGTERM, leaves it, and there are no figures."""
        return trio.run(run_watched, self._listen, run)

    async def _listen(self, load: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for number in received:
                if number == signal.SIGTERM or self.stop.is_set():
                    load.cancel()
                self.stop.set()

    async def _alone(self, plan: Plan, view: View) -> Result | None:
        """Run a plan in this process."""
        from trimcp.bench.run import SPECTATED, at_once

        async def show_all(seconds: trio.MemoryReceiveChannel[Progress]) -> None:
            async for progress in seconds:
                view.show(progress)

        spectator, seconds = trio.open_memory_channel["Progress"](SPECTATED)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show_all, seconds)
            with contextlib.closing(spectator):
                result = await self._work(plan, schedule.ALL, at_once, spectator, self.stop)
        return result

    # --- one run, or a search ---------------------------------------------------------

    def once(self) -> Report | None:
        """Run the plan once; None where nothing was measured."""
        from trimcp.bench.live import opened

        with opened(live=self._is_live, plain=self._options.plain) as view:
            result = self._measure(self._plan, view)
        return None if result is None else self._report(self._plan, result, self._verdict(result))

    def search(self) -> Report | None:
        """Search the highest rate that holds the conditions; None where no rate was tried to the end."""
        from trimcp.bench.live import opened

        steps: list[Step] = []
        while not self.stop.is_set() and (rate := rate_after(steps, self._options.rate or FIRST)) is not None:
            plan = plan_at(self._plan, rate)
            with opened(live=self._is_live, plain=self._options.plain) as view:
                result = self._measure(plan, view)
            if result is None or result.is_interrupted:
                break
            step = judged(rate, result, self.conditions, self._options.max_late)
            steps.append(step)
            if self._is_live or self._options.plain:
                why = "; ".join((*step.invalid, *step.reasons))
                self.terminal.say(f"{rate:,.0f}/s: {why or 'held'}")
        if not steps:
            return None
        chosen = best(steps) or steps[-1]
        missed = limit(steps)
        verdict = self._verdict(chosen.result)
        verdict = attrs.evolve(verdict, invalid=missed.invalid if missed else (), is_interrupted=self.stop.is_set())
        return self._report(plan_at(self._plan, chosen.rate), chosen.result, verdict, steps)

    def _verdict(self, result: Result) -> Verdict:
        is_closed = not self._plan.is_open and bool(self._wanted)
        return verdict_on(result, self._gates, most_late=self._options.max_late, is_closed=is_closed)

    def _report(self, plan: Plan, result: Result, verdict: Verdict, steps: Sequence[Step] = ()) -> Report:
        from trimcp.bench.report import Report

        return Report(self._name, self._facts, plan, self._options.workers, result, verdict, tuple(steps))


def _shown_target(options: argparse.Namespace) -> str:
    """Return the target for a report, which others may see: without the secrets of a URL or a command line."""
    word: str = (options.launched or options.words or [""])[0]
    if "://" not in word:
        return word
    from trimcp.http.urls import shown

    return shown(word)


def _allow_many_files() -> None:
    """Allow as many open files as the system lets this user have: each session has some."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _drop(line: str) -> None:
    """Drop a line of a server's stderr."""


def _has_rich(wanted: bool) -> bool:
    if importlib.util.find_spec("rich") is not None:
        return True
    if wanted:
        raise UsageError.not_installed("rich, which --live needs,", "cli")
    return False


# --- the files ------------------------------------------------------------------------


def _earlier(path: str) -> Any:
    from trimcp.bench.report import SCHEMA

    try:
        old = loads(Path(path).read_bytes(), max_containers=2**22)
    except OSError as exc:
        raise UsageError(f"cannot read {path}: {exc.strerror}") from exc
    except InvalidJson as exc:
        raise UsageError(f"{path} is not JSON: {exc}") from exc
    if not isinstance(old, dict) or old.get("schema") != SCHEMA:
        raise UsageError(f"{path} is not a report with schema {SCHEMA}: write one with trimcp bench --json FILE")
    return old


def _check_files(options: argparse.Namespace) -> None:
    """Check that the reports can be written, before the load is made."""
    for path in (options.json, options.csv, options.html, options.hdr):
        if path is not None and path != "-" and not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise UsageError(f"cannot write {path}: there is no such folder")
    if options.hdr is not None:
        from trimcp.bench import hdr

        hdr.check()


def _write(options: argparse.Namespace, report: Report, whole: dict[str, Any]) -> None:
    from trimcp.bench import csv_file, hdr, page

    if options.json == "-":
        print_json(whole)
    try:
        if options.json not in (None, "-"):
            Path(options.json).write_bytes(dumps(whole) + b"\n")
        for path, text in ((options.csv, csv_file.text), (options.html, page.text), (options.hdr, hdr.text)):
            if path is not None:
                Path(path).write_text(text(report), encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"cannot write {exc.filename}: {exc.strerror}") from exc


COMMANDS: Final = {"bench": Command(DESCRIPTION, bench_options.configure, command, EXAMPLES, bench_work.split_weights)}
