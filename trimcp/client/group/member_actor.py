"""`MemberActor`, the actor that keeps the client of one member connected.

Its task handles messages. Each connection has a task of its own in the actor's nursery, in which all that belongs to
the connection (a process, a session, a listen request) is opened and closed; that task tells the actor when the
connection is ready, lost or closed. A failed connection becomes a status and an event, and affects no other member.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable
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
    MemberState,
    MemberStatus,
)
from trimcp.client.group.lists import MemberLists
from trimcp.client.group.restarts import RestartBudget, Restarts
from trimcp.client.notifications.notices import PromptsChanged, ResourcesChanged, ToolsChanged
from trimcp.errors import ConnectionClosed, ConnectionEnded, TrimcpError, UsageError
from trimcp.observability import events, log
from trimcp.types.capabilities import announced_lists

LEAVING: Final = 10.0
"""Seconds that closing a connection in good order may take; then it is cancelled, and a process that was started is
stopped by its own deadlines."""
CAPACITY: Final = 16
"""Messages: one `_Restart`, one `_Close`, three of one connection, one for each of three lists, and some to spare."""

ListChanged = ToolsChanged | PromptsChanged | ResourcesChanged
CHANGES: Final[dict[str, ListChanged]] = {
    "tools": ToolsChanged(),
    "prompts": PromptsChanged(),
    "resources": ResourcesChanged(),
}

Opener = Callable[[], AbstractAsyncContextManager[Client]]
"""Makes a connection, each time it is called."""


class GroupActor(Protocol):
    """The actor of a group, as far as its members use it. Neither method waits."""

    def stands(self, server: str, status: MemberStatus, *happened: GroupEvent) -> None:
        """Publish the status of a member, and the events that led to it."""
        ...

    def left(self, server: str) -> None:
        """Remove a member of which nothing is left."""
        ...


# --- messages ---------------------------------------------------------------------


@attrs.frozen
class _Restart:
    """Connect anew, with the whole budget."""

    number: int


@attrs.frozen
class _Close:
    """End the connection, and leave the group."""


@attrs.frozen
class _Ready:
    """A connection has a client that can be used."""

    connection: _Connection
    lists: MemberLists


@attrs.frozen
class _Lost:
    """The session of a connection has ended by itself; the rest of the connection is being closed."""

    connection: _Connection
    error: ConnectionEnded


@attrs.frozen
class _Changed:
    """A list of the server of a connection has changed."""

    connection: _Connection
    change: ListChanged


@attrs.frozen
class _Ended:
    """A connection, or an attempt at one, has ended: nothing of it is left."""

    connection: _Connection
    error: Exception | None


_Message = _Restart | _Close | _Ready | _Lost | _Changed | _Ended


def _key(message: _Message) -> Hashable:
    match message:
        case _Restart():
            return "restart"
        case _Close():
            return "close"
        case _Changed(connection, change):
            return connection, change
        case _:
            return None


class MemberActor(Actor[_Message]):
    """The actor that keeps the client of one member connected, until it is told to close."""

    def __init__(
        self, owner: Owner, group: GroupActor, server: str, opener: Opener, restarts: Restarts, *, once: bool
    ) -> None:
        """Connect with the first message.

        Args:
            owner: the supervisor of the group.
            group: gets the status and the events of the member.
            server: the member's name.
            opener: makes a connection.
            restarts: when to make another.
            once: whether there can be only one.
        """
        super().__init__(owner, Mailbox(CAPACITY, Overflow.REPLACE, key=_key))
        self.name: str = f"member {server}"
        self.server: str = server
        self._group = group
        self._opener = opener
        self._restarts = restarts
        self._once = once
        self._budget = RestartBudget(restarts)
        self._status = MemberStatus(MemberState.CONNECTING)
        self._connection: _Connection | None = None
        self._is_wanted = False  # whether the present connection is to go on
        self._due = math.inf  # the end of the pause before the next attempt
        self._is_closing = False
        self._is_over = False
        self._nursery: trio.Nursery | None = None

    # --- in front ---------------------------------------------------------------------

    def restart(self, number: int) -> None:
        """Connect, or connect anew, with the whole budget. `number` counts the restarts by the program."""
        self.tell(_Restart(number))

    def close(self) -> None:
        """End the connection, and leave the group."""
        self.tell(_Close())

    # --- the task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Handle messages, and begin each attempt that is due, until nothing is left of the closed member."""
        try:
            async with trio.open_nursery() as self._nursery:
                while not self._is_over:
                    with trio.CancelScope(deadline=self._due) as pause:
                        self.handle(await self.mailbox.receive())
                    if pause.cancelled_caught:
                        self._connect()
        finally:
            self._is_over = True
            self._publish(MemberState.CLOSED, lists=None, is_attempted=True)
            self._group.left(self.server)

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        if self._is_over:
            return
        match message:
            case _Restart(number):
                self._start_over(number)
            case _Close():
                self._is_closing = True
                self._leave()
                self._is_over = self._connection is None
                self._publish(MemberState.CLOSED, lists=None)
            case _Ended(_, error):
                self._ended(error)
            case _Ready() | _Lost() | _Changed() if not self._is_wanted:
                pass  # it is being ended
            case _Ready(_, lists):
                made = self._status.connections + 1
                ready = MemberReady(self.server)
                self._publish(MemberState.READY, ready, lists=lists, connections=made, is_attempted=True)
            case _Lost(_, error):
                self._drop(error)
            case _Changed(_, change):
                self._group.stands(self.server, self._status, MemberChanged(self.server, change))

    def _start_over(self, number: int) -> None:
        if self._is_closing:
            return
        self._budget.refill()
        self._leave()
        self._publish(MemberState.CONNECTING, restarts=number, lists=None, failure=None, is_attempted=False)
        if self._connection is None:
            self._connect()

    def _leave(self) -> None:
        """End the connection, if there is one, and the pause."""
        self._due = math.inf
        self._is_wanted = False
        if self._connection is not None:
            self._connection.leave()

    def _connect(self) -> None:
        self._due = math.inf
        if self._nursery is None:
            return  # the group has ended before the member has begun
        connection = self._connection = _Connection(self, self._opener, self._restarts)
        self._is_wanted = True
        self._publish(MemberState.CONNECTING)
        self._nursery.start_soon(connection.run, name=f"connection of {self.name}")

    def _ended(self, error: Exception | None) -> None:
        was_wanted, self._is_wanted = self._is_wanted, False
        self._connection = None
        if self._is_closing:
            self._is_over = True
        elif not was_wanted:
            self._connect()
        else:
            if error is not None:
                self._drop(error)
                self._status = attrs.evolve(self._status, error=error)
            self._recover(self._status.error or ConnectionClosed("the connection ended"))

    def _drop(self, error: Exception) -> None:
        """Publish that the connection has ended by itself, and cannot be used."""
        if self._status.lists is not None:
            self._publish(MemberState.WAITING, MemberLost(self.server, error), lists=None, error=error)

    def _recover(self, error: Exception) -> None:
        """Begin a pause, or fail."""
        if isinstance(error, UsageError):
            self._fail(FailReason.TARGET, error)
        elif self._once:
            self._fail(FailReason.ONCE, error)
        elif _is_refused(error):
            self._fail(FailReason.AUTHORIZATION, error)
        elif (delay := self._budget.take(trio.current_time())) is None:
            self._fail(FailReason.RESTARTS, error)
        else:
            log.info(events.MEMBER_LOST, server=self.server, delay=delay, why=str(error))
            restarting = MemberRestarting(self.server, delay, error)
            self._due = trio.current_time() + delay
            self._publish(MemberState.WAITING, restarting, is_attempted=True)

    def _fail(self, reason: FailReason, error: Exception) -> None:
        failure = Failure(reason, error)
        log.warning(events.MEMBER_FAILED, server=self.server, reason=reason.value, why=str(error))
        self._publish(MemberState.FAILED, MemberFailed(self.server, failure), failure=failure, is_attempted=True)

    def _publish(self, state: MemberState, *happened: GroupEvent, **changes: Any) -> None:
        self._status = attrs.evolve(self._status, state=state, **changes)
        self._group.stands(self.server, self._status, *happened)


class _Connection:
    """One connection, from its opening to its end, in a task of its own."""

    def __init__(self, member: MemberActor, opener: Opener, restarts: Restarts) -> None:
        self._member = member
        self._opener = opener
        self._budget = RestartBudget(restarts)  # of listens
        self._scope = trio.CancelScope()
        self._use = trio.CancelScope()
        self._is_open = False
        self._is_leaving = False
        self._lost: ConnectionEnded | None = None

    def leave(self) -> None:
        """End the task: in good order, within some time, where there is a client; else at once."""
        if self._is_leaving:
            return
        self._is_leaving = True
        if self._is_open:
            self._use.cancel()
            self._scope.deadline = trio.current_time() + LEAVING
        else:
            self._scope.cancel()

    async def run(self) -> None:
        """Open the connection, let it be used, close it, and tell the member. Raises only `Cancelled`."""
        error: Exception | None = None
        try:
            with self._scope:
                async with self._opener() as client:
                    self._is_open = True
                    with self._use:
                        await self._serve(client)
        except* Exception as group:  # noqa: BLE001 - the boundary: no error of a connection affects other members
            error = _alone(group)
        finally:
            self._member.tell(_Ended(self, error or self._lost))

    async def _serve(self, client: Client) -> None:
        """Let the client be used until the session is over, or the member ends the connection."""
        lists = MemberLists(self._member.server, client)
        self._member.tell(_Ready(self, lists))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, lists)
            await client.session.wait_over()
            self._lost = client.session.end or ConnectionClosed("the session is over")
            self._member.tell(_Lost(self, self._lost))
            self.leave()

    async def _listen(self, lists: MemberLists) -> None:
        """Listen to changes of lists while the connection lasts; ask again where the server ends that."""
        announced = announced_lists(lists.client.server_capabilities)
        told = {name: CHANGES[name] for name, is_announced in announced.items() if is_announced}
        if not told:
            return
        while True:
            try:
                async with lists.client.listen(
                    tools="tools" in told, prompts="prompts" in told, resources="resources" in told
                ) as notices:
                    lists.notices = notices
                    async for notice in notices:
                        lists.forget()
                        # After any other notice, changes may have been missed.
                        self._changed(*([notice] if isinstance(notice, ListChanged) else told.values()))
            except TrimcpError as exc:
                # Over HTTP it may be one stream that ended; where the session has, `_serve` ends too.
                log.debug(events.MEMBER_LISTEN_ENDED, server=lists.server, why=str(exc))
            finally:
                lists.notices = None
                lists.forget()
            delay = self._budget.take(trio.current_time())
            if delay is None:
                log.info(events.MEMBER_LISTEN_ENDED, server=lists.server, why="the server keeps ending it")
                return
            await trio.sleep(delay)
            self._changed(*told.values())  # changes in between were not told

    def _changed(self, *changes: ListChanged) -> None:
        for change in changes:
            self._member.tell(_Changed(self, change))


def _is_refused(error: BaseException) -> bool:
    """Whether no token could be got, so that another try would ask a person again, or fail again."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, AuthorizationFailed):
            return not isinstance(at, AuthorizationServerUnavailable)
        at = at.__cause__
    return False


def _alone(group: BaseExceptionGroup[Exception]) -> Exception:
    """Return the exception in a group of one, however deep; the group where there are several."""
    error: Exception = group  # type: ignore[assignment]  # it holds Exceptions alone
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
