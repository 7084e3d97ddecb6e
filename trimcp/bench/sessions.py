"""`SessionPool`: keeps a number of sessions open, and hands them to the load in turn.

Each session has a task, `keep`. It opens the session, and opens another one when that is lost, or is as old as `churn`
says.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.actors.backoff import Backoff
from trimcp.bench.operations import error_name
from trimcp.bench.plan import Plan
from trimcp.bench.recorder import NANOSECONDS
from trimcp.bench.result import SessionsResult
from trimcp.bench.streams import Streams
from trimcp.errors import TrimcpError
from trimcp.session.duplex_session import DuplexSession
from trimcp.types.revisions import BY_VERSION, Era

if TYPE_CHECKING:
    from trimcp.client.client import Client

OPENING: Final = 16
"""Sessions that are opened at once, where there is no connect rate."""
SHORT: Final = 1.0
"""Seconds below which a lost session counts as one that failed: the pause before the next one grows."""

Connect = Callable[[], "AbstractAsyncContextManager[Client]"]
"""Opens one session with the server."""


@attrs.define(eq=False)
class PooledSession:
    """A session that is open, and the number of requests that use it."""

    client: Client
    _lifetime: float
    age: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Cancelled when it has lived long enough."""
    _users: int = 0
    _idle: trio.Event | None = None

    def begin(self) -> None:
        """Let the session become old from now on."""
        self.age.deadline = trio.current_time() + self._lifetime

    def enter(self) -> None:
        """Count a request that uses the session from now on."""
        self._users += 1

    def leave(self) -> None:
        """Count a request that has ended."""
        self._users -= 1
        if self._idle is not None and self._users == 0:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until no request uses the session."""
        if self._users:
            self._idle = trio.Event()
            await self._idle.wait()

    @property
    def pid(self) -> int | None:
        """The id of the server's process, if the session has started one."""
        session = self.client.session
        pid = getattr(session.duplex, "pid", None) if isinstance(session, DuplexSession) else None
        return pid if isinstance(pid, int) else None


class SessionPool:
    """Opens the sessions of a plan, and keeps their number."""

    def __init__(self, connect: Connect, plan: Plan, streams: Streams) -> None:
        self._connect = connect
        self._plan = plan
        self._streams = streams
        self._open: list[PooledSession] = []
        self._at = 0
        self._opened = trio.Event()
        """Set while a session is open."""
        self._has_begun = False
        self._room = trio.CapacityLimiter(OPENING if plan.connect_rate is None else max(plan.sessions, 1))
        self.result: SessionsResult = SessionsResult()

    def begin(self) -> None:
        """Let sessions become old from now on."""
        self._has_begun = True
        for session in self._open:
            session.begin()

    # --- for the load -----------------------------------------------------------------

    def next(self) -> PooledSession | None:
        """Return the session whose turn it is; None while none is open."""
        if not self._open:
            return None
        self._at = (self._at + 1) % len(self._open)
        return self._open[self._at]

    async def wait_next(self) -> PooledSession:
        """Wait for an open session, and return the one whose turn it is."""
        while (session := self.next()) is None:
            await self._opened.wait()
        return session

    def __len__(self) -> int:
        return len(self._open)

    @property
    def pids(self) -> Sequence[int]:
        """The ids of the servers' processes that the open sessions have started."""
        return [pid for session in self._open if (pid := session.pid) is not None]

    # --- the sessions -----------------------------------------------------------------

    async def open_others(self, nursery: trio.Nursery) -> None:
        """Start `keep` for all sessions but the first; wait until each is open, or has failed once.

        Args:
            nursery: where the sessions live.
        """
        rate, began = self._plan.connect_rate, trio.current_time()
        async with trio.open_nursery() as opening:
            for number in range(1, self._plan.sessions):
                if rate is not None:
                    await trio.sleep_until(began + number / rate)
                opening.start_soon(nursery.start, self.keep, number)

    async def keep(self, number: int, *, task_status: trio.TaskStatus[Client | None]) -> None:
        """Keep one session open until cancelled; report the first client, or None where it could not be opened.

        Raises:
            TrimcpError: the first of all sessions could not be opened.
        """
        backoff = Backoff(budget=None)
        is_reported = False
        lifetime = self._lifetime(number)
        while True:
            pause: float | None = None
            try:
                async with contextlib.AsyncExitStack() as stack:
                    async with self._room:
                        began = trio.current_time()
                        client = await stack.enter_async_context(self._connect())
                    opened = trio.current_time()
                    self.result.opened += 1
                    self.result.opening.record(int((opened - began) * NANOSECONDS))
                    await self._learn_headers(client)
                    if not is_reported:
                        is_reported = True
                        task_status.started(client)
                    is_lost = await self._use(client, number, lifetime)
                    if trio.current_time() - opened > SHORT:
                        backoff.succeeded()
                    pause = backoff.next_pause() if is_lost else None
            except TrimcpError as exc:
                if number == 0 and not is_reported:
                    raise
                name = error_name(exc)
                self.result.failed[name] = self.result.failed.get(name, 0) + 1
                if not is_reported:
                    is_reported = True
                    task_status.started(None)
                pause = backoff.next_pause()
            lifetime = self._plan.churn or math.inf
            if pause is not None:
                await trio.sleep(pause)

    def _lifetime(self, number: int) -> float:
        """Return the seconds that the first session of a task lives: the sessions are replaced in turn."""
        churn = self._plan.churn
        return math.inf if churn is None else churn * (number + 1) / self._plan.sessions

    async def _learn_headers(self, client: Client) -> None:
        """Read the list of tools where their arguments may go into header fields: over HTTP, in the modern era."""
        is_modern = BY_VERSION[client.protocol_version].era is Era.MODERN
        if is_modern and client.server_capabilities.tools and not isinstance(client.session, DuplexSession):
            await client.list_tools()

    async def _use(self, client: Client, number: int, lifetime: float) -> bool:
        """Hand a session to the load until it is lost or has lived long enough; return whether it was lost."""
        session = PooledSession(client, lifetime)
        if self._has_begun:
            session.begin()
        async with trio.open_nursery() as nursery:
            for _ in range(self._streams.number_for(number)):
                nursery.start_soon(self._streams.keep, client)
            self._open.append(session)
            self._opened.set()
            try:
                with session.age:
                    await client.session.wait_over()
            finally:
                self._open.remove(session)
                if not self._open:
                    self._opened = trio.Event()
            if session.age.cancelled_caught:
                self.result.replaced += 1
                with trio.move_on_after(self._plan.patience):
                    await session.wait_idle()
            else:
                self.result.lost += 1
            nursery.cancel_scope.cancel()
        return not session.age.cancelled_caught
