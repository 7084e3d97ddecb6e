"""The notices of a server, as small objects, and the queues that programs read them from.

`Notices` is one queue. `trimcp.client.notifications.hub` puts notices in, and
`trimcp.client.features.subscriptions` asks the server for them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import trio

from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.errors import TrimcpError, UsageError
from trimcp.types.utilities import LoggingLevel


class _WithoutLevel:
    """The base of the notices that are no log messages."""

    __slots__ = ()

    @property
    def level(self) -> None:
        """None: only a `LogMessage` has a level."""
        return None


@attrs.frozen
class ToolsChanged(_WithoutLevel):
    """The list of tools has changed: `Client.list_tools` reads it."""


@attrs.frozen
class PromptsChanged(_WithoutLevel):
    """The list of prompts has changed."""


@attrs.frozen
class ResourcesChanged(_WithoutLevel):
    """The list of resources, or of their templates, has changed."""


@attrs.frozen
class ResourceUpdated(_WithoutLevel):
    """The contents of a resource have changed.

    Attributes:
        uri: of the resource, or of a part of the resource that was subscribed to.
    """

    uri: str


@attrs.frozen
class SubscriptionsEnded(_WithoutLevel):
    """The server has ended subscriptions of `Client.subscribe`; they can be made again.

    Attributes:
        uris: of these resources.
    """

    uris: tuple[str, ...]


@attrs.frozen(eq=False)  # two messages with the same text are two messages
class LogMessage:
    """A log message of the server, at or above the level that `connect(log_level=…)` asked for.

    Attributes:
        level: `debug` to `emergency`.
        data: any JSON value.
        logger: the name of its logger, if the server gives one.
    """

    level: LoggingLevel
    data: Any
    logger: str | None = None


@attrs.frozen
class ElicitationCompleted(_WithoutLevel):
    """The user has finished on the web page of an elicitation (2025-11-25 alone).

    Attributes:
        id: of the elicitation, as in the `ElicitRequestURLParams`.
    """

    id: str


@attrs.frozen(eq=False)  # as log messages
class ExtensionNotice(_WithoutLevel):
    """A notification of an extension that this client was given (`connect(extensions=…)`).

    Attributes:
        method: its name, as it stands on the wire.
        params: an object of the class that the extension declares for it, or a dict.
    """

    method: str
    params: Any


@attrs.frozen
class Interrupted(_WithoutLevel):
    """The connection was lost, and there is another: notices of changes in between are missing.

    Read anew all that was kept in the belief that no notice means no change. From here on changes
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
"""Anything that `Notices` gives. Of two equal notices, one that waits stands for both."""

_KINDS: Final[dict[type, int]] = {LogMessage: 1, ExtensionNotice: 2}
"""The kinds of notices that are never equal; they wait apart from notices of changes."""


@attrs.frozen
class Topics:
    """The changes that a listener is told of.

    Attributes:
        tools: changes of the list of tools.
        prompts: changes of the list of prompts.
        resources: changes of the list of resources.
        uris: changes of the contents of these resources.
        more: topics of extensions, by the member that names them: `{"taskIds": ("7", "8")}`.
    """

    tools: bool = False
    prompts: bool = False
    resources: bool = False
    uris: tuple[str, ...] = ()
    more: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, hash=False, repr=False)

    def __bool__(self) -> bool:
        return self.tools or self.prompts or self.resources or bool(self.uris) or bool(self.more)

    def cover(self, notice: Notice) -> bool:
        """Return whether a notice is about one of these topics; a part of a resource belongs to the resource."""
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
    """The server ended the subscription without saying why."""
    FAILED = "failed"
    """The connection is gone, or the server answered with an error: reading raises it."""


class _Slot:
    """The place of a notice that waits; empty if the notice was dropped since."""

    __slots__ = ("notice",)

    def __init__(self, notice: Notice) -> None:
        self.notice: Notice | None = notice


class Notices:
    """Notices in order of arrival: `async for notice in notices`. One task reads at a time.

    A slow reader misses repetitions alone: a notice that waits already is not kept twice. Where more than
    `Limits.notices` different ones wait, the oldest are dropped. Log messages have the same room for themselves, and
    so have notices of extensions: however many come, they do not displace notices of changes.

    Reading ends when the server has ended the subscription (`end` says how), after the notices before that. Otherwise
    it raises the error that ended it: `ConnectionLost`, `ServerExited` or `ConnectionClosed`, or `RequestFailed` where
    the server answered the subscription with an error.
    """

    def __init__(self, most: int, asked: Topics | None = None) -> None:
        """Keep at most `most` notices of each kind. `asked`: None for all notices."""
        self._most = most
        # Those that wait, oldest first: changes, log messages, notices of extensions.
        self._waiting: tuple[dict[Notice, _Slot], ...] = ({}, {}, {})
        # A notice that is dropped leaves an empty place, which is taken out only when there are many.
        self._mailbox: Mailbox[_Slot] = Mailbox((len(self._waiting) + 1) * most)
        self._is_read = False
        self._error: TrimcpError | None = None
        self.asked: Topics | None = asked
        """The topics that were asked for; None for `Client.notices`, which takes all."""
        self.acknowledged: Topics = Topics()
        """The topics that the server agreed to, of those that were asked for. A new object where they change."""
        self.dropped: int = 0
        """Notices that were dropped, since the reader was too far behind."""
        self.end: ListenEnd | None = None
        """How it ended; None while it goes on. What arrived before can still be read."""
        self.is_interrupted: bool = False
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
        """Let no further notice in; the first end stays."""
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
    """Check topics, and make `Topics` of them.

    Raises:
        UsageError: there are none, or a string is given in place of a list, or something else in place of a bool, or
            `more` has a topic of the core.
    """
    for name, flag in (("tools", tools), ("prompts", prompts), ("resources", resources)):
        if not isinstance(flag, bool):
            raise UsageError(f"{name} is {flag!r}: give True for changes of the list, and URIs of resources as `uris`")
    if isinstance(uris, str):
        raise UsageError(f"uris is one string, {uris!r}: give a list of URIs")
    others: dict[str, tuple[str, ...]] = {}
    for member, keys in (more or {}).items():
        from trimcp.types.extensions import check_topic

        check_topic(member)
        if isinstance(keys, str):
            raise UsageError(f"{member} is one string, {keys!r}: give a list of strings")
        others[member] = tuple(dict.fromkeys(keys))
    asked = Topics(tools, prompts, resources, tuple(dict.fromkeys(uris)), others)
    if not asked:
        raise UsageError("nothing to listen to: give tools, prompts, resources or uris")
    return asked
