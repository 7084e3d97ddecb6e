"""Measures a client and a server in one process, over the memory transport, with JSON text.

    python -m benchmarks.memory [--era modern] [--sessions 10000] [--rounds 5] [--json]

One call after another and a hundred callers at once, over one session, a hundred, and as many as
`--sessions` says; beside the Python SDK's client and server in memory, where `mcp` is installed;
and what an idle session holds.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import trio

import trimcp
from benchmarks.messages import ADD, INITIALIZED, VERSIONS, Era, opening
from benchmarks.path import adder
from benchmarks.report import Found, machine, machine_line, progress, ratio, table
from trimcp.transports.memory import memory_pair

CALLERS = 100
IDLE = 200
"""Sessions over which the memory of one is averaged."""
MANY = trimcp.Limits(sessions=20_000, server_requests=20_000)


async def load(era: Era, sessions: int, callers: int, seconds: float) -> dict[str, float]:
    """Calls a second over a number of sessions: `serial`, and `concurrent` with many callers."""
    server = adder(limits=MANY)
    clients: list[trimcp.Client] = []
    over = trio.Event()

    async def hold(*, task_status: trio.TaskStatus[None]) -> None:
        async with trimcp.connect(server, revision=VERSIONS[era]) as client:
            clients.append(client)
            task_status.started()
            await over.wait()

    async with server.running(), trio.open_nursery() as nursery:
        for _ in range(sessions):
            await nursery.start(hold)
        for client in clients:  # a client's first call asks for the tool's schema
            await client.call_tool("add", ADD)
        gc.collect()
        rates = {
            "serial": await _calls(clients, 1, seconds),
            "concurrent": await _calls(clients, callers, seconds),
        }
        over.set()
    return rates


async def _calls(clients: list[trimcp.Client], callers: int, seconds: float) -> float:
    count = 0
    began = time.process_time()  # both ends are in this process, and never wait for anything else
    end = time.perf_counter() + seconds

    async def keep_calling(first: int) -> None:
        nonlocal count
        number = first
        while time.perf_counter() < end:
            result = await clients[number % len(clients)].call_tool("add", ADD)
            assert result.structured is not None
            number += callers
            count += 1

    async with trio.open_nursery() as nursery:
        for first in range(callers):
            nursery.start_soon(keep_calling, first)
    return count / (time.process_time() - began)


# --- memory ---------------------------------------------------------------------------


async def open_pairs(era: Era, number: int, stack: AsyncExitStack) -> None:
    """Open idle sessions of a client and a server, in the stack's task."""
    server = adder(limits=MANY)
    await stack.enter_async_context(server.running())
    for _ in range(number):
        await stack.enter_async_context(trimcp.connect(server, revision=VERSIONS[era]))


async def open_servers(era: Era, number: int, stack: AsyncExitStack) -> None:
    """Open idle sessions of a server; at the other end is only a pipe."""
    server = adder(limits=MANY)
    running = await stack.enter_async_context(server.running())
    nursery = await stack.enter_async_context(trio.open_nursery())
    stack.callback(nursery.cancel_scope.cancel)
    for _ in range(number):
        ours, theirs = memory_pair()
        nursery.start_soon(running.serve, theirs)
        await ours.send_all(opening(era))
        await ours.receive()
        await ours.send_all(INITIALIZED if era == "legacy" else b"")


async def kibibytes(open_some: Callable[[Era, int, AsyncExitStack], Awaitable[None]], era: Era, number: int) -> float:
    """KiB of Python objects for each idle session."""
    async with AsyncExitStack() as warm:
        await open_some(era, 3, warm)  # what is made once is not counted
    gc.collect()
    tracemalloc.start()
    try:
        async with AsyncExitStack() as stack:
            before = tracemalloc.get_traced_memory()[0]
            await open_some(era, number, stack)
            gc.collect()
            return (tracemalloc.get_traced_memory()[0] - before) / number / 1024
    finally:
        tracemalloc.stop()


# --- the whole ------------------------------------------------------------------------


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--sessions", type=int, help="measure with so many sessions as well, up to 10000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    era: Era = options.era
    facts, about = machine(), machine_line()
    numbers = [1, 100] + ([min(options.sessions, 10_000)] if options.sessions else [])
    measures = _measures(era, numbers, options.seconds)
    found: Found = {name: {} for name in measures}
    for number in range(options.rounds):
        for name, measure in measures.items():
            progress(f"round {number + 1} of {options.rounds}: {name}")
            for figure, value in measure().items():
                found[name].setdefault(figure, []).append(value)
    progress("")
    idle = _idle(era)
    if options.json:
        print(json.dumps({"machine": facts, "era": era, "rounds": found, "idle_kib": idle}))
        return
    print(f"{about}; {era}, {options.rounds} rounds of {options.seconds:g} s, {CALLERS} callers\n")
    _print(found, numbers)
    print()
    print(table(("idle session", "KiB"), [[name, f"{size:.1f}"] for name, size in idle.items()]))


def _measures(era: Era, numbers: list[int], seconds: float) -> dict[str, Callable[[], dict[str, float]]]:
    measures: dict[str, Callable[[], dict[str, float]]] = {}

    def ours(number: int) -> Callable[[], dict[str, float]]:
        return lambda: trio.run(load, era, number, CALLERS, seconds)

    def theirs(number: int) -> Callable[[], dict[str, float]]:
        import anyio

        from benchmarks.peers import sdk_memory

        return lambda: anyio.run(sdk_memory.load, era, number, CALLERS, seconds)

    for number in numbers:
        measures[f"trimcp, {number} sessions"] = ours(number)
        if _has_sdk() and number <= 100:
            measures[f"Python SDK, {number} sessions"] = theirs(number)
    return measures


def _has_sdk() -> bool:
    return importlib.util.find_spec("mcp") is not None


def _idle(era: Era) -> dict[str, float]:
    sizes: dict[str, float] = {
        "trimcp, the server's side": trio.run(kibibytes, open_servers, era, IDLE),
        "trimcp, both sides": trio.run(kibibytes, open_pairs, era, IDLE),
    }
    if _has_sdk():
        import anyio

        from benchmarks.peers import sdk_memory

        sizes["Python SDK, both sides"] = anyio.run(kibibytes, sdk_memory.open_pairs, era, IDLE)
    return sizes


def _print(found: Found, numbers: list[int]) -> None:
    rows: list[list[str]] = []
    first = found[f"trimcp, {numbers[0]} sessions"]
    for name, figures in found.items():
        sdk: dict[str, Any] | None = found.get(name.replace("trimcp", "Python SDK"))
        row = [name]
        for figure in ("serial", "concurrent"):
            row += [
                f"{statistics.median(figures[figure]):,.0f}",
                f"{ratio(figures[figure], sdk[figure]):.2f}" if sdk else "–",
                f"{ratio(figures[figure], first[figure]):.2f}" if name.startswith("trimcp") else "–",
            ]
        rows.append(row)
    head = ("", "serial/s", "× SDK", "of 1 session", f"{CALLERS} callers/s", "× SDK", "of 1 session")
    print(table(head, rows))


if __name__ == "__main__":
    main()
