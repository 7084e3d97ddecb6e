"""Logging: messages to a client, at or above the level that it asked for.

A legacy client asks for its session, by `logging/setLevel`; a modern one with each request. Where no level
was asked for, no message is sent. server/utilities/logging of every revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox
from trimcp.codec.envelope import encode_notification
from trimcp.errors import UsageError
from trimcp.protocol.cancelling import CancelReason
from trimcp.session.request import InboundRequest
from trimcp.types.logging import LOGGING_LEVELS, LoggingLevel, SetLevelRequestParams
from trimcp.types.payload import EmptyResult

if TYPE_CHECKING:
    from trimcp.actors.actor import Owner

SEVERITY: Final = {level: order for order, level in enumerate(LOGGING_LEVELS)}


@attrs.frozen
class _LogMessage:
    """A notification for the stream of a request."""

    request: InboundRequest
    frame: bytes


class LogMessages(Actor[_LogMessage]):
    """Posts the log messages of handlers, each on the stream of its request, in the order of the calls.

    It works in the turn of the handler: a message must be posted before the answer that the handler returns
    next. Messages from threads come through the kernel, which keeps their order and number.
    """

    name = "log messages"

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, Mailbox(1), in_turn=True)  # the mailbox of an actor in turn stays empty
        self.accept_threads()

    def send(self, request: InboundRequest, level: LoggingLevel, data: Any, logger: str | None) -> None:
        """Send a log message on the stream of a request, if its client wants that level. From any thread.

        When too many wait to leave, the oldest are dropped (`Limits.log_messages`).

        Raises:
            UsageError: there is no such level.
            InvalidPayload: the data are not JSON.
        """
        if level not in SEVERITY:
            raise UsageError(f"no log level {level!r}; there are {', '.join(LOGGING_LEVELS)}")
        profile = request.profile
        wanted = None if profile is None else profile.log_level
        if wanted is None or SEVERITY[level] < SEVERITY[wanted] or _is_over(request):
            return
        params: dict[str, Any] = {"level": level, "data": data}
        if logger is not None:
            params["logger"] = logger
        self.tell_from_thread(_LogMessage(request, encode_notification("notifications/message", params)))

    def handle(self, message: _LogMessage) -> None:
        """See `Actor`."""
        if not _is_over(message.request):  # it may be, since a message came from another thread
            message.request.post_log(message.frame)


def _is_over(request: InboundRequest) -> bool:
    """Whether the request takes no messages any more: it was answered, or its client cancelled it."""
    return request.is_settled or request.cancel_reason is CancelReason.CANCELLED


def set_level(request: InboundRequest, params: SetLevelRequestParams) -> EmptyResult:
    """Answer `logging/setLevel`: from now on the session gets messages at or above that level."""
    if request.profile is not None:
        request.profile.log_level = params.level
    return EmptyResult()
