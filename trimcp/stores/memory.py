"""The stores of one process: events, sessions, subscriptions and secrets in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

import attrs
import trio

from trimcp.stores.memory_events import MemoryEventStore
from trimcp.stores.memory_secrets import MemorySecretStore
from trimcp.stores.record_versions import replacement
from trimcp.stores.session_store import SessionRecord, SessionStore
from trimcp.stores.subscription_store import SubscriptionStore

__all__ = ["MemoryEventStore", "MemorySecretStore", "MemorySessionStore", "MemorySubscriptionStore"]

SESSION_TTL: Final = 7200.0
"""Seconds that an untouched session is kept: four times `Limits.session_idle`."""
SUBSCRIBED_SESSIONS: Final = 256
"""Sessions with subscriptions beyond which those of forgotten sessions are looked for."""


class MemorySessionStore(SessionStore):
    """Keeps records of sessions in this process."""

    def __init__(self, *, ttl: float = SESSION_TTL, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            ttl: seconds that a session is kept after it was added, updated or touched.
            clock: returns the time, in seconds since the epoch.
        """
        self._ttl = ttl
        self._clock = clock
        self._records: OrderedDict[str, SessionRecord] = OrderedDict()
        """The one that was touched first comes first."""
        self._alive_until: dict[str, float] = {}

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self._records)

    def __contains__(self, id: str) -> bool:
        """Whether there is a session with this id, which may have expired a moment ago."""
        return id in self._records

    async def add(self, record: SessionRecord) -> None:
        """See `SessionStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        if record.id in self._records:
            raise ValueError("there is a session with that id already")
        self._put(record)

    async def find(self, id: str) -> SessionRecord | None:
        """See `SessionStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        return self._records.get(id)

    async def update(self, record: SessionRecord) -> SessionRecord | None:
        """See `SessionStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        updated = replacement(self._records.get(record.id), record)
        if updated is not None:
            self._put(updated)
        return updated

    async def touch(self, ids: Collection[str], seen_at: float) -> None:
        """See `SessionStore`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        for id in ids:
            found = self._records.get(id)
            if found is not None:
                self._put(attrs.evolve(found, seen_at=seen_at))

    async def remove(self, id: str) -> None:
        """See `SessionStore`."""
        await trio.lowlevel.checkpoint()
        self._records.pop(id, None)
        self._alive_until.pop(id, None)

    def _put(self, record: SessionRecord) -> None:
        self._records[record.id] = record
        self._records.move_to_end(record.id)
        self._alive_until[record.id] = self._clock() + self._ttl

    def _expire(self) -> None:
        now = self._clock()
        while self._records:
            id = next(iter(self._records))
            if now < self._alive_until[id]:
                break
            del self._records[id], self._alive_until[id]


class MemorySubscriptionStore(SubscriptionStore):
    """Keeps subscriptions in this process."""

    def __init__(self, sessions: MemorySessionStore | None = None) -> None:
        """`sessions`: the subscriptions of sessions that this store has forgotten are forgotten as well."""
        self._sessions = sessions
        self._uris: dict[str, set[str]] = {}
        self._sweep_at = SUBSCRIBED_SESSIONS

    async def add(self, session: str, uri: str) -> bool:
        """See `SubscriptionStore`."""
        await trio.lowlevel.checkpoint()
        if self._sessions is not None and len(self._uris) >= self._sweep_at:
            known = self._sessions
            self._uris = {id: uris for id, uris in self._uris.items() if id in known}
            self._sweep_at = max(SUBSCRIBED_SESSIONS, 2 * len(self._uris))
        uris = self._uris.setdefault(session, set())
        if uri in uris:
            return False
        uris.add(uri)
        return True

    async def remove(self, session: str, uri: str) -> bool:
        """See `SubscriptionStore`."""
        await trio.lowlevel.checkpoint()
        uris = self._uris.get(session)
        if uris is None or uri not in uris:
            return False
        uris.remove(uri)
        if not uris:
            del self._uris[session]
        return True

    async def uris_of(self, session: str) -> frozenset[str]:
        """See `SubscriptionStore`."""
        await trio.lowlevel.checkpoint()
        return frozenset(self._uris.get(session, ()))

    async def forget(self, session: str) -> None:
        """See `SubscriptionStore`."""
        await trio.lowlevel.checkpoint()
        self._uris.pop(session, None)
