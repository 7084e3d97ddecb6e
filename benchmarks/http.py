"""Measures trimcp on HTTP, with its built-in server and on hypercorn, beside floors and other SDKs.

    python -m benchmarks.http [--era legacy] [--parent PATH] [--mcp PYTHON] [--fastmcp PYTHON] [--npm FOLDER]

Each round starts all programs and then loads them in turns, in bursts of some tenths of a second, so that
other load on the machine affects all of them: one call after another on one connection, then one on
each of 32. Rates are medians of the bursts, ratios medians of the ratios of bursts that followed each
other. In the legacy era all calls are of one session. For what sessions cost, see `benchmarks.http_sessions`.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from benchmarks.contestants import Contestant, add_options, versions_line, with_bytecode
from benchmarks.http_servers import (
    HYPERCORN_FLOOR,
    THROUGH_HYPERCORN,
    LoadedServer,
    http_contestants,
    served,
)
from benchmarks.messages import Era
from benchmarks.pinning import Processors, add_pin_option, processors
from benchmarks.process import Unusable
from benchmarks.report import Found, OtherWork, comparison, machine, machine_line, note, progress, ratio


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    add_pin_option(parser)
    parser.add_argument("--era", choices=["legacy", "modern"], default="modern")
    parser.add_argument("--rounds", type=int, default=2, help="times that the programs are started")
    parser.add_argument("--warm", type=float, default=3.0, help="seconds of load before the first burst counts")
    parser.add_argument("--bursts", type=int, default=5, help="of each load and program in a round")
    parser.add_argument("--seconds", type=float, default=0.3, help="of one burst")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    where = processors(options)
    where.hold_this_process()
    others = OtherWork()
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
    print(f"{versions_line(usable)}\n{others}")
    print(f"{where}")
    print(f"{about}; {options.era}, {options.rounds} × {options.bursts} bursts, {options.connections} connections\n")
    _print(found, options.connections)


def _answers(contestant: Contestant, era: Era, env: Mapping[str, str], where: Processors) -> bool:
    try:
        with served(contestant, env, where) as server, ExitStack() as running:
            program = LoadedServer(server, era, running)
            program.burst(program.calls(), 0.1, 1)
    except (Unusable, OSError) as exc:
        print(f"{contestant.name}: left out, {exc}", file=sys.stderr)
        return False
    return True


def _round(
    found: Found, usable: Sequence[Contestant], options: argparse.Namespace, env: Mapping[str, str], where: Processors
) -> None:
    with ExitStack() as running:
        programs = {
            one.name: LoadedServer(running.enter_context(served(one, env, where)), options.era, running)
            for one in usable
        }
        requests = {name: program.calls() for name, program in programs.items()}
        for name, program in programs.items():
            program.burst(requests[name], options.warm, options.connections)
        for _ in range(options.bursts):
            for load_name, connections in (("serial", 1), ("many", options.connections)):
                for name, program in programs.items():
                    burst = program.burst(requests[name], options.seconds, connections)
                    note(found[name], {f"{load_name} {figure}": value for figure, value in burst.items()})
        for name, program in programs.items():
            found[name].setdefault("rss", []).append(program.server.rss())


def _print(found: Found, connections: int) -> None:
    columns = [
        ("serial/s", "serial rate", "{:,.0f}", True),
        ("CPU µs", "serial server_cpu", "{:.0f}", True),
        (f"{connections} at once/s", "many rate", "{:,.0f}", True),
        ("CPU µs", "many server_cpu", "{:.0f}", True),
        ("p50 ms", "many p50", "{:.2f}", False),
        ("p99 ms", "many p99", "{:.2f}", False),
        ("MiB", "rss", "{:.0f}", False),
        ("driver busy", "many busy", "{:.0%}", False),
    ]
    print(comparison(found, columns))
    if THROUGH_HYPERCORN in found and HYPERCORN_FLOOR in found:
        ours, floor = found[THROUGH_HYPERCORN], found[HYPERCORN_FLOOR]
        serial, many = (ratio(ours[figure], floor[figure]) for figure in ("serial rate", "many rate"))
        print(f"\nThrough hypercorn: {serial:.2f} of its floor serially, {many:.2f} with {connections} connections")


if __name__ == "__main__":
    main()
