"""trimcp as a program on stdio, beside the floor and other SDKs: starts, rates, latency, memory.

    python -m benchmarks.stdio [--era modern] [--rounds 5] [--seconds 1] [--mcp PYTHON] [--json]

Every round starts every program afresh, loads it serially and then with a window of calls in
flight, and ends it. Figures are medians of the rounds; ratios are medians of each round's ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys

import attrs

from benchmarks.contestants import FLOOR, PYTHON_SDK, Contestant, add_options, contestants
from benchmarks.messages import Era
from benchmarks.process import Unusable, measure
from benchmarks.report import interleaved, machine, machine_line, ratio, table

HEAD = ("", "serial/s", "of floor", "× SDK", "pipelined/s", "of floor", "× SDK", "CPU µs", "p50 ms", "p99 ms", "start ms", "of floor", "MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stdio", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each load in each round")
    parser.add_argument("--window", type=int, default=32, help="calls in flight in the pipelined load")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    about = machine_line()
    facts = machine()
    usable = {one.name: one for one in contestants(options) if _answers(one, options.era)}

    def one_round(name: str) -> dict[str, float]:
        chosen = usable[name]
        figures = measure(
            chosen.command, options.era, tool=chosen.tool, seconds=options.seconds, window=options.window
        )
        return attrs.asdict(figures)

    found = interleaved(list(usable), options.rounds, one_round)
    if options.json:
        print(json.dumps({"machine": facts, "era": options.era, "window": options.window, "rounds": found}))
        return
    print(f"{about}; {options.era}, {options.rounds} rounds of {options.seconds:g} s, {options.window} in flight\n")
    print(table(HEAD, [_row(name, found) for name in found]))


def _answers(contestant: Contestant, era: Era) -> bool:
    try:
        measure(contestant.command, era, tool=contestant.tool, seconds=0.05, window=2)
    except (Unusable, OSError) as exc:
        print(f"{contestant.name}: left out, {exc}", file=sys.stderr)
        return False
    return True


def _row(name: str, found: dict[str, dict[str, list[float]]]) -> list[str]:
    mine = found[name]

    def median(figure: str) -> float:
        return statistics.median(mine[figure])

    def against(other: str, figure: str) -> str:
        return f"{ratio(mine[figure], found[other][figure]):.2f}" if other in found else "–"

    return [
        name,
        f"{median('serial'):,.0f}",
        against(FLOOR, "serial"),
        against(PYTHON_SDK, "serial"),
        f"{median('pipelined'):,.0f}",
        against(FLOOR, "pipelined"),
        against(PYTHON_SDK, "pipelined"),
        f"{median('cpu'):.1f}",
        f"{median('p50'):.2f}",
        f"{median('p99'):.2f}",
        f"{median('start') * 1e3:.0f}",
        against(FLOOR, "start"),
        f"{median('rss'):.0f}",
    ]


if __name__ == "__main__":
    main()
