"""The outbox: a mailbox of frames that wait to leave by one stream, in order of posting.

Any task posts, without waiting. A frame that may be replaced or dropped while it waits (progress, change
notices, logs) says so in how it is posted. Answers, requests and control messages are never dropped: their
bound is `Limits.out_bytes`, above which the tasks that produce them wait.

The owner of the stream takes frames out and writes them: the Writer of a duplex connection, or a stream of
an HTTP response.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final

import trio

from trimcp.actors.mailbox import EMPTY, Mailbox, MailboxFull
from trimcp.limits import Limits
from trimcp.observability import events, log

PIECE: Final = 65536
"""Bytes that are joined into one write, or a single longer frame; a frame behind them can still be replaced."""
CAPACITY: Final = 65536
"""Frames that may wait: more than `Limits.out_bytes` of the shortest ones. A stream that has more to carry ends."""
VACANT: Final = 256
"""Empty slots, whose frames were dropped, up to which they stay in the list."""


class ReplaceableFrame:
    """Holds a frame that may be replaced or dropped while it waits. An empty frame is skipped."""

    __slots__ = ("before", "frame", "key")

    def __init__(self, key: Hashable | None, frame: bytes, before: ReplaceableFrame | None = None) -> None:
        self.key: Hashable | None = key
        self.frame: bytes = frame
        self.before: ReplaceableFrame | None = before
        """The slot with the same key before this one, where the frames did not replace each other."""


Item = bytes | ReplaceableFrame


class Outbox(Mailbox[Item]):
    """Holds frames that wait to leave by one stream. Sizes are bytes."""

    __slots__ = (
        "_empty",
        "_latest",
        "_limits",
        "_logs",
        "_logs_dropped",
        "_peer",
        "_vacant",
        "is_behind",
        "written",
    )

    # Of `Mailbox`, and counted here too:
    waiting: int
    waiting_bytes: int
    replaced: int
    dropped: int

    def __init__(self, limits: Limits, peer: str) -> None:
        """`peer`: the other end, for logs."""
        super().__init__(CAPACITY, max_bytes=limits.out_bytes)
        self._limits = limits
        self._peer = peer
        self._latest: dict[Hashable, ReplaceableFrame] = {}
        self._logs: dict[ReplaceableFrame, None] = {}  # the oldest first
        self._logs_dropped = 0
        self._vacant = 0
        self._is_closed = False
        self.is_behind: bool = False
        """Whether the peer does not read. Set by the owner of the stream."""
        self._empty: trio.Event | None = None
        self.written: int = 0
        """Messages that had no slot of their own here: they were written at once, or share the slot of another one."""

    # --- putting in -------------------------------------------------------------------

    def _tell_slowly(self, message: Item, size: int) -> None:
        """See `Mailbox`. A closed outbox drops the message."""
        if self._is_closed:
            return
        try:
            super()._tell_slowly(message, size)
        except MailboxFull:
            raise MailboxFull(f"{CAPACITY} messages wait to leave, and the peer reads none of them") from None

    def replace(self, key: Hashable, frame: bytes) -> bool:
        """Put a frame in the place of the one with the same key that waits. Returns False where none does."""
        slot = self._latest.get(key)
        if slot is None:
            return False
        self.waiting_bytes += len(frame) - len(slot.frame)
        slot.frame = frame
        self.replaced += 1
        return True

    def keyed(self, key: Hashable, frame: bytes) -> ReplaceableFrame:
        """Make the item of a frame that a later one with the same key may replace."""
        slot = self._latest[key] = ReplaceableFrame(key, frame, self._latest.get(key))
        return slot

    def report_item(self, key: Hashable, frame: bytes) -> ReplaceableFrame | None:
        """Make the item of a report; None where it is dropped, or, while the peer does not read, replaces another."""
        if self._is_closed or (self.is_behind and self.replace(key, frame)):
            return None
        latest = self._latest
        slot = latest[key] = ReplaceableFrame(key, frame, latest.get(key))
        return slot

    def log_item(self, frame: bytes) -> ReplaceableFrame:
        """Make the item of a log message; where too many wait, the oldest is dropped and counted."""
        if len(self._logs) >= self._limits.log_messages:
            oldest = next(iter(self._logs))
            del self._logs[oldest]
            self.waiting_bytes -= len(oldest.frame)
            oldest.frame = b""
            self._logs_dropped += 1
            self.dropped += 1
            self._vacated()
        slot = ReplaceableFrame(None, frame)
        self._logs[slot] = None
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
        self.tell(frame, len(frame))

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Put in a message that replaces the one with the same key which has not left yet, in its place.

        Raises:
            MailboxFull: `CAPACITY` frames wait already.
        """
        if not self._is_closed and not self.replace(key, frame):
            self.tell(self.keyed(key, frame), len(frame))

    def post_reports(self, key: Hashable, frames: Sequence[bytes]) -> None:
        """Put in reports; they replace those with the same key only while the peer does not read.

        Raises:
            MailboxFull: `CAPACITY` frames wait already.
        """
        for frame in frames:
            item = self.report_item(key, frame)
            if item is not None:
                self.tell(item, len(frame))

    def post_log(self, frame: bytes) -> None:
        """Put in a log message; when too many wait, the oldest is dropped and counted.

        Raises:
            MailboxFull: `CAPACITY` frames wait already.
        """
        if not self._is_closed:
            self.tell(self.log_item(frame), len(frame))

    def _vacated(self) -> None:
        """Count a slot that has become empty. It stays in the list until there are many of them."""
        self._vacant += 1
        if self._vacant <= VACANT:
            return
        self._vacant = 0
        items = list(self._items())
        kept = [item for item in items if type(item) is bytes or item.frame]  # type: ignore[union-attr]
        self.waiting -= len(items)
        self._gone += len(items) - len(kept)
        for item in kept:
            self._put(item)
            self.waiting += 1

    def _items(self) -> Iterator[Item]:
        while self._current or self._batch:
            yield self._get()

    # --- taking out -------------------------------------------------------------------

    def take(self, first: Item | None = None) -> list[bytes]:
        """Take out the frames that leave next, up to a piece; `first` was received already."""
        if self.waiting_bytes <= PIECE:  # all of them leave
            items: list[Item] = [] if first is None else [first]
            while self.waiting:
                items.extend(self.receive_all_nowait())
            if self._latest or self._logs or self._vacant:
                items = [item if type(item) is bytes else self._frame_of(item) for item in items]  # type: ignore[arg-type]
            self.waiting_bytes = 0
            return list(filter(None, items))  # type: ignore[arg-type]  # no slot is left
        frames: list[bytes] = []
        size = 0
        while True:
            if first is None:
                if not self.waiting or size >= PIECE:
                    break
                first = self._message(self._get())
            frame = first if type(first) is bytes else self._frame_of(first)  # type: ignore[arg-type]
            first = None
            if frame:
                size += len(frame)
                frames.append(frame)
        self.waiting_bytes -= size
        return frames

    def _message(self, item: Item) -> Item:
        self.waiting -= 1
        self._gone += 1
        return item

    def _frame_of(self, slot: ReplaceableFrame) -> bytes:
        frame, slot.frame, slot.before = slot.frame, b"", None
        if not frame and self._vacant:
            self._vacant -= 1
        if slot.key is not None:
            if self._latest.get(slot.key) is slot:
                del self._latest[slot.key]
        elif frame:
            del self._logs[slot]
            if not self._logs and self._logs_dropped:
                log.warning(events.LOGS_DROPPED, number=self._logs_dropped, peer=self._peer)
                self._logs_dropped = 0
        return frame

    # --- bounds and the end -----------------------------------------------------------

    @property
    def posted(self) -> int:
        """Messages posted so far."""
        return self.told + self.written

    @property
    def is_closed(self) -> bool:
        """Whether frames are dropped from now on."""
        return self._is_closed

    @property
    def is_over(self) -> bool:
        """Whether more bytes wait to leave than the limits allow."""
        return self.waiting_bytes > self._limits.out_bytes

    async def wait_room(self) -> None:
        """Wait until the bytes that wait are within their bound, or the outbox is closed."""
        while self.waiting_bytes > self._limits.out_bytes and not self._is_closed:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def make_room(self) -> None:
        """Wake the tasks that wait for room, if at most half of the allowed bytes wait."""
        if self._room is not None and (self._is_closed or self.waiting_bytes <= self._limits.out_bytes // 2):
            self._room.set()
            self._room = None

    async def wait_empty(self) -> None:
        """Wait until the owner calls `now_empty`, since every frame has left, or the outbox is closed."""
        if not self._is_closed:
            if self._empty is None:  # one event for all: several tasks may wait
                self._empty = trio.Event()
            await self._empty.wait()

    def now_empty(self) -> None:
        """Wake the tasks in `wait_empty`."""
        self._current = EMPTY
        if self._empty is not None:
            self._empty.set()
            self._empty = None

    def forget(self) -> None:
        """Drop the frames that wait."""
        dropped = len(list(self._items()))
        self.waiting -= dropped
        self._gone += dropped
        self._latest.clear()
        self._logs.clear()
        self.waiting_bytes = 0
        self.make_room()

    def close(self) -> None:
        """Drop the frames that wait, and take no more. Idempotent."""
        self._is_closed = True
        self._limit = 0
        self.forget()
        self.now_empty()
