"""The notices of a server, as small objects, and the queues that programs read them from.

`Notices` is one such queue. `trimcp.client.notification_hub` puts notices in, and `trimcp.client.subscriptions` asks
the server for them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import trio

from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.errors import TrimcpError, UsageError
from trimcp.types.logging import LoggingLevel


@attrs.frozen
class ToolsChanged:
    """The list of tools is another: `Client.list_tools` tells which."""


@attrs.frozen
class PromptsChanged:
    """The list of prompts is another."""


@attrs.frozen
class ResourcesChanged:
    """The list of resources, or of their templates, is another."""


@attrs.frozen
class ResourceUpdated:
    """What is in a resource has changed.

    Attributes:
        uri: of the resource, or of a part of the one that was subscribed to.
    """

    uri: str


@attrs.frozen
class SubscriptionsEnded:
    """The server tells no more of resources that `Client.subscribe` asked for; they can be asked for again.

    Attributes:
        uris: of these resources.
    """

    uris: tuple[str, ...]


@attrs.frozen(eq=False)  # each is one of its own: two that say the same were said twice
class LogMessage:
    """The server logs something, at or above the level that `connect(log_level=…)` asked for.

    Attributes:
        level: `debug` to `emergency`.
        data: any JSON value.
        logger: who says it; None where that is not said.
    """

    level: LoggingLevel
    data: Any
    logger: str | None = None


@attrs.frozen
class ElicitationCompleted:
    """What the user was sent to a web page for is done (2025-11-25 alone).

    Attributes:
        id: as the `ElicitRequestURLParams` had it.
    """

    id: str


@attrs.frozen(eq=False)  # as log messages
class ExtensionNotice:
    """A notification of an extension that this client was given (`connect(extensions=…)`).

    Attributes:
        method: its name, as it stands on the wire.
        params: an object of the class that the extension declares for it, or a dict.
    """

    method: str
    params: Any


@attrs.frozen
class Interrupted:
    """The connection was lost, and there is another: what changed meanwhile was not told.

    Whatever was kept for as long as no change is told should be read anew. From here on changes
    are told again; `Notices.acknowledged` says which.
    """


Notice = (
    LogMessage
    | ElicitationCompleted
    | ExtensionNotice
    | Interrupted
    | ToolsChanged
    | PromptsChanged
    | ResourcesChanged
    | ResourceUpdated
    | SubscriptionsEnded
)
"""Anything that `Notices` gives. Two that are equal say the same, so one that waits stands for both."""

_KINDS: Final[dict[type, int]] = {LogMessage: 1, ExtensionNotice: 2}
"""Notices that no other stands for, and so wait apart from those that tell of changes."""


@attrs.frozen
class Topics:
    """What a listener is told of.

    Attributes:
        tools: changes of the list of tools.
        prompts: changes of the list of prompts.
        resources: changes of the list of resources.
        uris: changes of what is in these resources.
        more: what extensions tell, by the member that names it: `{"taskIds": ("7", "8")}`.
    """

    tools: bool = False
    prompts: bool = False
    resources: bool = False
    uris: tuple[str, ...] = ()
    more: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, hash=False, repr=False)

    def __bool__(self) -> bool:
        return self.tools or self.prompts or self.resources or bool(self.uris) or bool(self.more)

    def cover(self, notice: Notice) -> bool:
        """Whether a notice is about one of them; a part of a resource belongs to the resource."""
        match notice:
            case ToolsChanged():
                return self.tools
            case PromptsChanged():
                return self.prompts
            case ResourcesChanged():
                return self.resources
            case ResourceUpdated(uri):
                return uri in self.uris or any(uri.startswith(whole.rstrip("/") + "/") for whole in self.uris)
            case _:
                return False


class ListenEnd(enum.Enum):
    """How a `Notices` came to its end."""

    CLOSED = "closed"
    """The program left its context."""
    FINISHED = "finished"
    """The server ended the subscription in good order, as one that stops does."""
    CANCELLED = "cancelled"
    """The server ended the subscription, and that is all it said."""
    FAILED = "failed"
    """The connection is gone, or the server answered with an error: reading raises which."""


class _Slot:
    """A notice that waits; empty if it was dropped since."""

    __slots__ = ("notice",)

    def __init__(self, notice: Notice) -> None:
        self.notice: Notice | None = notice


class Notices:
    """Notices in order of arrival: `async for notice in notices`. One task reads at a time.

    A reader that is slow misses nothing but repetition: a notice that waits already is not kept
    twice. Where more than `Limits.notices` different ones wait, the oldest are dropped. Log
    messages and notices of extensions, each of which is one of its own, have as much room again
    for each of the two: however many come, they take no other's place.

    Reading ends when the server has ended the subscription (`end` says how), after what came
    before has been read. It raises what ended it otherwise: `ConnectionLost`, `ServerExited` or
    `ConnectionClosed`, or `RequestFailed` where the server answered the subscription with an error.
    """

    def __init__(self, most: int, asked: Topics | None = None) -> None:
        """`asked`: None for all that comes."""
        self._most = most
        # Those that wait, oldest first: changes, log messages, notices of extensions.
        self._waiting: tuple[dict[Notice, _Slot], ...] = ({}, {}, {})
        # One more of each kind than may wait is dropped out of its place, which stays, empty, until there are many.
        self._mailbox: Mailbox[_Slot] = Mailbox((len(self._waiting) + 1) * most)
        self._is_read = False
        self._error: TrimcpError | None = None
        self.asked = asked
        """What was asked for; None for `Client.notices`, which takes what comes."""
        self.acknowledged = Topics()
        """What the server agreed to tell, of what was asked. A new object where it changes."""
        self.dropped = 0
        """Notices that were dropped, since the reader was too far behind."""
        self.end: ListenEnd | None = None
        """How it ended; None while it goes on. What arrived before can still be read."""
        self.is_interrupted = False
        """Whether the connection is lost, and the client waits for another one; reading waits as well."""

    def put(self, notice: Notice) -> None:
        """Add a notice, unless it waits already. Never waits."""
        waiting = self._waiting_with(notice)
        if self.end is not None or notice in waiting:
            return
        if len(waiting) >= self._most:
            waiting.pop(next(iter(waiting))).notice = None
            self.dropped += 1
        slot = waiting[notice] = _Slot(notice)
        try:
            self._mailbox.tell(slot)
        except MailboxFull:
            self._take_out_empty()
            self._mailbox.tell(slot)

    def _waiting_with(self, notice: Notice) -> dict[Notice, _Slot]:
        return self._waiting[_KINDS.get(type(notice), 0)]

    def _take_out_empty(self) -> None:
        slots: list[_Slot] = []
        while True:
            try:
                slots.append(self._mailbox.receive_nowait())
            except trio.WouldBlock:
                break
        for slot in slots:
            if slot.notice is not None:
                self._mailbox.tell(slot)

    def finish(self, end: ListenEnd, error: TrimcpError | None = None) -> None:
        """Let nothing more in; the first end stays."""
        if self.end is None:
            self.end, self._error = end, error
            self._mailbox.close()

    def __aiter__(self) -> Notices:
        return self

    async def __anext__(self) -> Notice:
        await trio.lowlevel.checkpoint()  # before a notice is taken: a reader that is cancelled loses none
        notice: Notice | None = None
        try:
            while notice is None:
                notice = (await self._next()).notice
        except trio.EndOfChannel:
            pass
        if notice is not None:
            del self._waiting_with(notice)[notice]
            return notice
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def _next(self) -> _Slot:
        try:
            return self._mailbox.receive_nowait()
        except trio.WouldBlock:
            pass
        if self._is_read:
            raise UsageError("another task reads these notices: give each task its own notices() or listen()")
        self._is_read = True
        try:
            return await self._mailbox.receive()
        finally:
            self._is_read = False


def topics(
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: Iterable[str],
    more: Mapping[str, Iterable[str]] | None = None,
) -> Topics:
    """What to listen to.

    Raises:
        UsageError: nothing, one string where there should be several, or what the core has under other names.
    """
    if isinstance(uris, str):
        raise UsageError("uris is a list of URIs, not one of them")
    others: dict[str, tuple[str, ...]] = {}
    for member, keys in (more or {}).items():
        from trimcp.types.extensions import check_topic

        check_topic(member)
        if isinstance(keys, str):
            raise UsageError(f"{member} is a list of strings, not one of them")
        others[member] = tuple(dict.fromkeys(keys))
    asked = Topics(tools, prompts, resources, tuple(dict.fromkeys(uris)), others)
    if not asked:
        raise UsageError("listen to something: tools, prompts, resources or uris")
    return asked
