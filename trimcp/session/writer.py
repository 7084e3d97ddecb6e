"""The Writer: the actor that owns the way out of a duplex session. Its mailbox is the outbox.

A frame is written in the turn of its poster where nothing waits before it and no other request of the
session runs; else the Writer takes all that waits at its next wake and writes it in one piece. So a serial
call costs no wake of the Writer, and answers that come together leave together. Where more waits to leave
than `Limits.out_bytes`, a server stops reading and callers wait; where the peer takes nothing for
`Limits.write_timeout`, the session ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from typing import Final, Protocol

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import MailboxFull
from trimcp.errors import ConnectionEnded, ConnectionLost
from trimcp.observability import events, log
from trimcp.session.limits import Limits
from trimcp.session.outbox import Item, Outbox
from trimcp.transports.duplex import Duplex

PORTION: Final = 262_144
"""Bytes that are handed to the medium at once, where more wait."""
STEP: Final = 8192
"""Bytes that a slow peer must take within the write timeout, on a medium that does not tell how much it took."""


class Connected(Protocol):
    """The session, as its Writer sees it."""

    def lose(self, end: ConnectionEnded) -> None:
        """End the session at once, for this reason. Never waits."""
        ...


class Writer(Actor[Item]):
    """Frames to bytes to the peer. Also the stream of a session: what belongs to no request leaves by it."""

    name = "writer"

    def __init__(self, owner: Owner, duplex: Duplex, limits: Limits, session: Connected) -> None:
        self.outbox = Outbox(limits, duplex.description)
        super().__init__(owner, self.outbox)
        self._duplex = duplex
        self._limits = limits
        self._session = session
        self._delimiter = duplex.delimiter
        self._rest = memoryview(b"")  # of a write that the medium did not take whole
        self._is_writing = False
        self.is_cut_short = False
        """Whether the medium failed while something was being written, which did not arrive."""

    # --- posting: no wait, no failure -------------------------------------------------

    def post(self, frame: bytes) -> None:
        """Post a message that is never dropped."""
        try:
            self.tell(frame)
        except MailboxFull as exc:
            self._fail(ConnectionLost(str(exc)))

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Post a message that replaces the one with the same key which has not left yet, in its place."""
        if not self.outbox.is_closed and not self.outbox.replace(key, frame):
            self._post(self.outbox.keyed(key, frame))

    def post_report(self, key: Hashable, frame: bytes) -> None:
        """Post a report, which replaces the one with the same key only while the peer does not read."""
        outbox = self.outbox
        if not outbox.is_closed and not (outbox.is_behind and outbox.replace(key, frame)):
            self._post(outbox.keyed(key, frame))

    def post_log(self, frame: bytes) -> None:
        """Post a log message; when too many wait, the oldest is dropped and counted."""
        if not self.outbox.is_closed:
            self._post(self.outbox.log_item(frame))

    def drop(self, key: Hashable) -> None:
        """Take back the message that was posted with that key, if it has not left."""
        self.outbox.drop(key)

    def write(self, frame: bytes) -> None:
        """Post a message that is never dropped, and write it at once where nothing waits before it."""
        outbox = self.outbox
        if self._is_writing or outbox.waiting or outbox.is_closed:
            self._post(frame)
            return
        data = frame + self._delimiter
        try:
            sent = self._duplex.try_send(data)
        except ConnectionEnded:
            sent = 0  # the task meets the same failure, and tells of it
        if sent == len(data):
            outbox.posted += 1
        else:
            self._is_writing = True
            self._rest = memoryview(data)[sent:]
            self._post(b"")  # wakes the task

    def _post(self, item: Item) -> None:
        try:
            self.tell(item)
        except MailboxFull as exc:
            self._fail(ConnectionLost(str(exc)))

    # --- the task ---------------------------------------------------------------------

    def handle(self, message: Item) -> None:
        """Drop a frame: the session is over."""

    async def run(self) -> None:
        """Write what is posted, until the peer takes no more."""
        outbox = self.outbox
        try:
            while True:
                first: Item | None = await outbox.receive()
                if outbox.is_closed:
                    continue
                self._is_writing = True
                while self._rest or first is not None or outbox.waiting:
                    if not self._rest:
                        self._rest, first = self._piece(first), None
                    elif first == b"":
                        first = None
                    await self._write_rest()
                    outbox.make_room()
                self._is_writing = False
                outbox.now_empty()
        except ConnectionEnded as exc:
            self._fail(exc)

    def _piece(self, first: Item | None) -> memoryview:
        """Join the frames that leave next."""
        frames = self.outbox.take(first)
        if not frames:
            return memoryview(b"")
        frames.append(b"")
        return memoryview(self._delimiter.join(frames))

    async def _write_rest(self) -> None:
        """Write what is left of a piece.

        Raises:
            ConnectionEnded: the medium failed, or the peer took nothing for `Limits.write_timeout`.
        """
        duplex = self._duplex
        self._rest = self._rest[duplex.try_send(bytes(self._rest[:PORTION])) :]
        if not self._rest:
            return
        timeout = self._limits.write_timeout
        self.outbox.is_behind = True
        with trio.move_on_after(timeout) as scope:
            while self._rest:
                if await duplex.wait_writable():
                    sent = duplex.try_send(bytes(self._rest[:PORTION]))
                else:
                    portion = bytes(self._rest[:STEP])
                    await duplex.send_all(portion)
                    sent = len(portion)
                if sent:
                    scope.deadline = trio.current_time() + timeout
                    self._rest = self._rest[sent:]
        self.outbox.is_behind = False
        if scope.cancelled_caught:
            log.warning(events.WRITER_BLOCKED, peer=duplex.description, seconds=timeout)
            raise ConnectionLost(f"the peer ({duplex.description}) read nothing for {timeout:g} s")

    def _fail(self, exc: ConnectionEnded) -> None:
        if not self.outbox.is_closed:
            self.is_cut_short = True
            self._drop()
            self._session.lose(exc)

    # --- bounds and the end -----------------------------------------------------------

    @property
    def posted(self) -> int:
        """Messages posted so far."""
        return self.outbox.posted

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""
        return self.outbox.waiting_bytes + len(self._rest)

    @property
    def is_over(self) -> bool:
        """Whether more bytes wait to leave than should."""
        return self.outbox.is_over

    async def wait_room(self) -> None:
        """Wait until what waits to leave is within its bound, or the session is over."""
        await self.outbox.wait_room()

    async def flushed(self) -> None:
        """Wait until everything posted has been handed to the medium, or the session is over."""
        if self._is_writing or self.outbox.waiting:
            await self.outbox.wait_empty()

    def close(self) -> None:
        """Write what leaves without waiting, drop the rest, and take nothing more. Idempotent."""
        outbox = self.outbox
        if not self._is_writing and not outbox.is_closed:
            with contextlib.suppress(ConnectionEnded):
                while outbox.waiting:
                    piece = self._piece(None)
                    if self._duplex.try_send(bytes(piece)) < len(piece):
                        break
        self._drop()

    def _drop(self) -> None:
        self.outbox.close()
        self._rest = memoryview(b"")
