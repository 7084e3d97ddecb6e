"""The outbox: a mailbox of frames that wait to leave by one stream, in order of posting.

Any task posts, without waiting. A frame that may be replaced or dropped while it waits (progress, change
notices, logs) says so in how it is posted. Answers, requests and control messages are never dropped: their
bound is `Limits.out_bytes`, above which the tasks that produce them wait.

The owner of the stream takes frames out and writes them: the Writer of a duplex connection, or a stream of
an HTTP response.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Final

import trio

from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.observability import events, log
from trimcp.session.limits import Limits

PIECE: Final = 65536
"""Bytes that are joined into one write, or a single longer frame; a frame behind them can still be replaced."""
CAPACITY: Final = 65536
"""Frames that may wait: more than `Limits.out_bytes` of the shortest ones. A stream that has more to carry ends."""
VACANT: Final = 256
"""Slots that may be empty, since their frames were dropped, before they are taken out."""


class Slot:
    """A frame that a newer one may replace, or that may be dropped, while it waits. An empty one writes nothing."""

    __slots__ = ("before", "frame", "key")

    def __init__(self, key: Hashable | None, frame: bytes, before: Slot | None = None) -> None:
        self.key = key
        self.frame = frame
        self.before = before
        """The slot with the same key that was put in before, where the frames did not replace each other."""


Item = bytes | Slot


class Outbox(Mailbox[Item]):
    """Frames that wait to leave by one stream. Sizes are bytes."""

    __slots__ = (
        "_empty",
        "_latest",
        "_limits",
        "_logs",
        "_logs_dropped",
        "_peer",
        "_vacant",
        "is_behind",
        "posted",
    )

    def __init__(self, limits: Limits, peer: str) -> None:
        """`peer`: the other end, for logs."""
        super().__init__(CAPACITY, max_bytes=limits.out_bytes)
        self._limits = limits
        self._peer = peer
        self._latest: dict[Hashable, Slot] = {}
        self._logs: deque[Slot] = deque()
        self._logs_dropped = 0
        self._vacant = 0
        self._is_closed = False
        self.is_behind = False
        """Whether the peer does not read what was written. Set by the owner of the stream."""
        self._empty: trio.Event | None = None
        self.posted = 0
        """Messages so far."""

    # --- putting in -------------------------------------------------------------------

    def tell(self, message: Item, size: int = 0) -> None:
        """Put a frame in.

        Raises:
            MailboxFull: `CAPACITY` frames wait already.
        """
        if self._is_closed:
            return
        if self._batch is not None and self.waiting < CAPACITY:
            self._batch.append(message)
        else:
            try:
                self._put(message)
            except MailboxFull:
                raise MailboxFull(f"{CAPACITY} messages wait to leave, and the peer reads none") from None
        self.told += 1
        self.posted += 1
        self.waiting += 1
        self.waiting_bytes += len(message) if type(message) is bytes else len(message.frame)  # type: ignore[union-attr]

    def replace(self, key: Hashable, frame: bytes) -> bool:
        """Put a frame in the place of the one with the same key that waits. Returns False where none does."""
        slot = self._latest.get(key)
        if slot is None:
            return False
        self.waiting_bytes += len(frame) - len(slot.frame)
        slot.frame = frame
        self.replaced += 1
        return True

    def keyed(self, key: Hashable, frame: bytes) -> Slot:
        """Make the item of a frame that a later one with the same key may replace."""
        slot = self._latest[key] = Slot(key, frame, self._latest.get(key))
        return slot

    def log_item(self, frame: bytes) -> Slot:
        """Make the item of a log message; where too many wait, the oldest is dropped and counted."""
        if len(self._logs) >= self._limits.log_messages:
            oldest = self._logs.popleft()
            self.waiting_bytes -= len(oldest.frame)
            oldest.frame = b""
            self._logs_dropped += 1
            self.dropped += 1
            self._vacated()
        slot = Slot(None, frame)
        self._logs.append(slot)
        return slot

    def drop(self, key: Hashable) -> None:
        """Take back the frames with that key that have not left."""
        slot = self._latest.pop(key, None)
        while slot is not None:
            self.waiting_bytes -= len(slot.frame)
            slot.frame, slot = b"", slot.before
            self._vacated()

    # --- posting by the owner of a stream that has no actor of its own ----------------

    def post(self, frame: bytes) -> None:
        """Put in a message that is never dropped.

        Raises:
            MailboxFull: `CAPACITY` frames wait already.
        """
        self.tell(frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Put in a message that replaces the one with the same key which has not left yet, in its place.

        Raises:
            MailboxFull: `CAPACITY` frames wait already.
        """
        if not self._is_closed and not self.replace(key, frame):
            self.tell(self.keyed(key, frame))

    def post_report(self, key: Hashable, frame: bytes) -> None:
        """Put in a report; it replaces the one with the same key only while the peer does not read.

        Raises:
            MailboxFull: `CAPACITY` frames wait already.
        """
        if not self._is_closed and not (self.is_behind and self.replace(key, frame)):
            self.tell(self.keyed(key, frame))

    def post_log(self, frame: bytes) -> None:
        """Put in a log message; when too many wait, the oldest is dropped and counted.

        Raises:
            MailboxFull: `CAPACITY` frames wait already.
        """
        if not self._is_closed:
            self.tell(self.log_item(frame))

    def _vacated(self) -> None:
        """A slot has become empty. It stays, and writes nothing, until there are many such."""
        self._vacant += 1
        if self._vacant <= VACANT:
            return
        self._vacant = 0
        items = list(self._items())
        kept = [item for item in items if type(item) is bytes or item.frame]  # type: ignore[union-attr]
        self.waiting -= len(items)
        for item in kept:
            self._put(item)
            self.waiting += 1

    def _items(self) -> Iterator[Item]:
        while self._current or self._batch:
            yield self._get()

    # --- taking out -------------------------------------------------------------------

    def take(self, first: Item | None = None) -> list[bytes]:
        """Take out the frames that leave next, up to a piece; `first` was received already."""
        frames: list[bytes] = []
        if self.waiting_bytes <= PIECE and not (self._latest or self._logs or self._vacant):
            if type(first) is bytes and first:
                frames.append(first)
            while self.waiting:  # plain frames, all of which leave
                frames.extend(frame for frame in self.receive_all_nowait() if type(frame) is bytes and frame)
            self.waiting_bytes = 0
            return frames
        size = 0
        while True:
            if first is None:
                if not self.waiting or size >= PIECE:
                    break
                first = self._get()
                self.waiting -= 1
            frame = first if type(first) is bytes else self._frame_of(first)  # type: ignore[arg-type]
            first = None
            if frame:
                size += len(frame)
                frames.append(frame)
        self.waiting_bytes -= size
        return frames

    def _message(self, item: Item) -> Item:
        self.waiting -= 1
        return item

    def _frame_of(self, slot: Slot) -> bytes:
        frame, slot.frame, slot.before = slot.frame, b"", None
        if not frame and self._vacant:
            self._vacant -= 1
        if slot.key is not None:
            if self._latest.get(slot.key) is slot:
                del self._latest[slot.key]
        elif frame:
            self._logs.popleft()
            if not self._logs and self._logs_dropped:
                log.warning(events.LOGS_DROPPED, number=self._logs_dropped, peer=self._peer)
                self._logs_dropped = 0
        return frame

    # --- bounds and the end -----------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether frames are dropped from now on."""
        return self._is_closed

    @property
    def is_over(self) -> bool:
        """Whether more bytes wait to leave than should."""
        return self.waiting_bytes > self._limits.out_bytes

    async def wait_room(self) -> None:
        """Wait until what waits to leave is within its bound, or the outbox is closed."""
        while self.is_over and not self._is_closed:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def make_room(self) -> None:
        """Wake the tasks that wait for room, where there is some: half of the bound."""
        if self._room is not None and (self._is_closed or self.waiting_bytes <= self._limits.out_bytes // 2):
            self._room.set()
            self._room = None

    async def wait_empty(self) -> None:
        """Wait until the owner says that all has left (`now_empty`), or the outbox is closed."""
        if not self._is_closed:
            if self._empty is None:  # one event for all: several tasks may wait
                self._empty = trio.Event()
            await self._empty.wait()

    def now_empty(self) -> None:
        """Wake the tasks that wait until all has left."""
        if self._empty is not None:
            self._empty.set()
            self._empty = None

    def forget(self) -> None:
        """Drop what waits."""
        self.waiting -= len(list(self._items()))
        self._latest.clear()
        self._logs.clear()
        self.waiting_bytes = 0
        self.make_room()

    def close(self) -> None:
        """Drop what waits, and take nothing more. Idempotent."""
        self._is_closed = True
        self.forget()
        self.now_empty()
