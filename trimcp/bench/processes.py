"""Reads processor time and memory of processes from the system. Only Linux tells them."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from trimcp.bench.result import ServerResult
from trimcp.transports.traffic import TRAFFIC

PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
IS_KNOWN: Final = sys.platform == "linux"
"""Whether this system tells what other processes take."""


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process so far, ended ones too, to the nanosecond.

    Raises:
        OSError: there is no such process.
    """
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a process id on Linux


def memory(pid: int) -> int:
    """Return the bytes of memory that a process holds.

    Raises:
        OSError: there is no such process.
    """
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def waited_seconds(pid: int) -> float:
    """Return how long the first thread of a process was ready to run, and waited for a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def bytes_moved(*, by_pipes: bool) -> tuple[int, int] | None:
    """Return the bytes that this process has sent and received by its sockets, or by its pipes; None if unknown."""
    if not by_pipes:
        return TRAFFIC.sent, TRAFFIC.received
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    counts = {name: int(number) for name, _, number in (line.partition(": ") for line in lines)}
    return counts["wchar"], counts["rchar"]


def groups(leaders: Iterable[int]) -> list[int]:
    """Return the ids of all processes in the process groups of these leaders."""
    wanted = set(leaders)
    found = []
    for path in Path("/proc").glob("[0-9]*/stat") if wanted and IS_KNOWN else ():
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) in wanted:
                found.append(int(path.parent.name))
    return found


class ServerWatch:
    """Measures the processes of a server."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = list(pids) if IS_KNOWN else []
        self._before: dict[int, float] = {}
        self._peak = 0
        self.result: ServerResult | None = None
        """The figures after the end; None where they are not known."""

    def begin(self) -> None:
        """Begin to measure."""
        self._before = self._cpu()

    def memory(self) -> int:
        """Return the bytes that the processes hold now; 0 where that is not known."""
        held = 0
        for pid in self._pids:
            with contextlib.suppress(OSError):
                held += memory(pid)
        self._peak = max(self._peak, held)
        return held

    def end(self) -> None:
        """End the measurement. Processes that have ended before are left out of the processor time."""
        if self._before:
            cpu = sum(now - self._before[pid] for pid, now in self._cpu().items() if pid in self._before)
            self.result = ServerResult(len(self._before), cpu, self.memory(), self._peak)

    def _cpu(self) -> dict[int, float]:
        found = {}
        for pid in self._pids:
            with contextlib.suppress(OSError):
                found[pid] = cpu_seconds(pid)
        return found
