"""Measures what one viewer costs a server at full load: `python -m benchmarks.watching --also viewer`.

A server on stdio has a view. The driver keeps calls in flight all the time, in bursts, with and without a viewer that
reads all that the view sends, messages and logs included. The figure is the server's processor time for each call,
which is what bounds the calls of a server at full load. The other programs of the machine do not count in it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import socket
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.contestants import ROOT, with_bytecode
from benchmarks.driven import Driven, Driver, built_driver
from benchmarks.messages import Era, call_params, request_template
from benchmarks.process import PATIENCE, Unusable

BURSTS: Final = 6
"""Bursts with a viewer, and as many without."""
SECONDS: Final = 2.0
"""Of one burst."""
WARM: Final = 10_000
"""Calls before the first burst."""
MOST: Final = 0.05
"""The part of a server's calls that one viewer may cost."""


def viewer_cost(options: argparse.Namespace, era: Era, window: int) -> tuple[float, float]:
    """Return the microseconds of processor time that a call costs without a viewer, and with one.

    Args:
        options: of the driver.
        era: of the calls.
        window: calls in flight.
    """
    with tempfile.TemporaryDirectory() as folder, with_bytecode() as env, built_driver(options) as driver:
        place = Path(folder, "view.sock")
        program = _started(driver, place, era, env)
        try:
            program.load(window, calls=WARM)
            costs: dict[bool, list[float]] = {False: [], True: []}
            for number in range(2 * BURSTS):
                is_viewed = number % 4 in (1, 2)  # each comes first as often
                if is_viewed:
                    with viewer(place):
                        costs[True].append(program.load(window, seconds=SECONDS)["server_cpu"])
                else:
                    costs[False].append(program.load(window, seconds=SECONDS)["server_cpu"])
        finally:
            program.close()
    return statistics.median(costs[False]), statistics.median(costs[True])


def _started(driver: Driver, place: Path, era: Era, env: dict[str, str]) -> Driven:
    command = (sys.executable, "-m", "trimcp", "run", str(ROOT / "examples" / "add.py"), "--view", str(place))
    program = Driven(driver, command, {**env, "PYTHONPATH": str(ROOT)})
    program.prepare(request_template(era, "tools/call", call_params(era, "add")))
    program.open(era)
    return program


@contextmanager
def viewer(place: Path) -> Iterator[None]:
    """Look at a view while the context lasts, as a page with the part Messages does."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(place))
    connection.request("GET", "/events?trace=1")
    answer = connection.getresponse()
    if answer.status != 200:
        raise Unusable(f"the view refused with {answer.status}")
    started = threading.Event()

    def read() -> None:
        with contextlib.suppress(http.client.IncompleteRead):  # it is broken off at the end
            while answer.read1(65536):
                started.set()

    reading = threading.Thread(target=read)
    reading.start()
    try:
        if not started.wait(PATIENCE):
            raise Unusable("the view sent nothing")
        yield
    finally:
        connection.sock.shutdown(socket.SHUT_RDWR)
        reading.join()
        answer.close()
        connection.close()
