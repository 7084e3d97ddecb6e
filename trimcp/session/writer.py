"""The Writer: sole owner of the way out of a session.

Anybody posts, without waiting and without failing; the order of posting is the order on the
wire. What is posted in one turn leaves in one write. Nothing runs here while the peer takes
what it is given: a post writes at once, in the caller's turn. Only when the medium is full does
the actor get a task, which writes the rest and then waits for the next such time.

What may be replaced or dropped while it waits (progress, change notices, logs) says so in how
it is posted. Answers, requests and control messages never are: their bound is `Limits.out_bytes`,
at which a server stops reading and callers wait, and `Limits.write_timeout`, at which the
session ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

import trio

from trimcp.actors.doorbell import Doorbell
from trimcp.errors import ConnectionEnded, ConnectionLost
from trimcp.observability import events, log
from trimcp.session.limits import Limits
from trimcp.transports.duplex import Duplex

PIECE = 65536
"""The most that is joined into one write; what waits behind it can still be replaced."""
STEP = 8192
"""What a slow peer must take within the write timeout for the connection to count as alive."""
VACANT = 256
"""Places in the lane that may be empty, since what stood there was dropped, before they are taken out."""


class _Slot:
    """A message that a newer one may replace, or that may be dropped, while it waits."""

    __slots__ = ("frame", "key")

    def __init__(self, key: Hashable | None, frame: bytes) -> None:
        self.key = key
        self.frame = frame


class Writer:
    """Frames to bytes to the peer."""

    def __init__(
        self,
        duplex: Duplex,
        limits: Limits,
        nursery: trio.Nursery,
        on_failure: Callable[[ConnectionEnded], None],
    ) -> None:
        """`on_failure` is told, once, that nothing can be written any more."""
        self._duplex = duplex
        self._limits = limits
        self._nursery = nursery
        self._on_failure = on_failure
        self._delimiter = duplex.delimiter
        self._lane: deque[bytes | _Slot] = deque()
        self._lane_bytes = 0
        self._latest: dict[Hashable, _Slot] = {}
        self._logs: deque[_Slot] = deque()
        self._logs_dropped = 0
        self._vacant = 0
        self._rest = b""  # of a write that the medium did not take whole
        self._in_flight = 0  # of the write that is under way
        self._corked = 0
        self._bell = Doorbell()
        self._running = False
        self._blocked = False
        self._closed = False
        self._room: trio.Event | None = None
        self._empty: trio.Event | None = None
        self.written = 0
        """Messages posted so far."""
        self.cut_short = False
        """Whether the medium failed while something was being written, which did not arrive."""

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

    # --- writing ----------------------------------------------------------------------

    def _take(self) -> bytes:
        """Join what may leave now, up to a piece."""
        lane = self._lane
        if len(lane) == 1 and type(lane[0]) is bytes:
            self._lane_bytes = 0
            return lane.popleft() + self._delimiter  # type: ignore[operator]  # narrowed on the line above
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
        if not frames:
            return b""
        frames.append(b"")
        return self._delimiter.join(frames)

    def _taken(self, slot: _Slot) -> bytes:
        if slot.key is not None:
            del self._latest[slot.key]
        elif not slot.frame:
            self._vacant -= 1
        else:
            self._logs.popleft()
            if not self._logs and self._logs_dropped:
                log.warning(events.LOGS_DROPPED, number=self._logs_dropped, peer=self._duplex.description)
                self._logs_dropped = 0
        return slot.frame

    def _flush(self) -> None:
        """Write what the medium takes without waiting; leave the rest to the task."""
        if self._blocked:
            return
        while self._lane:
            data = self._take()
            try:
                sent = self._duplex.try_send(data) if data else 0
            except ConnectionEnded:
                # The task will meet the same failure, and tell of it. Not here: whoever posts may be
                # a task that is about to wait for what the failure would wake.
                sent = 0
            if sent < len(data):
                self._rest = data[sent:]
                self._block()
                return

    def _block(self) -> None:
        if not self._running:
            self._nursery.start_soon(self._run, name="trimcp writer")
            self._running = True
        else:
            self._bell.ring()
        self._blocked = True

    async def _run(self) -> None:
        while True:
            if not await self._write_out():
                return
            self._blocked = False
            self._make_room()
            self._now_empty()
            await self._bell.wait()

    async def _write_out(self) -> bool:
        """Write until nothing waits; False when the peer takes no more."""
        timeout = self._limits.write_timeout
        try:
            while self._rest or self._lane:
                data, self._rest = self._rest or self._take(), b""
                for start in range(0, len(data), STEP):
                    self._in_flight = len(data) - start
                    with trio.move_on_after(timeout) as scope:
                        await self._duplex.send_all(data[start : start + STEP])
                    if scope.cancelled_caught:
                        log.warning(events.WRITER_BLOCKED, peer=self._duplex.description, seconds=timeout)
                        raise ConnectionLost(f"the peer ({self._duplex.description}) read nothing for {timeout:g} s")
                self._in_flight = 0
                if self._room is not None and self._lane_bytes <= self._limits.out_bytes // 2:
                    self._make_room()
        except ConnectionEnded as exc:
            self._fail(exc)
            return False
        return True

    def _fail(self, exc: ConnectionEnded) -> None:
        if not self._closed:
            self.cut_short = True
            self.close()
            self._on_failure(exc)

    # --- bounds and the end -----------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether more waits to leave than should."""
        return self._lane_bytes > self._limits.out_bytes

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""
        return self._lane_bytes + len(self._rest) + self._in_flight

    async def wait_room(self) -> None:
        """Wait until what waits to leave is within its bound, or the writer is closed."""
        while self.is_over and not self._closed:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    async def drained(self) -> None:
        """Wait until everything posted has been handed to the medium, or the writer is closed."""
        while (self._lane or self._blocked) and not self._closed:
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
        self._in_flight = 0
        self._rest = b""
        self._make_room()
        self._now_empty()
