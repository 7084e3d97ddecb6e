"""What a client says beside its requests, over HTTP: notifications and answers, each a POST, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from trimcp.actors.doorbell import Doorbell
from trimcp.errors import ExchangeFailed
from trimcp.observability import events, log
from trimcp.session.lane import Lane
from trimcp.session.limits import Limits


class Posts(Lane):
    """The session's own stream. It gets a task when there is first something to say."""

    def __init__(
        self, limits: Limits, peer: str, nursery: trio.Nursery, post: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """`post` posts one message, and raises `ExchangeFailed` where it does not arrive."""
        super().__init__(limits, peer)
        self._nursery = nursery
        self._post_one = post
        self._bell = Doorbell()
        self._is_running = False
        self._in_flight = 0

    def _flush(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._nursery.start_soon(self._run, name="trimcp poster")
        else:
            self._bell.ring()

    async def _run(self) -> None:
        while True:
            while self._lane:
                frames = self._take()
                self._in_flight = sum(map(len, frames))
                for frame in frames:
                    try:
                        await self._post_one(frame)
                    except ExchangeFailed as exc:
                        # Nobody waits for it. What it was about shows where an answer is missed.
                        log.warning(events.MESSAGE_LOST, peer=self._peer, why=str(exc))
                    self._in_flight -= len(frame)
            self._make_room()
            self._now_empty()
            await self._bell.wait()

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
