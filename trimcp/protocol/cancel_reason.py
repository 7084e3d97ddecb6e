"""Why a request is cancelled, and what then goes on the wire: one table.

basic/utilities/cancellation of the legacy revisions, basic/patterns/cancellation of 2026-07-28.
"""

from __future__ import annotations

import enum
from typing import Final

from trimcp.types.jsonrpc import BUSY, CANCELLED_BY_SERVER, DRAINING, TIMED_OUT


class CancelReason(enum.Enum):
    """What `ctx.cancel_reason` says while a cancelled handler unwinds."""

    CANCELLED = "cancelled"
    """The peer cancelled the request."""
    CONNECTION_LOST = "connection_lost"
    """The connection of the request is lost, so no answer can be sent."""
    SESSION_LOST = "session_lost"
    """The whole session ended."""
    DEADLINE = "deadline"
    """The time that the tool or the server allows has passed."""
    OVERLOAD = "overload"
    """The server gave the request up to save itself."""
    SHUTDOWN = "shutdown"
    """The server is stopping, and the time to drain is over."""
    OPERATOR = "operator"
    """A person who watches the server cancelled the request."""
    INPUT_REQUIRED = "input_required"
    """The handler asked the client something; the request is answered and will be retried."""


ANSWERS: Final[dict[CancelReason, tuple[int, str] | None]] = {
    CancelReason.CANCELLED: None,
    CancelReason.CONNECTION_LOST: None,
    CancelReason.SESSION_LOST: None,
    CancelReason.DEADLINE: (TIMED_OUT, "{request} took longer than the server allows"),
    CancelReason.OVERLOAD: (BUSY, "The server gave {request} up under load"),
    CancelReason.SHUTDOWN: (DRAINING, "The server is stopping"),
    CancelReason.OPERATOR: (CANCELLED_BY_SERVER, "An operator of the server cancelled {request}"),
    CancelReason.INPUT_REQUIRED: None,
}
"""The error that answers a request cancelled for that reason; None: nothing more of it is sent
(for `input_required`, the result that was prepared is). `{request}` stands for the title of the request."""

SILENT: Final = frozenset([CancelReason.CANCELLED, CancelReason.CONNECTION_LOST, CancelReason.SESSION_LOST])
"""Reasons after which no message of the request is sent, not even those that wait to leave."""
