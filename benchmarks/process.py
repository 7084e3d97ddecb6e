"""What the system tells of a server's process."""

from __future__ import annotations

import time
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a program may take to end once its input has ended."""


class Unusable(Exception):
    """The program does not do what is measured."""


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far, ended ones too, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a process id on Linux


def rss(pid: int) -> float:
    """MiB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def waited_seconds(pid: int) -> float:
    """Time that the first thread of a process was ready to run, and waited for a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def undisturbed(seconds: float, cpu: float, waited: float, other_waited: float) -> float:
    """Seconds of a load, without the waiting for a processor of a process and of the other one at its connection.

    Args:
        cpu: the processor time of the process that has more to do.
        waited: how long it waited.
        other_waited: how long the other process waited. Meanwhile, this one may have gone on with what it had.
    """
    idle = max(seconds - cpu - waited, 0.0)
    left = seconds - waited - min(other_waited, idle)
    return max(left, min(cpu, seconds), 0.05 * seconds)


class Stretch:
    """What a server and its driver take while a load lasts, from the making of this object on.

    Other programs of the machine make both wait for a processor, and a call that has to wait twice for some
    milliseconds says nothing of the server. So rates are of the time that is left without this waiting. Pinned
    together, the two wait for each other as well: there the time that counts is the processor time of both.
    """

    def __init__(self, server: int, driver: int, *, apart: bool) -> None:
        self._server = server
        self._driver = driver
        self._apart = apart
        self._began = self._now()

    def figures(self, calls: int, seconds: float) -> dict[str, float]:
        """Tell of a load that has ended.

        Returns:
            `rate`, calls a second without the waiting; `server_cpu` and `driver_cpu`, microseconds for each call;
            `waited`, the share of the time that is left out for it; `busy`, the driver's share of the time.
        """
        ends = zip(self._now(), self._began, strict=True)
        server, driver, server_waited, driver_waited = (now - began for now, began in ends)
        if self._apart:
            waited = seconds - undisturbed(seconds, server, server_waited, driver_waited)
        else:
            waited = min(max(seconds - server - driver, 0.0), 0.95 * seconds)
        return {
            "rate": calls / (seconds - waited),
            "server_cpu": server / calls * 1e6,
            "driver_cpu": driver / calls * 1e6,
            "waited": waited / seconds,
            "busy": driver / seconds,
        }

    def _now(self) -> tuple[float, float, float, float]:
        server, driver = self._server, self._driver
        return cpu_seconds(server), cpu_seconds(driver), waited_seconds(server), waited_seconds(driver)
