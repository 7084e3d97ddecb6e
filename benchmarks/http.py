"""trimcp on HTTP, by both doors, beside floors and other SDKs: rates, latency, processor time.

    python -m benchmarks.http [--era legacy] [--rounds 3] [--mcp PYTHON] [--fastmcp PYTHON] [--everything PATH]

Each round starts all programs and then loads them in turns, in bursts of some tenths of a second, so that
whatever else the machine does falls on all of them: one call after another on one connection, then one on
each of 32. Rates are medians of the bursts, ratios medians of the ratios of bursts that followed each
other. In the legacy era all calls are of one session. For what sessions cost, see `benchmarks.http_sessions`.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing

from benchmarks.contestants import FLOOR, PYTHON_SDK, TRIMCP, Contestant, add_options, versions_line, with_bytecode
from benchmarks.http_driver import Session, calls, connected, load
from benchmarks.http_servers import (
    HYPERCORN_FLOOR,
    THROUGH_HYPERCORN,
    Served,
    http_contestants,
    served,
)
from benchmarks.messages import Era
from benchmarks.pinning import Processors, add_pin_option, processors
from benchmarks.process import Unusable
from benchmarks.report import Found, machine, machine_line, progress, ratio, table

WARM = 0.5
"""Seconds of load before the first burst counts; just-in-time compilers need some."""


class Loaded:
    """A server, with its session in the legacy era, and the requests that load it."""

    def __init__(self, server: Served, era: Era, running: ExitStack) -> None:
        self.server = server
        sessions = []
        if era == "legacy" and "floor" not in server.name:
            with connected(server.port, 1) as (connection,):
                sessions = [running.enter_context(closing(Session(server.port, connection)))]
        self._requests: Iterator[bytes] = calls(server.port, era if sessions else "modern", server.tool, sessions)

    def burst(self, seconds: float, connections: int) -> dict[str, float]:
        """Load it.

        Returns:
            `rate` a second, `cpu` of the server in µs for each, `p50` and `p99` in ms, and `driver`, the
            part of the time that this process was busy.
        """
        latencies: list[float] = []
        with connected(self.server.port, connections) as opened:
            cpu, own = self.server.cpu_seconds(), time.process_time()
            count, elapsed = load(opened, self._requests, seconds, latencies)
            cpu, own = self.server.cpu_seconds() - cpu, time.process_time() - own
        if not count:
            raise Unusable(f"not one answer within {seconds} s")
        latencies.sort()
        return {
            "rate": count / elapsed,
            "cpu": cpu / count * 1e6,
            "p50": latencies[count // 2] * 1e3,
            "p99": latencies[count * 99 // 100] * 1e3,
            "driver": own / elapsed,
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    add_pin_option(parser)
    parser.add_argument("--era", choices=["legacy", "modern"], default="modern")
    parser.add_argument("--rounds", type=int, default=3, help="times that the programs are started")
    parser.add_argument("--bursts", type=int, default=5, help="of each load and program in a round")
    parser.add_argument("--seconds", type=float, default=0.3, help="of one burst")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    where = processors(options)
    where.hold_this_process()
    facts, about = machine(), machine_line()
    with with_bytecode() as env:
        usable = [one for one in http_contestants(options) if _answers(one, options.era, env, where)]
        found: Found = {one.name: {} for one in usable}
        gc.disable()
        for number in range(options.rounds):
            progress(f"round {number + 1} of {options.rounds}")
            _round(found, usable, options, env, where)
            gc.collect()
        progress("")
    if options.json:
        print(json.dumps({"machine": facts, "era": options.era, "rounds": found}))
        return
    print(f"{versions_line(usable)}")
    print(f"{where}")
    print(f"{about}; {options.era}, {options.rounds} × {options.bursts} bursts, {options.connections} connections\n")
    _print(found)


def _answers(contestant: Contestant, era: Era, env: Mapping[str, str], where: Processors) -> bool:
    try:
        with served(contestant, env, where) as server, ExitStack() as running:
            Loaded(server, era, running).burst(4 * WARM, 1)
    except (Unusable, OSError) as exc:
        print(f"{contestant.name}: left out, {exc}", file=sys.stderr)
        return False
    return True


def _round(
    found: Found, usable: Sequence[Contestant], options: argparse.Namespace, env: Mapping[str, str], where: Processors
) -> None:
    with ExitStack() as running:
        programs = {
            one.name: Loaded(running.enter_context(served(one, env, where)), options.era, running) for one in usable
        }
        for program in programs.values():
            program.burst(WARM, options.connections)
        for _ in range(options.bursts):
            for load_name, connections in (("serial", 1), ("many", options.connections)):
                for name, program in programs.items():
                    for figure, value in program.burst(options.seconds, connections).items():
                        found[name].setdefault(f"{load_name} {figure}", []).append(value)
        for name, program in programs.items():
            found[name].setdefault("rss", []).append(program.server.rss())


def _print(found: Found) -> None:
    def median(name: str, figure: str) -> float:
        return statistics.median(found[name][figure])

    def against(name: str, other: str, figure: str) -> str:
        return f"{ratio(found[name][figure], found[other][figure]):.2f}" if other in found else "–"

    head = (
        "",
        "serial/s",
        "of floor",
        "× SDK",
        "many/s",
        "of floor",
        "× SDK",
        "CPU µs",
        "p50 ms",
        "p99 ms",
        "MiB",
        "driver",
    )
    rows = []
    for name in found:
        floor = HYPERCORN_FLOOR if name in (THROUGH_HYPERCORN, HYPERCORN_FLOOR) else FLOOR
        row = [name]
        for figure in ("serial rate", "many rate"):
            row += [f"{median(name, figure):,.0f}", against(name, floor, figure), against(name, PYTHON_SDK, figure)]
        row += [f"{median(name, 'many cpu'):.0f}", f"{median(name, 'many p50'):.2f}", f"{median(name, 'many p99'):.2f}"]
        rows.append([*row, f"{median(name, 'rss'):.0f}", f"{median(name, 'many driver'):.0%}"])
    print(table(head, rows))
    for name in found:
        if name not in (TRIMCP, FLOOR, HYPERCORN_FLOOR) and TRIMCP in found:
            ours, theirs = found[TRIMCP], found[name]
            serial, many = (ratio(ours[figure], theirs[figure]) for figure in ("serial rate", "many rate"))
            print(f"\ntrimcp is {serial:.1f} × {name} serially, {many:.1f} × with many connections", end="")
    print()


if __name__ == "__main__":
    main()
