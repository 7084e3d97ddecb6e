"""Chooses the processors of servers and drivers.

On two processors, the scheduler moves a server and its driver at will, and the rate of single calls depends on where
they are. *Apart* they run at the same time, and every call pays for waking an idle processor (much, on a virtual
machine). *Together* they take turns, so a rate is the inverse of what both sides compute.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence

import attrs


def add_pin_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that `processors` reads."""
    parser.add_argument(
        "--pin", choices=["apart", "together", "no"], default="apart", help="driver and servers on which processors"
    )


@attrs.frozen
class Processors:
    """The processor of servers and that of drivers; None leaves the choice to the system."""

    server: int | None = None
    driver: int | None = None

    @property
    def apart(self) -> bool:
        """Whether server and driver can run at the same time."""
        return self.server is None or self.server != self.driver

    def for_server(self, command: Sequence[str]) -> list[str]:
        """The command of a server, held to its processor."""
        return [*_held(self.server), *command]

    def for_driver(self, command: Sequence[str]) -> list[str]:
        """The command of a driver, held to its processor."""
        return [*_held(self.driver), *command]

    def hold_this_process(self) -> None:
        """Make this process a driver."""
        if self.driver is not None:
            os.sched_setaffinity(0, {self.driver})

    def __str__(self) -> str:
        if self.server is None:
            return "processes not pinned"
        return f"servers on CPU {self.server}, driver on CPU {self.driver}"


def processors(options: argparse.Namespace) -> Processors:
    """Choose as `--pin` says, if there is `taskset`."""
    if options.pin == "no" or not shutil.which("taskset"):
        return Processors()
    cpus = sorted(os.sched_getaffinity(0))
    return Processors(cpus[0], cpus[-1 if options.pin == "apart" else 0])


def _held(cpu: int | None) -> tuple[str, ...]:
    return () if cpu is None else ("taskset", "-c", str(cpu))
