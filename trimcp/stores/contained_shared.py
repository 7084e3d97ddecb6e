"""Calls of the parts of a store that several nodes share, with a deadline, and contained. See `contained`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trimcp.stores.contained import (
    READ_SECONDS,
    WRITE_SECONDS,
    ContainedEventStore,
    ContainedSessionStore,
    StoreCalls,
    StoreFailed,
    checked_record,
    checked_uris,
)
from trimcp.stores.event_store import SharedEventStore
from trimcp.stores.node_store import NodeStore
from trimcp.stores.session_store import StoredSession
from trimcp.stores.store import Store

MOST_SHARED_CALLS: Final = 1024
"""Calls of one part of a shared store that may be under way: when a node dies, its sessions come at once."""


class ContainedSharedEventStore(ContainedEventStore, SharedEventStore):
    """Calls the event store of several nodes. Raises `StoreFailed` and `AppendFailed`, and nothing else."""

    def __init__(self, store: SharedEventStore, calls: StoreCalls) -> None:
        super().__init__(store, calls)
        self._shared = store

    async def settle(self, session: str, stream: int, incarnation: int, events: Sequence[bytes]) -> bool:
        """See `SharedEventStore`."""
        call = self._calls.call
        return await call(WRITE_SECONDS, self._shared.settle, session, stream, incarnation, events) is True


class ContainedSharedSessionStore(ContainedSessionStore):
    """Calls the session store of several nodes. Raises `StoreFailed`, and nothing else."""

    def __init__(self, store: Store, calls: StoreCalls) -> None:
        super().__init__(store.sessions, calls)
        self._whole = store

    async def load(self, id: str) -> StoredSession | None:
        """See `Store.load_session`."""
        stored = await self._calls.call(READ_SECONDS, self._whole.load_session, id)
        if stored is None:
            return None
        value: object = stored
        if not isinstance(value, StoredSession) or checked_record(value.record, id) is None:
            raise StoreFailed("load_session returned an invalid value: return a StoredSession, or None")
        checked_uris(stored.uris)
        return stored


class ContainedNodeStore:
    """Asks the node store whether nodes live. Raises `StoreFailed`, and nothing else."""

    def __init__(self, store: NodeStore, calls: StoreCalls) -> None:
        self._store = store
        self._calls = calls

    async def is_alive(self, incarnation: int) -> bool:
        """Return whether the lease of a node has not run out."""
        return incarnation in await self._calls.call(READ_SECONDS, self._store.alive, (incarnation,))
