"""`Valkey`: everything that a server keeps, in a Valkey server or cluster."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
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
from trimcp.stores.store import Store
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.task_store import TaskStore
from trimcp.stores.valkey.address import ValkeyAddress, read_address
from trimcp.stores.valkey.connection import CONNECT, DEADLINE, Connection
from trimcp.stores.valkey.events import ValkeyEventStore
from trimcp.stores.valkey.nodes import ValkeyAdmissionStore, ValkeyBus, ValkeyNodeStore, ValkeyReplayStore
from trimcp.stores.valkey.sessions import ValkeySecretStore, ValkeySessionStore, ValkeySubscriptionStore
from trimcp.stores.valkey.tasks import ValkeyTaskStore


class Valkey(Store):
    """Keeps everything in Valkey, for any number of processes on any number of machines."""

    is_shared = True

    def __init__(
        self,
        address: str | ValkeyAddress,
        *,
        key_file: str | os.PathLike[str] | None = None,
        stream_events: int = 1000,
        event_age: float = 600.0,
        lease: float = LEASE,
        deadline: float = DEADLINE,
    ) -> None:
        """
        Args:
            address: such as `valkey://user@host:6379/prefix?password_file=/run/secrets/valkey`. Without a file, the
                password is that of the environment variable TRIMCP_VALKEY_PASSWORD. `valkeys://` uses TLS.
            key_file: has a key of 32 bytes in base64 that wraps the secrets; see `SecretWrapping`.
            stream_events: the most events of one stream; over it, its oldest go.
            event_age: seconds that a stream is kept after its last event.
            lease: seconds that a node counts as alive after it renewed; the same for all nodes.
            deadline: seconds that one command may take.

        Raises:
            UsageError: the address is invalid, or a file cannot be read.
        """
        connection = Connection(read_address(address) if isinstance(address, str) else address, deadline)
        self._connection = connection
        sessions = self._sessions = ValkeySessionStore(connection)
        self.sessions: SessionStore = sessions
        self.events: SharedEventStore = ValkeyEventStore(connection, stream_events=stream_events, age=event_age)
        self.subscriptions: SubscriptionStore = ValkeySubscriptionStore(connection)
        self.secrets: SecretStore = ValkeySecretStore(connection, SecretWrapping(key_file))
        self.tasks: TaskStore = ValkeyTaskStore(connection)
        bus = ValkeyBus(connection)
        self.bus: Bus = bus
        self.nodes: NodeStore = ValkeyNodeStore(connection, bus, lease)
        self.replay: ReplayStore = ValkeyReplayStore(connection)
        self.admission: AdmissionStore = ValkeyAdmissionStore(connection)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """See `Store`."""
        await self._connection.open()
        try:
            yield
        finally:
            with trio.move_on_after(CONNECT, shield=True):
                await self._connection.close()

    async def load_session(self, id: str) -> StoredSession | None:
        """See `Store`."""
        return await self._sessions.load(id)
