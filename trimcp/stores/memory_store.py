"""The store in memory: everything that a server keeps, in its own process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.bus import Bus
from trimcp.stores.event_store import SharedEventStore
from trimcp.stores.memory import MemoryEventStore, MemorySecretStore, MemorySessionStore, MemorySubscriptionStore
from trimcp.stores.memory_nodes import MemoryAdmissionStore, MemoryBus, MemoryNodeStore, MemoryReplayStore
from trimcp.stores.memory_tasks import MemoryTaskStore
from trimcp.stores.node_store import LEASE, NodeStore
from trimcp.stores.replay_store import ReplayStore
from trimcp.stores.secret_store import SecretStore
from trimcp.stores.session_store import SessionStore
from trimcp.stores.store import Store
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.task_store import TaskStore


class MemoryStore(Store):
    """Keeps everything in this process. It ends with the process."""

    def __init__(self, *, shared: bool = False, lease: float = LEASE, clock: Callable[[], float] | None = None) -> None:
        """
        Args:
            shared: whether several servers of this process use it at the same time, each as a node.
            lease: seconds that a node counts as alive after it joined or renewed.
            clock: returns the time in seconds, for all parts; by default that of Trio, and that of the day for
                sessions and tasks, whose records have times of the day.
        """
        self.is_shared = shared
        times, day = (trio.current_time, time.time) if clock is None else (clock, clock)
        self.sessions: SessionStore = MemorySessionStore(clock=day)
        self.events: SharedEventStore = MemoryEventStore(shared=shared, clock=times)
        self.subscriptions: SubscriptionStore = MemorySubscriptionStore(self.sessions)
        self.secrets: SecretStore = MemorySecretStore()
        self.tasks: TaskStore = MemoryTaskStore(clock=day)
        self.nodes: NodeStore = MemoryNodeStore(lease=lease, clock=times)
        self.bus: Bus = MemoryBus()
        self.replay: ReplayStore = MemoryReplayStore(clock=times)
        self.admission: AdmissionStore = MemoryAdmissionStore(clock=times)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """See `Store`."""
        yield
