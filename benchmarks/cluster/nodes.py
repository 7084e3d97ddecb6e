"""The nodes: processes of `trimcp run`, and what happens to them."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import trio

from benchmarks.cluster.exchange import Address, ExchangeLost, exchange

TOWN: Final = Path(__file__).with_name("town.py")
ROOT: Final = TOWN.parent.parent.parent
START_SECONDS: Final = 90.0
"""Seconds that a node has to be ready."""


def free_address() -> Address:
    """Return an address that no process listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        host, port = sock.getsockname()
        return host, port


class Node:
    """One node, which comes back at the same address."""

    def __init__(self, number: int, nursery: trio.Nursery, options: list[str], environment: Mapping[str, str]) -> None:
        """
        Args:
            number: of the node, for people.
            nursery: the process is watched in it.
            options: of `trimcp run`, beside the address.
            environment: additional variables.
        """
        self.number = number
        self.address = free_address()
        self.starts = 0
        self._nursery = nursery
        self._options = options
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self._process: trio.Process | None = None

    async def start(self, log: int | None = None) -> None:
        """Start the process, and wait until it is ready."""
        where = f"{self.address[0]}:{self.address[1]}"
        command = [sys.executable, "-m", "trimcp", "run", str(TOWN), "--http", where, "--health", *self._options]
        self._process = await self._nursery.start(
            functools.partial(
                trio.run_process,
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stderr=log,
                env=self._environment,
                process_group=0,
            )
        )
        self.starts += 1
        with trio.fail_after(START_SECONDS):
            while not await self.is_ready():
                if self._process.returncode is not None:
                    raise RuntimeError(f"node {self.number} ended with {self._process.returncode}: see its log")
                await trio.sleep(0.05)

    async def is_ready(self) -> bool:
        """Whether the node answers its readiness check."""
        try:
            async with exchange(self.address, "GET", "/health/ready", {}) as reply:
                return reply.status == 200
        except ExchangeLost:
            return False

    def send_signal(self, number: int) -> None:
        """Send the process a signal; with SIGKILL, SIGSTOP and SIGCONT also its workers."""
        if self._process is None or self._process.returncode is not None:
            return
        workers = self.workers() if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT) else []
        self._process.send_signal(number)
        for pid in workers:
            os.kill(pid, number)

    def workers(self) -> list[int]:
        """Return the processes of its workers."""
        assert self._process is not None
        lists = [path.read_text() for path in Path(f"/proc/{self._process.pid}/task").glob("*/children")]
        return sorted(int(child) for each in lists for child in each.split())

    async def ended(self) -> int:
        """Wait for the end of the process; return its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> int:
        """Send SIGTERM, and wait for the end."""
        self.send_signal(signal.SIGTERM)
        return await self.ended()
