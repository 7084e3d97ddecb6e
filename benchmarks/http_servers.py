"""Servers on HTTP as programs of their own: which there are, and how one is started and ended."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from benchmarks.http_driver import HOST, PATIENCE
from benchmarks.pinning import Processors
from benchmarks.process import Stretch, Unusable, rss

THROUGH_HYPERCORN: Final = "trimcp, hypercorn"
HYPERCORN_FLOOR: Final = "floor, hypercorn"
ANYWHERE: Final = Processors()
OURS: Final = (str(PEERS / "http_trimcp.py"), "--port", "{port}")


def is_floor(contestant: Contestant) -> bool:
    """Whether a program does nothing but answer."""
    return contestant.name in (FLOOR, HYPERCORN_FLOOR)


def http_contestants(options: argparse.Namespace) -> list[Contestant]:
    """All `add` servers on HTTP that are there and wanted.

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
        """Begin to measure what it and this process, its driver, take."""
        return Stretch(self.process.pid, os.getpid(), apart=self._where.apart)

    def rss(self) -> float:
        """MiB of memory."""
        return rss(self.process.pid)

    def drain(self) -> dict[str, Any]:
        """Have trimcp's program tell how it drained; it has had its SIGTERM."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        report: dict[str, Any] = orjson.loads(output)
        return report

    def stop(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def served(
    contestant: Contestant, env: Mapping[str, str] = os.environ, where: Processors = ANYWHERE
) -> Iterator[Served]:
    """Start a program, and end it afterwards; it accepts connections.

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
