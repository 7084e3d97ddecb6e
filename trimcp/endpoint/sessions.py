"""The legacy sessions of one endpoint: opened by `initialize`, found by their id, tended, and ended."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import trio

from trimcp.endpoint.event_store import EventStore, make_tag
from trimcp.endpoint.http_session import HttpSession
from trimcp.endpoint.registry import SessionRegistry
from trimcp.endpoint.stream_writer import StreamWriter
from trimcp.protocol.principal import Principal, key_of
from trimcp.session.delivery import Delivery
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.session import Session

if TYPE_CHECKING:
    from trimcp.endpoint.host import Host


class HttpSessions:
    """Supervises them: each runs in the endpoint's nursery, and is forgotten when it is over."""

    def __init__(
        self,
        host: Host,
        registry: SessionRegistry,
        store: EventStore,
        nursery: trio.Nursery,
        actors: HandlerActors,
        writer: StreamWriter,
    ) -> None:
        self._host = host
        self._registry = registry
        self.store = store
        self._nursery = nursery
        self._actors = actors
        self._writer = writer
        self._secret = secrets.token_bytes(32)

    async def open(self, peer: str, principal: Principal | None) -> HttpSession | None:
        """A new session; None where the server takes no more, or stopped while it was opened."""
        host = self._host
        id = self._registry.new_id()
        session = HttpSession(
            *(id, host.service, host.admission, self.store, self._actors, self._writer),
            tag=make_tag(self._secret, id),
            peer=peer,
            delivery=Delivery(principal),
        )
        if not host.admits(session):
            return None
        host.service.opened(session)  # now, and not when it runs: others may want to be let in before
        await self._nursery.start(self._run, session)
        return session if session.end is None else None

    async def _run(self, session: HttpSession, *, task_status: trio.TaskStatus[Session]) -> None:
        try:
            await self._registry.add(session)
            await session.run(task_status=task_status)
        finally:
            self._host.service.ended(session)
            self._registry.forget(session)
            self.store.forget(session.id)

    async def find(self, shown: bytes, principal: Principal | None) -> HttpSession | None:
        """The session with this id, if its subject and client are these: to anybody else there is none."""
        session = await self._registry.find(shown.decode("latin-1"))
        if session is None or session.end is not None or key_of(session.principal) != key_of(principal):
            return None
        return session

    def tend(self) -> None:
        """See to what passes with time."""
        now = trio.current_time()
        for session in self._registry:
            session.tend(now)
