"""Runs a server on stdio and the driver that loads it, each in its own process.

The driver is `driver/stdio_driver.c`, compiled into a temporary folder, or `driver/stdio_driver.py` without a
compiler. It writes one message with each system call. Between commands it waits, and costs nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from benchmarks.messages import INITIALIZED, Era, failure_of, opening
from benchmarks.pinning import Processors, add_pin_option, processors
from benchmarks.process import PATIENCE, Stretch, Unusable, rss
from trimcp.bench.processes import cpu_seconds, waited_seconds

FOLDER: Final = Path(__file__).parent / "driver"
FOREVER: Final = 10_000.0
"""Seconds, for a load that ends after a number of calls."""


@attrs.frozen
class Driver:
    """How the driver is started, and where driver and servers run."""

    command: tuple[str, ...]
    name: str
    where: Processors

    @property
    def answering(self) -> tuple[str, ...]:
        """The command of a server in the driver itself, which shows the highest possible rate."""
        return (*self.command, "answer")

    @property
    def can_pace(self) -> bool:
        """Whether it knows `join` and `pace`."""
        return self.name == "C"

    def __str__(self) -> str:
        return f"driver in {self.name}, {self.where}, one message a write"


def add_driver_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of benchmarks with a driver."""
    add_pin_option(parser)
    parser.add_argument("--python-driver", action="store_true", help="do not compile the driver")
    parser.add_argument("--json", action="store_true")


@contextmanager
def built_driver(options: argparse.Namespace) -> Iterator[Driver]:
    """Compile the driver, if there is a compiler and the options allow it."""
    compiler = None if options.python_driver else shutil.which(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory(prefix="driver-") as folder:
        program = Path(folder) / "stdio_driver"
        if compiler:
            subprocess.run([compiler, "-O2", "-o", str(program), str(FOLDER / "stdio_driver.c")], check=True)
            yield Driver((str(program),), "C", processors(options))
        else:
            yield Driver((sys.executable, str(FOLDER / "stdio_driver.py")), "Python", processors(options))


class Driven:
    """One run of a server's program, and of the driver that loads it."""

    def __init__(self, driver: Driver, command: Sequence[str], env: Mapping[str, str]) -> None:
        to_server, from_driver = os.pipe()[::-1]
        from_server, to_driver = os.pipe()
        self._driver = subprocess.Popen(
            driver.where.for_driver((*driver.command, str(from_server), str(to_server))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(from_server, to_server),
        )
        self._apart = driver.where.apart
        self._ask(b"template 1\n-")  # it has started
        self._began = time.monotonic()
        self._server = subprocess.Popen(
            driver.where.for_server(command),
            stdin=from_driver,
            stdout=to_driver,
            stderr=subprocess.DEVNULL,
            env=env,
            cwd="/",  # `python -m` imports from its folder before PYTHONPATH: not from this checkout, then
        )
        for descriptor in (to_server, from_driver, from_server, to_driver):
            os.close(descriptor)

    def open(self, era: Era) -> float:
        """Make the connection ready for calls.

        Returns:
            Seconds from the start of the program to its first answer, without those that it waited for a processor.

        Raises:
            Unusable: the server does not answer, or with an error.
        """
        self.send(opening(era))
        at: float = self._ask(b"await 0\n")["at"]
        if failure := failure_of(self.last()):
            raise Unusable(failure)
        if era == "legacy":
            self.send(INITIALIZED)
        return self.since_start(at)

    def since_start(self, at: float) -> float:
        """Seconds from the start of the program to a time that has just passed, without its waiting for a processor."""
        return at - self._began - waited_seconds(self._server.pid)

    def send(self, data: bytes) -> None:
        """Write one message to the server."""
        self._ask(b"send %d\n%b" % (len(data), data))

    def prepare(self, template: bytes) -> None:
        """Set the call that loads send from now on; byte 1 stands for its id."""
        self._ask(b"template %d\n%b" % (len(template), template))

    def load(self, window: int, *, calls: int = 1 << 40, seconds: float = FOREVER) -> dict[str, float]:
        """Keep a number of calls in flight.

        Returns:
            What the driver counted (see `stdio_driver.c`), and the figures of `process.Stretch`.

        Raises:
            Unusable: an answer was an error, or the server has ended.
        """
        stretch = Stretch(self._server.pid, self._driver.pid, apart=self._apart)
        found: dict[str, float] = self._ask(b"load %d %d %f\n" % (window, calls, seconds))
        return found | stretch.figures(int(found["calls"]), found["seconds"])

    def pace(self, rate: float, *, warmup: float, seconds: float) -> dict[str, float]:
        """Make calls at a rate, whatever the answers; return what the driver counted (in C only).

        Raises:
            Unusable: as of `load`.
        """
        return self._ask(b"pace %f %f %f\n" % (rate, warmup, seconds))

    def join(self, joins: bool) -> None:
        """Write calls together from now on, or each by itself (in C only)."""
        self._ask(b"join %d\n" % joins)

    def last(self) -> dict[str, Any]:
        """The last answer."""
        size = self._ask(b"last\n")["bytes"]
        assert self._driver.stdout is not None
        answer: dict[str, Any] = orjson.loads(self._driver.stdout.read(size))
        return answer

    def cpu_seconds(self) -> float:
        """Processor time that the server has taken since it was started."""
        return cpu_seconds(self._server.pid)

    def rss(self) -> float:
        """MiB of memory that the server holds."""
        return rss(self._server.pid)

    def close(self) -> None:
        """End the driver; then the server's input has ended, and it ends."""
        self._driver.communicate()
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def _ask(self, command: bytes) -> dict[str, Any]:
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        try:
            self._driver.stdin.write(command)
            self._driver.stdin.flush()
        except BrokenPipeError as exc:
            raise Unusable("the driver has ended") from exc
        line = self._driver.stdout.readline()
        if not line:
            raise Unusable("no answer in time")
        answer: dict[str, Any] = orjson.loads(line)
        if "failed" in answer:
            raise Unusable(answer["failed"])
        return answer
