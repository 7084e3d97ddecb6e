"""Measures trimcp on stdio, cold and warm, beside its parent commit, the floor and other SDKs.

    python -m benchmarks.stdio [--parent PATH] [--mcp PYTHON] [--fastmcp PYTHON] [--npm FOLDER] [--era modern]

The driver is a program in C that writes each message by itself (see `driven`). *Cold* is a fresh process: the time to
its first answer and to its 100th call. *Warm* is after 20,000 calls: one call after another, then 32 in flight, in
bursts that take turns among the programs, so that other load on the machine affects all of them. Figures are
medians; a ratio is the median of the ratios of bursts that followed each other. Rates and starts leave out the time in
which other programs kept the server or the driver from a processor (see `process.Stretch`); p50 and p99 do not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from benchmarks.contestants import Contestant, add_options, contestants, versions_line, with_bytecode
from benchmarks.driven import Driven, Driver, add_driver_options, built_driver
from benchmarks.messages import Era, call_params, request_template
from benchmarks.process import Unusable
from benchmarks.report import Found, OtherWork, comparison, machine, machine_line, note, progress

COLD_CALLS = 100
CEILING = "the driver's ceiling"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stdio", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    add_driver_options(parser)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--starts", type=int, default=5, help="fresh processes of each program, for the cold figures")
    parser.add_argument("--rounds", type=int, default=2, help="times that all programs are started, for the warm ones")
    parser.add_argument("--bursts", type=int, default=6, help="of each load and program in a round")
    parser.add_argument("--seconds", type=float, default=0.25, help="of one burst")
    parser.add_argument("--window", type=int, default=32, help="calls in flight in the second load")
    parser.add_argument("--warm", type=int, default=20_000, help="calls before the first burst counts")
    parser.add_argument("--patience", type=float, default=8.0, help="seconds after which a slow program counts as warm")
    options = parser.parse_args()
    others = OtherWork()
    facts, about = machine(), machine_line()
    with with_bytecode() as env, built_driver(options) as driver:
        usable = [one for one in contestants(options) if _works(driver, one, options.era, env)]
        usable.append(Contestant(CEILING, driver.answering, ""))
        found: Found = {one.name: {} for one in usable}
        for number in range(options.starts):
            progress(f"start {number + 1} of {options.starts}")
            for one in usable[:-1]:
                note(found[one.name], _cold(driver, one, options.era, env))
        for number in range(options.rounds):
            progress(f"round {number + 1} of {options.rounds}")
            _round(found, driver, usable, options, env)
        progress("")
    if options.json:
        print(json.dumps({"machine": facts, "programs": versions_line(usable), "driver": str(driver), "found": found}))
        return
    print(f"{about}; {others}\n{versions_line(usable)}\n{driver}; {options.era}\n")
    _print(found, options)


def _started(driver: Driver, one: Contestant, era: Era, env: Mapping[str, str]) -> Driven:
    program = Driven(driver, one.command, {**env, **one.env})
    program.prepare(request_template(era, "tools/call", call_params(era, one.tool)))
    return program


def _works(driver: Driver, one: Contestant, era: Era, env: Mapping[str, str]) -> bool:
    program = _started(driver, one, era, env)
    try:
        program.open(era)
        program.load(1, calls=1)
    except Unusable as exc:
        print(f"{one.name}: left out, {exc}", file=sys.stderr)
        return False
    finally:
        program.close()
    return True


def _cold(driver: Driver, one: Contestant, era: Era, env: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds and processor time from the start to the 100th call, and of these calls."""
    program = _started(driver, one, era, env)
    try:
        start = program.open(era)
        load = program.load(1, calls=COLD_CALLS)
        hundredth, cpu = program.since_start(load["last"]), program.cpu_seconds()
    finally:
        program.close()
    return {
        "start": start * 1e3,
        "hundredth": hundredth * 1e3,
        "cold cpu": cpu * 1e3,
        "cold rate": load["rate"],
        "cold call": load["server_cpu"],
    }


def _round(
    found: Found, driver: Driver, usable: Sequence[Contestant], options: argparse.Namespace, env: Mapping[str, str]
) -> None:
    with ExitStack() as running:
        programs: dict[str, Driven] = {}
        for one in usable:
            program = programs[one.name] = _started(driver, one, options.era, env)
            running.callback(program.close)
            if one.name != CEILING:
                program.open(options.era)
            warm = 0.0
            for window in (1, options.window):
                warm += program.load(window, calls=options.warm // 2, seconds=options.patience / 2)["calls"]
            note(found[one.name], {"warm": warm})
        for number in range(options.bursts):
            for load, window in (("serial", 1), ("many", options.window)):
                for name in list(programs)[:: 1 if number % 2 else -1]:
                    burst = programs[name].load(window, seconds=options.seconds)
                    figures = {
                        f"{load} {figure}": burst[figure] for figure in ("rate", "server_cpu", "p50", "p99", "waited")
                    }
                    note(found[name], figures)
        for name, program in programs.items():
            note(found[name], {"rss": program.rss()})


def _print(found: Found, options: argparse.Namespace) -> None:
    programs = {name: figures for name, figures in found.items() if name != CEILING}
    print(
        comparison(
            programs,
            [
                ("first answer ms", "start", "{:.0f}", False),
                ("100th call ms", "hundredth", "{:.0f}", True),
                ("CPU ms until then", "cold cpu", "{:.0f}", True),
                (f"first {COLD_CALLS} calls/s", "cold rate", "{:,.0f}", True),
                ("CPU µs of each", "cold call", "{:.0f}", True),
                ("MiB, at the end", "rss", "{:.0f}", False),
            ],
        )
    )
    print()
    print(
        comparison(
            found,
            [
                ("serial/s", "serial rate", "{:,.0f}", True),
                ("CPU µs", "serial server_cpu", "{:.1f}", True),
                (f"{options.window} in flight/s", "many rate", "{:,.0f}", True),
                ("CPU µs", "many server_cpu", "{:.1f}", True),
                ("p50 ms", "many p50", "{:.2f}", False),
                ("p99 ms", "many p99", "{:.2f}", False),
            ],
        )
    )
    for name, figures in programs.items():
        if min(figures["warm"]) < options.warm:
            print(
                f"\n{name}: counted as warm after {min(figures['warm']):,.0f} calls, in {options.patience:g} s", end=""
            )
    print()


if __name__ == "__main__":
    main()
