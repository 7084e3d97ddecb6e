"""A member of a group: the actor that keeps one client connected, and the handle by which it is spoken to.

It is one task in the group's nursery, and all that belongs to a connection (its process, its session, what
listens to it) is entered and left in that task alone. Handles only leave word for it, so they may be used from any
task, in any order, any number of times. What goes wrong with a connection ends here, in a state and an event.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio

from trimcp.actors.doorbell import Doorbell
from trimcp.client.client import Client
from trimcp.client.group.events import (
    FailReason,
    Failure,
    GroupEvent,
    MemberChanged,
    MemberFailed,
    MemberLost,
    MemberReady,
    MemberRestarting,
)
from trimcp.client.group.lists import Lists
from trimcp.client.group.restarts import Budget, Restarts
from trimcp.client.notices import PromptsChanged, ResourcesChanged, ToolsChanged
from trimcp.errors import ConnectionClosed, ConnectionEnded, RequestTimedOut, SessionFailed, TrimcpError, UsageError
from trimcp.observability import events, log
from trimcp.types.capabilities import ServerCapabilities

LEAVING: Final = 10.0
"""Seconds that a connection may take to be closed in good order; what then goes on is cancelled, and a process
that was started is stopped by its own deadlines."""

Listed = ToolsChanged | PromptsChanged | ResourcesChanged
NOTICES: Final[dict[str, Listed]] = {
    "tools": ToolsChanged(),
    "prompts": PromptsChanged(),
    "resources": ResourcesChanged(),
}

Opener = Callable[[], AbstractAsyncContextManager[Client]]


class MemberState(enum.Enum):
    """How it stands with a member."""

    CONNECTING = "connecting"
    """A connection is being made."""
    READY = "ready"
    """There is a client to be used."""
    WAITING = "waiting"
    """The connection ended, or could not be made; the next attempt comes after a pause."""
    FAILED = "failed"
    """It is not tried again, unless `Member.restart` asks for it."""
    CLOSED = "closed"
    """It was closed: nothing of it can be used, and soon nothing will be left."""


class Member:
    """One server of a group. Made by `Group.add`; all of it may be used from any task of the group's run of Trio."""

    def __init__(
        self,
        name: str,
        opener: Opener,
        restarts: Restarts,
        *,
        once: bool,
        tell: Callable[[GroupEvent], None],
        left: Callable[[Member], None],
    ) -> None:
        """Made by `Group.add`.

        Args:
            name: of the member.
            opener: makes a connection, each time it is called.
            restarts: when to make another.
            once: whether there can be only one.
            tell: called with each event.
            left: called when nothing of it is left.
        """
        self.name = name
        """What the group calls it."""
        self._opener = opener
        self._restarts = restarts
        self._once = once
        self._tell = tell
        self._left = left
        self._budget = Budget(restarts)
        self._state = MemberState.CONNECTING
        self._changed = trio.Event()
        self._gone = trio.Event()
        self._bell = Doorbell()
        self._scope: trio.CancelScope | None = None
        self._lists: Lists | None = None
        self._lost: ConnectionEnded | None = None
        self._closing = False
        self._again = False
        self._attempted = False
        self.failure: Failure | None = None
        """Why it has failed, in the state `FAILED`."""
        self.error: Exception | None = None
        """What the last connection, or attempt at one, ended with; None where none has."""
        self.connections = 0
        """Connections that were made so far: more than one where it was restarted."""

    # --- the handle -------------------------------------------------------------------

    @property
    def state(self) -> MemberState:
        """How it stands."""
        return self._state

    @property
    def client(self) -> Client | None:
        """The client, while the member is ready; the next connection has another one."""
        return None if self._lists is None else self._lists.client

    @property
    def lists(self) -> Lists | None:
        """What the server offers, for `Group` to merge, while the member is ready."""
        return self._lists

    def close(self) -> None:
        """End the connection, and leave the group. Does not wait; see `wait_closed`.

        What waits for an answer of this server's raises `ConnectionClosed`. Once it is closed it stays closed.
        """
        if not self._closing:
            self._closing = True
            self._leave()
            self._become(MemberState.CLOSED)

    async def wait_closed(self) -> None:
        """Wait until nothing of the member is left: no task, connection or process."""
        await self._gone.wait()

    def restart(self) -> None:
        """End the connection that there is, and make another at once, with the whole budget. Does not wait.

        Also for a member that has failed, or waits.

        Raises:
            UsageError: it is closed.
        """
        if self._closing:
            raise UsageError(f"the member {self.name!r} is closed: add it again")
        self._again = True
        self._budget.refill()
        self._leave()
        self.failure = None
        self._attempted = False
        self._become(MemberState.CONNECTING)

    async def wait_ready(self, timeout: float | None = None) -> Client:
        """Wait until there is a connection, however many attempts that takes.

        Args:
            timeout: seconds to wait at most.

        Returns:
            The client.

        Raises:
            SessionFailed: the member has failed; the exception says why.
            ConnectionClosed: it is closed.
            RequestTimedOut: the time is over; the member goes on as before.
        """
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(math.inf if timeout is None else timeout):
            while True:
                if self._lists is not None:
                    return self._lists.client
                self._raise_if_over()
                await self._changed.wait()
        raise RequestTimedOut(f"the member {self.describe()}; it was not ready within {timeout:g} s")

    async def wait_attempted(self) -> None:
        """Wait until the first attempt to connect has come to something: a connection, a failure, or the end."""
        await trio.lowlevel.checkpoint()
        while not self._attempted:
            await self._changed.wait()

    def ready(self) -> Lists:
        """What the server offers now.

        Raises:
            UsageError: the member is not ready.
        """
        if self._lists is None:
            raise UsageError(f"the member {self.describe()}; it cannot be used now")
        return self._lists

    def describe(self) -> str:
        """How it stands, in words."""
        why = self.error if self.failure is None else self.failure.error
        told = "" if why is None or self._lists is not None else f" ({why})"
        return f"{self.name!r} is {self._state.value}{told}"

    def _raise_if_over(self) -> None:
        if self.failure is not None:
            raise SessionFailed(f"the member {self.describe()}") from self.failure.error
        if self._closing:
            raise ConnectionClosed(f"the member {self.name!r} is closed")

    @property
    def _is_leaving(self) -> bool:
        """Whether what the task does now is to end: somebody wants it closed, or connected anew."""
        return self._closing or self._again

    def _leave(self) -> None:
        """Have the task end what it does. A connection that is in use is left in good order, within some time."""
        self._bell.ring()
        if self._lists is not None:
            self._lists = None  # at once: nothing new begins on it
            self._bound_leaving()
        elif self._scope is not None and self._scope.deadline == math.inf:  # else it is leaving already
            self._scope.cancel()

    def _bound_leaving(self) -> None:
        if self._scope is not None:
            self._scope.deadline = trio.current_time() + LEAVING

    # --- the task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the client connected until the member is closed. Raises nothing but `Cancelled`."""
        try:
            while not self._closing:
                self._again = False
                await self._connect()
                if not self._is_leaving:
                    await self._recover()
        finally:
            self._closing = self._attempted = True
            self._lists = None
            self._become(MemberState.CLOSED)
            self._left(self)
            self._gone.set()

    async def _connect(self) -> None:
        """One connection, from its making to its end."""
        self._become(MemberState.CONNECTING)
        error: Exception | None = None
        try:
            with trio.CancelScope() as self._scope:
                async with self._opener() as client:
                    await self._use(client)
        except* Exception as group:  # noqa: BLE001 - the boundary: whatever it was, others go on
            error = _alone(group)
        finally:
            self._scope = None
        error = error or self._lost
        self._lost = None
        if error is not None and not self._is_leaving:
            self._drop(error)  # where what ended it has cut short its use
            self.error = error

    async def _use(self, client: Client) -> None:
        """Let the client be used until the session is over, or somebody has the member leave."""
        if self._is_leaving:
            return
        self.connections += 1
        self._lists = lists = Lists(self.name, client)
        self._attempted = True
        self._become(MemberState.READY)
        self._tell(MemberReady(self.name))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, client)
            nursery.start_soon(self._listen, lists)
            while self._lost is None and not self._is_leaving:
                await self._bell.wait()
            nursery.cancel_scope.cancel()
        if self._lost is not None:
            self._drop(self._lost)

    def _drop(self, error: Exception) -> None:
        """The connection has ended by itself; what is left of it is closed."""
        if self._lists is None:
            return
        self._lists = None
        self._bound_leaving()
        self.error = error
        self._become(MemberState.WAITING)
        self._tell(MemberLost(self.name, error))

    async def _watch(self, client: Client) -> None:
        await client.session.wait_over()
        self._lost = client.session.end or ConnectionClosed("the session is over")
        self._bell.ring()

    async def _recover(self) -> None:
        """What follows a connection that ended by itself, or was not made: a pause, or failure."""
        error = self.error or ConnectionClosed("the connection ended")
        if isinstance(error, UsageError):
            return await self._fail(FailReason.TARGET, error)
        if self._once:
            return await self._fail(FailReason.ONCE, error)
        delay = self._budget.take(trio.current_time())
        if delay is None:
            return await self._fail(FailReason.RESTARTS, error)
        self._attempted = True
        self._become(MemberState.WAITING)
        log.info(events.MEMBER_LOST, server=self.name, delay=delay, why=str(error))
        self._tell(MemberRestarting(self.name, delay, error))
        with trio.CancelScope() as self._scope:
            await trio.sleep(delay)
        self._scope = None
        return None

    async def _fail(self, reason: FailReason, error: Exception) -> None:
        self.failure = Failure(reason, error)
        self._attempted = True
        self._become(MemberState.FAILED)
        log.warning(events.MEMBER_FAILED, server=self.name, reason=reason.value, why=str(error))
        self._tell(MemberFailed(self.name, self.failure))
        while not self._is_leaving:
            await self._bell.wait()

    def _become(self, state: MemberState) -> None:
        self._state = MemberState.CLOSED if self._closing else state
        self._changed.set()
        self._changed = trio.Event()

    # --- what the server tells --------------------------------------------------------

    async def _listen(self, lists: Lists) -> None:
        """Be told of changes, for as long as the connection lasts. A server that ends it is asked again."""
        told = _told_by(lists.client.server_capabilities)
        if not told:
            return
        budget = Budget(self._restarts)
        while True:
            try:
                async with lists.client.listen(
                    tools="tools" in told, prompts="prompts" in told, resources="resources" in told
                ) as notices:
                    lists.notices = notices
                    async for notice in notices:
                        lists.forget()
                        # Anything else says that changes may have been missed.
                        self._tell_changed([notice] if isinstance(notice, Listed) else [NOTICES[kind] for kind in told])
            except TrimcpError as exc:
                # Over HTTP that may be the end of one stream; where it is that of the session, `_watch` has this end.
                log.debug(events.MEMBER_LISTEN_ENDED, server=self.name, why=str(exc))
            finally:
                lists.notices = None
                lists.forget()
            delay = budget.take(trio.current_time())
            if delay is None:
                log.info(events.MEMBER_LISTEN_ENDED, server=self.name, why="the server ends what tells of changes")
                return
            await trio.sleep(delay)
            self._tell_changed(NOTICES[kind] for kind in told)  # what changed meanwhile was not told

    def _tell_changed(self, notices: Iterable[Listed]) -> None:
        for notice in notices:
            self._tell(MemberChanged(self.name, notice))


def _told_by(capabilities: ServerCapabilities) -> list[str]:
    """The lists of whose changes the server would tell."""
    declared = {"tools": capabilities.tools, "prompts": capabilities.prompts, "resources": capabilities.resources}
    return [kind for kind, one in declared.items() if one is not None and one.list_changed]


def _alone(group: BaseExceptionGroup[Exception]) -> Exception:
    """The exception in a group of one, however deep; the group where there are several."""
    error: Exception = group  # type: ignore[assignment]  # nothing in it is no Exception
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
