"""Measures many new connections at once on HTTP: the time of each to its first answer.

    python -m benchmarks.http_connections [--new 256] [--busy 32] [--era legacy] [--parent PATH] [--mcp PYTHON]

A wave opens all connections in one go; each sends one call of `add` as soon as it is open. The time of each is from its
own `connect` to its whole answer. Waves fall on a server that does nothing else, and on one that is kept busy
by other connections, each with one call in flight. Waves take turns among the programs.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing

from benchmarks.contestants import Contestant, add_options, versions_line, with_bytecode
from benchmarks.http_driver import CHUNK, HOST, PATIENCE, Response, connected
from benchmarks.http_servers import LoadedServer, Served, http_contestants, served
from benchmarks.pinning import Processors, add_pin_option, processors
from benchmarks.process import Unusable
from benchmarks.report import Found, OtherWork, comparison, machine, machine_line, note, progress

PAUSE = 0.2
"""Seconds between waves, in which servers close the connections of the last wave."""


def main() -> None:
    """Measure and print."""
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_connections", description=summary)
    add_options(parser)
    add_pin_option(parser)
    parser.add_argument("--era", choices=["legacy", "modern"], default="modern")
    parser.add_argument("--new", type=int, default=256, help="connections in one wave")
    parser.add_argument("--busy", type=int, default=32, help="connections that keep the server busy meanwhile")
    parser.add_argument("--waves", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    others = OtherWork()
    facts, about, where = machine(), machine_line(), processors(options)
    where.hold_this_process()
    gc.disable()
    found: Found = {}
    with with_bytecode() as env:
        programs = http_contestants(options)
        _measure(found, programs, options, env, where)
        progress("")
    if options.json:
        print(json.dumps({"machine": facts, "programs": versions_line(programs), "found": found}))
        return
    print(f"{about}; {others}\n{versions_line(programs)}")
    print(f"{where}; {options.era}, {options.waves} waves of {options.new}\n")
    columns = [
        (f"{title} {part} ms", f"{busy} {part}", "{:.0f}", part == "p99")
        for title, busy in (("idle:", "idle"), (f"{options.busy} busy:", "busy"))
        for part in ("p50", "p99")
    ]
    print(comparison(found, columns))


def _measure(
    found: Found,
    contestants: Sequence[Contestant],
    options: argparse.Namespace,
    env: Mapping[str, str],
    where: Processors,
) -> None:
    with ExitStack() as running:
        programs: dict[str, tuple[Served, Iterator[bytes]]] = {}
        for one in contestants:
            try:
                server = running.enter_context(served(one, env, where))
                program = LoadedServer(server, options.era, running)
                requests = program.calls()
                program.burst(requests, 2.0, options.busy)
            except (Unusable, OSError) as exc:
                print(f"{one.name}: left out, {str(exc)[:200]}", file=sys.stderr)
                continue
            programs[one.name] = server, requests
        for number in range(options.waves):
            progress(f"wave {number + 1} of {options.waves}")
            for load_name, busy in (("idle", 0), ("busy", options.busy)):
                for name, (server, requests) in [*programs.items()]:
                    try:
                        times = sorted(wave(server.port, requests, options.new, busy))
                    except (Unusable, OSError) as exc:
                        print(f"{name}: left out, a wave failed: {exc}", file=sys.stderr)
                        del programs[name]
                        found.pop(name, None)
                        continue
                    figures = {
                        f"{load_name} p50": times[len(times) // 2],
                        f"{load_name} p99": times[len(times) * 99 // 100],
                    }
                    note(found.setdefault(name, {}), {key: seconds * 1e3 for key, seconds in figures.items()})
                    time.sleep(PAUSE)


class _Caller:
    """A connection that is about to send its call, or waits for the answer."""

    def __init__(self, sock: socket.socket, *, new: bool) -> None:
        self.sock = sock
        self.new = new
        self.began = time.perf_counter()
        self.response = Response()


def wave(port: int, requests: Iterator[bytes], new: int, busy: int) -> list[float]:
    """Open connections at once, beside others that keep calling.

    Returns:
        Seconds from the opening of each to its answer.

    Raises:
        Unusable: a connection was refused or closed, or an answer is no result.
    """
    times: list[float] = []
    callers: dict[int, _Caller] = {}
    with connected(port, busy) as opened, closing(select.epoll()) as poll:
        for connection in opened:
            connection.sock.setblocking(False)
            callers[connection.sock.fileno()] = _Caller(connection.sock, new=False)
            poll.register(connection.sock, select.EPOLLIN)
            connection.sock.send(next(requests))
        for _ in range(new):
            sock = socket.socket()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            callers[sock.fileno()] = _Caller(sock, new=True)
            sock.connect_ex((HOST, port))
            poll.register(sock, select.EPOLLOUT)
        while len(times) < new:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise Unusable("the server does not answer")
            for descriptor, event in ready:
                _proceed(callers, descriptor, event, poll, requests, times)
        for caller in callers.values():
            caller.sock.close()
    return times


def _proceed(
    callers: dict[int, _Caller],
    descriptor: int,
    event: int,
    poll: select.epoll,
    requests: Iterator[bytes],
    times: list[float],
) -> None:
    caller = callers[descriptor]
    if event & select.EPOLLOUT:  # it is connected
        poll.modify(descriptor, select.EPOLLIN)
        caller.sock.send(next(requests))
        return
    data = caller.sock.recv(CHUNK)
    if not data:
        raise Unusable("the server closed a connection")
    if not caller.response.feed(data):
        return
    caller.response.check()
    if caller.new:
        times.append(time.perf_counter() - caller.began)
        poll.unregister(descriptor)
    else:
        caller.response = Response()
        caller.sock.send(next(requests))


if __name__ == "__main__":
    main()
