"""The secret store of one process, which a server without a store uses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import trio

from trimcp.stores.secret_store import Secrets, SecretStore

SECRET_BYTES: Final = 32
"""Bytes of a secret that is made here."""


class MemorySecretStore(SecretStore):
    """Keeps secrets in this process, and in those that are forked from it."""

    def __init__(self, secrets: Sequence[bytes] | None = None) -> None:
        """
        Args:
            secrets: at least 16 random bytes each, newest first; one for this process alone, if not given.

        Raises:
            UsageError: there is none, or one that is too short.
        """
        self.current: Secrets = Secrets((os.urandom(SECRET_BYTES),) if secrets is None else tuple(secrets))
        """The secrets as they are now."""

    async def read(self) -> Secrets:
        """See `SecretStore`."""
        await trio.lowlevel.checkpoint()
        return self.current

    async def rotate(self, secret: bytes | None = None) -> Secrets:
        """See `SecretStore`."""
        await trio.lowlevel.checkpoint()
        new = os.urandom(SECRET_BYTES) if secret is None else secret
        self.current = Secrets((new, self.current.values[0]))
        return self.current
