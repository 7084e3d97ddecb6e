"""`KeyringStore`: tokens in the keyring of the desktop, through the library of that name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import orjson
import trio

from trimcp.auth.file_store import FileStore
from trimcp.auth.stores import TokenEntry, TokenKey, TokenStore, new_generation
from trimcp.errors import UsageError

SERVICE: Final = "trimcp"
"""The name under which entries are kept."""


class KeyringStore(TokenStore):
    """Keeps entries in the user's keyring. Its locks are files, since keyrings have none."""

    def __init__(self, locks: FileStore | None = None) -> None:
        """Use the keyring of the machine.

        Args:
            locks: whose directory has the locks; default: that of a `FileStore`.

        Raises:
            UsageError: the library is not installed, or the machine has no keyring.
        """
        try:
            import keyring  # pyright: ignore[reportMissingImports]
            from keyring.backends.fail import Keyring as NoKeyring  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UsageError("KeyringStore needs the library keyring: pip install keyring") from None
        if isinstance(keyring.get_keyring(), NoKeyring):
            raise UsageError("This machine has no keyring: use trimcp.auth.FileStore")
        self._keyring = keyring
        self._locks = locks or FileStore()

    async def read(self, key: TokenKey) -> TokenEntry | None:
        """See `TokenStore`."""
        text = await trio.to_thread.run_sync(self._keyring.get_password, SERVICE, _name(key))
        try:
            document = orjson.loads(text or "")
            return TokenEntry(str(document["generation"]), dict(document["value"]))
        except (ValueError, KeyError, TypeError):
            return None

    async def replace(self, key: TokenKey, old_generation: str | None, new: Mapping[str, Any] | None) -> bool:
        """See `TokenStore`."""
        async with self._locks.lock(TokenKey("keyring", key.issuer + key.resource, key.client)):
            entry = await self.read(key)
            if (None if entry is None else entry.generation) != old_generation:
                return False
            if new is not None:
                text = orjson.dumps({"generation": new_generation(), "value": dict(new)}).decode()
                await trio.to_thread.run_sync(self._keyring.set_password, SERVICE, _name(key), text)
            elif entry is not None:
                await trio.to_thread.run_sync(self._keyring.delete_password, SERVICE, _name(key))
            return True

    def lock(self, key: TokenKey) -> AbstractAsyncContextManager[None]:
        """See `TokenStore`."""
        return self._locks.lock(key)


def _name(key: TokenKey) -> str:
    return orjson.dumps([key.issuer, key.resource, key.client]).decode()
