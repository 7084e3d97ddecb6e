"""Measures large results and progress over HTTP, as event streams and as JSON.

    python -m benchmarks.http_work [--era modern] [--parent PATH] [--mcp PYTHON] [--fastmcp PYTHON] [--npm FOLDER]

In 2025-11-25 every server answers with an event stream, and all calls are of one session. In 2026-07-28 trimcp
answers in JSON unless something precedes the answer; the Python SDK and FastMCP are told to use event streams, and the
TypeScript SDK does not speak it. One connection, then several; bursts take turns among the programs.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from benchmarks.cases import CASES, REPORTS, Case
from benchmarks.contestants import (
    TYPESCRIPT_SDK,
    Contestant,
    add_options,
    versions_line,
    with_bytecode,
    work_contestants,
)
from benchmarks.http_driver import ROUND, connected, request
from benchmarks.http_servers import LoadedServer, served
from benchmarks.pinning import Processors, add_pin_option, processors
from benchmarks.process import Unusable
from benchmarks.report import OtherWork, machine, machine_line, note, progress
from benchmarks.work import Results, print_results

CONNECTIONS = {"add": 32, "text": 4, "blob": 4, "progress": 32}
"""The cases that are measured here, by tool, and how many connections the second load has."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_work", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    add_pin_option(parser)
    parser.add_argument("--case", action="append", help="measure only the cases of these tools", metavar="TOOL")
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--rounds", type=int, default=1, help="times that all programs are started")
    parser.add_argument("--bursts", type=int, default=4, help="of each load and program in a round")
    parser.add_argument("--seconds", type=float, default=0.3, help="of one burst")
    parser.add_argument("--warm", type=float, default=1.0, help="seconds of load before the first burst counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    others = OtherWork()
    facts, about, where = machine(), machine_line(), processors(options)
    where.hold_this_process()
    gc.disable()
    results: Results = {}
    with with_bytecode() as env:
        programs = work_contestants(options, "http")
        if options.era == "modern":
            programs = [one for one in programs if one.name != TYPESCRIPT_SDK]
        for _ in range(options.rounds):
            _round(results, programs, options, env, where)
            gc.collect()
        progress("")
    if options.json:
        found = {f"{case}, {number} connections": figures for (case, number), figures in results.items()}
        print(json.dumps({"machine": facts, "programs": versions_line(programs), "found": found}))
        return
    print(f"{about}; {others}\n{versions_line(programs)}\n{where}; {options.era}\n")
    print_results(results, [one.name for one in programs])


def _requests(program: LoadedServer, case: Case) -> Iterator[bytes]:
    """Requests without end; of those in flight at once no two have the same id."""
    method, params = case.request
    port, era = program.server.port, program.era
    prepared = [
        request(port, era, method, params, id=1000 + n, session=program.session, progress=case.progress)
        for n in range(ROUND)
    ]
    return itertools.cycle(prepared)


def _round(
    results: Results,
    contestants: Sequence[Contestant],
    options: argparse.Namespace,
    env: Mapping[str, str],
    where: Processors,
) -> None:
    with ExitStack() as running:
        programs: dict[str, LoadedServer] = {}
        for one in contestants:
            try:
                server = running.enter_context(served(one, env, where))
                programs[one.name] = LoadedServer(server, options.era, running)
            except (Unusable, OSError) as exc:
                print(f"{one.name}: left out, {exc}", file=sys.stderr)
        for case in CASES:
            if case.tool not in CONNECTIONS or (options.case and case.tool not in options.case):
                continue
            progress(case.name)
            _case(results, case, programs, options)


def _case(results: Results, case: Case, programs: Mapping[str, LoadedServer], options: argparse.Namespace) -> None:
    many = CONNECTIONS[case.tool]
    sizes: dict[str, dict[str, float]] = {}
    requests: dict[str, Iterator[bytes]] = {}
    for name, program in programs.items():
        requests[name] = _requests(program, case)
        try:
            with connected(program.server.port, 1) as (connection,):
                sizes[name] = _checked(case, connection.ask(next(requests[name])))
            program.burst(requests[name], options.warm, many)
        except (Unusable, OSError) as exc:
            print(f"{case.name}: {name} left out, {exc}", file=sys.stderr)
            sizes.pop(name, None)
    for number in range(options.bursts):
        for connections in (1, many):
            for name in list(sizes)[:: 1 if number % 2 else -1]:
                burst = programs[name].burst(requests[name], options.seconds, connections)
                note(results.setdefault((case.name, connections), {}).setdefault(name, {}), burst | sizes[name])


def _checked(case: Case, response: bytes) -> dict[str, float]:
    """Count the bytes and messages of an answer.

    Raises:
        Unusable: it is not the right answer.
    """
    messages = response.count(b'"jsonrpc"')
    if (
        b'"result":' not in response
        or b'"isError":true' in response
        or messages != (REPORTS if case.progress else 0) + 1
    ):
        raise Unusable(f"a wrong answer, of {messages} messages: {response[:300]!r}")
    return {"bytes": len(response), "messages": messages}


if __name__ == "__main__":
    main()
