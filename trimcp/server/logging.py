"""Logging: messages to a client, at or above the level that it asked for.

Asked for with the session by `logging/setLevel` (legacy), or with each request (2026-07-28).
Where nothing was asked for, nothing is sent. server/utilities/logging of every revision.
"""

from __future__ import annotations

from typing import Any, Final

from trimcp.actors.home_thread import HomeThread
from trimcp.codec.envelope import encode_notification
from trimcp.errors import UsageError
from trimcp.protocol.cancelling import CancelReason
from trimcp.session.request import InboundRequest
from trimcp.types.logging import LOGGING_LEVELS, LoggingLevel, SetLevelRequestParams
from trimcp.types.payload import EmptyResult

SEVERITY: Final = {level: order for order, level in enumerate(LOGGING_LEVELS)}


def emit(request: InboundRequest, level: LoggingLevel, data: Any, logger: str | None, home: HomeThread) -> None:
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
    home.call_each(_post, request, encode_notification("notifications/message", params))


def _post(request: InboundRequest, frame: bytes) -> None:
    if not _is_over(request):  # it may be, since a message came from another thread
        request.outlet.post_log(frame)


def _is_over(request: InboundRequest) -> bool:
    """Whether nothing more may be said of a request: it was answered, or its client cancelled it."""
    return request.is_settled or request.cancel_reason is CancelReason.CANCELLED


def set_level(request: InboundRequest, params: SetLevelRequestParams) -> EmptyResult:
    """Answer `logging/setLevel`: from now on the session gets messages at or above that level."""
    if request.profile is not None:
        request.profile.log_level = params.level
    return EmptyResult()
