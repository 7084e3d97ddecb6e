"""The legacy sessions that live in this process, and their records in the session store.

An actor: what is agreed in a session, or changes in it, is written behind the session, which never waits for that. A
store of a user's that fails or hangs costs the records and nothing else; only opening a session waits for the store,
and asking for a session that is not here.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull, Overflow
from trimcp.actors.supervisor import Supervisor
from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.session.limits import Limits
from trimcp.stores.contained import ContainedSessionStore, StoreCalls, StoreFailed
from trimcp.stores.memory import MemorySessionStore
from trimcp.stores.session_store import SessionStore

if TYPE_CHECKING:
    from trimcp.endpoint.http_session import HttpSession

ID_BYTES: Final = 24
"""Random bytes of an id: 192 bits cannot be guessed."""


def new_session_id() -> str:
    """Make an id that cannot be guessed, of visible ASCII characters."""
    return secrets.token_urlsafe(ID_BYTES)


# --- messages -----------------------------------------------------------------------------


@attrs.frozen
class _Save:
    """Update the record of this session."""

    id: str


@attrs.frozen
class _Remove:
    """The session is over."""

    id: str


@attrs.frozen
class _Touch:
    """Tell the store which sessions were seen since the last time."""

    id: ClassVar[str] = ""


_Message = _Save | _Remove | _Touch


def _key(message: _Message) -> Hashable:
    """A later message about the same session replaces one that waits."""
    return message.id


class _Live:
    """A session that lives here, and what the store was told of it."""

    __slots__ = ("session", "told_at", "told_state", "version")

    def __init__(self, session: HttpSession) -> None:
        self.session = session
        self.version = 0
        """Of its record."""
        self.told_at = session.touched_at
        self.told_state = session.record_state


class LiveSessions(Actor[_Message]):
    """The table of live sessions by id, beside the store of records. Made by `open_live_sessions`."""

    name: ClassVar[str] = "live sessions"

    def __init__(self, owner: Owner, store: SessionStore, limits: Limits) -> None:
        """
        Args:
            owner: the supervisor.
            store: a store that fails with `StoreFailed` and nothing else.
            limits: of the server.
        """
        # One message for each session that lives, and as many for those that ended while the store was slow.
        super().__init__(owner, Mailbox(2 * limits.sessions + 1, Overflow.REPLACE, key=_key))
        self._store = store
        self._live: dict[str, _Live] = {}
        self._seen: dict[str, None] = {}
        self._failures = 0

    def __iter__(self) -> Iterator[HttpSession]:
        """The sessions that live here, over a copy."""
        return iter([live.session for live in self._live.values()])

    # --- asked by requests ------------------------------------------------------------

    async def add(self, session: HttpSession) -> None:
        """Keep the record of a new session, then serve it.

        Raises:
            StoreFailed: the store cannot keep it.
        """
        await self._store.add(session.record())
        self._live[session.id] = _Live(session)

    async def find(self, id: str) -> HttpSession | None:
        """Return the live session with this id. The caller checks its principal.

        A session that has a record and does not live here is another process's, or was one's that is gone. To take it
        up from its record is for a later version: it is not here, as if it had ended.

        Raises:
            StoreFailed: the session is not here, and the store cannot say whether there is one.
        """
        live = self._live.get(id)
        if live is not None:
            return live.session
        record = await self._store.find(id)
        if record is not None:
            log.info(events.SESSION_NOT_HERE, opened_at=record.opened_at)
        return None

    # --- told by sessions, without a wait ---------------------------------------------

    def save(self, session: HttpSession) -> None:
        """Have the record of a session updated: something was agreed."""
        live = self._live.get(session.id)
        if live is not None:
            # More may change in it at the same moment: the next `renew` looks again.
            live.told_at, live.told_state = -math.inf, session.record_state
            self._told(_Save(session.id))

    def remove(self, session: HttpSession) -> None:
        """Forget a session, which is over, and have its record removed."""
        if self._live.pop(session.id, None) is not None:
            self._seen.pop(session.id, None)
            self._told(_Remove(session.id))

    def renew(self) -> None:
        """Have the store told which sessions are alive, and what has changed in them since it was told."""
        for id, live in self._live.items():
            session = live.session
            if session.touched_at == live.told_at:
                continue
            if session.record_state == live.told_state:
                live.told_at = session.touched_at
                self._seen[id] = None
            else:
                self.save(session)
        if self._seen:
            self._told(_Touch())

    def _told(self, message: _Message) -> None:
        try:
            self.tell(message)
        except MailboxFull as exc:  # the store hangs; the record goes when its time to live is over
            self._failed(exc)

    # --- the actor --------------------------------------------------------------------

    async def run(self) -> None:
        """Write to the store what was told, until cancelled."""
        while True:
            message = await self.mailbox.receive()
            try:
                await self._write(message)
            except StoreFailed as exc:
                self._failed(exc)

    def handle(self, message: _Message) -> None:
        """See `Actor`. The endpoint has ended: a record that is left lets another process take its session up."""

    async def _write(self, message: _Message) -> None:
        if type(message) is _Remove:
            await self._store.remove(message.id)
        elif type(message) is _Touch:
            seen, self._seen = self._seen, {}
            await self._store.touch(tuple(seen), time.time())
        else:
            await self._update(message.id)

    async def _update(self, id: str) -> None:
        live = self._live.get(id)
        if live is None:
            return
        updated = await self._store.update(attrs.evolve(live.session.record(), version=live.version))
        if updated is None:
            raise StoreFailed("the record was changed by another process, or the store has lost it")
        live.version = updated.version

    def _failed(self, exc: Exception) -> None:
        self._failures += 1
        if log.is_worth_saying(self._failures):
            log.error(events.STORE_FAILED, exc_info=exc, count=self._failures)


def session_store_of(store: Any) -> SessionStore:
    """Return the session store that a user has given as `registry`.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(store, SessionStore):
        raise UsageError(
            f"Invalid registry {type(store).__name__}: give a store of records, derived from "
            "trimcp.stores.session_store.SessionStore; the live sessions stay in their process"
        )
    return store


def open_live_sessions(supervisor: Supervisor, store: SessionStore | None, limits: Limits) -> LiveSessions:
    """Make the table of live sessions of an endpoint; its supervisor owns it.

    Args:
        supervisor: of the endpoint.
        store: a store of the user's; one in memory, if None.
        limits: of the server.
    """
    if store is None:
        contained: SessionStore = MemorySessionStore(ttl=4 * limits.session_idle)
    else:
        contained = ContainedSessionStore(store, StoreCalls("session store", supervisor))
    return supervisor.add(LiveSessions(supervisor, contained, limits))
