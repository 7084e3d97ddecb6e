"""The session table of a node: the sessions that it serves now, of all that the shared store has.

Any node may change a session: records are updated with a comparison, and the other nodes that serve the session are
told. After a gap of the bus, each record is read again before its session is used.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.actors.actor import Owner
from trimcp.http.server.legacy_session import UNCONFIRMED
from trimcp.http.server.session_node import digest_of
from trimcp.http.server.session_table import LiveSession, Save, SessionTable, Unconfirmed
from trimcp.http.server.shared_session import SharedSession
from trimcp.limits import Limits
from trimcp.protocol.lifecycle import Phase
from trimcp.session.refusals import store_unavailable
from trimcp.stores.contained import ContainedSharedSessionStore, StoreFailed
from trimcp.stores.node_messages import NodeMessages
from trimcp.stores.session_store import SessionRecord, StoredSession
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.types.utilities import LoggingLevel

PATCHED: Final = "patched"
"""The kind of message that a node has changed the record of a session."""
ENDED: Final = "ended"
"""The kind of message that the client has ended a session."""
SUBSCRIBED: Final = "subscribed"
"""The kind of message that a session has subscribed to a resource, or has unsubscribed."""
ARRIVING_MESSAGES: Final = 64
"""Messages that are kept about a session while it is read from the store."""
UPDATES: Final = 8
"""Times that an update is tried which other nodes come before."""


class Subscriptions(Protocol):
    """The subscriptions of the sessions of this node; see `ServedRun`."""

    def resubscribe(self, session: SharedSession, uris: Collection[str], *, is_on: bool, is_late: bool = False) -> None:
        """See `ServedRun`."""
        ...


class _Arriving:
    """Keeps the messages about a session that is read from the store: they may say more than the store said."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, str, list[Any]]] = []
        """The sender, the kind and the content of each."""
        self.is_stale: bool = False
        """Whether the session is to be read again before its next request."""

    def take(self, sender: int, kind: str, content: list[Any]) -> None:
        """Keep a message, unless there are too many or the session has ended."""
        if kind == ENDED or len(self.messages) >= ARRIVING_MESSAGES:
            self.is_stale = True
        else:
            self.messages.append((sender, kind, content))


class SharedSessionTable(SessionTable[SharedSession]):
    """The actor that holds the sessions that this node serves now."""

    def __init__(
        self,
        owner: Owner,
        store: ContainedSharedSessionStore,
        subscription_store: SubscriptionStore,
        limits: Limits,
        messages: NodeMessages,
        subscriptions: Subscriptions,
    ) -> None:
        """See `SessionTable`. `messages`: to the other nodes; `subscriptions`: of the run."""
        super().__init__(owner, store, subscription_store, limits)
        self._shared_store = store
        self._messages = messages
        self._subscriptions = subscriptions
        self._by_digest: dict[str, LiveSession[SharedSession]] = {}
        self._leaving: dict[str, LiveSession[SharedSession]] = {}
        """Sessions that do not live here any more, whose last change is not yet in the store."""
        self._arriving: dict[str, _Arriving] = {}
        """Sessions that are read from the stores, and what other nodes say of them meanwhile."""
        messages.add_taker((PATCHED, ENDED, SUBSCRIBED), self)

    def __len__(self) -> int:
        """Return the number of sessions that live here."""
        return len(self._live)

    # --- asked by requests ------------------------------------------------------------

    async def add(self, session: SharedSession) -> None:
        """See `SessionTable`."""
        await super().add(session)
        live = self._by_digest[digest_of(session.id)] = self._live[session.id]
        live.level = _changes(session.record())[1]

    def resident(self, id: str) -> SharedSession | None:
        """Return the session with this id, if it lives here and no other node has changed or ended it unheard."""
        live = self._live.get(id)
        return None if live is None or live.is_stale else live.session

    def with_digest(self, digest: str) -> SharedSession | None:
        """Return the session that lives here with this name in messages."""
        live = self._by_digest.get(digest)
        return None if live is None else live.session

    async def load(self, id: str, digest: str) -> StoredSession | None:
        """Read a session from the store; None where there is none. Call `arrived` when it is known here, or not.

        `digest`: its name in messages.

        Raises:
            StoreFailed: the store does not answer.
        """
        self._arriving[digest] = _Arriving()
        return await self._shared_store.load(id)

    def took_up(self, session: SharedSession, stored: StoredSession) -> None:
        """Make a session known that was made from its record."""
        digest = session.node.digest
        live = self._live[session.id] = self._by_digest[digest] = LiveSession(session)
        live.version, live.level = stored.record.version, _changes(stored.record)[1]
        self._subscriptions.resubscribe(session, stored.uris, is_on=True)
        arriving = self._arriving[digest]
        live.is_stale = arriving.is_stale
        for sender, kind, content in arriving.messages:
            self.take_message(sender, kind, content)

    def arrived(self, digest: str) -> None:
        """Take note that a session is known now, or will not be."""
        self._arriving.pop(digest, None)

    def refresh(self, stored: StoredSession) -> SharedSession | None:
        """Take over what the stores have of a session that lives here."""
        live = self._live.get(stored.record.id)
        if live is None:
            return None
        live.is_stale = False
        self._merge(live, stored.record)
        self._subscriptions.resubscribe(live.session, stored.uris, is_on=True, is_late=True)
        return live.session

    async def end_session(self, session: SharedSession) -> None:
        """Remove a session from the stores, and tell all nodes.

        Raises:
            StoreFailed: the store does not answer, so the session goes on.
        """
        await self._store.remove(session.id)
        session.is_over = True
        session.close()
        await self._messages.send_ahead(ENDED, digest_of(session.id))

    def idlest(self) -> SharedSession | None:
        """Return the session that has had nothing to do here for the longest time; None where all are busy."""
        idle = [live.session for live in self._live.values() if not live.session.is_busy]
        return min(idle, key=lambda session: session.touched_at, default=None)

    # --- told by sessions, without a wait ---------------------------------------------

    async def subscribed(self, session: SharedSession, uri: str, *, is_on: bool) -> None:
        """See `SessionRecords`. The client may go on at another node, so the store has it before the answer."""
        keep = self._subscription_store.add if is_on else self._subscription_store.remove
        try:
            await keep(session.id, uri)
        except StoreFailed as exc:
            self._failed(exc)
            raise store_unavailable() from None
        # A node that learns of the subscription after the answer would miss a change that is published between.
        await self._messages.send_ahead(SUBSCRIBED, digest_of(session.id), uri, is_on)

    def remove(self, session: SharedSession) -> None:
        """Forget a session here. Its record stays, unless it is over."""
        live = self._live.get(session.id)
        if live is None or live.session is not session:
            return
        self._by_digest.pop(digest_of(session.id), None)
        if session.is_over:
            super().remove(session)
            return
        if not session.is_confirmed and trio.current_time() - session.touched_at >= UNCONFIRMED:
            self._told(Unconfirmed(session.id))
        elif session.record_state != live.told_state and self._told(Save(session.id)):
            self._leaving[session.id] = live
        del self._live[session.id]

    # --- MessageTaker -----------------------------------------------------------------

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        """See `MessageTaker`."""
        live = self._by_digest.get(content[0])
        if live is None:
            arriving = self._arriving.get(content[0])
            if arriving is not None:
                arriving.take(sender, kind, content)
            return
        if kind == ENDED:
            live.session.end_here()
        elif kind == SUBSCRIBED:
            self._subscriptions.resubscribe(live.session, (content[1],), is_on=content[2])
        else:
            _, version, phase, level, has_posted = content
            if version > live.version:
                live.session.merge(Phase(phase), level, has_posted=has_posted)
                live.version, live.level, live.told_state = version, level, live.session.record_state

    def take_gap(self) -> None:
        """See `MessageTaker`."""
        for live in self._live.values():
            live.is_stale = True
        for arriving in self._arriving.values():
            arriving.is_stale = True

    # --- the actor --------------------------------------------------------------------

    def _with_record(self, id: str) -> LiveSession[SharedSession] | None:
        return self._live.get(id) or self._leaving.get(id)

    async def _update(self, live: LiveSession[SharedSession]) -> None:
        session = live.session
        self._leaving.pop(session.id, None)
        for _ in range(UPDATES):
            record = session.record()
            updated = await self._store.update(attrs.evolve(record, version=live.version))
            if updated is not None:
                live.version, live.level = updated.version, _changes(record)[1]
                self._messages.send(PATCHED, digest_of(session.id), updated.version, *_changes(record))
                return
            newest = await self._store.find(session.id)
            if newest is None:  # another node has ended it
                session.end_here()
                return
            self._merge(live, newest)
        raise StoreFailed("other nodes changed the record again and again")

    def _merge(self, live: LiveSession[SharedSession], newest: SessionRecord) -> None:
        """Take over a newer record, but for the log level that this node is about to keep."""
        session = live.session
        phase, level, has_posted = _changes(newest)
        if live.version != newest.version and session.client is not None:
            own = session.client.log_level
            session.merge(Phase(phase), level if own == live.level else own, has_posted=has_posted)
        live.version, live.level = newest.version, level


def _changes(record: SessionRecord) -> tuple[str, LoggingLevel | None, bool]:
    """Return the parts of a record that change."""
    return record.phase.value, None if record.client is None else record.client.log_level, record.has_posted
