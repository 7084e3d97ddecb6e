"""What a client says beside its requests, over HTTP: notifications and answers, each a POST, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.errors import ExchangeFailed
from trimcp.observability import events, log
from trimcp.session.lane import Lane

if TYPE_CHECKING:
    from trimcp.client.http.session import RemoteSession


@attrs.frozen
class _Posted:
    """There is something to say."""


class _Poster(Actor[_Posted]):
    """Posts what is queued. Its task begins when there is first something to say."""

    name = "post queue"

    def __init__(self, session: RemoteSession, queue: PostQueue) -> None:
        super().__init__(session.supervisor, Mailbox(1, Overflow.REPLACE, key=type))
        self._queue = queue

    async def run(self) -> None:
        """Post what is queued, again and again."""
        while True:
            await self.mailbox.receive()
            await self._queue.post_all()

    def handle(self, message: _Posted) -> None:
        """See `Actor`. The session is over: there is nobody to post to."""


class PostQueue(Lane):
    """The session's own stream."""

    def __init__(self, session: RemoteSession) -> None:
        super().__init__(session.limits, session.description)
        self._session = session
        self._poster = session.supervisor.add(_Poster(session, self))
        self._in_flight = 0

    def _flush(self) -> None:
        self._poster.tell(_Posted())

    async def post_all(self) -> None:
        """Post what waits, one message after the other, until nothing waits."""
        while self._lane:
            frames = self._take()
            self._in_flight = sum(map(len, frames))
            for frame in frames:
                try:
                    await self._session.post(frame)
                except ExchangeFailed as exc:
                    # Nobody waits for it. What it was about shows where an answer is missed.
                    log.warning(events.MESSAGE_LOST, peer=self._peer, why=str(exc))
                self._in_flight -= len(frame)
        self._make_room()
        self._now_empty()

    def forget(self) -> None:
        """Drop what waits, since whoever it was for is gone."""
        self._lane.clear()
        self._latest.clear()
        self._logs.clear()
        self._lane_bytes = self._vacant = 0
        self._make_room()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""
        return self._lane_bytes + self._in_flight

    def _has_left(self) -> bool:
        return not self._lane and not self._in_flight
