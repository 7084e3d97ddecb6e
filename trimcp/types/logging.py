"""Log messages of a server (server/utilities/logging)."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trimcp.types.payload import NotificationParams, RequestParams

LoggingLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
"""Of RFC 5424, least severe first."""

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
"""All of them, least severe first."""


@attrs.define
class SetLevelRequestParams(RequestParams):
    """From which level on the client wants log messages (legacy era; after that it says so in `_meta`)."""

    level: LoggingLevel


@attrs.define
class LoggingMessageNotificationParams(NotificationParams):
    """One log message.

    Attributes:
        level: how severe it is.
        data: any JSON value, null included.
        logger: the name of what logged it.
    """

    level: LoggingLevel
    data: Any
    logger: str | None = None
