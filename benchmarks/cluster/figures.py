"""Measures what several processes gain and cost, as ratios of bursts that follow each other.

    python -m benchmarks.cluster.figures [workers] [foreign] [fanout] [store] [--store valkey]

`workers`: calls of one and of two worker processes. `foreign`: the first call of a session on another node than the
one that opened it, against the first call at home. `fanout`: one change, told to all subscribers on one and on three
nodes. `store`: what a call and a session cost a Valkey.

On a busy machine only the processor time is of use: two workers on two free processors carry twice as many calls as
one, as far as a call costs each of them no more. The driver needs a processor too. So `workers` says what the processor
times allow: on two processors that the driver shares, and on two that the workers have for themselves.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import select
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from benchmarks.cluster.nodes import Node
from benchmarks.cluster.simulation import Settings, store_of
from benchmarks.cluster.store_servers import ValkeyServer
from benchmarks.http_driver import CHUNK, Connection, Session, connected, load, modern_call, request
from benchmarks.report import OtherWork, machine_line, ratio, table

REST: Final = 0.01
"""Seconds that nothing is asked of a node before a first call."""
FIGURES: Final = ("workers", "foreign", "fanout", "store")
CONNECTIONS: Final = 32
PATIENCE: Final = 30.0
WARM_UP: Final = 0.1
"""Seconds before each burst that are not measured."""


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster.figures")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; all by default")
    parser.add_argument("--store", default="sqlite", help="sqlite or valkey, or a value for --store")
    parser.add_argument("--bursts", type=int, default=10, help="bursts of each kind")
    parser.add_argument("--seconds", type=float, default=0.4, help="of a burst")
    parser.add_argument("--subscribers", type=int, default=1000)
    return parser.parse_args()


@asynccontextmanager
async def nodes_of(count: int, store: str, *options: str) -> AsyncIterator[Sequence[Node]]:
    """Start nodes on one store."""
    with tempfile.TemporaryDirectory(prefix="trimcp-cluster-") as temporary:
        directory = Path(temporary)
        async with store_of(Settings(store=store), directory) as server, trio.open_nursery() as nursery:
            given = [] if server.url is None else ["--store", server.url]
            environment = {"TOWN_SESSIONS": "20000"}
            nodes = [Node(number, nursery, [*given, *options], environment) for number in range(count)]
            for node in nodes:
                await node.start()
            yield nodes
            for node in nodes:
                await node.stop()


# --- workers --------------------------------------------------------------------------


async def workers(options: argparse.Namespace) -> None:
    """Compare two workers with one: rates, and the processor time of each process."""
    one, two = ["--workers", "1"], ["--workers", "2"]
    async with nodes_of(1, "none", *one) as (single,), nodes_of(1, "none", *two) as (double,):
        rows = [
            _compared(f"{era} {tool}", _Loaded(single, era, tool, given), _Loaded(double, era, tool, given), options)
            for era, tool, given in (
                ("modern", "ring", {"key": "x"}),
                ("modern", "work", {"rounds": 1}),
                ("legacy", "ring", {"key": "x"}),
                ("legacy", "work", {"rounds": 1}),
            )
        ]
    rates, spent = ["calls/s", "1 worker", "2 workers", "ratio"], ["CPU µs a call, 1", "2", "each of 2", "driver"]
    print(table([*rates, *spent, "ratio on 2 processors", "without driver"], rows))


class _Loaded:
    """The calls of one tool of a node, and what they cost."""

    def __init__(self, node: Node, era: str, tool: str, arguments: dict[str, object]) -> None:
        self._port = node.address[1]
        self._pids = node.workers()
        self._requests = _requests(self._port, era, tool, arguments)
        self.rates: list[float] = []
        self.calls = 0
        self.spent = [0.0] * len(self._pids)
        """Seconds of each worker."""
        self.driver = 0.0
        """Seconds of this process."""

    def burst(self, seconds: float) -> None:
        """Load the node for some seconds."""
        with connected(self._port, CONNECTIONS) as connections:
            load(connections, self._requests, WARM_UP, [])
            before, driver = [_processor_seconds(pid) for pid in self._pids], time.process_time()
            count, took = load(connections, self._requests, seconds, [])
        self.driver += time.process_time() - driver
        for place, pid in enumerate(self._pids):
            self.spent[place] += _processor_seconds(pid) - before[place]
        self.calls += count
        self.rates.append(count / took)

    def each(self, seconds: float) -> float:
        """Return microseconds for each call."""
        return 1e6 * seconds / self.calls


def _compared(name: str, one: _Loaded, two: _Loaded, options: argparse.Namespace) -> list[str]:
    for _ in range(options.bursts):
        for each in (one, two):
            each.burst(options.seconds)
    single, double, driver = one.each(sum(one.spent)), two.each(sum(two.spent)), two.each(two.driver)
    # One worker and the driver have a processor each; two workers share both with the driver.
    here = 2 * max(single, one.each(one.driver)) / max(double + driver, 2 * driver)
    return [
        name,
        *(f"{statistics.median(each.rates):.0f}" for each in (one, two)),
        f"{ratio(two.rates, one.rates):.2f}",
        *(f"{cost:.0f}" for cost in (single, double)),
        " + ".join(f"{two.each(spent):.0f}" for spent in two.spent),
        f"{driver:.0f}",
        f"{here:.2f}",
        f"{2 * single / double:.2f}",
    ]


def _processor_seconds(pid: int) -> float:
    """Return the processor time that the threads of a process have used, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _requests(port: int, era: str, tool: str, arguments: dict[str, object]) -> Iterator[bytes]:
    if era == "modern":
        return itertools.cycle([modern_call(port, tool, **arguments)])
    params = {"name": tool, "arguments": arguments}
    with connected(port, 1) as (connection,):
        session = Session(port, connection).id
    prepared = [request(port, "legacy", "tools/call", params, id=10_000 + n, session=session) for n in range(1024)]
    return itertools.cycle(prepared)


# --- the first call on another node ---------------------------------------------------


async def foreign(options: argparse.Namespace) -> None:
    """Compare the first call of a session on another node with the first call at home.

    Each call is the first of its session on its connection, as behind a balancer, and both nodes have rested. Without
    the rest, the node at home is still warm from the opening, and the ratio is larger by half.
    """
    async with nodes_of(2, options.store) as nodes:
        ports = [node.address[1] for node in nodes]
        times: dict[str, list[float]] = {"first, at home": [], "first, foreign": [], "second, foreign": []}
        with connected(ports[0], 2) as (opening, home), connected(ports[1], 1) as (other,):
            for number in range(40 * options.bursts + 20):
                for name, connection in (("first, at home", home), ("first, foreign", other)):
                    session = Session(ports[0], opening)
                    await trio.sleep(REST)
                    spent = _call_seconds(connection, ports[0], session)
                    await trio.sleep(REST)
                    again = _call_seconds(connection, ports[0], session)
                    session.close()
                    if number >= 20:
                        times[name].append(spent)
                        if connection is other:
                            times["second, foreign"].append(again)
    # On a busy machine a process that is woken waits for a processor: the fastest tenth shows the work alone.
    fast = {name: statistics.quantiles(values, n=10)[0] for name, values in times.items()}
    rows = [[name, f"{1e3 * statistics.median(times[name]):.2f}", f"{1e3 * fast[name]:.2f}"] for name in times]
    print(table(["a call of a new session, ms", "median", "fastest tenth"], rows))
    print(
        f"first on another node ÷ first at home: {ratio(times['first, foreign'], times['first, at home']):.2f}; "
        f"of the fastest tenths {fast['first, foreign'] / fast['first, at home']:.2f}"
    )


def _call_seconds(connection: Connection, port: int, session: Session) -> float:
    params = {"name": "ring", "arguments": {"key": "x"}}
    message = request(port, "legacy", "tools/call", params, id=7, session=session.id)
    began = time.perf_counter()
    connection.ask(message)
    return time.perf_counter() - began


# --- fan-out --------------------------------------------------------------------------


async def fanout(options: argparse.Namespace) -> None:
    """Tell all subscribers of one change, on one node and on three."""
    rows = []
    for count in (1, 3):
        async with nodes_of(count, options.store) as nodes:
            ports = [node.address[1] for node in nodes]
            sessions = _subscribed(ports, options.subscribers)
            rounds = [_told(ports[0], sessions) for _ in range(options.bursts)]
            rows.append(
                [
                    f"{count} nodes",
                    *(f"{1e3 * statistics.median(each[at] for each in rounds):.0f}" for at in (0, 1, 2)),
                ]
            )
            for session in sessions:
                session.close()
    print(table([f"ms until {options.subscribers} subscribers are told", "first", "half", "last"], rows))


def _subscribed(ports: Sequence[int], count: int) -> list[Session]:
    sessions = []
    for port in ports:
        with connected(port, 1) as (connection,):
            for _ in range(count // len(ports)):
                session = Session(port, connection)
                params = {"uri": "town://square/1"}
                connection.ask(request(port, "legacy", "resources/subscribe", params, id=1, session=session.id))
                sessions.append(session)
    return sessions


def _told(port: int, sessions: Sequence[Session]) -> tuple[float, float, float]:
    """Have a node announce a change; return the seconds until the first, half, and the last are told."""
    poll = select.epoll()
    waiting = {session.stream.sock.fileno(): session.stream.sock for session in sessions}
    for descriptor, sock in waiting.items():
        sock.setblocking(False)
        poll.register(descriptor, select.EPOLLIN)
    times: list[float] = []
    with connected(port, 1) as (connection,):
        began = time.perf_counter()
        connection.ask(modern_call(port, "announce", number=1))
        while waiting:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise RuntimeError(f"{len(waiting)} subscribers were not told")
            for descriptor, _ in ready:
                if b"resources/updated" in waiting[descriptor].recv(CHUNK):
                    times.append(time.perf_counter() - began)
                    poll.unregister(descriptor)
                    del waiting[descriptor]
    poll.close()
    return times[0], times[len(times) // 2], times[-1]


# --- what a Valkey has to do ----------------------------------------------------------


async def store(options: argparse.Namespace) -> None:
    """Count the commands, the bytes and the processor time of a Valkey, for each call and each session."""
    with tempfile.TemporaryDirectory(prefix="trimcp-cluster-") as temporary:
        async with store_of(Settings(store="valkey"), Path(temporary)) as server, trio.open_nursery() as nursery:
            assert isinstance(server, ValkeyServer)
            node = Node(0, nursery, ["--store", str(server.url)], {"TOWN_SESSIONS": "20000"})
            await node.start()
            port = node.address[1]
            before = server.statistics()
            sessions = _subscribed([port], options.subscribers)
            opened = server.statistics()
            requests = _requests(port, "legacy", "ring", {"key": "x"})
            with connected(port, CONNECTIONS) as connections:
                count, _ = load(connections, requests, 5 * options.seconds, [])
            called = server.statistics()
            for session in sessions:
                session.close()
            await node.stop()
    rows = [
        [name, f"{spent[0] / number:.1f}", f"{spent[1] / number:.0f}", f"{1e6 * spent[2] / number:.0f}"]
        for name, number, spent in (
            ("a session with a subscription and a GET stream", len(sessions), _less(opened, before)),
            ("a call in a session", count, _less(called, opened)),
        )
    ]
    print(table(["Valkey, for", "commands", "bytes", "CPU µs"], rows))


def _less(later: Sequence[float], earlier: Sequence[float]) -> list[float]:
    return [after - before for after, before in zip(later, earlier, strict=True)]


async def main(options: argparse.Namespace) -> None:
    """Measure, and print tables."""
    others = OtherWork()
    for name in options.figures or FIGURES:
        await {"workers": workers, "foreign": foreign, "fanout": fanout, "store": store}[name](options)
    print(f"{machine_line()}\n{others}; {os.cpu_count()} processors")


if __name__ == "__main__":
    trio.run(functools.partial(main, parsed()))
