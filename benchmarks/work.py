"""Measures kinds of work on stdio: large and structured results, progress, nested arguments, tools that wait.

    python -m benchmarks.work [--parent PATH] [--mcp PYTHON] [--npm FOLDER] [--case NAME] [--era modern]

All programs are started once for each round. A case begins with a second of load on each program, so that compilers
have done their work, and goes on with bursts that take turns: one request after another, then several in flight.
Ratios are medians of the ratios of bursts that followed each other. How many bytes and messages make one answer is
printed too, since servers do not write the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from benchmarks.cases import CASES, Case
from benchmarks.contestants import TRIMCP, Contestant, add_options, versions_line, with_bytecode, work_contestants
from benchmarks.driven import Driven, Driver, add_driver_options, built_driver
from benchmarks.process import Unusable
from benchmarks.report import Found, OtherWork, machine, machine_line, note, progress, ratio, table

Results = dict[tuple[str, int], Found]
"""By case and calls in flight."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.work", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    add_driver_options(parser)
    parser.add_argument("--case", action="append", help="measure only the cases of these tools", metavar="TOOL")
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--rounds", type=int, default=1, help="times that all programs are started")
    parser.add_argument("--bursts", type=int, default=4, help="of each load and program in a round")
    parser.add_argument("--seconds", type=float, default=0.25, help="of one burst")
    parser.add_argument("--warm", type=float, default=1.0, help="seconds of load before the first burst counts")
    options = parser.parse_args()
    others = OtherWork()
    facts, about = machine(), machine_line()
    results: Results = {}
    with with_bytecode() as env, built_driver(options) as driver:
        programs = work_contestants(options, "stdio")
        for number in range(options.rounds):
            progress(f"round {number + 1} of {options.rounds}")
            _round(results, driver, programs, options, env)
        progress("")
    if options.json:
        found = {f"{case}, {window} in flight": figures for (case, window), figures in results.items()}
        print(
            json.dumps({"machine": facts, "programs": versions_line(programs), "driver": str(driver), "found": found})
        )
        return
    print(f"{about}; {others}\n{versions_line(programs)}\n{driver}; {options.era}\n")
    print_results(results, [one.name for one in programs])


def _round(
    results: Results,
    driver: Driver,
    contestants: Sequence[Contestant],
    options: argparse.Namespace,
    env: Mapping[str, str],
) -> None:
    with ExitStack() as running:
        programs: dict[str, Driven] = {}
        for one in contestants:
            program = programs[one.name] = Driven(driver, one.command, {**env, **one.env})
            running.callback(program.close)
            program.open(options.era)
        for case in CASES:
            if options.case and case.tool not in options.case:
                continue
            progress(case.name)
            able = {name: program for name, program in programs.items() if _warm(name, program, case, options)}
            for number in range(options.bursts):
                for window in (1, case.many):
                    for name in list(able)[:: 1 if number % 2 else -1]:
                        burst = able[name].load(window, seconds=options.seconds)
                        figures = {figure: burst[figure] for figure in ("rate", "server_cpu", "p99", "busy", "waited")}
                        figures["bytes"] = burst["bytes"] / burst["calls"]
                        figures["messages"] = 1 + burst["others"] / burst["calls"]
                        note(results.setdefault((case.name, window), {}).setdefault(name, {}), figures)


def _warm(name: str, program: Driven, case: Case, options: argparse.Namespace) -> bool:
    """Check one answer, and warm up; False if the program cannot do this."""
    program.prepare(case.template(options.era))
    try:
        program.load(1, calls=1)
        if not case.check(program.last()["result"]):
            raise Unusable("a wrong result")
    except Unusable as exc:
        print(f"{case.name}: {name} left out, {exc}", file=sys.stderr)
        return False
    program.load(case.many, seconds=options.warm)
    return True


def print_results(results: Results, programs: Sequence[str]) -> None:
    """Print calls a second with ratios, then processor time, then the size of an answer."""

    def median(found: Found, name: str, figure: str, form: str) -> str:
        return form.format(statistics.median(found[name][figure])) if name in found else "–"

    def against(found: Found, name: str) -> str:
        both = name in found and TRIMCP in found
        return f"{ratio(found[TRIMCP]['rate'], found[name]['rate']):.2f}" if both else "–"

    others = [name for name in programs if name != TRIMCP]
    first = [name for name in programs if name == TRIMCP]
    head = ["calls/s", "at once", *first]
    for name in others:
        head += [name, "trimcp ÷ it"] if first else [name]
    rows = []
    for (case, window), found in results.items():
        row = [case, str(window), *(median(found, name, "rate", "{:,.0f}") for name in first)]
        for name in others:
            row.append(median(found, name, "rate", "{:,.0f}"))
            if first:
                row.append(against(found, name))
        rows.append(row)
    print(table(head, rows))
    for title, figure, form in (("CPU µs of the server a call", "server_cpu", "{:,.1f}"), ("p99 ms", "p99", "{:.2f}")):
        rows = [
            [case, str(window), *(median(found, name, figure, form) for name in programs)]
            for (case, window), found in results.items()
        ]
        print(f"\n{table((title, 'at once', *programs), rows)}")
    rows = [
        [
            case,
            *(f"{median(f, name, 'bytes', '{:,.0f}')} in {median(f, name, 'messages', '{:.0f}')}" for name in programs),
        ]
        for (case, window), f in results.items()
        if window == 1
    ]
    print(f"\n{table(('bytes and messages of an answer', *programs), rows)}")


if __name__ == "__main__":
    main()
