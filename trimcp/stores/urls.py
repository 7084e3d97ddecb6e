"""The stores that a URL can name: `memory:`, `sqlite:FILE`, `valkey://…`, `valkeys://…`."""

from __future__ import annotations

from typing import Final

from trimcp.errors import UsageError
from trimcp.stores.store import Store

FORMS: Final = "memory:, sqlite:FILE, valkey://HOST:PORT/PREFIX or valkeys://HOST:PORT/PREFIX"


def store_at(url: str) -> Store:
    """Make the store that a URL names. A key that wraps its secrets is in TRIMCP_STORE_KEY; see `SecretWrapping`.

    Raises:
        UsageError: the URL is invalid.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory" and not rest:
        from trimcp.stores.memory_store import MemoryStore

        return MemoryStore()
    if scheme == "sqlite" and rest:
        from trimcp.stores.sqlite.store import SQLite

        return SQLite(rest)
    if scheme in ("valkey", "valkeys"):
        from trimcp.stores.valkey.store import Valkey

        return Valkey(url)
    raise UsageError(f"Invalid store {scheme}: write {FORMS}")
