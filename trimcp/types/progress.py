"""News of a request that takes long (basic/utilities/progress)."""

from __future__ import annotations

import attrs

from trimcp.types.fields import spec_field
from trimcp.types.jsonrpc import ProgressToken
from trimcp.types.payload import NotificationParams


@attrs.define
class ProgressNotificationParams(NotificationParams):
    """How far a request is.

    Attributes:
        progress_token: the one that came in `_meta` of the request.
        progress: grows with each notification, in whatever unit.
        total: what it grows to, in the same unit, if that is known.
        message: where the work stands, for people (2025-03-26).
    """

    progress_token: ProgressToken
    progress: float
    total: float | None = None
    message: str | None = spec_field(since="2025-03-26")
