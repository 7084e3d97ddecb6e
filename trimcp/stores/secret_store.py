"""The secret store: the secrets from which a server derives its keys.

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
    """Holds a server's secrets at one moment, newest first.

    Raises:
        UsageError: there is none, or one that is too short.
    """

    values: tuple[bytes, ...]

    def __attrs_post_init__(self) -> None:
        if not self.values or any(len(secret) < SHORTEST for secret in self.values):
            raise UsageError(f"Invalid secrets: give one or more of {SHORTEST} random bytes or more each")

    def derive(self, purpose: bytes) -> list[bytes]:
        """Return a key of 32 bytes for one purpose from each secret, newest first."""
        return [hmac.new(secret, purpose, hashlib.sha256).digest() for secret in self.values]


class SecretStore(abc.ABC):
    """Keeps the secrets of a server."""

    @abc.abstractmethod
    async def read(self) -> Secrets:
        """Return the current secrets. A store without one makes one, the same for all concurrent readers."""

    @abc.abstractmethod
    async def rotate(self, secret: bytes | None = None) -> Secrets:
        """Put a new secret in front. The one before it stays, to read old keys; older ones go.

        Args:
            secret: at least 16 random bytes; made here, if not given.

        Raises:
            UsageError: it is too short.
        """
