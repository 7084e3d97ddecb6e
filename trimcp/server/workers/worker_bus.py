"""The bus of a worker, which goes through the supervisor, and the store that has this bus."""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trimcp.observability import events, log
from trimcp.server.workers.link import Kind, Link, LinkFrame
from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.bus import Bus, BusChannel, Gap
from trimcp.stores.event_store import SharedEventStore
from trimcp.stores.node_store import NodeStore
from trimcp.stores.replay_store import ReplayStore
from trimcp.stores.secret_store import SecretStore
from trimcp.stores.session_store import SessionStore, StoredSession
from trimcp.stores.store import Store
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.task_store import TaskStore


class BusEnded(Exception):
    """The supervisor has gone, and with it the bus."""


class WorkerBus(Bus):
    """Carries messages over the link to the supervisor, while it is open."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock`: the end of the link that this worker was given."""
        self._sock = sock
        self._link: Link | None = None
        self._channels: set[BusChannel] = set()
        self._settling: deque[trio.Event] = deque()
        """Those who wait for the supervisor, in the order of their questions."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Use the link for the life of the run. If the supervisor goes, this process is sent SIGTERM, and drains."""
        link = self._link = Link(self._sock)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.write)
                nursery.start_soon(self._receive, link)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._link = None
            link.close()

    async def _receive(self, link: Link) -> None:
        while frames := await link.receive():
            for frame in frames:
                if frame.kind is Kind.SETTLED:
                    self._settling.popleft().set()
                else:
                    self._give(Gap() if frame.kind is Kind.GAP else frame.data)
        self._link = None
        while self._settling:
            self._settling.popleft().set()
        self._give(Gap())
        log.error(events.SUPERVISOR_LOST)
        os.kill(os.getpid(), signal.SIGTERM)

    def _give(self, message: bytes | Gap) -> None:
        for channel in self._channels:
            channel.put(message)

    def tell_ready(self, shown: str) -> None:
        """Tell the supervisor that this worker listens. `shown`: the server and its URL, for people."""
        self._open_link().post(LinkFrame(Kind.READY, data=shown.encode()))

    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        """See `Bus`."""
        self._open_link().post(LinkFrame(Kind.MESSAGE, to or 0, message))
        await trio.lowlevel.checkpoint()

    async def settle(self) -> None:
        """See `Bus`. The supervisor relays the messages of all workers, one after the other."""
        settled = trio.Event()
        self._open_link().post(LinkFrame(Kind.SETTLED))
        self._settling.append(settled)
        await settled.wait()

    @asynccontextmanager
    async def subscribe(self, incarnation: int) -> AsyncIterator[trio.MemoryReceiveChannel[bytes | Gap]]:
        """See `Bus`."""
        self._open_link().post(LinkFrame(Kind.JOINED, incarnation))
        channel = BusChannel()
        self._channels.add(channel)
        try:
            yield channel.receive
        finally:
            self._channels.discard(channel)
            channel.close()

    def _open_link(self) -> Link:
        if self._link is None:
            raise BusEnded("The bus is closed: the supervisor has ended, or the server does not run")
        return self._link


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
