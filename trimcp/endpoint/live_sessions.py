"""The legacy sessions that live in this process, and what of them is kept in stores: records and subscriptions.

An actor: what is agreed in a session, or changes in it, is written behind the session, which never waits for that. A
store of a user's that fails or hangs costs the records and nothing else; only opening a session waits for the store,
and asking for a session that is not here.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Awaitable, Hashable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull, Overflow
from trimcp.actors.supervisor import Supervisor
from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.session.limits import Limits
from trimcp.stores.contained import ContainedSessionStore, ContainedSubscriptionStore, StoreCalls, StoreFailed
from trimcp.stores.memory import MemorySessionStore, MemorySubscriptionStore
from trimcp.stores.session_store import SessionStore
from trimcp.stores.subscription_store import SubscriptionStore

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


@attrs.frozen
class _Subscribed:
    """The session is told of the changes of this resource from now on, or no more."""

    id: str
    uri: str
    is_on: bool


_Message = _Save | _Remove | _Touch | _Subscribed


def _key(message: _Message) -> Hashable:
    """A later message about the same session, or the same subscription, replaces one that waits."""
    return (message.id, message.uri) if type(message) is _Subscribed else message.id


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

    name = "live sessions"

    def __init__(
        self, owner: Owner, store: SessionStore, subscription_store: SubscriptionStore, limits: Limits
    ) -> None:
        """
        Args:
            owner: the supervisor.
            store: a store that fails with `StoreFailed` and nothing else.
            subscription_store: the same.
            limits: of the server.
        """
        # One message for each session that lives, as many for those that ended while the store was slow, and all the
        # subscriptions that one session may have.
        capacity = 2 * limits.sessions + limits.subscriptions + 1
        super().__init__(owner, Mailbox(capacity, Overflow.REPLACE, key=_key))
        self._store = store
        self._subscription_store = subscription_store
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

    def subscribed(self, session: HttpSession, uri: str, *, is_on: bool) -> None:
        """Have it kept that a session is told of the changes of a resource, or no more."""
        if session.id in self._live:
            self._told(_Subscribed(session.id, uri, is_on))

    def remove(self, session: HttpSession) -> None:
        """Forget a session, which is over, and have what is kept of it removed."""
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
            for write in self._writes_of(await self.mailbox.receive()):
                try:
                    await write
                except StoreFailed as exc:
                    self._failed(exc)

    def handle(self, message: _Message) -> None:
        """See `Actor`. The endpoint has ended: a record that is left lets another process take its session up."""

    def _writes_of(self, message: _Message) -> Iterator[Awaitable[object]]:
        """What a message asks of the stores."""
        if type(message) is _Remove:
            yield self._store.remove(message.id)
            yield self._subscription_store.forget(message.id)
        elif type(message) is _Touch:
            seen, self._seen = self._seen, {}
            yield self._store.touch(tuple(seen), time.time())
        elif message.id not in self._live:
            return  # it has ended since
        elif type(message) is _Subscribed:
            keep = self._subscription_store.add if message.is_on else self._subscription_store.remove
            yield keep(message.id, message.uri)
        else:
            yield self._update(self._live[message.id])

    async def _update(self, live: _Live) -> None:
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


def subscription_store_of(store: Any) -> SubscriptionStore:
    """Return the subscription store that a user has given as `subscriptions`.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(store, SubscriptionStore):
        raise UsageError(
            f"Invalid subscriptions {type(store).__name__}: derive it from "
            "trimcp.stores.subscription_store.SubscriptionStore"
        )
    return store


def open_live_sessions(
    supervisor: Supervisor, store: SessionStore | None, subscription_store: SubscriptionStore | None, limits: Limits
) -> LiveSessions:
    """Make the table of live sessions of an endpoint; its supervisor owns it.

    Args:
        supervisor: of the endpoint.
        store: a store of the user's; one in memory, if None.
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
    return supervisor.add(LiveSessions(supervisor, sessions, subscriptions, limits))
