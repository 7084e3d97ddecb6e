"""Several processes that make a load together, and one that only watches them.

The processes are forked, so each has the plan and the target as they are. They open their sessions, say that they are
ready, and begin together at the time that they are told; the clock is the same for all. Each sends its progress, and
at the end its figures, as lines of JSON on a pipe. A process whose watcher is gone ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs
import trio

from trimcp.bench.live import View
from trimcp.bench.result import CONVERTER, Result
from trimcp.bench.run import SPECTATED, Progress, Spectator
from trimcp.bench.schedule import Share
from trimcp.codec.jsontext import dumps, loads
from trimcp.errors import ConnectionLost, RequestTimedOut, TrimcpError, UsageError
from trimcp.framing.lines import LineSplitter
from trimcp.transports.lines import READ_CHUNK
from trimcp.transports.process import pipe_reader, pipe_writer

if TYPE_CHECKING:
    from trimcp.transports.descriptors import DescriptorReader

BEGIN: Final = 0.1
"""Seconds from the order to begin until the load begins."""
LINE: Final = 256 * 2**20
"""Bytes of the longest line, which has the figures of a process."""
CONTAINERS: Final = 2**24
"""Arrays and objects in it."""
END: Final = 15.0
"""Seconds that a process has to end its sessions; then it is killed."""

Begin = Callable[[], Awaitable[float]]
Work = Callable[[Share, Begin, Spectator, trio.Event], Awaitable["Result | None"]]
"""Makes a share of the load, until an event."""
Run = Callable[[Callable[[], Awaitable["Result | None"]]], "Result | None"]
STOP: Final = b"stop\n"
"""The order to end the load before its time."""


@attrs.frozen
class _Link:
    """One process, and our ends of its two pipes."""

    pid: int
    orders: int
    reports: int


def run_workers(number: int, work: Work, view: View, run: Run, stop: trio.Event) -> Result | None:
    """Make a load by a number of processes; return the sum of their figures, or None where nothing was measured.

    Args:
        number: of the processes.
        work: makes the share of one.
        view: shows the progress of all.
        run: runs an async function in this process, as `trio.run` does, until it ends or is told to end.
        stop: ends the load when it is set.

    Raises:
        UsageError: the system cannot fork (Windows), or one of the processes raised it.
        TrimcpError: one of the processes failed.
    """
    if not hasattr(os, "fork"):
        raise UsageError("several workers, and the live view, need a system that can fork: leave them out here")
    links: list[_Link] = []
    try:
        for each in range(number):
            links.append(_fork(Share(each, number), work, links))
        return run(partial(_watch_all, links, view, stop))
    finally:
        for link in links:
            os.close(link.orders)
            os.close(link.reports)
        _wait(links)


def _fork(share: Share, work: Work, others: Sequence[_Link]) -> _Link:
    orders, our_orders = os.pipe()
    our_reports, reports = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    pid = os.fork()
    if pid == 0:
        for link in others:
            os.close(link.orders)
            os.close(link.reports)
        os.close(our_orders)
        os.close(our_reports)
        _child(share, work, orders, reports)
    os.close(orders)
    os.close(reports)
    return _Link(pid, our_orders, our_reports)


def _wait(links: Sequence[_Link]) -> None:
    """Wait until the processes have ended, and kill those that do not."""
    left, deadline = {link.pid for link in links}, time.monotonic() + END
    while left:
        for pid in list(left):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            if os.waitpid(pid, os.WNOHANG)[0]:
                left.discard(pid)
        if left:
            time.sleep(0.01)


# --- in the process that watches --------------------------------------------------------


async def _watch_all(links: Sequence[_Link], view: View, stop: trio.Event) -> Result | None:
    """Let the processes begin together; return the sum of their figures, if they have any."""
    watcher = _Watcher(len(links), view)
    failures: list[BaseException] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.pass_on, stop, nursery.cancel_scope)
        try:
            async with trio.open_nursery() as watching:
                for link in links:
                    watching.start_soon(watcher.watch, link)
        except* TrimcpError as group:
            failures += group.exceptions  # of one nursery, so there is no group in it
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]
    return watcher.result


class _Watcher:
    """Reads what the processes report, and puts it together."""

    def __init__(self, number: int, view: View) -> None:
        self._number = number
        self._view = view
        self._ready: list[_Link] = []
        self._seconds: dict[tuple[str, int], list[Progress]] = {}
        self.result: Result | None = None

    async def watch(self, link: _Link) -> None:
        """Read the reports of one process until it has ended.

        Raises:
            TrimcpError: it failed.
        """
        reader, splitter = pipe_reader(os.dup(link.reports)), LineSplitter(LINE)
        is_complete = False
        try:
            while data := await reader.receive_some(READ_CHUNK):
                for line in splitter.feed(data):
                    assert isinstance(line, bytes)
                    is_complete = self._take(link, loads(line, max_containers=CONTAINERS)) or is_complete
        finally:
            reader.close()
        if not is_complete:
            raise ConnectionLost(f"worker {link.pid} ended without figures: its traceback is on stderr")

    async def pass_on(self, stop: trio.Event, watching: trio.CancelScope) -> None:
        """Tell the processes to stop at an event; before they have begun, give them up."""
        await stop.wait()
        if len(self._ready) < self._number:
            watching.cancel()
        for link in self._ready:
            with contextlib.suppress(OSError):  # it has ended
                os.write(link.orders, STOP)

    def _take(self, link: _Link, report: dict[str, Any]) -> bool:
        """Take in a report; return whether it is the last one."""
        match report:
            case {"ready": _}:
                self._ready.append(link)
                if len(self._ready) == self._number:
                    order = b"%r\n" % (time.perf_counter() + BEGIN)
                    for each in self._ready:
                        os.write(each.orders, order)
            case {"progress": value}:
                self._show(CONVERTER.structure(value, Progress))
            case {"result": None}:  # it was stopped in the warm-up
                return True
            case {"result": value}:
                result = CONVERTER.structure(value, Result)
                if self.result is None:
                    self.result = result
                else:
                    self.result.add(result)
                return True
            case {"failed": {"kind": kind, "message": message}}:
                raise {"usage": UsageError, "timeout": RequestTimedOut}.get(kind, ConnectionLost)(message)
        return False

    def _show(self, progress: Progress) -> None:
        """Show a second once all processes have reported it."""
        key = (progress.phase, progress.second)
        together = self._seconds.setdefault(key, [])
        together.append(progress)
        if len(together) == self._number:
            del self._seconds[key]
            first, *others = together
            for each in others:
                first.add(each)
            self._view.show(first)


# --- in a process that works ----------------------------------------------------------


def _child(share: Share, work: Work, orders: int, reports: int) -> NoReturn:
    """Make a share of the load, and end the process."""
    # Ctrl-C reaches every process of the terminal's group: the watcher ends the others.
    os.setpgid(0, 0)
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        trio.run(_report, share, work, orders, reports)
        code = 0
    except Exception:  # noqa: BLE001 - the process must not return into the code of the watcher
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


async def _report(share: Share, work: Work, orders: int, reports: int) -> None:
    """Make the share, and report to the watcher."""
    reader, writer, turn = pipe_reader(orders), pipe_writer(reports), trio.Lock()

    async def send(report: dict[str, Any]) -> None:
        async with turn:
            await writer.send_all(dumps(report) + b"\n")

    async def begin() -> float:
        await send({"ready": True})
        order, _, more = (await reader.receive_some(READ_CHUNK)).partition(b"\n")
        if not order:
            raise ConnectionLost("the process that watches the workers is gone")
        if more:
            stop.set()
        nursery.start_soon(_obey, reader, stop, nursery.cancel_scope)
        return trio.current_time() + float(order) - time.perf_counter()

    async def show(seconds: trio.MemoryReceiveChannel[Progress]) -> None:
        async for progress in seconds:
            await send({"progress": CONVERTER.unstructure(progress)})

    stop = trio.Event()
    spectator, seconds = trio.open_memory_channel[Progress](SPECTATED)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show, seconds)
            try:
                report = {"result": CONVERTER.unstructure(await work(share, begin, spectator, stop))}
            except TrimcpError as exc:
                kinds = {UsageError: "usage", RequestTimedOut: "timeout"}
                report = {"failed": {"kind": kinds.get(type(exc), "failed"), "message": str(exc)}}
            await send(report)
            nursery.cancel_scope.cancel()
    except* ConnectionLost:  # the watcher is gone
        pass


async def _obey(reader: DescriptorReader, stop: trio.Event, scope: trio.CancelScope) -> None:
    """Stop at the next order of the watcher; cancel a scope when the watcher is gone."""
    while await reader.receive_some(READ_CHUNK):
        stop.set()
    scope.cancel()
