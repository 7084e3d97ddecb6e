"""Answers that clients have posted to another node than the one that asked: the store has them meanwhile.

The bus tells the node that asked, at once. Since the bus loses messages, and a node may die with messages that have
not left, the store has the answer before the client is told that it was taken. A node reads the store after a gap,
and from time to time while a question of its own waits. Each answer is a stream of one event, which the event store
forgets as it forgets other events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import trio

from trimcp.codec.envelope import read_message
from trimcp.codec.jsontext import loads
from trimcp.http.server.legacy_session import LegacySession
from trimcp.http.server.session_node import answer_stream_of, caller_of
from trimcp.http.server.shared_session import SharedSession
from trimcp.observability import events, log
from trimcp.stores.contained import ContainedSharedEventStore, StoreFailed, log_failure
from trimcp.stores.event_store import AppendFailed, EventBatch
from trimcp.stores.node_messages import NodeMessages
from trimcp.types.jsonrpc import Request, RequestId

POLL: Final = 5.0
"""Seconds after which a node reads the answers to its questions again, if the bus has told of none."""


class StoredAnswers:
    """Keeps answers for other nodes, and reads those for this one."""

    def __init__(
        self, event_store: ContainedSharedEventStore, sessions: Iterable[SharedSession], messages: NodeMessages
    ) -> None:
        """`sessions`: those that this node serves now."""
        self._events = event_store
        self._sessions = sessions
        self._messages = messages
        self._gap = trio.Event()
        messages.add_taker((), self)

    async def keep(self, session: LegacySession, id: str, body: bytes) -> None:
        """Keep the answer to the call with this id, which another node has made. The first answer counts.

        Raises:
            StoreFailed: the store has not kept it.
        """
        batch = EventBatch(session.id, answer_stream_of(id), 1, (body,), is_last=True, incarnation=caller_of(id) or 0)
        try:
            await self._events.append([batch])
        except AppendFailed as exc:
            raise StoreFailed("the event store has not kept an answer") from exc

    def take(self, session: LegacySession, body: bytes) -> None:
        """Hand an answer or a notification that was posted to another node to its session."""
        limits = session.limits
        message = read_message(loads(body, max_depth=limits.json_depth, max_containers=limits.json_containers))
        if type(message) is not Request:
            session.dispatcher.take(message, session.reply_stream, len(body), trio.current_time())

    # --- MessageTaker -----------------------------------------------------------------

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        """See `MessageTaker`. It takes no kind of message."""

    def take_gap(self) -> None:
        """See `MessageTaker`."""
        self._gap.set()

    # --- the task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Read the answers to the questions of this node from time to time, and after a gap, until cancelled."""
        while True:
            with trio.move_on_after(POLL):
                await self._gap.wait()
            self._gap = trio.Event()
            try:
                for session in list(self._sessions):
                    for id in session.calls.unanswered() if session.is_running else ():
                        await self._read(session, id)
            except StoreFailed as exc:
                log_failure(exc)

    async def _read(self, session: SharedSession, id: RequestId) -> None:
        found = None if caller_of(id) is None else await self._events.replay(session.id, answer_stream_of(str(id)), 0)
        if found is None or not found.events or not session.is_running or session.calls.waiting(id) is None:
            return
        try:
            self.take(session, found.events[0][1])
        except Exception as exc:  # noqa: BLE001 - a node with other limits has kept it
            log.error(events.NODE_MESSAGE_FAILED, exc_info=exc)
