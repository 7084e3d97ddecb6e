"""The utilities of requests: cancellation, progress, and log messages (basic/utilities, server/utilities/logging)."""

from typing import Any, Literal

import attrs

from trimcp.types.fields import spec_field
from trimcp.types.jsonrpc import ProgressToken, RequestId
from trimcp.types.payload import NotificationParams, RequestParams


@attrs.define(eq=False, repr=False)
class CancelledNotificationParams(NotificationParams):
    """The sender no longer waits for a request.

    Attributes:
        request_id: the id of the request. (2025-11-25 allows it to be missing, for the cancellation of
            tasks, which it forbids elsewhere.)
        reason: the reason, for logs and people.
    """

    request_id: RequestId
    reason: str | None = None


@attrs.define(eq=False, repr=False)
class ProgressNotificationParams(NotificationParams):
    """The progress of a request.

    Attributes:
        progress_token: the token from `_meta` of the request.
        progress: a number that grows with each notification, in any unit.
        total: the final progress, in the same unit, if it is known.
        message: the state of the work, for people (2025-03-26).
    """

    progress_token: ProgressToken
    progress: float
    total: float | None = None
    message: str | None = spec_field(since="2025-03-26")


LoggingLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
"""The levels of RFC 5424, least severe first."""

LOGGING_LEVELS: tuple[LoggingLevel, ...] = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
"""All levels, least severe first."""


@attrs.define(eq=False, repr=False)
class SetLevelRequestParams(RequestParams):
    """Sets the least severe level of log messages to the client (legacy era; `_meta` has it after that)."""

    level: LoggingLevel


@attrs.define(eq=False, repr=False)
class LoggingMessageNotificationParams(NotificationParams):
    """One log message.

    Attributes:
        level: its severity.
        data: any JSON value, null included.
        logger: the name of the logger.
    """

    level: LoggingLevel
    data: Any
    logger: str | None = None
