"""The session table: the actor that holds the live sessions of an endpoint, and keeps their records in stores.

Records are written behind the session, which never waits for a store: a store of the user that fails or hangs costs the
records and nothing else. Only `initialize`, and a request of a session that does not live here, wait for the store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Hashable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

import attrs

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull, Overflow
from trimcp.actors.reply import Reply
from trimcp.actors.supervisor import Supervisor
from trimcp.errors import UsageError
from trimcp.http.server.legacy_session import LegacySession
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.stores.contained import (
    ContainedSessionStore,
    ContainedSubscriptionStore,
    StoreCalls,
    StoreFailed,
    log_failure,
)
from trimcp.stores.memory import MemorySessionStore, MemorySubscriptionStore
from trimcp.stores.session_store import SessionStore
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.types.utilities import LoggingLevel

S = TypeVar("S", bound=LegacySession)

# --- messages -----------------------------------------------------------------------------


@attrs.frozen
class Save:
    """Update the record of this session."""

    id: str


@attrs.frozen
class Unconfirmed:
    """Remove the record of a session that its client has not used at any node."""

    id: str


@attrs.frozen
class _Remove:
    """The session is over."""

    id: str


@attrs.frozen
class _Touch:
    """Tell the store which sessions were seen since the last time."""

    id: ClassVar[str] = ""


@attrs.frozen
class _Subscribed:
    """The session has subscribed to this resource, or has unsubscribed."""

    id: str
    uri: str
    is_on: bool


@attrs.frozen(eq=False)
class _Flush:
    """Reply when the messages before this one were written."""

    reply: Reply[None]
    id: ClassVar[str | None] = None


_Write = Save | _Remove | _Touch | _Subscribed | Unconfirmed
_Message = _Write | _Flush


def _key(message: _Message) -> Hashable:
    """Return the key by which a later message replaces a waiting one: the session, or the subscription."""
    return (message.id, message.uri) if type(message) is _Subscribed else message.id


class LiveSession(Generic[S]):
    """A session that lives here, and the state of its record in the store."""

    __slots__ = ("is_stale", "level", "session", "told_at", "told_state", "version")

    def __init__(self, session: S) -> None:
        self.session: S = session
        self.version: int = 0
        """Of the record."""
        self.told_at: float = session.touched_at
        self.told_state: tuple[object, ...] = session.record_state
        self.level: LoggingLevel | None = None
        """The log level in the record, where nodes share the store."""
        self.is_stale: bool = False
        """Whether another node may have changed or ended the session: its record is to be read again."""


class SessionTable(Actor[_Message], Generic[S]):
    """The actor that holds the live sessions by id, and keeps their records. Made by `open_session_table`."""

    name = "session table"

    def __init__(
        self, owner: Owner, store: SessionStore, subscription_store: SubscriptionStore, limits: Limits
    ) -> None:
        """
        Args:
            owner: the supervisor.
            store: raises nothing but `StoreFailed`.
            subscription_store: the same.
            limits: of the server.
        """
        # One message for each session that lives, as many for those that ended while the store was slow, and all the
        # subscriptions that one session may have.
        capacity = 2 * limits.sessions + limits.subscriptions + 1
        super().__init__(owner, Mailbox(capacity, Overflow.REPLACE, key=_key))
        self._store = store
        self._subscription_store = subscription_store
        self._live: dict[str, LiveSession[S]] = {}
        self._seen: dict[str, None] = {}

    def __iter__(self) -> Iterator[S]:
        """Iterate over a copy of the sessions that live here."""
        return iter([live.session for live in self._live.values()])

    # --- asked by requests ------------------------------------------------------------

    async def add(self, session: S) -> None:
        """Keep the record of a new session, and make the session known.

        Raises:
            StoreFailed: the store cannot keep it.
        """
        await self._store.add(session.record())
        self._live[session.id] = LiveSession(session)

    def resident(self, id: str) -> S | None:
        """Return the session with this id, if it lives here."""
        live = self._live.get(id)
        return None if live is None else live.session

    async def find(self, id: str) -> S | None:
        """Return the live session with this id. The caller checks its principal.

        A session that has a record and does not live here belongs to another process, which may be gone. It counts as
        ended: this version does not take it up from its record.

        Raises:
            StoreFailed: the session is not here, and the store does not answer.
        """
        live = self._live.get(id)
        if live is not None:
            return live.session
        record = await self._store.find(id)
        if record is not None:
            log.info(events.SESSION_NOT_HERE, opened_at=record.opened_at)
        return None

    # --- told by sessions, without a wait ---------------------------------------------

    def save(self, session: S) -> None:
        """See `SessionRecords`."""
        live = self._live.get(session.id)
        if live is not None:
            # More may change in it at the same moment: the next `renew` looks again.
            live.told_at, live.told_state = -math.inf, session.record_state
            self._told(Save(session.id))

    async def subscribed(self, session: S, uri: str, *, is_on: bool) -> None:
        """See `SessionRecords`. It does not wait for the store."""
        if session.id in self._live:
            self._told(_Subscribed(session.id, uri, is_on))

    def remove(self, session: S) -> None:
        """Forget a session that is over, and remove its record and subscriptions."""
        if self._live.pop(session.id, None) is not None:
            self._seen.pop(session.id, None)
            self._told(_Remove(session.id))

    def renew(self) -> None:
        """Tell the store which sessions were seen, and update the records that have changed."""
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

    async def flush(self) -> None:
        """Wait until the stores have what was told before, or have not taken it."""
        reply: Reply[None] = Reply()
        if self._told(_Flush(reply)):
            await reply.wait()

    def _told(self, message: _Message) -> bool:
        try:
            self.tell(message)
        except MailboxFull as exc:  # the store hangs; the record goes when its time to live is over
            self._failed(exc)
            return False
        return True

    # --- the actor --------------------------------------------------------------------

    async def run(self) -> None:
        """Write each message to the stores, until cancelled."""
        while True:
            message = await self.mailbox.receive()
            if isinstance(message, _Flush):
                message.reply.set(None)
                continue
            for write in self._writes_of(message):
                try:
                    await write
                except StoreFailed as exc:
                    self._failed(exc)
                    live = self._live.get(message.id)
                    if type(message) is Save and live is not None:
                        live.told_state = ()  # the next `renew` tries again

    def handle(self, message: _Message) -> None:
        """See `Actor`. The endpoint has ended: the record stays, so that another process may take the session up."""
        if type(message) is _Flush:
            message.reply.set(None)

    def _writes_of(self, message: _Write) -> Iterator[Awaitable[object]]:
        """Return the calls of stores that a message asks for."""
        if type(message) is _Remove:
            yield self._store.remove(message.id)
            yield self._subscription_store.forget(message.id)
        elif type(message) is _Touch:
            seen, self._seen = self._seen, {}
            yield self._store.touch(tuple(seen), time.time())
        elif type(message) is Unconfirmed:
            yield self._remove_unconfirmed(message.id)
        elif (live := self._with_record(message.id)) is None:
            return  # it has ended since
        elif type(message) is _Subscribed:
            keep = self._subscription_store.add if message.is_on else self._subscription_store.remove
            yield keep(message.id, message.uri)
        else:
            yield self._update(live)

    async def _remove_unconfirmed(self, id: str) -> None:
        record = await self._store.find(id)
        if record is not None and not record.has_posted:
            await self._store.remove(id)

    def _with_record(self, id: str) -> LiveSession[S] | None:
        """Return the session with this id whose record is still to be kept."""
        return self._live.get(id)

    async def _update(self, live: LiveSession[S]) -> None:
        updated = await self._store.update(attrs.evolve(live.session.record(), version=live.version))
        if updated is None:
            raise StoreFailed("the record was changed by another process, or the store has lost it")
        live.version = updated.version

    def _failed(self, exc: Exception) -> None:
        log_failure(exc)


def session_store_of(store: Any) -> SessionStore:
    """Return the `registry` option, a session store.

    Raises:
        UsageError: it is not a session store.
    """
    if not isinstance(store, SessionStore):
        raise UsageError(
            f"Invalid registry {type(store).__name__}: give a store of records, derived from "
            "trimcp.stores.session_store.SessionStore; the live sessions stay in their process"
        )
    return store


def subscription_store_of(store: Any) -> SubscriptionStore:
    """Return the `subscriptions` option, a subscription store.

    Raises:
        UsageError: it is not a subscription store.
    """
    if not isinstance(store, SubscriptionStore):
        raise UsageError(
            f"Invalid subscriptions {type(store).__name__}: derive it from "
            "trimcp.stores.subscription_store.SubscriptionStore"
        )
    return store


def open_session_table(
    supervisor: Supervisor, store: SessionStore | None, subscription_store: SubscriptionStore | None, limits: Limits
) -> SessionTable[LegacySession]:
    """Make the session table of an endpoint.

    Args:
        supervisor: of the endpoint.
        store: of the user; None for one in memory.
        subscription_store: the same.
        limits: of the server.
    """
    sessions: SessionStore = MemorySessionStore(ttl=4 * limits.session_idle)
    subscriptions: SubscriptionStore = MemorySubscriptionStore()
    if store is not None:
        sessions = ContainedSessionStore(store, StoreCalls("session store", supervisor))
    if subscription_store is not None:
        calls = StoreCalls("subscription store", supervisor)
        subscriptions = ContainedSubscriptionStore(subscription_store, calls)
    return supervisor.add(SessionTable(supervisor, sessions, subscriptions, limits))
