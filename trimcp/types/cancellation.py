"""The sender's word that it no longer waits for a request (basic/utilities/cancellation)."""

from __future__ import annotations

import attrs

from trimcp.types.jsonrpc import RequestId
from trimcp.types.payload import NotificationParams


@attrs.define
class CancelledNotificationParams(NotificationParams):
    """A request need not be answered any more.

    Attributes:
        request_id: of the request. (2025-11-25 lets it be missing, for the cancelling of tasks, which it
            forbids elsewhere.)
        reason: for logs and people.
    """

    request_id: RequestId
    reason: str | None = None
