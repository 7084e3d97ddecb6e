"""trimcp as a program on stdio, beside the floor and other SDKs: starts, rates, latency, memory.

    python -m benchmarks.stdio [--era modern] [--rounds 5] [--mcp PYTHON] [--everything PATH] [--json]

Each round starts all programs and then loads them in turns, in bursts of a tenth of a second, so
that whatever else the machine does falls on all of them. Rates are medians of the bursts, ratios
medians of the ratios of bursts that followed each other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from benchmarks.contestants import FLOOR, PYTHON_SDK, TRIMCP, Contestant, add_options, contestants, with_bytecode
from benchmarks.messages import Era
from benchmarks.process import Program, Unusable
from benchmarks.report import Found, machine, machine_line, progress, ratio, table

WARM = 500
"""Calls of each kind before the first burst counts; just-in-time compilers need some."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stdio", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--rounds", type=int, default=5, help="times that the programs are started")
    parser.add_argument("--bursts", type=int, default=10, help="of each load and program in a round")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one burst")
    parser.add_argument("--window", type=int, default=32, help="calls in flight in the pipelined load")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts, about = machine(), machine_line()
    with with_bytecode() as env:
        usable = [one for one in contestants(options) if _answers(one, options.era, env)]
        found: Found = {one.name: {} for one in usable}
        for number in range(options.rounds):
            progress(f"round {number + 1} of {options.rounds}")
            _round(found, usable, options, env)
        progress("")
    if options.json:
        print(json.dumps({"machine": facts, "era": options.era, "window": options.window, "rounds": found}))
        return
    print(f"{about}; {options.era}, {options.rounds} × {options.bursts} bursts, {options.window} in flight\n")
    _print(found)


def _answers(contestant: Contestant, era: Era, env: Mapping[str, str]) -> bool:
    program = Program(contestant.command, era, tool=contestant.tool, env=env)
    try:
        program.open()
        program.call()
    except (Unusable, OSError) as exc:
        print(f"{contestant.name}: left out, {exc}", file=sys.stderr)
        return False
    finally:
        program.close()
    return True


def _round(found: Found, usable: Sequence[Contestant], options: argparse.Namespace, env: Mapping[str, str]) -> None:
    def note(name: str, figures: Mapping[str, float]) -> None:
        for figure, value in figures.items():
            found[name].setdefault(figure, []).append(value)

    with ExitStack() as running:
        programs: dict[str, Program] = {}
        for one in usable:
            program = programs[one.name] = Program(one.command, options.era, tool=one.tool, env=env)
            running.callback(program.close)
            start = program.open()
            program.call()
            note(one.name, {"start": start, "first_call": time.perf_counter() - program.began})
        for program in programs.values():
            for _ in range(WARM):
                program.call()
            program.pipelined(options.seconds, options.window)
        for _ in range(options.bursts):
            for name, program in programs.items():
                note(name, program.serial(options.seconds))
            for name, program in programs.items():
                note(name, program.pipelined(options.seconds, options.window))
        for name, program in programs.items():
            note(name, {"rss": program.rss()})


def _print(found: Found) -> None:
    def median(name: str, figure: str) -> float:
        return statistics.median(found[name][figure])

    def against(name: str, other: str, figure: str) -> str:
        return f"{ratio(found[name][figure], found[other][figure]):.2f}" if other in found else "–"

    rates = ["serial", "pipelined"]
    head = ("", "serial/s", "of floor", "× SDK", "pipelined/s", "of floor", "× SDK", "CPU µs", "p50 ms", "p99 ms")
    rows = []
    for name in found:
        row = [name]
        for figure in rates:
            row += [f"{median(name, figure):,.0f}", against(name, FLOOR, figure), against(name, PYTHON_SDK, figure)]
        rows.append([*row, f"{median(name, 'cpu'):.1f}", f"{median(name, 'p50'):.2f}", f"{median(name, 'p99'):.2f}"])
    print(table(head, rows))
    print()
    starts = ("", "first answer ms", "× floor", "first call ms", "× floor", "MiB")
    rows = [
        [
            name,
            f"{median(name, 'start') * 1e3:.0f}",
            against(name, FLOOR, "start"),
            f"{median(name, 'first_call') * 1e3:.0f}",
            against(name, FLOOR, "first_call"),
            f"{median(name, 'rss'):.0f}",
        ]
        for name in found
    ]
    print(table(starts, rows))
    for name in found:
        if name not in (TRIMCP, FLOOR) and TRIMCP in found:
            serial, pipelined = (ratio(found[TRIMCP][figure], found[name][figure]) for figure in rates)
            print(f"\ntrimcp is {serial:.1f} × {name} serially, {pipelined:.1f} × pipelined", end="")
    print()


if __name__ == "__main__":
    main()
