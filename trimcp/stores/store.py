"""A store: all that a server keeps, as one object for `trimcp.Server(store=…)`."""

from __future__ import annotations

import abc
from contextlib import AbstractAsyncContextManager

from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.bus import Bus
from trimcp.stores.event_store import SharedEventStore
from trimcp.stores.node_store import NodeStore
from trimcp.stores.replay_store import ReplayStore
from trimcp.stores.secret_store import SecretStore
from trimcp.stores.session_store import SessionStore, StoredSession
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.task_store import TaskStore


class Store(abc.ABC):
    """Holds the stores of a server. Its parts may be used while it is open, in one run of Trio.

    Attributes:
        is_shared: whether several processes can use the same data at the same time. With a store that is not shared,
            a server keeps its live sessions in its own memory and never asks for those of others.
    """

    is_shared: bool

    sessions: SessionStore
    events: SharedEventStore
    subscriptions: SubscriptionStore
    secrets: SecretStore
    tasks: TaskStore
    nodes: NodeStore
    bus: Bus
    replay: ReplayStore
    admission: AdmissionStore

    @abc.abstractmethod
    def open(self) -> AbstractAsyncContextManager[None]:
        """Connect, and check that the data can be used, for the life of a run; close at the end.

        A store may be opened several times, one within the other: its parts are the same.

        Raises:
            UsageError: the store cannot be used, such as a file of a newer version or a Valkey that evicts keys.
        """

    async def load_session(self, id: str) -> StoredSession | None:
        """Return the session with this id and its subscriptions, if there is one. The caller checks the principal.

        A client waits for it at the first request of a session on a node, so the stores of trimcp read once.
        """
        record = await self.sessions.find(id)
        return None if record is None else StoredSession(record, await self.subscriptions.uris_of(id))
