"""The legacy sessions of one endpoint: opened by `initialize`, found by their id, tended, and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trimcp.endpoint.event_log import EventLog
from trimcp.endpoint.event_store import make_tag
from trimcp.endpoint.http_session import HttpSession
from trimcp.endpoint.live_sessions import LiveSessions, new_session_id
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
        live: LiveSessions,
        event_log: EventLog,
        nursery: trio.Nursery,
        actors: HandlerActors,
        writer: StreamWriter,
        secret: bytes,
    ) -> None:
        """`secret`: of 64 bytes at most, which the tags of event ids are made with."""
        self._host = host
        self._live = live
        self._event_log = event_log
        self._nursery = nursery
        self._actors = actors
        self._writer = writer
        self._secret = secret

    async def open(self, peer: str, principal: Principal | None) -> HttpSession | None:
        """A new session; None where the server takes no more, or stopped while it was opened."""
        host = self._host
        id = new_session_id()
        session = HttpSession(
            *(id, host.service, host.admission, self._event_log, self._live, self._actors, self._writer),
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
            await self._live.add(session)
            await session.run(task_status=task_status)
        finally:
            self._host.service.ended(session)
            self._live.remove(session)
            self._event_log.forget(session.id)

    def save(self, session: HttpSession) -> None:
        """Have the record of a session updated: something was agreed in it. Never waits."""
        self._live.save(session)

    async def find(self, shown: bytes, principal: Principal | None) -> HttpSession | None:
        """The session with this id, if its subject and client are these: to anybody else there is none."""
        session = await self._live.find(shown.decode("latin-1"))
        if session is None or session.end is not None or key_of(session.principal) != key_of(principal):
            return None
        return session

    def tend(self) -> None:
        """See to what passes with time."""
        now = trio.current_time()
        for session in self._live:
            session.tend(now)
        self._live.renew()
