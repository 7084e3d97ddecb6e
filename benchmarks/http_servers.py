"""Servers on HTTP as programs of their own: which there are, and one run of one.

The interpreters of other SDKs are found as `contestants` does it for stdio.
"""

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

from benchmarks.contestants import FLOOR, PEERS, PYTHON_SDK, ROOT, TRIMCP, contestants
from benchmarks.http_driver import HOST, PATIENCE
from benchmarks.process import Unusable, cpu_seconds, rss

THROUGH_HYPERCORN: Final = "trimcp, hypercorn"
HYPERCORN_FLOOR: Final = "floor, hypercorn"
TYPESCRIPT_SDK: Final = "TypeScript SDK"
OURS: Final = (sys.executable, str(PEERS / "http_trimcp.py"), "--port", "{port}")


@attrs.frozen
class HttpContestant:
    """One program; `{port}` in its command is replaced by a port, and PORT is in its environment."""

    name: str
    command: tuple[str, ...]
    tool: str = "add"

    @property
    def is_floor(self) -> bool:
        return self.name in (FLOOR, HYPERCORN_FLOOR)


def http_contestants(options: argparse.Namespace) -> list[HttpContestant]:
    """All that are there and wanted."""
    floor = (sys.executable, str(PEERS / "http_floor.py"), "{port}")
    found = [
        HttpContestant(TRIMCP, OURS),
        HttpContestant(FLOOR, floor),
        HttpContestant(THROUGH_HYPERCORN, (*OURS, "--hypercorn")),
        HttpContestant(HYPERCORN_FLOOR, (*floor, "--hypercorn")),
    ]
    only, options.only = options.only, None
    for one in contestants(options):
        if one.name == PYTHON_SDK:
            found.append(HttpContestant(one.name, (one.command[0], str(PEERS / "http_python_sdk.py"), "{port}")))
        elif one.name == "FastMCP":
            found.append(HttpContestant(one.name, (one.command[0], str(PEERS / "http_fast_mcp.py"), "{port}")))
        elif one.name == TYPESCRIPT_SDK:
            found.append(HttpContestant(one.name, (*one.command[:-1], "streamableHttp"), one.tool))
    return [one for one in found if not only or one.name in only]


class Served:
    """One run of a server's program."""

    def __init__(self, contestant: HttpContestant, port: int, process: subprocess.Popen[bytes]) -> None:
        self.name = contestant.name
        self.tool = contestant.tool
        self.port = port
        self.process = process

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        return cpu_seconds(self.process.pid)

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
def served(contestant: HttpContestant, env: Mapping[str, str] = os.environ) -> Iterator[Served]:
    """Start a program, and end it afterwards; it accepts connections.

    Raises:
        Unusable: it does not start.
    """
    port = _free_port()
    command = [part.replace("{port}", str(port)) for part in contestant.command]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if "trimcp" in contestant.name else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**env, "PORT": str(port), "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            _wait_for(port, process)
            yield Served(contestant, port, process)
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
