"""The Writer: the actor that writes to a duplex connection. Its mailbox is the outbox.

A frame is written in the turn of its poster, behind the frames that wait, where no other request of the session runs,
and where it is longer than a piece, so that long frames do not pile up in memory. Else the Writer takes all frames that
wait at its next wake and writes them in one piece. So a serial call costs no wake of the Writer, and answers that come
together leave together. Where more than `Limits.out_bytes` wait to leave, a server stops reading and callers wait;
where the peer takes nothing for `Limits.write_timeout`, the session ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Hashable, Sequence
from typing import Any, Protocol

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import MailboxFull
from trimcp.errors import ConnectionEnded, ConnectionLost
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.session.outbox import PIECE, Item, Outbox
from trimcp.transports.duplex import Duplex, write_some


class ConnectionOwner(Protocol):
    """The session, as its Writer sees it."""

    def lose(self, end: ConnectionEnded) -> None:
        """End the session at once, for this reason. Never waits."""
        ...

    def room_made(self) -> None:
        """Take note that what waits to leave is within its bound, maybe again. Never waits."""
        ...


class Writer(Actor[Item]):
    """Writes frames to a duplex connection. It is also the stream of the session."""

    name = "writer"

    def __init__(self, owner: Owner, duplex: Duplex, limits: Limits, session: ConnectionOwner) -> None:
        self.outbox: Outbox = Outbox(limits, duplex.description)
        super().__init__(owner, self.outbox)
        self._duplex = duplex
        self._limits = limits
        self._session = session
        self._delimiter = duplex.delimiter
        self._rest = memoryview(b"")  # of a write that the medium did not take whole
        self._is_writing = False
        self.is_cut_short: bool = False
        """Whether the connection failed during a write."""

    # --- posting: no wait, no failure -------------------------------------------------

    def post(self, frame: bytes) -> None:
        """Post a message that is never dropped. A long one is written at once: others would not leave with it."""
        tell, size = self.tell, len(frame)
        if size > PIECE:
            self.write(frame)
            return
        try:
            tell(frame, size)
        except MailboxFull as exc:
            self._fail(ConnectionLost(str(exc)))

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Post a message that replaces the one with the same key which has not left yet, in its place."""
        if not self.outbox.is_closed and not self.outbox.replace(key, frame):
            self._post(self.outbox.keyed(key, frame), len(frame))

    def post_reports(self, key: Hashable, frames: Sequence[bytes]) -> None:
        """Post reports, in one slot of the outbox. While the peer does not read, only the newest one is kept."""
        outbox = self.outbox
        if outbox.is_behind:
            frames = frames[-1:]
        frame = self._delimiter.join(frames)
        item = outbox.report_item(key, frame)
        if item is not None:
            outbox.written += len(frames) - 1
            self._post(item, len(frame))

    def post_log(self, frame: bytes) -> None:
        """Post a log message; when too many wait, the oldest is dropped and counted."""
        if not self.outbox.is_closed:
            self._post(self.outbox.log_item(frame), len(frame))

    def drop(self, key: Hashable) -> None:
        """Take back the message that was posted with that key, if it has not left."""
        self.outbox.drop(key)

    def write(self, frame: bytes) -> None:
        """Post a message that is never dropped, and write it at once, behind those that wait."""
        outbox = self.outbox
        if self._is_writing or outbox.is_closed or outbox.waiting_bytes > PIECE:
            self._post(frame, len(frame))
            return
        has_waited = outbox.waiting
        try:
            if has_waited or len(frame) > PIECE:
                self._send([*outbox.take(), frame])
            else:  # most frames: in line, since it is all that a serial answer costs
                data = frame + self._delimiter
                sent = self._duplex.try_send(data)
                if sent != len(data):
                    self._rest = memoryview(data)[sent:]
        except ConnectionEnded:
            self._rest = memoryview(frame)  # the task meets the same failure, and tells of it
        if self._rest:
            self._is_writing = True
            self._post(b"", 0)  # wakes the task
            return
        outbox.written += 1
        if has_waited:
            outbox.make_room()
            self._session.room_made()
            outbox.now_empty()

    def _post(self, item: Item, size: int) -> None:
        try:
            self.tell(item, size)
        except MailboxFull as exc:
            self._fail(ConnectionLost(str(exc)))

    # --- the task ---------------------------------------------------------------------

    def handle(self, message: Item) -> None:
        """Drop a frame: the session is over."""

    async def run(self) -> None:
        """Write the posted messages, until the peer takes no more."""
        outbox = self.outbox
        try:
            while True:
                first: Item | None = await outbox.receive()
                if outbox.is_closed:
                    continue
                self._is_writing = True
                while self._rest or first is not None or outbox.waiting:
                    if not self._rest:
                        self._send(outbox.take(first))
                        first = None
                    elif first == b"":
                        first = None
                    if self._rest:
                        await self._write_rest()
                    outbox.make_room()
                    if not outbox.is_over:
                        self._session.room_made()
                self._is_writing = False
                outbox.now_empty()
        except ConnectionEnded as exc:
            self._fail(exc)

    def _send(self, frames: list[bytes]) -> None:
        """Write what the medium takes now of the frames that leave next. What is left is the rest.

        Raises:
            ConnectionEnded: the medium failed.
        """
        if not frames:
            return
        delimiter, try_send = self._delimiter, self._duplex.try_send
        if len(frames) == 1 and len(frames[0]) > PIECE:  # its delimiter follows: to append it would copy the frame
            data = frames[0]
            sent = try_send(data)
            if sent == len(data):
                data, sent = delimiter, try_send(delimiter)
            else:
                data, sent = b"".join((memoryview(data)[sent:], delimiter)), 0
        else:
            data = delimiter.join((*frames, b""))
            sent = try_send(data)
        self._rest = memoryview(data)[sent:]

    async def _write_rest(self) -> None:
        """Write the rest of a piece.

        Raises:
            ConnectionEnded: the medium failed, or the peer took nothing for `Limits.write_timeout`.
        """
        duplex = self._duplex
        timeout = self._limits.write_timeout
        self.outbox.is_behind = True
        with trio.move_on_after(timeout) as scope:
            while self._rest:
                sent = await write_some(duplex, self._rest)
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
        """Whether more bytes wait to leave than the limits allow."""
        return self.outbox.is_over

    def wait_room(self) -> Coroutine[Any, Any, None]:
        """Wait until the bytes that wait to leave are within their bound, or the session is over."""
        return self.outbox.wait_room()

    async def flushed(self) -> None:
        """Wait until every posted message was handed to the connection, or the session is over."""
        if self._is_writing or self.outbox.waiting:
            await self.outbox.wait_empty()

    def close(self) -> None:
        """Write the messages that leave without a wait, drop the rest, and take no more. Idempotent."""
        outbox = self.outbox
        if not self._is_writing and not outbox.is_closed:
            with contextlib.suppress(ConnectionEnded):
                while outbox.waiting:
                    self._send(outbox.take())
                    if self._rest:
                        break
        self._drop()

    def _drop(self) -> None:
        self.outbox.close()
        self._rest = memoryview(b"")
