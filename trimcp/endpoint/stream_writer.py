"""The StreamWriter: the actor that writes what was posted to the event streams of an endpoint.

Streams are many and mostly quiet, so they have one writer together. Frames that were posted to a stream in one
turn leave in one write.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull

CAPACITY: Final = 65536
"""Streams that may wait to be moved, each once. One more is moved in the turn of its poster."""


class Movable(Protocol):
    """A stream of an endpoint."""

    def move(self) -> None:
        """Write what leaves without waiting. Must not wait, nor raise."""
        ...


class _Move(NamedTuple):
    """Frames were posted to a stream."""

    stream: Movable


class StreamWriter(Actor[_Move]):
    """Moves the streams of one endpoint."""

    name = "stream writer"

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, Mailbox(CAPACITY))
        self._told: set[Movable] = set()

    def move_soon(self, stream: Movable) -> None:
        """Have a stream write what was posted to it, at the next wake. Never waits."""
        if stream in self._told:
            return
        self._told.add(stream)
        try:
            self.tell(_Move(stream))
        except MailboxFull:
            self.handle(_Move(stream))

    def handle(self, message: _Move) -> None:
        """See `Actor`."""
        self._told.discard(message.stream)
        message.stream.move()
