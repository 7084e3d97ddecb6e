"""The secrets of a server as they are now: its own, or those of a store.

Other nodes that share the store rotate them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from trimcp.stores.contained import log_failure
from trimcp.stores.memory_secrets import MemorySecretStore
from trimcp.stores.secret_store import Secrets, SecretStore

REFRESH: Final = 3.0
"""Seconds between two looks at the secrets of a shared store."""


class ServerSecrets(MemorySecretStore):
    """Holds the secrets that a server uses: its own, or those of a store.

    A new secret in a shared store only reads at first, until all nodes have seen it: no node then gets a cursor that
    it cannot read.
    """

    def __init__(self, secrets: Sequence[bytes] | None = None) -> None:
        """
        Args:
            secrets: see `MemorySecretStore`. Secrets that are given stay, even with a store.
        """
        super().__init__(secrets)
        self.source: SecretStore | None = None
        """The store that keeps them, if it is a store."""
        self.are_given: bool = secrets is not None

    async def read(self) -> Secrets:
        """See `SecretStore`."""
        if self.source is not None:
            self.current = await self.source.read()
        return await super().read()

    async def rotate(self, secret: bytes | None = None) -> Secrets:
        """See `SecretStore`."""
        if self.source is None:
            return await super().rotate(secret)
        return await self.source.rotate(secret)

    async def follow(self, source: SecretStore) -> None:
        """Look at the secrets of a shared store until cancelled."""
        while True:
            await trio.sleep(REFRESH)
            try:
                found = await source.read()
            except Exception as exc:  # noqa: BLE001 - the store is down; the secrets stay as they are
                log_failure(exc)
                continue
            if found.values[0] not in self.current.values:
                self.current = Secrets((*self.current.values, found.values[0]))
                await trio.sleep(2 * REFRESH)
            self.current: Secrets = found
