"""The legacy sessions of a node that shares its store: every node serves every session, from its record.

The first request of a session that this node does not know takes the session up. What belongs to another node goes
there by the bus: answers to its questions, cancels of its requests, messages for its GET stream.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import trio

from trimcp.http.binding import HttpResponse
from trimcp.http.server.event_log import MORE
from trimcp.http.server.followed_streams import FOLLOW, FollowedStreams
from trimcp.http.server.legacy_session import LegacySession
from trimcp.http.server.legacy_sessions import LegacySessions, NoRoom, Resumed, new_session_id
from trimcp.http.server.session_node import (
    DEAF,
    LISTENING,
    LISTENING_HERE,
    PUSHED,
    WHO_LISTENS,
    WHO_LISTENS_WHERE,
    SessionNode,
    caller_of,
    digest_of,
    is_get_stream,
    writer_of,
)
from trimcp.http.server.session_places import SessionPlaces
from trimcp.http.server.shared_session import SharedSession
from trimcp.http.server.shared_session_table import SharedSessionTable
from trimcp.http.server.stored_answers import StoredAnswers
from trimcp.observability import events, log
from trimcp.protocol.principal import Principal, key_of
from trimcp.stores.contained import StoreFailed
from trimcp.stores.node_lease import NodeObserver
from trimcp.stores.node_messages import NodeMessages
from trimcp.types.jsonrpc import ErrorResponse, Message, Notification, Response

LISTENERS: Final = 500
"""Sessions in one message about GET streams."""
ASK_AFTER: Final = 0.1
"""Seconds after which the GET streams of sessions are asked for that were taken up: the question does not delay the
first answer, and is one message for all sessions of that time."""
POSTED: Final = "posted"
"""The kind of message that has an answer or a notification which the client has posted at another node."""

KINDS: Final = (POSTED, LISTENING, LISTENING_HERE, DEAF, WHO_LISTENS, WHO_LISTENS_WHERE, PUSHED, FOLLOW)


class SharedSessions(LegacySessions, NodeObserver):
    """Opens sessions, and takes up those of other nodes."""

    _table: SharedSessionTable

    def share(
        self, messages: NodeMessages, followed: FollowedStreams, answers: StoredAnswers, places: SessionPlaces
    ) -> None:
        """Take messages of other nodes from now on."""
        self._messages = messages
        self._followed = followed
        self._answers = answers
        self._arriving: dict[str, trio.Event] = {}
        self._gaps = 0
        """Gaps of the bus so far."""
        self._is_reading = False
        """Whether sessions are read again after a gap."""
        self._taken_up: list[SharedSession] = []
        """Sessions whose GET streams will be asked for."""
        self._places = places
        messages.add_taker(KINDS, self)
        messages.lease.observe(self)

    # --- sessions ---------------------------------------------------------------------

    def _make_shared(self, id: str, digest: str, peer: str, principal: Principal | None) -> SharedSession:
        return self._make(SharedSession, id, peer, principal, node=SessionNode(digest, self._messages))

    def _new(self, peer: str, principal: Principal | None) -> SharedSession:
        id = new_session_id()
        return self._make_shared(id, digest_of(id), peer, principal)

    async def open(self, peer: str, principal: Principal | None) -> LegacySession | None:
        """See `LegacySessions`."""
        self._check_lease()
        await self._make_room()
        session = await super().open(peer, principal)
        if session is None:
            return None
        assert isinstance(session, SharedSession)
        if not await self._places.take(session):
            session.close()
            return None
        return session

    async def find(self, shown: bytes, principal: Principal | None, peer: str) -> SharedSession | None:
        """See `LegacySessions`. Takes the session up where it does not live here.

        Raises:
            StoreFailed: the session is not here, and the store does not answer.
            NoRoom: the session is not here, and this node takes no more; or it leaves this node.
        """
        id = shown.decode("latin-1")
        session = self._table.resident(id)
        while session is None and id in self._arriving:
            await self._arriving[id].wait()
            session = self._table.resident(id)
        if session is None:
            digest = digest_of(id)
            with self._arrives(id, digest):
                session = await self._take_up(id, digest, principal, peer)
        if session is None or key_of(session.principal) != key_of(principal):
            return None
        if session.is_over or session.has_ended_elsewhere:
            return None
        if session.end is not None:
            raise NoRoom  # it leaves this node, which drains or is fenced, and lives on at others
        return session

    @contextmanager
    def _arrives(self, id: str, digest: str) -> Iterator[None]:
        """Let other requests of the session wait."""
        self._arriving[id] = trio.Event()
        try:
            yield
        finally:
            self._arriving.pop(id).set()
            self._table.arrived(digest)

    async def _take_up(self, id: str, digest: str, principal: Principal | None, peer: str) -> SharedSession | None:
        known = self._table.with_digest(digest)
        try:
            self._check_lease()
            stored = await self._table.load(id, digest)
        except StoreFailed:
            if known is None:
                raise
            return known  # a gap of the bus made it stale: it is served as it was
        if stored is None:
            if known is not None:  # it was ended at another node
                known.end_here()
            return None
        refreshed = self._table.refresh(stored)
        if refreshed is not None:
            return refreshed
        limits = self._served.service.limits
        was_idle = time.time() - stored.record.seen_at > limits.session_idle + 2 * limits.keep_alive
        if was_idle or stored.record.principal != key_of(principal):
            return None  # the store forgets it some time after it was idle for too long
        await self._make_room()
        session = self._make_shared(id, digest, peer, principal)
        if not self._served.admits(session, is_known=True):
            raise NoRoom
        self._begin(session)
        session.restore(stored.record)  # now that it has its parts: changes are told to sessions that are ready
        self._table.took_up(session, stored)
        if not self._taken_up:
            self._nursery.start_soon(self._ask_for_listeners)
        self._taken_up.append(session)
        session.node.will_ask = True
        log.debug(events.SESSION_TAKEN_UP, session=session.number)
        return session

    async def _ask_for_listeners(self) -> None:
        """Ask which nodes have the GET streams of the sessions that were taken up, unless they are here."""
        await trio.sleep(ASK_AFTER)
        sessions, self._taken_up = self._taken_up, []
        for each in sessions:
            each.node.will_ask = False
        digests = [each.node.digest for each in sessions if each.end is None and not each.get_stream.has_listener]
        for first in range(0, len(digests), LISTENERS):
            self._messages.send(WHO_LISTENS, *digests[first : first + LISTENERS])

    def _check_lease(self) -> None:
        if self._messages.lease.is_fenced:
            raise StoreFailed("the node has lost its lease, and has not joined anew")

    async def _make_room(self) -> None:
        """Part from the session that has had nothing to do here for the longest time, if there are too many."""
        if len(self._table) >= self._served.service.limits.sessions:
            idlest = self._table.idlest()
            if idlest is not None:
                idlest.close()
                await idlest.wait_over()

    async def end(self, session: LegacySession) -> None:
        """See `LegacySessions`."""
        assert isinstance(session, SharedSession)
        await self._table.end_session(session)
        await self._places.give(session)

    def check_times(self) -> None:
        """See `LegacySessions`."""
        super().check_times()
        for session in self._places.due(self._table):
            self._nursery.start_soon(self._places.take, session)

    async def changed(self, session: LegacySession) -> None:
        """See `LegacySessions`. The client may go on at another node at once."""
        assert isinstance(session, SharedSession)
        self._table.save(session)
        await self._table.flush()

    # --- messages of the client that belong to another node ---------------------------

    async def forward(self, session: LegacySession, message: Message, body: bytes) -> bool:
        """See `LegacySessions`. The bus may lose it, so the store has an answer first."""
        assert session.node is not None
        if type(message) is Response or type(message) is ErrorResponse:
            node = caller_of(message.id)
            if node is not None and node != session.node.incarnation:
                assert type(message.id) is str
                await self._answers.keep(session, message.id, body)
        elif type(message) is Notification and message.params is not None:
            if message.method == "notifications/cancelled":
                id = message.params.get("requestId")
                if isinstance(id, int | str) and not session.requests.in_flight.with_id(id):
                    self._messages.send(POSTED, session.node.digest, body.decode())
                return False
            node = caller_of(message.params.get("progressToken"))
        else:
            return False
        if node is None or node == session.node.incarnation:
            return False
        self._messages.send(POSTED, session.node.digest, body.decode(), to=node)
        return True

    async def resume(self, session: LegacySession, response: HttpResponse, stream: int, after: int) -> Resumed:
        """See `LegacySessions`."""
        is_own = writer_of(stream) == self._messages.lease.incarnation
        # A session that is idle leaves the memory, and its GET streams with it.
        has_left = is_get_stream(stream) and session.get_stream.find(stream) is None
        if is_own and not has_left:
            return await super().resume(session, response, stream, after)
        assert isinstance(session, SharedSession)
        return await self._followed.resume(session, response, stream, after)

    # --- MessageTaker -----------------------------------------------------------------

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        """See `MessageTaker`."""
        if kind == WHO_LISTENS_WHERE:
            self._tell_listeners(self._table, to=sender)
            return
        if kind == WHO_LISTENS:
            self._tell_listeners(filter(None, map(self._table.with_digest, content)), to=sender)
            return
        if kind == LISTENING_HERE:
            for pair in content[0]:
                self.take_message(sender, LISTENING, pair)
            return
        session = self._table.with_digest(content[0])
        if session is None and kind == FOLLOW:
            self._messages.send(MORE, *content, True, to=sender)
        if session is None or session.end is not None or not session.is_running:
            return
        if kind == POSTED:
            self._answers.take(session, content[1].encode())
        elif kind == PUSHED:
            session.get_stream.take_pushed(sender, [frame.encode() for frame in content[1]])
        elif kind == LISTENING:
            session.get_stream.moved(sender, content[1])
        elif kind == DEAF:
            session.get_stream.came_back(sender)
        else:
            session.follow(content[1], sender)

    def take_gap(self) -> None:
        """See `MessageTaker`. Where the GET streams are is asked and told again."""
        self._messages.send(WHO_LISTENS_WHERE, key=WHO_LISTENS_WHERE)
        self._tell_listeners(self._table, to=None)
        self._gaps += 1
        if not self._is_reading:
            self._is_reading = True
            self._nursery.start_soon(self._read_listeners)

    async def _read_listeners(self) -> None:
        """Read the sessions again whose GET streams are here, one by one.

        They may have subscribed elsewhere unheard. Where the store fails, they are read before their next request.
        """
        gaps = 0
        try:
            while gaps != self._gaps:
                gaps = self._gaps
                for session in self._table:
                    if session.is_running and session.get_stream.connected:
                        with suppress(StoreFailed, NoRoom):
                            await self.find(session.id.encode("latin-1"), session.principal, "")
                        await trio.lowlevel.checkpoint()  # a store may read at once, and sessions may be many
        finally:
            self._is_reading = False

    def _tell_listeners(self, sessions: Iterable[SharedSession], *, to: int | None) -> None:
        """Tell one node, or all, which of these sessions have their GET streams here."""
        here = [
            (session.node.digest, session.node.opened_at)
            for session in sessions
            if session.is_running and session.get_stream.connected and not session.get_stream.is_elsewhere
        ]
        for first in range(0, len(here), LISTENERS):
            self._messages.send(LISTENING_HERE, here[first : first + LISTENERS], to=to)

    # --- NodeObserver -----------------------------------------------------------------

    def node_fenced(self, incarnation: int) -> None:
        """See `NodeObserver`. All streams end without answers, and clients resume them at other nodes."""
        for session in self._table:
            session.depart()

    def leave(self) -> None:
        """See `LegacySessions`. No more messages are taken."""
        super().leave()
        self._messages.lease.forget(self)
        for taker in (self, self._table, self._followed, self._answers):
            self._messages.remove_taker(taker)
