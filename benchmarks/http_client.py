"""Clients over HTTP: calls a second of trimcp's beside the Python SDK's, at the same server.

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
    options = parser.parse_args()
    clients = checkouts(options, (str(PEERS / "client_trimcp.py"),))
    if options.mcp:
        clients.append(Contestant(PYTHON_SDK, (options.mcp, str(PEERS / "client_python_sdk.py")), ""))
    server_program = checkouts(options, OURS)[0]
    print(machine_line())
    for revision in REVISIONS:
        rates: dict[str, dict[str, list[float]]] = {one.name: defaultdict(list) for one in clients}
        with served(server_program) as server:
            url = f"http://127.0.0.1:{server.port}/mcp"
            for burst in range(options.bursts):
                for one in clients:
                    progress(f"{revision}, burst {burst + 1}: {one.name}")
                    for load, rate in _burst(one, url, revision, str(options.seconds)).items():
                        rates[one.name][load].append(rate)
        print(f"\n{revision}:\n")
        print(_table(rates))


def _burst(one: Contestant, *arguments: str) -> dict[str, float]:
    env = {**os.environ, **one.env}
    done = subprocess.run([*one.command, *arguments], capture_output=True, check=True, env=env)
    figures: dict[str, float] = orjson.loads(done.stdout)
    return figures


def _table(rates: dict[str, dict[str, list[float]]]) -> str:
    head = ["", "serial/s", f"× {PYTHON_SDK}", "16 callers/s", f"× {PYTHON_SDK}"]
    rows: list[list[str]] = []
    for name, loads in rates.items():
        row = [name]
        for load in LOADS:
            theirs = rates.get(PYTHON_SDK, {}).get(load)
            row += [f"{statistics.median(loads[load]):,.0f}", f"{ratio(loads[load], theirs):.2f}" if theirs else "–"]
        rows.append(row)
    return table(head, rows)


if __name__ == "__main__":
    main()
