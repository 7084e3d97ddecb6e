"""Measures clients over HTTP: trimcp's and the Python SDK's, at the same server.

    python -m benchmarks.http_client [--parent PATH] --mcp PYTHON

Both call trimcp's built-in server; their bursts alternate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
from collections import defaultdict

import orjson

from benchmarks.contestants import PEERS, PYTHON_SDK, Contestant, checkouts
from benchmarks.http_servers import OURS, served
from benchmarks.pinning import Processors, add_pin_option, processors
from benchmarks.process import undisturbed
from benchmarks.report import machine_line, progress, ratio, table

LOADS = ("serial", "concurrent")
REVISIONS = ("2026-07-28", "2025-11-25")


def main() -> None:
    """Measure, and print a table for each era."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http_client", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--parent", metavar="PATH", help="a checkout of another commit, for its client")
    parser.add_argument("--mcp", metavar="PYTHON", help="the interpreter that has the `mcp` package")
    parser.add_argument("--bursts", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each load in a burst")
    add_pin_option(parser)
    options = parser.parse_args()
    clients = checkouts(options, (str(PEERS / "client_trimcp.py"),))
    if options.mcp:
        clients.append(Contestant(PYTHON_SDK, (options.mcp, str(PEERS / "client_python_sdk.py")), ""))
    server_program = checkouts(options, OURS)[0]
    where = processors(options)
    print(f"{machine_line()}; {where}")
    for revision in REVISIONS:
        rates: dict[str, dict[str, list[float]]] = {one.name: defaultdict(list) for one in clients}
        with served(server_program, where=where) as server:
            url = f"http://127.0.0.1:{server.port}/mcp"
            for burst in range(options.bursts):
                for one in clients:
                    progress(f"{revision}, burst {burst + 1}: {one.name}")
                    for figure, value in _burst(one, where, url, revision, options.seconds, server.process.pid).items():
                        rates[one.name][figure].append(value)
        print(f"\n{revision}:\n")
        print(_table(rates))


def _burst(one: Contestant, where: Processors, *arguments: object) -> dict[str, float]:
    """Calls a second, and microseconds of the client's processor time for each."""
    command = where.for_driver([*one.command, *map(str, arguments)])
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, **one.env})
    found: dict[str, list[float]] = orjson.loads(done.stdout)
    figures: dict[str, float] = {}
    for load, (calls, seconds, cpu, waited, server_waited) in found.items():
        figures[load] = calls / undisturbed(seconds, cpu, waited, server_waited)
        figures[f"{load} cpu"] = cpu / calls * 1e6
    return figures


def _table(rates: dict[str, dict[str, list[float]]]) -> str:
    head = ["", "serial/s", f"× {PYTHON_SDK}", "CPU µs", "16 callers/s", f"× {PYTHON_SDK}", "CPU µs"]
    rows: list[list[str]] = []
    for name, loads in rates.items():
        row = [name]
        for load in LOADS:
            theirs = rates.get(PYTHON_SDK, {}).get(load)
            row += [f"{statistics.median(loads[load]):,.0f}", f"{ratio(loads[load], theirs):.2f}" if theirs else "–"]
            row.append(f"{statistics.median(loads[f'{load} cpu']):.0f}")
        rows.append(row)
    return table(head, rows)


if __name__ == "__main__":
    main()
