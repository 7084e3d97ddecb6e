"""`run_load`: opens the sessions, makes the load on them, and returns the figures."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import attrs
import trio

from trimcp.actors.containment import run_watched, unwrapped
from trimcp.bench.histogram import Histogram
from trimcp.bench.load import load_of
from trimcp.bench.operations import Operation
from trimcp.bench.plan import Open, Plan
from trimcp.bench.processes import IS_KNOWN, ServerWatch, bytes_moved, groups, waited_seconds
from trimcp.bench.recorder import Recorder
from trimcp.bench.result import GeneratorResult, Peer, Point, Result, Timeline
from trimcp.bench.schedule import ALL, Share
from trimcp.bench.sessions import Connect, SessionPool
from trimcp.bench.streams import Streams

if TYPE_CHECKING:
    from trimcp.client.client import Client

Prepare = Callable[["Client"], Awaitable[Sequence[Operation]]]
"""Makes the operations of a run, with the first client at hand for what must be asked of the server."""
Phase = Literal["warm-up", "measuring"]


@attrs.define
class Progress:
    """Shows one second of a run to its spectators."""

    phase: Phase
    second: int
    """The number of the second, from the beginning of the phase."""
    sessions: int
    """Sessions that are open."""
    point: Point

    def add(self, other: Progress) -> None:
        """Add the same second of another process."""
        self.sessions += other.sessions
        self.point.add(other.point)


SPECTATED: Final = 16
"""Seconds that may wait to be shown. Further seconds are left out."""
Spectator = trio.MemorySendChannel[Progress]
"""Gets the progress of a run; where it is full, a second is left out."""


async def at_once() -> float:
    """Return the time at which a load begins that waits for no other process."""
    await trio.lowlevel.checkpoint()
    return trio.current_time()


async def run_load(
    connect: Connect,
    plan: Plan,
    prepare: Prepare,
    *,
    share: Share = ALL,
    pids: Sequence[int] = (),
    begin: Callable[[], Awaitable[float]] = at_once,
    spectator: Spectator | None = None,
    stop: trio.Event | None = None,
) -> Result | None:
    """Make a load, and measure it. Returns None where it was stopped before anything was measured.

    Args:
        connect: opens one session.
        plan: the whole plan.
        prepare: makes the operations.
        share: the part of the plan that this process does.
        pids: processes of the server to measure, beside those that the sessions have started.
        begin: waits until all processes are ready, and returns the time at which the load begins.
        spectator: gets the progress.
        stop: ends the run when it is set. The figures are then those of the time until then.

    Raises:
        UsageError: an operation does not suit the server, or the plan cannot be divided so.
        TrimcpError: the first session could not be opened.
    """
    plan, stop = plan.share(share), trio.Event() if stop is None else stop
    streams = Streams(plan)
    pool = SessionPool(connect, plan, streams)
    result: Result | None = None

    async def opened() -> tuple[_Run, Peer, float]:
        client = await nursery.start(pool.keep, 0)
        streams.check(client)
        recorder = Recorder(await prepare(client))
        await pool.open_others(nursery)
        return _Run(plan, share, pool, streams, recorder, spectator), _peer(client), await begin()

    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            with block:
                ready = await run_watched(partial(_cancel_when, stop), opened)
                if ready is not None:
                    run, peer, began = ready
                    result = await run.measure(peer, began, pids, stop)
            nursery.cancel_scope.cancel()
    return result


async def _cancel_when(event: trio.Event, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await event.wait()
    scope.cancel()


def _peer(client: Client) -> Peer:
    info = client.server_info
    name, version = ("", "") if info is None else (info.title or info.name, info.version)
    return Peer(name, version, client.protocol_version, client.session.description)


class _Run:
    """The load of one process, from its beginning to its figures."""

    def __init__(
        self,
        plan: Plan,
        share: Share,
        pool: SessionPool,
        streams: Streams,
        recorder: Recorder,
        spectator: Spectator | None,
    ) -> None:
        self._plan = plan
        self._pool = pool
        self._streams = streams
        self._recorder = recorder
        self._spectator = spectator
        self._load = load_of(plan, pool, recorder, share)
        self._timeline: Timeline = Timeline()
        self._begun = trio.Event()
        self._ended = trio.Event()
        self._watching = trio.CancelScope()
        self._is_interrupted = False

    async def measure(self, peer: Peer, began: float, pids: Sequence[int], stop: trio.Event) -> Result | None:
        """Run the load to its end, and return its figures; None where it was stopped in the warm-up.

        Args:
            peer: the server.
            began: when the load begins.
            pids: processes to measure.
            stop: ends the load when it is set.
        """
        plan, recorder, pool = self._plan, self._recorder, self._pool
        begin = began + plan.warmup
        end = math.inf if plan.requests is not None else begin + self._duration()
        recorder.set_window(begin, end)
        self._load.set_times(began, begin, end)
        window = _Window(begin, ServerWatch([*groups(pool.pids), *pids]), by_pipes=bool(pool.pids))
        await trio.sleep_until(began)
        pool.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, began, end, window)
            nursery.start_soon(self._stop_when, stop, window, nursery.cancel_scope)
            await self._load.run()
            await self._begun.wait()
            if math.isinf(end):
                self._end_early(window)
            await self._ended.wait()
            nursery.cancel_scope.cancel()
        if not self._ended.is_set():
            return None
        moved = window.moved
        return Result(
            peer=peer,
            seconds=window.seconds,
            offered=recorder.offered,
            answered=recorder.answered,
            dropped=recorder.dropped,
            operations=recorder.results(corrects=not plan.is_open),
            sessions=pool.result,
            streams=self._streams.result,
            generators=[window.generator(recorder.late)],
            timeline=self._timeline,
            server=window.server.result,
            sent_bytes=None if moved is None else moved[0],
            received_bytes=None if moved is None else moved[1],
            is_interrupted=self._is_interrupted,
        )

    def _duration(self) -> float:
        load = self._plan.load
        return min(self._plan.duration, load.schedule.seconds) if isinstance(load, Open) else self._plan.duration

    # --- by the clock -----------------------------------------------------------------

    async def _watch(self, began: float, end: float, window: _Window) -> None:
        """Open and close the window, and take the figures of each second."""
        await self._tick("warm-up", began, window.begin, window)
        self._recorder.begin()
        self._streams.begin()
        window.open()
        self._begun.set()
        with self._watching:
            await self._tick("measuring", window.begin, end, window)
            self._end(window, end)

    async def _stop_when(self, stop: trio.Event, window: _Window, run: trio.CancelScope) -> None:
        """End the window and the load at an event, or the whole run in the warm-up."""
        await stop.wait()
        if not self._begun.is_set():
            run.cancel()
        elif not self._ended.is_set():
            self._is_interrupted = True
            self._load.stop(trio.current_time())
            self._end_early(window)

    async def _tick(self, phase: Phase, began: float, end: float, window: _Window) -> None:
        second = 0
        while began + second < end:
            second += 1
            await trio.sleep_until(min(began + second, end))
            point = self._recorder.take_point()
            if phase == "measuring":
                point.memory = window.server.memory()
                self._timeline.append(point)
            if self._spectator is not None:
                with contextlib.suppress(trio.WouldBlock, trio.BrokenResourceError):
                    self._spectator.send_nowait(Progress(phase, second, len(self._pool), point))

    def _end_early(self, window: _Window) -> None:
        """End the window now, in the middle of a second."""
        if not self._ended.is_set():
            self._watching.cancel()
            now = trio.current_time()
            self._recorder.end(now)
            self._timeline.append(self._recorder.take_point())
            self._end(window, now)

    def _end(self, window: _Window, end: float) -> None:
        if not self._ended.is_set():
            window.close(end)
            self._ended.set()


class _Window:
    """Reads the clocks of this process and of the server at the beginning and the end of the window."""

    def __init__(self, begin: float, server: ServerWatch, *, by_pipes: bool) -> None:
        self.begin = begin
        self.server = server
        self._by_pipes = by_pipes
        self.seconds = 0.0
        self._cpu = 0.0
        """Seconds of processor time of this process."""
        self._waited = 0.0
        self.moved: tuple[int, int] | None = None
        """Bytes that this process wrote and read."""

    def open(self) -> None:
        """Read the clocks at the beginning."""
        self._cpu, self._waited, self.moved = time.process_time(), _waited(), self._bytes()
        self.server.begin()

    def close(self, end: float) -> None:
        """Read the clocks at the end."""
        self.seconds = end - self.begin
        self._cpu, self._waited = time.process_time() - self._cpu, _waited() - self._waited
        self.server.end()
        now = self._bytes()
        if now is not None and self.moved is not None:
            self.moved = now[0] - self.moved[0], now[1] - self.moved[1]

    def _bytes(self) -> tuple[int, int] | None:
        return bytes_moved(by_pipes=self._by_pipes)

    def generator(self, late: Histogram) -> GeneratorResult:
        """Return how well this process kept up."""
        seconds = max(self.seconds, 1e-9)
        return GeneratorResult(self._cpu / seconds, self._waited / seconds, late)


def _waited() -> float:
    """Return how long this process has waited for a processor; 0 where that is not known."""
    try:
        return waited_seconds(os.getpid()) if IS_KNOWN else 0.0
    except OSError:  # a kernel without these figures
        return 0.0
