"""Event streams of HTTP responses, and the StreamWriter: the actor that writes all streams of an endpoint.

Streams are many and mostly quiet, so they share one writer. Frames that were posted to a stream in one turn leave in
one write. The head of a stream whose request is not answered at once leaves a moment later: most requests are answered
by then, and the head leaves with the answer.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Final, NamedTuple, Protocol

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.session.outbox import Outbox

CAPACITY: Final = 65536
"""Streams that may wait for the writer, each once. A further stream is written in the turn of its poster."""
HEAD_DELAY: Final = 0.005
"""Seconds after which, and at most twice that, the head of a stream leaves whose request is not answered."""


class WritableStream(Protocol):
    """A stream, as the StreamWriter sees it."""

    def send_waiting(self) -> None:
        """Send the frames that wait, as many as the response takes. Never waits or raises."""
        ...


class _Posted(NamedTuple):
    """Frames were posted to a stream."""

    stream: WritableStream


class _Tick(NamedTuple):
    """Streams were opened: look a moment later for those that are not answered. One tick is told at a time."""


class StreamWriter(Actor[_Posted | _Tick]):
    """The actor that writes the posted frames of all event streams of one endpoint."""

    name = "stream writer"

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, Mailbox(CAPACITY))
        self._told: set[WritableStream] = set()
        self._opened: dict[WritableStream, None] = {}  # since the last tick
        self._older: dict[WritableStream, None] = {}  # before it
        self._is_ticking = False
        self._tick_at = math.inf

    # --- functions in front of the messages: none waits -------------------------------

    def send_soon(self, stream: WritableStream) -> None:
        """Have a stream send its posted frames at the next wake."""
        if stream in self._told:
            return
        self._told.add(stream)
        try:
            self.tell(_Posted(stream))
        except MailboxFull:
            self.handle(_Posted(stream))

    def begin_soon(self, stream: WritableStream) -> None:
        """Have a stream send its head a moment later, unless `forget` is called before."""
        self._opened[stream] = None
        if not self._is_ticking:
            self._is_ticking = True
            self.tell(_Tick())

    def forget(self, stream: WritableStream) -> None:
        """Forget a stream that has ended."""
        if self._opened.pop(stream, stream) is not None:
            self._older.pop(stream, None)

    # --- the actor --------------------------------------------------------------------

    def handle(self, message: _Posted | _Tick) -> None:
        """See `Actor`."""
        if type(message) is _Posted:
            self._told.discard(message.stream)
            message.stream.send_waiting()
        else:
            self._tick_at = trio.current_time() + HEAD_DELAY

    async def run(self) -> None:
        """Write posted frames at each wake, and delayed heads when their time has come."""
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
        """Send the heads that have waited for one tick; go on ticking while streams are opened."""
        opened, self._older, self._opened = self._older, self._opened, {}
        for stream in opened:
            stream.send_waiting()
        if self._older:
            self._tick_at = trio.current_time() + HEAD_DELAY
        else:
            self._is_ticking = False
            self._tick_at = math.inf


class EventStream(abc.ABC):
    """An outbox whose frames leave as server-sent events. Posting never waits, and never fails."""

    def __init__(self, limits: Limits, writer: StreamWriter) -> None:
        self._limits = limits
        self._writer = writer
        self._outbox: Outbox | None = None
        self.is_closed: bool = False
        """Whether frames are dropped from now on."""

    @property
    def outbox(self) -> Outbox:
        """The frames that wait. Made with the first of them, since most streams carry one answer, which never waits."""
        if self._outbox is None:
            self._outbox = Outbox(self._limits, self._description())
            if self.is_closed:
                self._outbox.close()
        return self._outbox

    @property
    def _waits(self) -> bool:
        """Whether frames wait."""
        return self._outbox is not None and self._outbox.waiting > 0

    @abc.abstractmethod
    def _description(self) -> str:
        """Return the other end, for logs."""

    @abc.abstractmethod
    def send_waiting(self) -> None:
        """See `WritableStream`."""

    @abc.abstractmethod
    def _has_left(self) -> bool:
        """Whether all posted frames were handed to the response."""

    @abc.abstractmethod
    def _is_behind(self) -> bool:
        """Whether the peer does not read, or has no connection."""

    # --- posting ----------------------------------------------------------------------

    def post(self, frame: bytes) -> None:
        """Post a message that is never dropped."""
        self._put(self.outbox.post, frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Post a message that replaces, in its place, the waiting message with the same key."""
        if not self.outbox.replace(key, frame):
            self._put(self.outbox.post_latest, key, frame)

    def post_reports(self, key: Hashable, frames: Sequence[bytes]) -> None:
        """Post reports that replace those with the same key only while the peer does not read."""
        self.outbox.is_behind = self._is_behind()
        self._put(self.outbox.post_reports, key, frames)

    def post_log(self, frame: bytes) -> None:
        """Post a log message; when too many wait, the oldest is dropped and counted."""
        self._put(self.outbox.post_log, frame)

    def drop(self, key: Hashable) -> None:
        """Take back the waiting message with that key."""
        if self._outbox is not None:
            self._outbox.drop(key)

    def write(self, frame: bytes) -> None:
        """Post a message that is never dropped."""
        self.post(frame)

    def _put(self, put: Callable[..., None], *args: object) -> None:
        if self.is_closed:
            return
        try:
            put(*args)
        except MailboxFull as exc:
            # The peer reads nothing, and the server tells it more than its bound in bytes lets wait.
            log.warning(events.MESSAGE_LOST, peer=self._description(), why=str(exc))
            return
        self._writer.send_soon(self)

    # --- bounds and the end -----------------------------------------------------------

    @property
    def posted(self) -> int:
        """Messages posted so far."""
        return self.outbox.posted

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""
        return self.outbox.waiting_bytes

    @property
    def is_over(self) -> bool:
        """Whether more bytes wait to leave than should."""
        return self.outbox.is_over

    async def wait_room(self) -> None:
        """Wait while more waits to leave than should."""
        if self._outbox is not None:
            await self._outbox.wait_room()

    async def flushed(self) -> None:
        """Wait until all posted frames were handed to the response, or the stream is closed."""
        while not self.is_closed and not self._has_left():
            await self.outbox.wait_empty()

    def _wake_waiting(self) -> None:
        """Wake the tasks that wait for room, or for an empty outbox."""
        outbox = self._outbox
        if outbox is not None:
            outbox.make_room()
            if self._has_left():
                outbox.now_empty()

    def close(self) -> None:
        """Drop the waiting frames, and take no more. Idempotent."""
        self.is_closed = True
        if self._outbox is not None:
            self._outbox.close()
