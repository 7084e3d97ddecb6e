"""Measures how requests end on HTTP: a client that goes away, and a server that stops.

    python -m benchmarks.http_ends [--rounds 3]

*Cancelling*: a client closes the connection of a call that waits (2026-07-28: that is what cancels it); the time is
that until the handler's scope is cancelled, by the clock that all processes share.
*Draining*: SIGTERM comes while 32 connections keep calling a tool that takes 5 ms. What counts is that every call
that began was answered, and what became of those sent too late.
"""

from __future__ import annotations

import argparse
import json
import select
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing

import attrs
import orjson

from benchmarks.contestants import Contestant, checkouts, with_bytecode
from benchmarks.http_driver import CHUNK, PATIENCE, Connection, Response, modern_call
from benchmarks.http_servers import OURS, THROUGH_HYPERCORN, Served, served
from benchmarks.report import machine_line, progress, table

CALLS = 200
"""Calls that are cancelled in a round."""
CONNECTIONS = 32
TAKES = 0.005
BEFORE = 0.5
"""Seconds of load before SIGTERM."""


def main() -> None:
    """Measure and print."""
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_ends", description=summary)
    parser.add_argument("--parent", metavar="PATH", help="a checkout of another commit of trimcp, to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    about = machine_line()
    programs = [
        *checkouts(options, OURS),
        attrs.evolve(checkouts(options, (*OURS, "--hypercorn"))[0], name=THROUGH_HYPERCORN),
    ]
    cancelling: dict[str, list[float]] = {}
    draining: dict[str, dict[str, int]] = {}
    with with_bytecode() as env:
        for number in range(options.rounds):
            for one in programs:
                progress(f"round {number + 1} of {options.rounds}: {one.name}")
                with served(one, env) as server:
                    cancelling.setdefault(one.name, []).extend(_cancel(server))
                for key, count in _drain(one, env).items():
                    counts = draining.setdefault(one.name, {})
                    counts[key] = counts.get(key, 0) + count
        progress("")
    if options.json:
        print(json.dumps({"cancelling": cancelling, "draining": draining}))
        return
    print(f"{about}\n")
    rows = []
    for name, times in cancelling.items():
        ordered = sorted(times)
        rows.append([name, *(f"{ordered[int(len(ordered) * part)] * 1e3:.2f}" for part in (0.5, 0.99))])
    print(table(("closed → cancelled", "p50 ms", "p99 ms"), rows), end="\n\n")
    keys = list(next(iter(draining.values())))
    print(table(("drained under load", *keys), [[name, *map(str, c.values())] for name, c in draining.items()]))


def _cancel(server: Served) -> list[float]:
    """Seconds from each close until its handler was cancelled."""
    waits = modern_call(server.port, "take_time", seconds=3600)
    asks = modern_call(server.port, "times")
    with closing(Connection(server.port)) as asking:
        found: list[float] = []
        for _ in range(CALLS):
            calling = Connection(server.port)
            calling.sock.sendall(waits)
            # A call that has come a full turn later has found this one waiting.
            asking.ask(asks)
            asking.ask(asks)
            time.sleep(0.005)
            closed = time.monotonic()
            calling.close()
            # It is asked only later, so that asking does not wake the server.
            time.sleep(0.01)
            while not (times := _times(asking.ask(asks))):
                time.sleep(0.005)
            found.append(times[0] - closed)
        return found


def _times(response: bytes) -> list[float]:
    message = orjson.loads(response.partition(b"\r\n\r\n")[2])
    found: list[float] = message["result"]["structuredContent"]["result"]
    return found


def _drain(one: Contestant, env: Mapping[str, str]) -> dict[str, int]:
    """The outcomes of the calls around a SIGTERM."""
    counts = {"sent": 0, "answered": 0, "refused": 0, "cut off": 0}
    with served(one, env) as server, ExitStack() as running:
        request = modern_call(server.port, "take_time", seconds=TAKES)
        waiting: dict[int, Connection] = {}
        poll = running.enter_context(closing(select.epoll()))
        for _ in range(CONNECTIONS):
            connection = running.enter_context(closing(Connection(server.port)))
            waiting[connection.sock.fileno()] = connection
            poll.register(connection.sock, select.EPOLLIN)
            connection.sock.sendall(request)
            counts["sent"] += 1
        end = time.perf_counter() + BEFORE
        stopping = False
        while waiting:
            if not stopping and time.perf_counter() > end:
                server.stop()
                stopping = True
            for descriptor, _ in poll.poll(PATIENCE):
                _take(waiting, descriptor, request, counts)
        report = server.drain()
    return {
        **counts,
        "began": report["began"],
        "finished": report["finished"],
        "cancelled": report["cancelled"],
    }


def _take(waiting: dict[int, Connection], descriptor: int, request: bytes, counts: dict[str, int]) -> None:
    """Take the bytes of a connection, and send its next call while it is served."""
    connection = waiting[descriptor]
    try:
        more = connection.sock.recv(CHUNK)
        if not more:
            raise ConnectionResetError
        if not connection.response.feed(more):
            return
        answer, connection.response = connection.response.whole(), Response()
        served = answer.startswith(b"HTTP/1.1 200") and b'"result":' in answer
        counts["answered" if served else "refused"] += 1
        if not served or b"connection: close" in answer.lower():
            del waiting[descriptor]
            connection.sock.close()
            return
        connection.sock.sendall(request)
        counts["sent"] += 1
    except ConnectionError:
        counts["cut off"] += 1
        del waiting[descriptor]
        connection.sock.close()


if __name__ == "__main__":
    main()
