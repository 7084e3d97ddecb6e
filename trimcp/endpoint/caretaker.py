"""The Caretaker: the actor that sees to what passes with time at an endpoint.

Quiet streams get a comment, requests without a connection and sessions without a client end. One look at all of
them, once in `Limits.keep_alive`, costs less than a timer for each.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox
from trimcp.observability import events, log


class Tended(Protocol):
    """Streams or sessions of an endpoint."""

    def tend(self) -> None:
        """See to what has passed its time. Must not wait."""
        ...


class _Watch(NamedTuple):
    """Look after these from now on."""

    tended: Tended


class Caretaker(Actor[_Watch]):
    """Looks after the streams and sessions of one endpoint."""

    name = "caretaker"

    def __init__(self, owner: Owner, seconds: float) -> None:
        """`seconds`: between two looks."""
        super().__init__(owner, Mailbox(16))
        self._seconds = seconds
        self._watched: list[Tended] = []

    def watch(self, tended: Tended) -> None:
        """Look after these streams or sessions from now on. Never waits."""
        self.tell(_Watch(tended))

    def handle(self, message: _Watch) -> None:
        """See `Actor`."""
        self._watched.append(message.tended)

    async def run(self) -> None:
        """Look after all that is watched, time after time."""
        while True:
            with trio.move_on_after(self._seconds) as waiting:
                while True:
                    self.handle(await self.mailbox.receive())
            if waiting.cancelled_caught:
                for tended in self._watched:
                    self._look_at(tended)

    def _look_at(self, tended: Tended) -> None:
        try:
            tended.tend()
        except Exception as exc:  # noqa: BLE001 - the next look may do better
            log.error(events.CARETAKER_FAILED, exc_info=exc)
