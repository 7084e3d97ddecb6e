"""Logging: log messages to a client, at or above the level that the client asked for.

A legacy client sets the level of its session by `logging/setLevel`; until then the server's own level applies
(`Server(log_level=…)`). A modern client sends a level with each request, and gets no message without one.
server/utilities/logging of every revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox
from trimcp.codec.envelope import encode_notification
from trimcp.errors import UsageError
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.session.request import InboundRequest
from trimcp.types.payload import EmptyResult
from trimcp.types.utilities import LOGGING_LEVELS, LoggingLevel, SetLevelRequestParams

if TYPE_CHECKING:
    from trimcp.actors.actor import Owner

SEVERITY: Final = {level: order for order, level in enumerate(LOGGING_LEVELS)}
"""The order of the levels."""


@attrs.frozen(eq=False, repr=False)
class _LogMessage:
    """A log message for the stream of a request."""

    request: InboundRequest
    frame: bytes


class LogMessages(Actor[_LogMessage]):
    """The actor that posts the log messages of handlers, each on the stream of its request, in their order.

    It works in the turn of the handler: a message must be posted before the answer of the handler. Messages from
    threads come through the mailbox, which keeps their order and number.
    """

    name = "log messages"

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, Mailbox(1), in_turn=True)  # the mailbox of an actor in turn stays empty
        self.accept_threads()

    def send(self, request: InboundRequest, level: LoggingLevel, data: Any, logger: str | None) -> None:
        """Send a log message on the stream of a request, if the client wants the level. From any thread.

        If too many messages wait to leave, the oldest are dropped (`Limits.log_messages`).

        Raises:
            UsageError: the level is unknown.
            InvalidPayload: the data are no JSON value.
        """
        if level not in SEVERITY:
            raise UsageError(f"Unknown log level {level!r}: use {', '.join(LOGGING_LEVELS)}")
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
        if not _is_over(message.request):  # the message of a thread can come late
            message.request.post_log(message.frame)


def _is_over(request: InboundRequest) -> bool:
    """Whether the request takes no more messages: it was answered, or its client cancelled it."""
    return request.is_settled or request.cancel_reason is CancelReason.CANCELLED


def set_level(request: InboundRequest, params: SetLevelRequestParams) -> EmptyResult:
    """Answer `logging/setLevel`: from now on the session gets messages at or above the level."""
    if request.profile is not None:
        request.profile.log_level = params.level
        request.session.profile_changed()
    return EmptyResult()
