"""Where a client keeps tokens and registrations: the interface, and the store in memory.

An entry is JSON with secrets in it. Each change gives an entry another generation, and a change names the generation
that it replaces, so that two processes with one store cannot overwrite what the other has renewed.
"""

from __future__ import annotations

import abc
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import attrs
import trio

MOST: Final = 1024
"""Entries that a `MemoryStore` keeps; the oldest goes."""


@attrs.frozen
class TokenKey:
    """What an entry belongs to. Strings are raw: an issuer with a slash at the end is another issuer."""

    issuer: str
    """The issuer of the authorization server; empty for what is known of an MCP server before it is found."""
    resource: str
    """The identifier of the MCP server; empty for the registration of a client."""
    client: str
    """The client id; empty where it is what the entry holds."""


@attrs.frozen
class TokenEntry:
    """An entry of a store. Its repr shows no value."""

    generation: str
    """Another one after each change."""
    value: Mapping[str, Any] = attrs.field(repr=False)
    """A JSON object."""


def new_generation() -> str:
    """Return a generation that no entry has had."""
    return secrets.token_hex(8)


class TokenStore(abc.ABC):
    """Keeps tokens and registrations of clients. Derive from it to keep them elsewhere."""

    @abc.abstractmethod
    async def read(self, key: TokenKey) -> TokenEntry | None:
        """Return the entry; None if there is none."""

    @abc.abstractmethod
    async def replace(self, key: TokenKey, old_generation: str | None, new: Mapping[str, Any] | None) -> bool:
        """Replace an entry if nothing has changed it since it was read.

        Args:
            key: of the entry.
            old_generation: of the entry that was read; None if there was none.
            new: the JSON object; None to remove the entry.

        Returns:
            False if the entry has another generation now; nothing is changed then.
        """

    @abc.abstractmethod
    def lock(self, key: TokenKey) -> AbstractAsyncContextManager[None]:
        """Return a lock that only one holder has at a time, in all processes that share the store.

        It is held while a token is renewed, and never while a request is sent to the MCP server.
        """


class MemoryStore(TokenStore):
    """Keeps entries for as long as the process lives."""

    def __init__(self) -> None:
        self._entries: dict[TokenKey, TokenEntry] = {}
        self._locks: dict[TokenKey, tuple[trio.Lock, list[None]]] = {}

    async def read(self, key: TokenKey) -> TokenEntry | None:
        """See `TokenStore`."""
        return self._entries.get(key)

    async def replace(self, key: TokenKey, old_generation: str | None, new: Mapping[str, Any] | None) -> bool:
        """See `TokenStore`."""
        entry = self._entries.get(key)
        if (None if entry is None else entry.generation) != old_generation:
            return False
        self._entries.pop(key, None)
        if new is not None:
            if len(self._entries) >= MOST:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = TokenEntry(new_generation(), dict(new))
        return True

    @asynccontextmanager
    async def lock(self, key: TokenKey) -> AsyncIterator[None]:
        """See `TokenStore`."""
        lock, holders = self._locks.setdefault(key, (trio.Lock(), []))
        holders.append(None)
        try:
            async with lock:
                yield
        finally:
            holders.pop()
            if not holders:
                self._locks.pop(key, None)
