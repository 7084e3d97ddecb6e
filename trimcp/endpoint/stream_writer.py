"""The StreamWriter: the actor that writes what was posted to the event streams of an endpoint.

Streams are many and mostly quiet, so they have one writer together. Frames that were posted to a stream in one
turn leave in one write. The head of a stream whose request is not answered at once leaves a moment later: most
requests are answered by then, and their head leaves with the answer.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, Protocol

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull

CAPACITY: Final = 65536
"""Streams that may wait to be moved, each once. One more is moved in the turn of its poster."""
HEAD_DELAY: Final = 0.005
"""Seconds after which, and at most twice that, the head of a stream leaves whose request is not answered."""


class Movable(Protocol):
    """A stream of an endpoint."""

    def move(self) -> None:
        """Write what leaves without waiting. Must not wait, nor raise."""
        ...


class _Move(NamedTuple):
    """Frames were posted to a stream."""

    stream: Movable


class _Tick(NamedTuple):
    """Streams were opened: see, a moment later, which of them are not answered. No message follows meanwhile."""


class StreamWriter(Actor[_Move | _Tick]):
    """Moves the streams of one endpoint."""

    name = "stream writer"

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, Mailbox(CAPACITY))
        self._told: set[Movable] = set()
        self._opened: dict[Movable, None] = {}  # since the last tick
        self._older: dict[Movable, None] = {}  # before it
        self._is_ticking = False
        self._tick_at = math.inf

    # --- functions in front of the messages: none waits -------------------------------

    def move_soon(self, stream: Movable) -> None:
        """Have a stream write what was posted to it, at the next wake."""
        if stream in self._told:
            return
        self._told.add(stream)
        try:
            self.tell(_Move(stream))
        except MailboxFull:
            self.handle(_Move(stream))

    def open_soon(self, stream: Movable) -> None:
        """Have the head of a stream leave a moment later, unless the stream is `closed` before."""
        self._opened[stream] = None
        if not self._is_ticking:
            self._is_ticking = True
            self.tell(_Tick())

    def closed(self, stream: Movable) -> None:
        """Forget a stream that has ended."""
        self._opened.pop(stream, None)
        self._older.pop(stream, None)

    # --- the actor --------------------------------------------------------------------

    def handle(self, message: _Move | _Tick) -> None:
        """See `Actor`."""
        if type(message) is _Move:
            self._told.discard(message.stream)
            message.stream.move()
        else:
            self._tick_at = trio.current_time() + HEAD_DELAY

    async def run(self) -> None:
        """Move the streams that it is told of, and let heads leave when their time has come."""
        mailbox = self.mailbox
        while True:
            if self._tick_at == math.inf:
                self.handle(await mailbox.receive())
            else:
                with trio.CancelScope(deadline=self._tick_at):
                    self.handle(await mailbox.receive())
            while mailbox.waiting:
                self.handle(mailbox.receive_nowait())
            if trio.current_time() >= self._tick_at:
                self._tick()

    def _tick(self) -> None:
        """Let the heads leave that have waited for one tick; go on ticking while streams are opened."""
        opened, self._older, self._opened = self._older, self._opened, {}
        for stream in opened:
            stream.move()
        if self._older:
            self._tick_at = trio.current_time() + HEAD_DELAY
        else:
            self._is_ticking = False
            self._tick_at = math.inf
