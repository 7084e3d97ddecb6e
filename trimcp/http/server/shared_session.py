"""A legacy session that every node can serve: it is made from its record, and may leave a node."""

from __future__ import annotations

from typing import Any, Final

import attrs

from trimcp.http.server.legacy_session import LegacySession
from trimcp.http.server.legacy_streams import LegacyPostStream
from trimcp.http.server.session_node import SessionNode
from trimcp.protocol.client_profile import ClientProfile
from trimcp.protocol.lifecycle import Phase
from trimcp.session.drain_report import DrainReport
from trimcp.stores.session_store import SessionRecord
from trimcp.types.revisions import Revision
from trimcp.types.utilities import LoggingLevel

RETRY: Final = 0.5
"""Seconds after which a client comes back whose stream a node that stops has let go."""
RESIDENT: Final = 120.0
"""Seconds that a node keeps a session in memory which has nothing to do there."""


class SharedSession(LegacySession):
    """One live peer, as this node serves it."""

    is_over = False

    def __init__(self, *args: Any, node: SessionNode, **options: Any) -> None:
        """See `LegacySession`; `node`: its link to other nodes."""
        super().__init__(*args, **options)
        self._node = node
        self.has_ended_elsewhere: bool = False
        """Whether its client has ended it at another node, which removes its record."""
        self.followers: int = 0
        """Streams of other nodes that its client reads here."""

    @property
    def node(self) -> SessionNode:
        """Its link to other nodes."""
        return self._node

    def _make_parts(self) -> None:
        super()._make_parts()
        self.calls.name_ids(self.node.call_ids())

    def next_stream(self, *, is_get: bool) -> int:
        """See `StreamOwner`. The number is unique over all nodes."""
        return self.node.next_stream(is_get=is_get)

    def completed_unread(self, stream: LegacyPostStream) -> None:
        """See `StreamOwner`. Another node gives the answer to the client."""

    # --- as data ----------------------------------------------------------------------

    def restore(self, record: SessionRecord) -> None:
        """Take over what was agreed, at another node or here before."""
        self._opened_at = record.opened_at
        self.handshake.phase = record.phase
        self._posted = 2 if record.has_posted else 1
        if record.client is not None:
            self.client: ClientProfile | None = attrs.evolve(record.client)
            self.revision: Revision | None = record.client.revision

    def merge(self, phase: Phase, level: LoggingLevel | None, *, has_posted: bool) -> None:
        """Take over what another node has changed: the handshake only goes on, and the latest level counts."""
        if phase is Phase.READY:
            self.handshake.phase = phase
        if has_posted:
            self._posted = max(self._posted, 2)
        if self.client is not None:
            self.client.log_level = level

    # --- streams at other nodes -------------------------------------------------------

    def follow(self, number: int, follower: int) -> None:
        """Have the events of a stream go to the store, since another node sends them to the client."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.follow()
        is_over = stream is None and self.get_stream.find(number) is None
        self.event_log.follow(self.id, number, follower, is_over=is_over)

    async def drain(self, deadline: float) -> DrainReport:
        """See `Session`. The client resumes its streams at other nodes, which read their ends from the store."""
        if self.is_running:
            self.get_stream.let_all_go(RETRY)
            for stream in list(self._streams.values()):
                stream.release(RETRY)
        return await super().drain(deadline)

    def depart(self) -> None:
        """Leave this node at once. Streams end first: a cancelled request must not finish its stream in the store."""
        for stream in list(self._streams.values()):
            stream.leave()
        self.close()

    def end_here(self) -> None:
        """End it at this node too, since its client has ended it at another one."""
        self.has_ended_elsewhere = True
        self.close()

    # --- times ------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """See `LegacySession`."""
        return super().is_busy or bool(self.followers)

    @property
    def _may_be_idle(self) -> float:
        idle = super()._may_be_idle
        return idle if self.get_stream.outbox.waiting else min(idle, RESIDENT)
