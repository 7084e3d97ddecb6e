"""`SQLite`: everything that a server keeps, in one file."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.bus import Bus
from trimcp.stores.event_store import SharedEventStore
from trimcp.stores.node_store import LEASE, NodeStore
from trimcp.stores.replay_store import ReplayStore
from trimcp.stores.secret_store import SecretStore
from trimcp.stores.secret_wrapping import SecretWrapping
from trimcp.stores.session_store import SessionStore, StoredSession
from trimcp.stores.sqlite.database import BUSY, Database
from trimcp.stores.sqlite.events import SqliteEventStore
from trimcp.stores.sqlite.nodes import SqliteAdmissionStore, SqliteBus, SqliteNodeStore, SqliteReplayStore
from trimcp.stores.sqlite.sessions import SqliteSecretStore, SqliteSessionStore, SqliteSubscriptionStore
from trimcp.stores.sqlite.tasks import SqliteTaskStore
from trimcp.stores.store import Store
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.task_store import TaskStore


class SQLite(Store):
    """Keeps everything in a file on a local disk, which any number of processes of the machine may use."""

    is_shared = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key_file: str | os.PathLike[str] | None = None,
        event_bytes: int = 256 * 2**20,
        event_age: float = 600.0,
        lease: float = LEASE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            path: the file, which is made if it does not exist. It must not be on a network drive.
            key_file: has a key of 32 bytes in base64 that wraps the secrets; see `SecretWrapping`.
            event_bytes: the most bytes of events; over it, the oldest go.
            event_age: seconds that an event is kept.
            lease: seconds that a node counts as alive after it renewed; the same for all nodes.
            clock: returns the time in seconds since the epoch.

        Raises:
            UsageError: the key cannot be read.
        """
        database = self._database = Database(os.fspath(path), clock)
        sessions = self._sessions = SqliteSessionStore(database)
        self.sessions: SessionStore = sessions
        self.events: SharedEventStore = SqliteEventStore(database, bytes=event_bytes, age=event_age)
        self.subscriptions: SubscriptionStore = SqliteSubscriptionStore(database)
        self.secrets: SecretStore = SqliteSecretStore(database, SecretWrapping(key_file))
        self.tasks: TaskStore = SqliteTaskStore(database)
        self.nodes: NodeStore = SqliteNodeStore(database, lease)
        self.bus: Bus = SqliteBus(database)
        self.replay: ReplayStore = SqliteReplayStore(database)
        self.admission: AdmissionStore = SqliteAdmissionStore(database)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """See `Store`."""
        await self._database.open()
        try:
            yield
        finally:
            with trio.move_on_after(BUSY, shield=True):
                await self._database.close()

    async def load_session(self, id: str) -> StoredSession | None:
        """See `Store`."""
        return await self._sessions.load(id)
