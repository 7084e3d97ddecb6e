"""The states of the members of a group, their events, and the queues that programs read events from."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs
import trio

from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.client.notifications.notices import PromptsChanged, ResourcesChanged, ToolsChanged
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.client.group.lists import MemberLists


class MemberState(enum.Enum):
    """The state of a member."""

    CONNECTING = "connecting"
    """A connection is being made."""
    READY = "ready"
    """The client can be used."""
    WAITING = "waiting"
    """The connection ended, or could not be made; the next attempt comes after a pause."""
    FAILED = "failed"
    """No further attempt is made, unless `Member.restart` asks for it."""
    CLOSED = "closed"
    """It was closed, and cannot be used any more."""


class FailReason(enum.Enum):
    """Why a group no longer tries to connect a member."""

    TARGET = "target"
    """Nothing can be connected to: there is no such command, script or option."""
    ONCE = "once"
    """The target was a `Duplex`, and only the program can make another."""
    RESTARTS = "restarts"
    """The budget for restarts is used up."""
    AUTHORIZATION = "authorization"
    """No token could be got: a person, or another configuration, is needed."""


@attrs.frozen
class Failure:
    """The end of a member that has failed.

    Attributes:
        reason: why no further attempt is made.
        error: the error of the last attempt, or of the last connection.
    """

    reason: FailReason
    error: Exception


@attrs.frozen
class MemberStatus:
    """The status of a member at one moment. Its actor makes a new one at each change; all others only read it."""

    state: MemberState
    restarts: int = 0
    """Restarts by the program that the actor knows of."""
    lists: MemberLists | None = None
    """The lists of the server over this connection, in the state `READY`."""
    failure: Failure | None = None
    """Why it has failed, in the state `FAILED`."""
    error: Exception | None = None
    """The error that ended the last connection, or attempt at one."""
    connections: int = 0
    """Connections that were made so far."""
    is_attempted: bool = False
    """Whether the first attempt since the last restart has succeeded or failed."""


@attrs.frozen
class MemberReady:
    """A member is connected: its tools are part of the merged lists, and can be called.

    Attributes:
        server: the member's name.
    """

    server: str


@attrs.frozen
class MemberLost:
    """A connection that was ready has ended; the merged lists no longer have its server's tools.

    Attributes:
        server: the member's name.
        error: how it ended: `ServerExited` with the last lines of the command, `ConnectionLost`, …
    """

    server: str
    error: Exception


@attrs.frozen
class MemberRestarting:
    """Another attempt to connect follows after a pause.

    Attributes:
        server: the member's name.
        delay: the pause, in seconds.
        error: the error of the last attempt, or of the last connection.
    """

    server: str
    delay: float
    error: Exception


@attrs.frozen
class MemberFailed:
    """A member has failed, and no further attempt is made; `Member.restart` begins anew.

    Attributes:
        server: the member's name.
        failure: why.
    """

    server: str
    failure: Failure


@attrs.frozen
class MemberClosed:
    """A member was closed, and nothing of it is left: its name may be used again.

    Attributes:
        server: the member's name.
    """

    server: str


@attrs.frozen
class MemberChanged:
    """A list of a server that is ready has changed, or may have.

    Attributes:
        server: the member's name.
        notice: which list has changed.
    """

    server: str
    notice: ToolsChanged | PromptsChanged | ResourcesChanged


GroupEvent = MemberReady | MemberLost | MemberRestarting | MemberFailed | MemberClosed | MemberChanged
"""Anything that `GroupEvents` gives."""


def _change(event: GroupEvent) -> MemberChanged | None:
    """Return the key of an event in its queue: a change that waits stands for later equal ones."""
    return event if isinstance(event, MemberChanged) else None


class GroupEvents:
    """Events in order: `async for event in events`. One task reads at a time.

    Where a reader is further behind than the group's bound, the oldest events are dropped; `Group.members` has the
    present states at any time. A `MemberChanged` that waits already is not kept twice. Reading ends when the group
    has closed its members, or the context was left.
    """

    def __init__(self, most: int) -> None:
        """Made by `Group.events`. At most `most` events wait."""
        self._mailbox: Mailbox[GroupEvent] = Mailbox(most, Overflow.DROP_OLDEST, key=_change)
        self._is_read = False
        self.is_over: bool = False
        """Whether no more events come; those that wait can still be read."""

    @property
    def dropped(self) -> int:
        """Events that were dropped, since the reader was too far behind."""
        return self._mailbox.dropped

    def put(self, event: GroupEvent) -> None:
        """Add an event. Never waits."""
        if not self.is_over:
            self._mailbox.tell(event)

    def finish(self) -> None:
        """Let no further event in; those that wait can still be read."""
        self.is_over = True
        self._mailbox.close()

    def __aiter__(self) -> GroupEvents:
        return self

    async def __anext__(self) -> GroupEvent:
        await trio.lowlevel.checkpoint()  # before an event is taken: a reader that is cancelled loses none
        try:
            return self._mailbox.receive_nowait()
        except trio.WouldBlock:
            return await self._receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def _receive(self) -> GroupEvent:
        if self._is_read:
            raise UsageError("another task reads these events: give each task its own events()")
        self._is_read = True
        try:
            return await self._mailbox.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        finally:
            self._is_read = False
