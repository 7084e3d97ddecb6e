"""The secrets of a server: what it gives to clients to keep, and must know again as its own.

Cursors and request states are made and read with keys derived from these. Processes that serve
the same clients share them; a new one put in front rotates them, as long as the old stay behind it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Final

from trimcp.errors import UsageError

SHORTEST: Final = 16
"""Bytes that a secret must have."""


class Keys:
    """A server's secrets, newest first."""

    def __init__(self, secrets: Sequence[bytes] | None = None) -> None:
        """
        Args:
            secrets: at least 16 random bytes each; one for this process alone, if not given.

        Raises:
            UsageError: there is none, or one that is too short.
        """
        chosen = [os.urandom(32)] if secrets is None else list(secrets)
        if not chosen or any(len(secret) < SHORTEST for secret in chosen):
            raise UsageError(f"a server's keys are one or more secrets of {SHORTEST} random bytes or more")
        self._secrets = chosen

    def derive(self, purpose: bytes) -> list[bytes]:
        """A key of 32 bytes for one purpose from each secret, newest first."""
        return [hmac.new(secret, purpose, hashlib.sha256).digest() for secret in self._secrets]
