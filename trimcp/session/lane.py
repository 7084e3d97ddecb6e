"""The lane: what waits to leave by one stream, in order of posting.

Anybody posts, without waiting and without failing. What may be replaced or dropped while it waits
(progress, change notices, logs) says so in how it is posted. Answers, requests and control messages
never are: their bound is `Limits.out_bytes`, over which whoever produces them waits.

How and when what waits leaves is the business of the lane's owner: the Writer of a duplex connection,
or a stream of HTTP.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Hashable
from typing import Final

import trio

from trimcp.observability import events, log
from trimcp.session.limits import Limits

PIECE: Final = 65536
"""The most that is joined into one write; what waits behind it can still be replaced."""
VACANT: Final = 256
"""Places in the lane that may be empty, since what stood there was dropped, before they are taken out."""


class _Slot:
    """A message that a newer one may replace, or that may be dropped, while it waits."""

    __slots__ = ("frame", "key")

    def __init__(self, key: Hashable | None, frame: bytes) -> None:
        self.key = key
        self.frame = frame


class Lane(abc.ABC):
    """Frames that wait to leave. Whoever owns it says, in `_flush`, what becomes of them."""

    def __init__(self, limits: Limits, peer: str) -> None:
        """`peer`: who is at the other end, for logs."""
        self._limits = limits
        self._peer = peer
        self._lane: deque[bytes | _Slot] = deque()
        self._lane_bytes = 0
        self._latest: dict[Hashable, _Slot] = {}
        self._logs: deque[_Slot] = deque()
        self._logs_dropped = 0
        self._vacant = 0
        self._corked = 0
        self._closed = False
        self._room: trio.Event | None = None
        self._empty: trio.Event | None = None
        self.written = 0
        """Messages posted so far."""

    @abc.abstractmethod
    def _flush(self) -> None:
        """Something was posted: write what leaves without waiting. Must not wait, nor raise."""

    @property
    @abc.abstractmethod
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""

    # --- posting: no wait, no failure -------------------------------------------------

    def post(self, frame: bytes) -> None:
        """Post a message that is never dropped."""
        if self._closed:
            return
        self.written += 1
        self._lane.append(frame)
        self._lane_bytes += len(frame)
        if not self._corked:
            self._flush()

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Post a message that replaces the one with the same key which has not left yet, in its place."""
        if self._closed:
            return
        waiting = self._latest.get(key)
        if waiting is not None:
            self._lane_bytes += len(frame) - len(waiting.frame)
            waiting.frame = frame
            return
        slot = self._latest[key] = _Slot(key, frame)
        self._post_slot(slot)

    def drop(self, key: Hashable) -> None:
        """Take back the message that was posted with that key, if it has not left."""
        waiting = self._latest.pop(key, None)
        if waiting is not None:
            self._lane_bytes -= len(waiting.frame)
            waiting.key, waiting.frame = None, b""
            self._vacated()

    def post_log(self, frame: bytes) -> None:
        """Post a log message; when too many wait, the oldest is dropped and counted."""
        if self._closed:
            return
        if len(self._logs) >= self._limits.log_messages:
            oldest = self._logs.popleft()
            self._lane_bytes -= len(oldest.frame)
            oldest.frame = b""
            self._logs_dropped += 1
            self._vacated()
        slot = _Slot(None, frame)
        self._logs.append(slot)
        self._post_slot(slot)

    def _post_slot(self, slot: _Slot) -> None:
        self.written += 1
        self._lane.append(slot)
        self._lane_bytes += len(slot.frame)
        if not self._corked:
            self._flush()

    def _vacated(self) -> None:
        """A place in the lane has become empty. It stays, and writes nothing, until there are many such."""
        self._vacant += 1
        if self._vacant > VACANT:
            self._vacant = 0
            self._lane = deque(entry for entry in self._lane if isinstance(entry, bytes) or entry.frame)

    def cork(self) -> None:
        """Keep what is posted until `uncork`: it then leaves in one write. Never across a wait."""
        self._corked += 1

    def uncork(self) -> None:
        """Undo one `cork`."""
        self._corked -= 1
        if self._lane and not self._corked:
            self._flush()

    # --- what leaves ------------------------------------------------------------------

    def _take(self) -> list[bytes]:
        """Take out what may leave now, up to a piece."""
        lane = self._lane
        frames: list[bytes] = []
        size = 0
        while lane and size < PIECE:
            entry = lane.popleft()
            if isinstance(entry, bytes):
                frame = entry
            else:
                frame = self._taken(entry)
                if not frame:
                    continue
            size += len(frame)
            frames.append(frame)
        self._lane_bytes -= size
        return frames

    def _taken(self, slot: _Slot) -> bytes:
        if slot.key is not None:
            del self._latest[slot.key]
        elif not slot.frame:
            self._vacant -= 1
        else:
            self._logs.popleft()
            if not self._logs and self._logs_dropped:
                log.warning(events.LOGS_DROPPED, number=self._logs_dropped, peer=self._peer)
                self._logs_dropped = 0
        return slot.frame

    # --- bounds and the end -----------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether more waits to leave than should."""
        return self._lane_bytes > self._limits.out_bytes

    async def wait_room(self) -> None:
        """Wait until what waits to leave is within its bound, or the lane is closed."""
        while self.is_over and not self._closed:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    @abc.abstractmethod
    def _has_left(self) -> bool:
        """Whether everything posted has been handed to the medium."""

    async def drained(self) -> None:
        """Wait until everything posted has been handed to the medium, or the lane is closed."""
        while not self._closed and not self._has_left():
            if self._empty is None:  # one event for all: several may drain at once
                self._empty = trio.Event()
            await self._empty.wait()

    def _now_empty(self) -> None:
        if self._empty is not None:
            self._empty.set()
            self._empty = None

    def close(self) -> None:
        """Drop what waits, and take nothing more."""
        self._closed = True
        self._lane.clear()
        self._latest.clear()
        self._logs.clear()
        self._lane_bytes = 0
        self._make_room()
        self._now_empty()
