"""Measures 1 to 10,000 sessions on a Unix socket: memory of each, and calls a second.

    python -m benchmarks.sessions [--sessions 1 100 1000 10000] [--parent PATH] [--era modern]

One server process, a connection for each session, and a driver that waits for all of them with epoll. Rates are of one
call at a time, each on the next session, and of 32 at once: each on a session of its own where there are so many, else
several on one, which then leave and arrive together. So compare the second rate from 100 sessions on. KiB are what the
server's resident memory grew by for each session, after the handshake and after a list and a call; the second table
has what `tracemalloc` counts. Sessions over HTTP are measured by `benchmarks.http_sessions`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.contestants import PEERS, TRIMCP, Contestant, checkouts, versions_line, with_bytecode
from benchmarks.messages import INITIALIZED, Era, call_params, opening, request_template
from benchmarks.pinning import Processors, add_pin_option, processors
from benchmarks.process import PATIENCE, Stretch, Unusable, rss
from benchmarks.report import OtherWork, machine, machine_line, note, progress, ratio, table

CHUNK = 1 << 16
AT_ONCE = 32
SIZED = 500
"""Sessions over which `tracemalloc` averages."""

Results = dict[tuple[str, int], dict[str, list[float]]]
"""By program and number of sessions, figures."""


def main() -> None:
    """Measure and print."""
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sessions", description=summary)
    parser.add_argument("--parent", metavar="PATH", help="a checkout of another commit of trimcp, to compare with")
    add_pin_option(parser)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 100, 1000, 10_000])
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--bursts", type=int, default=6, help="of each load, number of sessions, and program")
    parser.add_argument("--seconds", type=float, default=0.25, help="of one burst")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    others = OtherWork()
    facts, about, where = machine(), machine_line(), processors(options)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the servers inherit it
    sizes: dict[str, dict[str, float]] = {}
    results: Results = {}
    programs = checkouts(options, (str(PEERS / "unix_trimcp.py"), "{path}"))
    with with_bytecode() as env:
        for one in programs:
            progress(f"sizes: {one.name}")
            sizes[one.name] = _sizes(one, options.era, env)
        where.hold_this_process()
        gc.disable()
        _measure(results, programs, options, env, where)
        progress("")
    if options.json:
        found = {f"{name}, {number} sessions": figures for (name, number), figures in results.items()}
        print(json.dumps({"machine": facts, "programs": versions_line(programs), "found": found, "sizes": sizes}))
        return
    print(f"{about}; {others}\n{versions_line(programs)}\n{where}; {options.era}\n")
    _print(results, sizes)


def _sizes(one: Contestant, era: Era, env: Mapping[str, str]) -> dict[str, float]:
    requests = [
        opening(era),
        request_template(era, "tools/list", {}).replace(b"\x01", b"1"),
        request_template(era, "tools/call", call_params(era)).replace(b"\x01", b"2"),
    ]
    command = [one.command[0], str(PEERS / "session_memory.py"), str(SIZED), era]
    done = subprocess.run(command, env={**env, **one.env}, input=b"".join(requests), stdout=subprocess.PIPE, check=True)
    sizes: dict[str, float] = json.loads(done.stdout)
    return sizes


class Sessions:
    """Sessions with one server, each on a connection of its own."""

    def __init__(self, path: str, pid: int, era: Era, *, apart: bool) -> None:
        self._path = path
        self._pid = pid
        self._apart = apart
        self._era: Era = era
        self._all: list[socket.socket] = []
        self._poll = select.epoll()
        self._by_descriptor: dict[int, socket.socket] = {}
        self._call = request_template(era, "tools/call", call_params(era)).split(b"\x01")
        self._id = 0

    def open(self, number: int) -> dict[str, float]:
        """Open a number of sessions.

        Returns:
            `opened`, sessions a second; `kib` and `kib used`, what the server grew by for each.
        """
        before, began = rss(self._pid), time.perf_counter()
        for _ in range(number):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(self._path)
            self._all.append(sock)
            self._ask(sock, opening(self._era))
            if self._era == "legacy":
                sock.sendall(INITIALIZED)
        opened, grown = time.perf_counter() - began, rss(self._pid) - before
        asked = request_template(self._era, "tools/list", {}).replace(b"\x01", b"0")
        for sock in self._all:
            self._ask(sock, asked)
            self._ask(sock, self._next_call())
            sock.setblocking(False)
            self._by_descriptor[sock.fileno()] = sock
            self._poll.register(sock, select.EPOLLIN)
        used = rss(self._pid) - before
        return {"opened": number / opened, "kib": grown * 1024 / number, "kib used": used * 1024 / number}

    def load(self, at_once: int, seconds: float) -> dict[str, float]:
        """Keep a number of calls in flight, each on the session that has waited longest.

        Returns:
            The figures of `process.Stretch`.
        """
        idle = deque(self._all)
        deep = max(1, at_once // len(idle))  # on one session
        stretch, began = Stretch(self._pid, os.getpid(), apart=self._apart), time.perf_counter()
        end = began + seconds
        count = 0
        flying = 0
        for _ in range(at_once // deep):
            sock = idle.popleft()
            for _ in range(deep):
                sock.send(self._next_call())
            flying += deep
        now = began
        while flying:
            ready = self._poll.poll(PATIENCE)
            if not ready:
                raise Unusable("the server does not answer")
            for descriptor, _ in ready:
                sock = self._by_descriptor[descriptor]
                data = sock.recv(CHUNK)
                answers = data.count(b"\n")
                if not data or b'"error":' in data:
                    raise Unusable(f"not a result: {data[:200]!r}")
                now = time.perf_counter()
                count += answers
                flying -= answers
                if now < end:
                    idle.append(sock)
                    for _ in range(answers):
                        following = sock if deep > 1 else idle.popleft()
                        following.send(self._next_call())
                        flying += 1
                    if deep > 1:
                        idle.pop()
        return stretch.figures(count, now - began)

    def close(self) -> None:
        """Close all connections."""
        self._poll.close()
        for sock in self._all:
            sock.close()

    def _next_call(self) -> bytes:
        self._id += 1
        return (b"%d" % self._id).join(self._call)

    def _ask(self, sock: socket.socket, request: bytes) -> None:
        sock.sendall(request)
        answer = b""
        while not answer.endswith(b"\n"):
            data = sock.recv(CHUNK)
            if not data:
                raise Unusable("the server closed a connection")
            answer += data
        if b'"result":' not in answer or b'"isError":true' in answer:
            raise Unusable(f"not a result: {answer[:200]!r}")


@contextmanager
def _serving(one: Contestant, era: Era, env: Mapping[str, str], where: Processors) -> Iterator[Sessions]:
    with tempfile.TemporaryDirectory(prefix="sessions-") as folder:
        path = str(Path(folder) / "socket")
        command = where.for_server([part.replace("{path}", path) for part in one.command])
        with subprocess.Popen(command, env={**env, **one.env}, stderr=subprocess.DEVNULL, cwd="/") as process:
            sessions = Sessions(path, process.pid, era, apart=where.apart)
            try:
                end = time.monotonic() + PATIENCE
                while not Path(path).exists():
                    if process.poll() is not None or time.monotonic() > end:
                        raise Unusable("the program does not listen")
                    time.sleep(0.02)
                yield sessions
            finally:
                sessions.close()
                process.terminate()


def _measure(
    results: Results,
    programs: Sequence[Contestant],
    options: argparse.Namespace,
    env: Mapping[str, str],
    where: Processors,
) -> None:
    """All programs with all numbers of sessions run at once, so that bursts of all of them take turns."""
    with ExitStack() as running:
        loaded: dict[tuple[str, int], Sessions] = {}
        for one in programs:
            for number in options.sessions:
                progress(f"opening {number} sessions: {one.name}")
                try:
                    sessions = running.enter_context(_serving(one, options.era, env, where))
                    figures = sessions.open(number)
                except (Unusable, OSError) as exc:
                    print(f"{one.name}, {number} sessions: left out, {exc}", file=sys.stderr)
                    continue
                loaded[one.name, number] = sessions
                note(results.setdefault((one.name, number), {}), figures)
                for at_once in (1, AT_ONCE):
                    sessions.load(at_once, options.seconds)
        for burst in range(options.bursts):
            progress(f"burst {burst + 1} of {options.bursts}")
            for at_once in (1, AT_ONCE):
                for key in list(loaded)[:: 1 if burst % 2 else -1]:
                    figures = loaded[key].load(at_once, options.seconds)
                    note(results[key], {f"{at_once} {figure}": value for figure, value in figures.items()})


def _print(results: Results, sizes: Mapping[str, Mapping[str, float]]) -> None:
    head = ["", "sessions", "opened/s", "KiB, opened", "KiB, used"]
    for at_once, least in ((1, 1), (AT_ONCE, 100)):
        head += [f"calls/s, {at_once} at once", f"of {least}", "trimcp ÷ it", "CPU µs"]
    rows = []
    for (name, number), figures in results.items():
        row = [name, f"{number:,}", f"{figures['opened'][0]:,.0f}"]
        row += [f"{figures[key][0]:.1f}" if number >= 100 else "–" for key in ("kib", "kib used")]
        for at_once, least in ((1, 1), (AT_ONCE, 100)):
            rate = figures[f"{at_once} rate"]
            row.append(f"{statistics.median(rate):,.0f}")
            for other in ((name, least), (TRIMCP, number)):
                base = results.get(other)
                if base is None or number < least:
                    row.append("–")
                elif other[0] == name:
                    row.append(f"{ratio(rate, base[f'{at_once} rate']):.2f}" if other != (TRIMCP, number) else "1.00")
                else:
                    row.append(f"{ratio(base[f'{at_once} rate'], rate):.2f}")
            row.append(f"{statistics.median(figures[f'{at_once} server_cpu']):.1f}")
        rows.append(row)
    print(table(head, rows))
    titles = ("KiB of Python objects for each session", "after the handshake", "after a list and a call")
    rows = [[name, f"{found['opened']:.1f}", f"{found['used']:.1f}"] for name, found in sizes.items()]
    print(f"\n{table(titles, rows)}")


if __name__ == "__main__":
    main()
