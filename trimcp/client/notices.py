"""What a server lets its client know without being asked, and the queues that programs read it from.

`Notices` is one such queue; `NoticeBoard` owns them all and hands each notice to those that are to
have it, in the reader's turn and so without ever waiting. What is asked of the server for them is
`trimcp.client.listen`'s business.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final

import attrs
import trio

from trimcp.actors.doorbell import Doorbell
from trimcp.errors import ConnectionEnded, TrimcpError, UsageError
from trimcp.observability import events, log
from trimcp.types.jsonrpc import RequestId
from trimcp.types.logging import LOGGING_LEVELS, LoggingLevel
from trimcp.types.metadata import SUBSCRIPTION_ID


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


Notice = (
    LogMessage
    | ElicitationCompleted
    | ToolsChanged
    | PromptsChanged
    | ResourcesChanged
    | ResourceUpdated
    | SubscriptionsEnded
)
"""Anything that `Notices` gives. Two that are equal say the same, so one that waits stands for both."""

_LISTS: Final[dict[str, Notice]] = {
    "notifications/tools/list_changed": ToolsChanged(),
    "notifications/prompts/list_changed": PromptsChanged(),
    "notifications/resources/list_changed": ResourcesChanged(),
}


@attrs.frozen
class Topics:
    """What a listener is told of.

    Attributes:
        tools: changes of the list of tools.
        prompts: changes of the list of prompts.
        resources: changes of the list of resources.
        uris: changes of what is in these resources.
    """

    tools: bool = False
    prompts: bool = False
    resources: bool = False
    uris: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.tools or self.prompts or self.resources or bool(self.uris)

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


class Notices:
    """Notices in order of arrival: `async for notice in notices`. One task reads at a time.

    A reader that is slow misses nothing but repetition: a notice that waits already is not kept
    twice. Where more than `Limits.notices` different ones wait, the oldest are dropped.

    Reading ends when the server has ended the subscription (`end` says how), after what came
    before has been read. It raises what ended it otherwise: `ConnectionLost`, `ServerExited` or
    `ConnectionClosed`, or `RequestFailed` where the server answered the subscription with an error.
    """

    def __init__(self, most: int, asked: Topics | None = None) -> None:
        """`asked`: None for all that comes."""
        self._most = most
        self._waiting: dict[Hashable, Notice] = {}
        self._bell = Doorbell()
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

    def put(self, notice: Notice) -> None:
        """Add a notice, unless it waits already. Never waits."""
        if self.end is not None or notice in self._waiting:
            return
        if len(self._waiting) >= self._most:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
        self._waiting[notice] = notice
        self._bell.ring()

    def finish(self, end: ListenEnd, error: TrimcpError | None = None) -> None:
        """Let nothing more in; the first end stays."""
        if self.end is None:
            self.end, self._error = end, error
            self._bell.ring()

    def __aiter__(self) -> Notices:
        return self

    async def __anext__(self) -> Notice:
        await trio.lowlevel.checkpoint()  # before a notice is taken: a reader that is cancelled loses none
        while not self._waiting:
            if self._error is not None:
                raise self._error
            if self.end is not None:
                raise StopAsyncIteration
            if self._is_read:
                raise UsageError("another task reads these notices: give each task its own notices() or listen()")
            self._is_read = True
            try:
                await self._bell.wait()
            finally:
                self._is_read = False
        return self._waiting.pop(next(iter(self._waiting)))


class NoticeBoard:
    """All `Notices` of one client, and who of them is told what."""

    def __init__(self, most: int) -> None:
        """`most`: notices that wait in each queue."""
        self._most = most
        self._open: dict[Notices, None] = {}
        self._tagged: dict[RequestId, tuple[Notices | None, Callable[[Mapping[str, Any]], None]]] = {}
        self._over: ConnectionEnded | None = None

    def open(self, asked: Topics | None) -> Notices:
        """A queue that is told of all that arrives, or of these topics, whichever way it arrives.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        self.check()
        notices = Notices(self._most, asked)
        self._open[notices] = None
        return notices

    def open_tagged(self, asked: Topics) -> Notices:
        """A queue for what is tagged with a subscription's id, once `tag` has said which."""
        return Notices(self._most, asked)

    def check(self) -> None:
        """
        Raises:
            ConnectionEnded: the connection is gone.
        """
        if self._over is not None:
            raise self._over.again()

    def tag(self, id: RequestId, notices: Notices | None, acknowledged: Callable[[Mapping[str, Any]], None]) -> None:
        """From now on, what carries this id belongs to a subscription.

        Args:
            id: of its `subscriptions/listen` request.
            notices: its queue; None where its notices are for the others alone.
            acknowledged: called with the params of the server's acknowledgement.
        """
        self._tagged[id] = (notices, acknowledged)

    def untag(self, id: RequestId) -> None:
        """What carries this id belongs to nobody any more."""
        self._tagged.pop(id, None)

    def close(self, notices: Notices) -> None:
        """The program has left the queue's context."""
        self._open.pop(notices, None)
        notices.finish(ListenEnd.CLOSED)

    # --- what the reader brings -------------------------------------------------------

    def arrived(self, method: str, params: Mapping[str, Any] | None) -> Notice | None:
        """Hand out a notification, if it is a notice; return that."""
        meta = None if params is None else params.get("_meta")
        tag = meta.get(SUBSCRIPTION_ID) if type(meta) is dict else None
        # A boolean would be found under 1.
        mine = self._tagged.get(tag) if type(tag) is int or type(tag) is str else None
        if method == "notifications/subscriptions/acknowledged":
            if mine is None or params is None:
                log.debug(events.MESSAGE_IGNORED, method=method, why="it belongs to no subscription")
            else:
                mine[1](params)
            return None
        notice = notice_of(method, params)
        if notice is not None:
            if mine is not None and mine[0] is not None:
                mine[0].put(notice)
            self.put(notice)
        return notice

    def put(self, notice: Notice) -> None:
        """Add a notice to every queue that takes what comes, and to those whose topics it is about."""
        for notices in self._open:
            # By what was asked: the acknowledgement is known to its task later than the first notice here.
            if notices.asked is None or notices.asked.cover(notice):
                notices.put(notice)

    def over(self, end: ConnectionEnded) -> None:
        """Nothing will arrive any more."""
        self._over = end
        for notices in self._open:
            notices.finish(ListenEnd.FAILED, end.again())


def notice_of(method: str, params: Mapping[str, Any] | None) -> Notice | None:
    """The notice that a notification is; None where it is none, or not what its schema says."""
    notice = _LISTS.get(method)
    read = _READERS.get(method)
    if notice is None and read is not None:
        notice = None if params is None else read(params)
        if notice is None:
            log.warning(events.MESSAGE_IGNORED, method=method, why="its params do not fit")
    return notice


def _read_update(params: Mapping[str, Any]) -> Notice | None:
    uri = params.get("uri")
    return ResourceUpdated(uri) if type(uri) is str else None


def _read_log(params: Mapping[str, Any]) -> Notice | None:
    level, logger = params.get("level"), params.get("logger")
    if level not in LOGGING_LEVELS or "data" not in params or not (logger is None or type(logger) is str):
        return None
    return LogMessage(level, params["data"], logger)


def _read_completed(params: Mapping[str, Any]) -> Notice | None:
    id = params.get("elicitationId")
    return ElicitationCompleted(id) if type(id) is str else None


_READERS: Final[dict[str, Callable[[Mapping[str, Any]], Notice | None]]] = {
    "notifications/resources/updated": _read_update,
    "notifications/message": _read_log,
    "notifications/elicitation/complete": _read_completed,
}


def topics(tools: bool, prompts: bool, resources: bool, uris: Iterable[str]) -> Topics:
    """What to listen to.

    Raises:
        UsageError: nothing, or one string where there should be several.
    """
    if isinstance(uris, str):
        raise UsageError("uris is a list of URIs, not one of them")
    asked = Topics(tools, prompts, resources, tuple(dict.fromkeys(uris)))
    if not asked:
        raise UsageError("listen to something: tools, prompts, resources or uris")
    return asked
