"""`FileStore`: tokens in files of one directory, which processes of one user share.

The directory has mode 0700 and each file 0600. A file is replaced by an atomic rename; links are not followed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import trio

from trimcp.auth.stores import TokenEntry, TokenKey, TokenStore, new_generation
from trimcp.observability import events, log
from trimcp.stores.private_directory import POLL, PrivateDirectory

_MOST_BYTES: Final = 1024 * 1024


class FileStore(TokenStore):
    """Keeps entries in files. Secrets are in them as they are: the modes of the files protect them."""

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        """Keep the entries in a directory, which is made with the first entry.

        Args:
            directory: default: `auth` in the user's directory for data of trimcp.
        """
        if directory is None:
            from platformdirs import user_data_path

            directory = user_data_path("trimcp") / "auth"
        self._files = PrivateDirectory(Path(directory), "tokens")

    @property
    def directory(self) -> Path:
        """Where the entries are."""
        return self._files.path

    async def read(self, key: TokenKey) -> TokenEntry | None:
        """See `TokenStore`.

        Raises:
            UsageError: the directory or the file is not the user's alone, or is a link.
        """
        return await trio.to_thread.run_sync(self._read, key)

    async def replace(self, key: TokenKey, old_generation: str | None, new: Mapping[str, Any] | None) -> bool:
        """See `TokenStore`. Raises as `read`."""
        while True:
            done = await trio.to_thread.run_sync(self._replace, key, old_generation, new)
            if done is not None:
                return done
            await trio.sleep(POLL)

    @asynccontextmanager
    async def lock(self, key: TokenKey) -> AsyncIterator[None]:
        """See `TokenStore`. The lock of a process that dies is free again."""
        from filelock import Timeout

        await trio.to_thread.run_sync(self._files.make)
        lock = self._files.lock(_name(key, ".lock"))
        while True:
            try:
                lock.acquire(blocking=False)
                break
            except Timeout:
                await trio.sleep(POLL)
        try:
            yield
        finally:
            lock.release()

    def _read(self, key: TokenKey) -> TokenEntry | None:
        name = _name(key, ".json")
        data = self._files.read(name, _MOST_BYTES)
        if data is None:
            return None
        try:
            document = orjson.loads(data)
            of_key = (document["issuer"], document["resource"], document["client"])
            generation, value = document["generation"], document["value"]
        except (ValueError, KeyError, TypeError):
            log.warning(events.AUTH_ENTRY_DAMAGED, path=str(self.directory / name))
            return None  # as if nothing were stored; the next change writes it anew
        if of_key != (key.issuer, key.resource, key.client) or not isinstance(value, dict):
            return None
        return TokenEntry(str(generation), value)

    def _replace(self, key: TokenKey, old_generation: str | None, new: Mapping[str, Any] | None) -> bool | None:
        """As `replace`; None while another process changes the entry."""
        from filelock import Timeout

        self._files.make()
        lock = self._files.lock(_name(key, ".change"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        try:
            entry = self._read(key)
            if (None if entry is None else entry.generation) != old_generation:
                # A damaged file reads as none, and is replaced as none.
                return False
            name = _name(key, ".json")
            if new is None:
                self._files.remove(name)
                return True
            document = {
                "issuer": key.issuer,
                "resource": key.resource,
                "client": key.client,
                "generation": new_generation(),
                "value": dict(new),
            }
            self._files.replace(name, orjson.dumps(document))
            return True
        finally:
            lock.release()


def _name(key: TokenKey, suffix: str) -> str:
    return hashlib.sha256(orjson.dumps([key.issuer, key.resource, key.client])).hexdigest() + suffix
