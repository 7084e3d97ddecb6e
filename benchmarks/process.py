"""The stretches of time in which a server and its driver are measured, by their processor time."""

from __future__ import annotations

from trimcp.bench.processes import cpu_seconds, memory, waited_seconds

PATIENCE = 30.0
"""Seconds that a program may take to end once its input has ended."""


class Unusable(Exception):
    """The program cannot be measured."""


def rss(pid: int) -> float:
    """MiB of memory that a process holds."""
    return memory(pid) / 2**20


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
    """Measures a server and its driver from now on, while a load lasts.

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
        """The figures of a load that has ended.

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
