"""Measures sessions of 2025-11-25 on HTTP, each with its GET stream, and a client that stops reading.

    python -m benchmarks.http_sessions [--sessions 1000 10000] [--parent PATH] [--mcp PYTHON] [--npm FOLDER]

For each server: sessions opened a second (two requests and a stream each, one after another), what its
memory grew by for each, and calls a second on 32 connections, round 1 session and round all of them, in
turns. For trimcp alone: the latency of 999 clients while one more asks for a mebibyte again and again and
reads nothing, and without that one. Each client holds a descriptor, and so does the server: mind `ulimit -n`.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress

from benchmarks.contestants import PARENT, TRIMCP, Contestant, add_options, versions_line, with_bytecode
from benchmarks.http_driver import Connection, Session, calls, connected, load, modern_call
from benchmarks.http_servers import THROUGH_HYPERCORN, Served, http_contestants, is_floor, served
from benchmarks.pinning import Processors, add_pin_option, processors
from benchmarks.process import Unusable
from benchmarks.report import Found, OtherWork, machine, machine_line, progress, ratio, table

UNREAD = 64
"""Calls for a mebibyte that the client sends before it stops reading."""


def main() -> None:
    """Measure and print."""
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_sessions", description=summary)
    add_options(parser)
    add_pin_option(parser)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1000])
    parser.add_argument("--clients", type=int, default=1000, help="of which one stops reading")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bursts", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one burst")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    others = OtherWork()
    about = machine_line()
    where = processors(options)
    where.hold_this_process()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the servers inherit it
    wanted = [one for one in http_contestants(options) if not is_floor(one)]
    found: Found = {}
    gc.disable()
    with with_bytecode() as env:
        for number in range(options.rounds):
            for one, sessions in itertools.product(wanted, options.sessions):
                name = f"{one.name}, {sessions:,}"
                progress(f"round {number + 1} of {options.rounds}: {name} sessions")
                try:
                    for figure, value in _sessions(one, sessions, options, env, where).items():
                        found.setdefault(name, {}).setdefault(figure, []).extend(value)
                except (Unusable, OSError) as exc:
                    print(f"{name} sessions: left out, {exc}", file=sys.stderr)
        stuck: Found = {}
        for one in wanted:
            if one.name in (TRIMCP, PARENT, THROUGH_HYPERCORN):
                stuck[one.name] = _stopped(one, options, env, where)
        progress("")
    if options.json:
        print(json.dumps({"machine": machine(), "sessions": found, "stopped": stuck}))
        return
    print(f"{about}; {others}\n{versions_line(wanted)}\n{where}; {options.connections} connections for calls\n")
    _print(found, stuck, options.clients)


def _sessions(
    one: Contestant, number: int, options: argparse.Namespace, env: Mapping[str, str], where: Processors
) -> dict[str, list[float]]:
    with served(one, env, where) as server, ExitStack() as running:

        def burst(requests: Iterator[bytes], seconds: float) -> float:
            with connected(server.port, options.connections) as connections:
                stretch = server.stretch()
                return stretch.figures(*load(connections, requests, seconds, []))["rate"]

        with connected(server.port, 1) as (connection,):
            first = running.enter_context(closing(Session(server.port, connection)))
            alone = calls(server.port, "legacy", server.tool, [first])
            burst(alone, 2 * options.seconds)
        with connected(server.port, 1) as (connection,):
            before, began = server.rss(), time.perf_counter()
            sessions = [running.enter_context(closing(Session(server.port, connection))) for _ in range(number)]
            opened = time.perf_counter() - began
        figures: dict[str, list[float]] = {
            "opened": [number / opened],
            "kib": [(server.rss() - before) * 1024 / number],
        }
        everywhere = calls(server.port, "legacy", server.tool, sessions)
        burst(everywhere, 2 * options.seconds)
        figures["kib used"] = [(server.rss() - before) * 1024 / number]
        for _ in range(options.bursts):
            for name, requests in (("one", alone), ("all", everywhere)):
                figures.setdefault(name, []).append(burst(requests, options.seconds))
        return figures


def _stopped(
    one: Contestant, options: argparse.Namespace, env: Mapping[str, str], where: Processors
) -> dict[str, list[float]]:
    """Percentiles in ms, and the rate, with one client that does not read and without."""
    figures: dict[str, list[float]] = {}
    with served(one, env, where) as server, ExitStack() as running:
        connections = [running.enter_context(closing(Connection(server.port))) for _ in range(options.clients - 1)]
        requests = calls(server.port, "modern", server.tool)
        load(connections, requests, 2 * options.seconds, [])
        for _ in range(options.rounds * options.bursts):
            for name in ("well", "stopped"):
                with ExitStack() as stuck:
                    if name == "stopped":
                        _stop_reading(server, stuck)
                    latencies: list[float] = []
                    count, elapsed = load(connections, requests, options.seconds, latencies)
                latencies.sort()
                for figure, value in (("p50", 0.5), ("p99", 0.99)):
                    figures.setdefault(f"{name} {figure}", []).append(latencies[int(count * value)] * 1e3)
                figures.setdefault(f"{name} rate", []).append(count / elapsed)
    return figures


def _stop_reading(server: Served, stuck: ExitStack) -> None:
    bad = stuck.enter_context(closing(Connection(server.port)))
    bad.sock.setblocking(False)
    with suppress(BlockingIOError):
        for number in range(UNREAD):
            bad.sock.send(modern_call(server.port, "much", number))


def _print(found: Found, stuck: Found, clients: int) -> None:
    def median(figures: Mapping[str, list[float]], figure: str) -> float:
        return statistics.median(figures[figure])

    head = ("sessions", "opened/s", "KiB each", "KiB each, used", "calls/s, one", "calls/s, all", "of one")
    rows = [
        [
            name,
            f"{median(figures, 'opened'):,.0f}",
            f"{median(figures, 'kib'):.1f}",
            f"{median(figures, 'kib used'):.1f}",
            f"{median(figures, 'one'):,.0f}",
            f"{median(figures, 'all'):,.0f}",
            f"{ratio(figures['all'], figures['one']):.2f}",
        ]
        for name, figures in found.items()
    ]
    if rows:
        print(table(head, rows), end="\n\n")
    beside_head = (f"{clients - 1} clients beside", "p50 ms", "p99 ms", "calls/s")
    rows = [
        [f"{name}: {beside}", *(f"{median(figures, f'{key} {figure}'):,.2f}" for figure in ("p50", "p99", "rate"))]
        for name, figures in stuck.items()
        for key, beside in (("well", "none"), ("stopped", "one that stopped reading"))
    ]
    if rows:
        print(table(beside_head, rows))


if __name__ == "__main__":
    main()
