"""What a peer is told with a refusal after which another try may succeed: why, and when (our own codes)."""

from __future__ import annotations

from typing import Any, Final

RETRY_AFTER_MS: Final = 1000
"""What a refused peer is told to wait; a hint, not a promise."""


def another_time(reason: str) -> dict[str, Any]:
    """The `data` of such an error."""
    return {"reason": reason, "retryAfterMs": RETRY_AFTER_MS}
