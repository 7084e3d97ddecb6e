"""`ClosedLoad` and `OpenLoad`: make the requests of a run, by callers that take sessions in turn.

In a closed loop each caller waits for its answer before it makes the next request, so a server that stalls is asked
less while it does. In an open loop a pacer says when requests are due, and never waits for an answer. A request that
is due while all places are taken waits for one, and its time from due goes on. So the times from due are those that
users would see who come at that rate, which the times from sent hide (*coordinated omission*).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator
from typing import Final

import trio

from trimcp.bench.operations import NO_SESSION, Mix
from trimcp.bench.plan import Closed, Open, Plan
from trimcp.bench.recorder import Recorder
from trimcp.bench.schedule import Share
from trimcp.bench.sessions import SessionPool

HEARTBEAT: Final = 0.05
"""Seconds between two looks at how late a closed loop is."""
STOPPING: Final = 1.0
"""Seconds that a load waits for answers after it was stopped."""


class Load(abc.ABC):
    """Makes requests until a time, or until a number of them."""

    def __init__(self, plan: Plan, pool: SessionPool, recorder: Recorder) -> None:
        self._pool = pool
        self._recorder = recorder
        self._patience = plan.patience
        self._choices: Iterator[int] = iter(Mix(recorder.operations, plan.seed))
        self._left = math.inf if plan.requests is None else plan.requests
        self._began = self._begin = self._end = math.inf
        self._making = trio.CancelScope()
        """Of the task that waits until the next request is due."""
        self._answering = trio.CancelScope()
        """Of the tasks that wait for answers."""

    def set_times(self, began: float, begin: float, end: float) -> None:
        """Say when the load begins, when the window begins, in which requests count, and when both end."""
        self._began, self._begin, self._end = began, begin, end

    @abc.abstractmethod
    async def run(self) -> None:
        """Make requests until the end, and wait for their answers."""

    def stop(self, end: float) -> None:
        """End the load before its time; `run` returns soon."""
        self._end = end
        self._making.cancel()
        self._answering.deadline = min(self._answering.deadline, end + min(self._patience, STOPPING))

    def _may_start(self, due: float) -> bool:
        """Count a request that is about to start; False where the load has ended."""
        if due >= self._end or self._left <= 0:
            return False
        if due >= self._begin:
            self._left -= 1
        self._recorder.is_due(due)
        return True

    async def _request(self, due: float) -> None:
        """Make one request."""
        recorder, index = self._recorder, next(self._choices)
        recorder.in_flight += 1
        session = self._pool.next()
        sent = trio.current_time()
        try:
            if session is None:
                with trio.move_on_after(self._patience):
                    session = await self._pool.wait_next()
                sent = trio.current_time()
            if session is None:
                recorder.answer(index, due, sent, NO_SESSION)
                return
            session.enter()
            error = await recorder.operations[index].send(session.client, recorder.progress_of(index))
            recorder.answer(index, due, sent, error)
        except trio.Cancelled:
            recorder.give_up(index, due)
            raise
        finally:
            recorder.in_flight -= 1
            if session is not None:
                session.leave()


class ClosedLoad(Load):
    """Makes a request as soon as the one before is answered, in each of its callers."""

    def __init__(self, load: Closed, plan: Plan, pool: SessionPool, recorder: Recorder) -> None:
        super().__init__(plan, pool, recorder)
        self._callers = load.callers

    async def run(self) -> None:
        """See `Load`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._heartbeat)
            self._answering.deadline = self._end + self._patience
            with self._answering:
                async with trio.open_nursery() as callers:
                    for _ in range(self._callers):
                        callers.start_soon(self._call)
            if not self._callers:  # only streams
                with self._making:
                    await trio.sleep_until(self._end)
            nursery.cancel_scope.cancel()

    async def _call(self) -> None:
        while self._may_start(now := trio.current_time()):
            await self._request(now)

    async def _heartbeat(self) -> None:
        """Look how late this process wakes up: so late it is with each request and answer."""
        while True:
            due = trio.current_time() + HEARTBEAT
            await trio.sleep_until(due)
            self._recorder.was_late(due, trio.current_time() - due)


class OpenLoad(Load):
    """Makes requests when they are due."""

    def __init__(self, load: Open, plan: Plan, pool: SessionPool, recorder: Recorder, share: Share) -> None:
        super().__init__(plan, pool, recorder)
        self._load = load
        self._arrivals = load.schedule.preceded_by(plan.warmup).arrivals(load.arrivals, share, plan.seed)
        self._idle = 0
        """Callers that wait for a request, and are not about to get one."""
        self._callers = 0
        self._waiting = 0
        """Requests that wait for a caller."""
        room = load.in_flight + load.waiting
        self._send, self._receive = trio.open_memory_channel[tuple[float, bool]](room)
        """Requests that are due: the time, and whether a caller was free for it."""

    async def run(self) -> None:
        """See `Load`."""
        try:
            with self._answering:
                async with trio.open_nursery() as nursery:
                    with self._making:
                        await self._pace(nursery)
                    self._answering.deadline = min(self._answering.deadline, trio.current_time() + self._patience)
        finally:
            # What has not been sent by now never will be.
            while self._receive.statistics().current_buffer_used:
                self._recorder.drop(self._receive.receive_nowait()[0])

    async def _pace(self, nursery: trio.Nursery) -> None:
        """Hand each request to a caller when it is due; all that are due at a wake go together."""
        recorder = self._recorder
        now = trio.current_time()
        with self._send:
            for since in self._arrivals:
                due = self._began + since
                if now < due < self._end:
                    await trio.sleep_until(due)
                    now = trio.current_time()
                if not self._may_start(due):
                    return
                if self._idle:
                    self._idle -= 1
                elif self._callers < self._load.in_flight:
                    self._callers += 1
                    nursery.start_soon(self._call)
                elif self._waiting < self._load.waiting:
                    self._waiting += 1
                    recorder.was_late(due, now - due)
                    self._send.send_nowait((due, False))
                    continue
                else:
                    recorder.drop(due)
                    continue
                self._send.send_nowait((due, True))

    async def _call(self) -> None:
        """Make requests as they are handed over, until the pacer has ended and none waits."""
        while True:
            try:
                due, had_caller = self._receive.receive_nowait()
            except trio.WouldBlock:
                self._idle += 1
                try:
                    due, had_caller = await self._receive.receive()
                except trio.EndOfChannel:
                    return
            except trio.EndOfChannel:
                return
            if had_caller:
                self._recorder.was_late(due, trio.current_time() - due)
            else:
                self._waiting -= 1
            await self._request(due)


def load_of(plan: Plan, pool: SessionPool, recorder: Recorder, share: Share) -> Load:
    """Return the load of a plan."""
    if isinstance(plan.load, Closed):
        return ClosedLoad(plan.load, plan, pool, recorder)
    return OpenLoad(plan.load, plan, pool, recorder, share)
