"""What becomes of the members of a group, as small objects, and the queues that programs read them from."""

from __future__ import annotations

import enum

import attrs
import trio

from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.client.notices import PromptsChanged, ResourcesChanged, ToolsChanged
from trimcp.errors import UsageError


class FailReason(enum.Enum):
    """Why a group no longer tries to connect a member."""

    TARGET = "target"
    """It is nothing that can be connected to: there is no such command, script or option."""
    ONCE = "once"
    """It was a `Duplex` made by the program, and only the program can make another."""
    RESTARTS = "restarts"
    """The budget for restarts is used up."""


@attrs.frozen
class Failure:
    """What a member that has failed ended with.

    Attributes:
        reason: why it is not tried again.
        error: what the last attempt, or the last connection, ended with.
    """

    reason: FailReason
    error: Exception


@attrs.frozen
class MemberReady:
    """There is a connection: what the server offers is part of the merged lists, and can be called.

    Attributes:
        server: the member's name.
    """

    server: str


@attrs.frozen
class MemberLost:
    """A connection that was ready has ended; what the server offered is gone from the merged lists.

    Attributes:
        server: the member's name.
        error: how it ended: `ServerExited` with what the command said last, `ConnectionLost`, …
    """

    server: str
    error: Exception


@attrs.frozen
class MemberRestarting:
    """Another attempt to connect follows after a pause.

    Attributes:
        server: the member's name.
        delay: the pause, in seconds.
        error: what the last attempt, or the last connection, ended with.
    """

    server: str
    delay: float
    error: Exception


@attrs.frozen
class MemberFailed:
    """The group tries no more; `Member.restart` makes it begin anew.

    Attributes:
        server: the member's name.
        failure: why.
    """

    server: str
    failure: Failure


@attrs.frozen
class MemberClosed:
    """The member was closed, and nothing of it is left: its name may be used again.

    Attributes:
        server: the member's name.
    """

    server: str


@attrs.frozen
class MemberChanged:
    """A server that is ready offers something else than before, or may do so.

    Attributes:
        server: the member's name.
        notice: which list has changed.
    """

    server: str
    notice: ToolsChanged | PromptsChanged | ResourcesChanged


GroupEvent = MemberReady | MemberLost | MemberRestarting | MemberFailed | MemberClosed | MemberChanged
"""Anything that `GroupEvents` gives."""


def _change(event: GroupEvent) -> MemberChanged | None:
    """The key of an event in its queue: a change that waits stands for each later one that is equal."""
    return event if isinstance(event, MemberChanged) else None


class GroupEvents:
    """Events in order: `async for event in events`. One task reads at a time.

    Where a reader is more than the group's bound behind, the oldest events are dropped; `Group.members` says how
    things stand at any time. A `MemberChanged` that waits already is not kept twice. Reading ends when the group
    has closed its members, or the context was left.
    """

    def __init__(self, most: int) -> None:
        """Made by `Group.events`; `most` events may wait."""
        self._mailbox: Mailbox[GroupEvent] = Mailbox(most, Overflow.DROP_OLDEST, key=_change)
        self._is_read = False
        self.is_over = False
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
        """Let nothing more in; what waits can still be read."""
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
