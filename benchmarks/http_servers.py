"""Finds the HTTP servers to measure, starts them and stops them."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final

import attrs
import orjson

from benchmarks.contestants import (
    FASTMCP,
    FLOOR,
    PEERS,
    PYTHON_SDK,
    Contestant,
    checkouts,
    find_peers,
    package_version,
    server_everything,
    typescript_sdk,
    wanted,
)
from benchmarks.http_driver import HOST, PATIENCE, Session, calls, connected, load
from benchmarks.messages import Era
from benchmarks.pinning import Processors
from benchmarks.process import Stretch, Unusable, rss

THROUGH_HYPERCORN: Final = "trimcp, hypercorn"
HYPERCORN_FLOOR: Final = "floor, hypercorn"
ANYWHERE: Final = Processors()
OURS: Final = (str(PEERS / "http_trimcp.py"), "--port", "{port}")


def is_floor(contestant: Contestant) -> bool:
    """Whether a program is a floor, which only answers."""
    return contestant.name in (FLOOR, HYPERCORN_FLOOR)


def http_contestants(options: argparse.Namespace) -> list[Contestant]:
    """All `add` servers on HTTP that exist and were chosen.

    `{port}` in a command stands for the port, which is PORT in the environment as well.
    """
    floor = (sys.executable, str(PEERS / "http_floor.py"), "{port}")
    found = [
        *checkouts(options, OURS),
        Contestant(FLOOR, floor, ""),
        attrs.evolve(checkouts(options, (*OURS, "--hypercorn"))[0], name=THROUGH_HYPERCORN),
        Contestant(HYPERCORN_FLOOR, (*floor, "--hypercorn"), ""),
    ]
    peers = find_peers(options)
    for name, package, python, file in (
        (PYTHON_SDK, "mcp", peers.mcp, "http_python_sdk.py"),
        (FASTMCP, "fastmcp", peers.fastmcp, "http_fast_mcp.py"),
    ):
        if python:
            command = (python, str(PEERS / file), "{port}")
            found.append(Contestant(name, command, package_version(python, package)))
    if getattr(options, "era", "legacy") == "legacy":  # the TypeScript SDK 1 speaks nothing later
        typescript = typescript_sdk(peers, "add", "http", "{port}"), server_everything(peers, "streamableHttp")
        found += [one for one in typescript if one]
    return wanted(found, options)


class Served:
    """One run of a server's program."""

    def __init__(self, contestant: Contestant, port: int, process: subprocess.Popen[bytes], where: Processors) -> None:
        self.name = contestant.name
        self.tool = contestant.tool
        self.port = port
        self.process = process
        self._where = where

    def stretch(self) -> Stretch:
        """Begin to measure the server and this process, its driver."""
        return Stretch(self.process.pid, os.getpid(), apart=self._where.apart)

    def rss(self) -> float:
        """MiB of memory."""
        return rss(self.process.pid)

    def drain(self) -> dict[str, Any]:
        """Read the report of the drain from trimcp's program, after SIGTERM."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        report: dict[str, Any] = orjson.loads(output)
        return report

    def stop(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)


class LoadedServer:
    """A server, its session in the legacy era, and its load."""

    def __init__(self, server: Served, era: Era, running: ExitStack) -> None:
        self.server = server
        self._sessions: list[Session] = []
        if era == "legacy" and "floor" not in server.name:
            with connected(server.port, 1) as (connection,):
                self._sessions = [running.enter_context(closing(Session(server.port, connection)))]
        self.era: Era = era if self._sessions else "modern"

    @property
    def session(self) -> str:
        """The id of its session; empty without one."""
        return self._sessions[0].id if self._sessions else ""

    def calls(self) -> Iterator[bytes]:
        """Calls of `add`, without end."""
        return calls(self.server.port, self.era, self.server.tool, self._sessions)

    def burst(self, requests: Iterator[bytes], seconds: float, connections: int) -> dict[str, float]:
        """Keep a request in flight on each connection.

        Returns:
            `p50` and `p99` in ms, and the figures of `process.Stretch`.
        """
        latencies: list[float] = []
        with connected(self.server.port, connections) as opened:
            stretch = self.server.stretch()
            count, elapsed = load(opened, requests, seconds, latencies)
            figures = stretch.figures(count, elapsed)
        latencies.sort()
        return figures | {"p50": latencies[count // 2] * 1e3, "p99": latencies[count * 99 // 100] * 1e3}


@contextmanager
def served(
    contestant: Contestant, env: Mapping[str, str] = os.environ, where: Processors = ANYWHERE
) -> Iterator[Served]:
    """Start a program that accepts connections, and end it afterwards.

    Raises:
        Unusable: it does not start.
    """
    port = _free_port()
    command = [part.replace("{port}", str(port)) for part in contestant.command]
    with subprocess.Popen(
        where.for_server(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if "trimcp" in contestant.name else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**env, **contestant.env, "PORT": str(port)},
        cwd="/",
    ) as process:
        try:
            _wait_for(port, process)
            yield Served(contestant, port, process, where)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Unusable("the program does not listen")
