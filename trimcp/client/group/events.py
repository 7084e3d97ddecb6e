"""What becomes of the members of a group, as small objects, and the queues that programs read them from."""

from __future__ import annotations

import enum
from collections import deque

import attrs
import trio

from trimcp.actors.doorbell import Doorbell
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


class GroupEvents:
    """Events in order: `async for event in events`. One task reads at a time.

    Where a reader is more than the group's bound behind, the oldest events are dropped; `Group.members` says how
    things stand at any time. A `MemberChanged` that waits already is not kept twice. Reading ends when the group
    has closed its members, or the context was left.
    """

    def __init__(self, most: int) -> None:
        """Made by `Group.events`; `most` events may wait."""
        self._most = most
        self._waiting: deque[GroupEvent] = deque()
        self._changes: set[MemberChanged] = set()
        self._bell = Doorbell()
        self._is_read = False
        self._is_over = False
        self.dropped = 0
        """Events that were dropped, since the reader was too far behind."""

    def put(self, event: GroupEvent) -> None:
        """Add an event. Never waits."""
        if self._is_over:
            return
        if isinstance(event, MemberChanged):
            if event in self._changes:
                return
            self._changes.add(event)
        if len(self._waiting) >= self._most:
            self._take()
            self.dropped += 1
        self._waiting.append(event)
        self._bell.ring()

    def finish(self) -> None:
        """Let nothing more in; what waits can still be read."""
        self._is_over = True
        self._bell.ring()

    def __aiter__(self) -> GroupEvents:
        return self

    async def __anext__(self) -> GroupEvent:
        await trio.lowlevel.checkpoint()  # before an event is taken: a reader that is cancelled loses none
        while not self._waiting:
            if self._is_over:
                raise StopAsyncIteration
            if self._is_read:
                raise UsageError("another task reads these events: give each task its own events()")
            self._is_read = True
            try:
                await self._bell.wait()
            finally:
                self._is_read = False
        return self._take()

    def _take(self) -> GroupEvent:
        event = self._waiting.popleft()
        if isinstance(event, MemberChanged):
            self._changes.remove(event)
        return event
