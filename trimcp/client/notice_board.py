"""The NoticeBoard: hands what a server tells to the queues of notices that are to have it.

It owns which queues are open, and which of them the notices of a subscription belong to. It is told
by the reader, in its turn, and so never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from trimcp.client.notices import (
    ElicitationCompleted,
    ExtensionNotice,
    Interrupted,
    ListenEnd,
    LogMessage,
    Notice,
    Notices,
    PromptsChanged,
    ResourcesChanged,
    ResourceUpdated,
    ToolsChanged,
    Topics,
)
from trimcp.errors import ConnectionEnded
from trimcp.observability import events, log
from trimcp.types.jsonrpc import RequestId
from trimcp.types.logging import LOGGING_LEVELS
from trimcp.types.metadata import SUBSCRIPTION_ID

_LISTS: Final[dict[str, Notice]] = {
    "notifications/tools/list_changed": ToolsChanged(),
    "notifications/prompts/list_changed": PromptsChanged(),
    "notifications/resources/list_changed": ResourcesChanged(),
}


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

    def take_in(self, notices: Notices, *, tagged: bool) -> None:
        """A queue is told of what arrives about its topics in whatever way; or, tagged, of its subscription's alone."""
        if tagged:
            self._open.pop(notices, None)
        elif notices.end is None:
            self._open[notices] = None

    @property
    def is_over(self) -> bool:
        """Whether the connection is gone."""
        return self._over is not None

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

    def arrived(
        self, method: str, params: Mapping[str, Any] | None, known: ExtensionNotice | None = None
    ) -> Notice | None:
        """Hand out a notification, if it is a notice; return that. `known`: what an extension says that it is."""
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
        notice = known or notice_of(method, params)
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

    def interrupted(self) -> None:
        """Nothing will arrive until the connection is another."""
        for notices in self._open:
            notices.is_interrupted = True

    def resumed(self) -> None:
        """The connection is another, and those who take what comes should know."""
        for notices in self._open:
            if notices.asked is None:
                notices.is_interrupted = False
                notices.put(Interrupted())

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
