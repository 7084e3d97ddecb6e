"""The store of a worker: that of the server, with the bus of the workers in place of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trimcp.server.workers.worker_bus import WorkerBus
from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.bus import Bus
from trimcp.stores.event_store import SharedEventStore
from trimcp.stores.node_store import NodeStore
from trimcp.stores.replay_store import ReplayStore
from trimcp.stores.secret_store import SecretStore
from trimcp.stores.session_store import SessionStore, StoredSession
from trimcp.stores.store import Store
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.task_store import TaskStore


class WorkerStore(Store):
    """Has the parts of another store, and opens the link to the supervisor with it."""

    def __init__(self, store: Store, bus: WorkerBus, *, has_bus: bool) -> None:
        """`has_bus`: whether other nodes than these workers use the store, so that its own bus must be used."""
        self._store = store
        self._link = bus
        self._users = 0
        self.is_shared: bool = store.is_shared
        self.sessions: SessionStore = store.sessions
        self.events: SharedEventStore = store.events
        self.subscriptions: SubscriptionStore = store.subscriptions
        self.secrets: SecretStore = store.secrets
        self.tasks: TaskStore = store.tasks
        self.nodes: NodeStore = store.nodes
        self.replay: ReplayStore = store.replay
        self.admission: AdmissionStore = store.admission
        self.bus: Bus = store.bus if has_bus else bus

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """See `Store`."""
        async with self._store.open():
            if self._users:
                yield
                return
            self._users = 1
            try:
                async with self._link.open():
                    yield
            finally:
                self._users = 0

    async def load_session(self, id: str) -> StoredSession | None:
        """See `Store`."""
        return await self._store.load_session(id)
