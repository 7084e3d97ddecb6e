"""Measures servers on stdio with two drivers: the load generator of `trimcp bench`, and a program in C.

    python -m benchmarks.loads [--rates 200 1000 5000] [--mcp PYTHON] [--fastmcp PYTHON] [--npm FOLDER]

Both make the same loads. Closed: one call at a time, then `--window` at once. Open: calls that are due at `--rates`,
whose times count from when a call was due. The driver in C writes each call by itself, and then full windows: all calls
that it can make, in one write. `trimcp bench` joins calls that are due together. A rate that a server did not achieve
has no times. A load at which the load generator did not keep up is marked. Each program is started once for the driver
in C, and once for each load of `trimcp bench`; with all programs it takes some four minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import attrs
import trio

import trimcp
from benchmarks.contestants import Contestant, add_options, contestants, versions_line, with_bytecode
from benchmarks.driven import Driven, Driver, add_driver_options, built_driver
from benchmarks.messages import VERSIONS, Era, call_params, request_template
from benchmarks.process import Unusable
from benchmarks.report import Found, OtherWork, comparison, machine, machine_line, note, progress
from trimcp.bench.operations import Operation
from trimcp.bench.plan import Closed, Open, Plan
from trimcp.bench.result import Result
from trimcp.bench.run import run_load
from trimcp.bench.schedule import Schedule
from trimcp.bench.verdict import problems
from trimcp.errors import TrimcpError

ACHIEVED: Final = 0.95
"""The part of a rate that must be achieved for times that say something of it."""
WARM: Final = 5000
"""Calls of the driver in C before the first load."""
PATIENCE: Final = 2.0
"""Seconds that `trimcp bench` waits for answers after a load."""


@attrs.frozen
class Times:
    """How long each load is made, in seconds."""

    warmup: float
    measured: float


def main() -> None:
    """Measure, and print a table of the closed loads, and one for each rate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loads", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    add_driver_options(parser)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--window", type=int, default=32, help="calls in flight in the second closed load")
    parser.add_argument("--rates", type=float, nargs="+", default=[200, 1000, 5000], help="calls that are due a second")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds of each load before it counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    options = parser.parse_args()
    others = OtherWork()
    facts, about, times = machine(), machine_line(), Times(options.warmup, options.seconds)
    found: Found = {}
    with with_bytecode() as env, built_driver(options) as driver:
        driver.where.hold_this_process()
        programs = contestants(options)
        for number in range(options.rounds):
            for one in programs:
                progress(f"round {number + 1} of {options.rounds}: {one.name}")
                figures = found.setdefault(one.name, {})
                try:
                    for figure, value in _by_driver(driver, one, options, times, env):
                        note(figures, {figure: value})
                    for figure, value in _by_bench(driver, one, options, times, env):
                        note(figures, {figure: value})
                except (TrimcpError, Unusable) as exc:
                    print(f"{one.name}: {exc}", file=sys.stderr)
        progress("")
    if options.json:
        print(
            json.dumps({"machine": facts, "programs": versions_line(programs), "driver": str(driver), "found": found})
        )
        return
    print(f"{about}; {others}\n{versions_line(programs)}\n{driver}; {options.era}")
    _print(found, options)


# --- the driver in C ------------------------------------------------------------------


def _by_driver(
    driver: Driver, one: Contestant, options: argparse.Namespace, times: Times, env: Mapping[str, str]
) -> Iterator[tuple[str, float]]:
    """Yield the figures of all loads by the driver."""
    program = Driven(driver, one.command, {**env, **one.env})
    try:
        program.prepare(request_template(options.era, "tools/call", call_params(options.era, one.tool)))
        program.open(options.era)
        program.load(options.window, calls=WARM, seconds=times.warmup)
        for window, joins in ((1, False), (options.window, False), (options.window, True)):
            if driver.can_pace or not joins:
                if driver.can_pace:
                    program.join(joins)
                program.load(window, seconds=times.warmup)
                counted = program.load(window, seconds=times.measured)
                yield f"driver {window}{' joined' * joins}", counted["calls"] / counted["seconds"]
        for rate in options.rates if driver.can_pace else ():
            program.join(False)
            paced = program.pace(rate, warmup=times.warmup, seconds=times.measured)
            yield from _open_figures("driver", rate, paced["calls"] / paced["seconds"], paced)
    finally:
        program.close()


def _open_figures(by: str, rate: float, achieved: float, times: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    yield f"{by} {rate:g} achieved", achieved
    if achieved >= ACHIEVED * rate:
        for figure in ("due p50", "due p99"):
            yield f"{by} {rate:g} {figure}", times[figure]


# --- trimcp bench ---------------------------------------------------------------------


def _by_bench(
    driver: Driver, one: Contestant, options: argparse.Namespace, times: Times, env: Mapping[str, str]
) -> Iterator[tuple[str, float]]:
    """Yield the figures of all loads by the load generator of `trimcp bench`."""

    def measured(load: Closed | Open) -> Result:
        plan = Plan(load=load, warmup=times.warmup, duration=times.measured, patience=PATIENCE)
        return _measured(driver, one, plan, options.era, env)

    for window in (1, options.window):
        result = measured(Closed(callers=window))
        yield f"bench {window}", result.rate
        yield f"bench {window} invalid", float(bool(problems(result)))
    for rate in options.rates:
        result = measured(Open(schedule=Schedule.steady(rate)))
        due = result.all.due
        figures = {f"due {figure}": due.percentile(float(figure[1:])) / 1e6 for figure in ("p50", "p99")}
        yield from _open_figures("bench", rate, result.rate, figures)
        yield f"bench {rate:g} invalid", float(bool(problems(result)))


def _measured(driver: Driver, one: Contestant, plan: Plan, era: Era, env: Mapping[str, str]) -> Result:
    def connect() -> AbstractAsyncContextManager[trimcp.Client]:
        command = driver.where.for_server(one.command)
        # A program of another checkout must not import trimcp from this one.
        return trimcp.connect(
            command, revision=VERSIONS[era], cache=False, env={**env, **one.env}, cwd="/", on_stderr=lambda line: None
        )

    async def prepare(client: trimcp.Client) -> Sequence[Operation]:
        params = call_params("legacy", one.tool)  # the client adds the metadata of the modern era
        return [Operation(one.tool, "tools/call", params)]

    result = trio.run(partial(run_load, connect, plan, prepare))
    assert result is not None
    return result


# --- tables ---------------------------------------------------------------------------


def _print(found: Found, options: argparse.Namespace) -> None:
    window = options.window
    print("\nClosed, calls/s:\n")
    closed = [("1: C", "driver 1"), ("1: bench", "bench 1"), (f"{window}: C, one a write", f"driver {window}")]
    closed += [(f"{window}: C, full windows", f"driver {window} joined"), (f"{window}: bench", f"bench {window}")]
    print(comparison(found, [(title, figure, "{:,.0f}", False) for title, figure in closed]))
    _mark(found, [f"bench {window} invalid" for window in (1, window)])
    for rate in options.rates:
        print(f"\nOpen, {rate:g} calls/s are due, ms from then:\n")
        columns = [
            (f"{figure}: {title}", f"{by} {rate:g} {key}", form, False)
            for figure, key, form in (("p50", "due p50", "{:.2f}"), ("p99", "due p99", "{:.2f}"))
            for title, by in (("C", "driver"), ("bench", "bench"))
        ]
        columns += [
            (f"achieved/s: {title}", f"{by} {rate:g} achieved", "{:,.0f}", False)
            for title, by in (("C", "driver"), ("bench", "bench"))
        ]
        print(comparison(found, columns))
        _mark(found, [f"bench {rate:g} invalid"])


def _mark(found: Found, figures: Sequence[str]) -> None:
    for name, measured in found.items():
        if any(any(measured.get(figure, ())) for figure in figures):
            print(f"\n{name}: the load generator of `trimcp bench` did not keep up, or was the limit.", end="")
    print()


if __name__ == "__main__":
    main()
