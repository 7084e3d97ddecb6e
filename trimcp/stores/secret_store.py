"""The secret store: the secrets that a server's keys are derived from.

Cursors, request states and event ids are made with such keys, given to clients to keep, and read again. Processes
that serve the same clients share a store. Rotation puts a new secret in front: it makes, and those behind it still
read.
"""

from __future__ import annotations

import abc
import hashlib
import hmac
from typing import Final

import attrs

from trimcp.errors import UsageError

SHORTEST: Final = 16
"""Bytes that a secret must have."""


@attrs.frozen(repr=False)
class Secrets:
    """A server's secrets at one moment, newest first.

    Raises:
        UsageError: there is none, or one that is too short.
    """

    values: tuple[bytes, ...]

    def __attrs_post_init__(self) -> None:
        if not self.values or any(len(secret) < SHORTEST for secret in self.values):
            raise UsageError(f"a server's keys are one or more secrets of {SHORTEST} random bytes or more")

    def derive(self, purpose: bytes) -> list[bytes]:
        """Return a key of 32 bytes for one purpose from each secret, newest first."""
        return [hmac.new(secret, purpose, hashlib.sha256).digest() for secret in self.values]


class SecretStore(abc.ABC):
    """Keeps the secrets of a server."""

    @abc.abstractmethod
    async def read(self) -> Secrets:
        """Return the secrets as they are now. A store that has none makes one, the same for all that read at once."""

    @abc.abstractmethod
    async def rotate(self, secret: bytes | None = None) -> Secrets:
        """Put a secret in front of the newest one, which stays to read what it has made; older ones go.

        Args:
            secret: at least 16 random bytes; made here, if not given.

        Raises:
            UsageError: it is too short.
        """
