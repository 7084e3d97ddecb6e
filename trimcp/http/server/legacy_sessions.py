"""The legacy sessions of one endpoint: opens them, finds them, and runs them in the nursery of the endpoint."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable
from typing import Any, Final, TypeVar

import trio

from trimcp.http.binding import HttpResponse
from trimcp.http.server.event_ids import SessionTags
from trimcp.http.server.event_log import EventLog
from trimcp.http.server.legacy_session import LegacySession
from trimcp.http.server.served_run import ServedRun
from trimcp.http.server.session_table import SessionTable
from trimcp.http.server.stream_writer import StreamWriter
from trimcp.protocol.principal import Principal, key_of
from trimcp.session.delivery import Delivery
from trimcp.session.handler_actors import HandlerActors
from trimcp.types.jsonrpc import Message

S = TypeVar("S", bound=LegacySession)

ID_BYTES: Final = 24
"""Random bytes of an id: 192 bits cannot be guessed."""


def new_session_id() -> str:
    """Make an id that cannot be guessed, of visible ASCII characters."""
    return secrets.token_urlsafe(ID_BYTES)


class Resumed(enum.Enum):
    """What became of the attempt to resume a stream."""

    YES = "yes"
    LOST = "lost"
    """An event is not there any more."""
    ENDED = "ended"
    """The stream has ended without an answer."""


class NoRoom(Exception):
    """A session exists, and this node cannot take it up: it has too many, or stops. The client tries again."""


class LegacySessions:
    """Opens and finds sessions. Each runs in the nursery of the endpoint, and is forgotten when it is over."""

    def __init__(
        self,
        served: ServedRun,
        table: SessionTable[Any],
        event_log: EventLog,
        nursery: trio.Nursery,
        actors: HandlerActors,
        writer: StreamWriter,
    ) -> None:
        self._served = served
        self._table = table
        self._event_log = event_log
        self._nursery = nursery
        self._actors = actors
        self._writer = writer
        self._resting: dict[LegacySession, None] = {}
        """Sessions that have no task yet."""

    def _make(self, kind: Callable[..., S], id: str, peer: str, principal: Principal | None, **options: Any) -> S:
        return kind(
            *(id, self._served.service, self._served.admission, self._event_log, self._table, self._actors),
            self._writer,
            tags=SessionTags(self._served.secrets, id),
            peer=peer,
            delivery=Delivery(principal),
            **options,
        )

    def _new(self, peer: str, principal: Principal | None) -> LegacySession:
        return self._make(LegacySession, new_session_id(), peer, principal)

    async def open(self, peer: str, principal: Principal | None) -> LegacySession | None:
        """Open a session; return None if the server takes no more."""
        served = self._served
        session = self._new(peer, principal)
        if not served.admits(session):
            return None
        self._begin(session)
        session.supervisor.begin()
        return session

    def _begin(self, session: LegacySession) -> None:
        """Make the parts of a session. It gets its task when an actor of it needs one, or at its end."""
        self._resting[session] = None
        session.begin(lambda: self._nursery.start_soon(self._run, session))

    async def _run(self, session: LegacySession) -> None:
        del self._resting[session]
        try:
            await session.run()
        finally:
            self._served.service.ended(session)
            self._table.remove(session)
            if session.is_over:
                self._event_log.forget(session.id)

    async def keep(self, session: LegacySession) -> None:
        """Keep the record of a session whose `initialize` was handled: its client gets the answer only then.

        Raises:
            StoreFailed: the store cannot keep it, so the session is over.
        """
        try:
            await self._table.add(session)
        except BaseException:
            session.close()
            raise

    def find_here(self, shown: bytes, principal: Principal | None) -> LegacySession | None:
        """Return the session that `find` would, if it can be found without waiting."""
        session: LegacySession | None = self._table.resident(shown.decode("latin-1"))
        if session is None or session.end is not None:
            return None
        of = session.principal
        return session if of is principal or key_of(of) == key_of(principal) else None

    async def find(self, shown: bytes, principal: Principal | None, peer: str) -> LegacySession | None:
        """Return the session with this id, if its subject and client are those of `principal`.

        `peer`: the other end of the request, for logs.
        """
        session: LegacySession | None = await self._table.find(shown.decode("latin-1"))
        if session is None or session.end is not None or key_of(session.principal) != key_of(principal):
            return None
        return session

    async def end(self, session: LegacySession) -> None:
        """End a session, which its client does not need any more."""
        session.close()

    async def changed(self, session: LegacySession) -> None:
        """Keep the record of a session that its client has just changed."""
        self._table.save(session)

    async def forward(self, session: LegacySession, message: Message, body: bytes) -> bool:
        """Send an answer or a notification to the node that it is for. Returns False if that may be this one.

        Raises:
            StoreFailed: the answer cannot be kept until that node has it.
        """
        return False

    async def resume(self, session: LegacySession, response: HttpResponse, stream: int, after: int) -> Resumed:
        """Go on with a stream on another connection, behind an event that its client has."""
        if await session.resume(response, stream, after):
            return Resumed.YES
        return Resumed.ENDED if session.has_ended(stream) else Resumed.LOST

    def check_times(self) -> None:
        """See `Timed`."""
        now = trio.current_time()
        for session in self._table:
            session.check_times(now)
        self._table.renew()

    async def flush(self) -> None:
        """Wait until the stores have the events and the records of all sessions."""
        await self._event_log.flush()
        await self._table.flush()

    def leave(self) -> None:
        """Take note that the endpoint ends. Sessions without a task get one, which ends them."""
        for session in tuple(self._resting):
            session.supervisor.begin()
