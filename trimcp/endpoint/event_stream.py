"""An event stream of an HTTP response: an outbox that the endpoint's StreamWriter empties."""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable

from trimcp.actors.mailbox import MailboxFull
from trimcp.endpoint.stream_writer import StreamWriter
from trimcp.observability import events, log
from trimcp.session.limits import Limits
from trimcp.session.outbox import Outbox


class EventStream(abc.ABC):
    """Frames that leave as server-sent events. Posting never waits, and never fails."""

    def __init__(self, limits: Limits, writer: StreamWriter, peer: str) -> None:
        """`peer`: the other end, for logs."""
        self.outbox = Outbox(limits, peer)
        self._limits = limits
        self._writer = writer
        self._peer = peer

    @abc.abstractmethod
    def move(self) -> None:
        """See `Movable`."""

    @abc.abstractmethod
    def _has_left(self) -> bool:
        """Whether everything posted has been handed to the response."""

    @abc.abstractmethod
    def _is_behind(self) -> bool:
        """Whether the peer does not read, or is not there."""

    # --- posting ----------------------------------------------------------------------

    def post(self, frame: bytes) -> None:
        """Post a message that is never dropped."""
        self._put(self.outbox.post, frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Post a message that replaces the one with the same key which has not left yet, in its place."""
        if not self.outbox.replace(key, frame):
            self._put(self.outbox.post_latest, key, frame)

    def post_report(self, key: Hashable, frame: bytes) -> None:
        """Post a report, which replaces the one with the same key only while the peer does not read."""
        self.outbox.is_behind = self._is_behind()
        self._put(self.outbox.post_report, key, frame)

    def post_log(self, frame: bytes) -> None:
        """Post a log message; when too many wait, the oldest is dropped and counted."""
        self._put(self.outbox.post_log, frame)

    def drop(self, key: Hashable) -> None:
        """Take back the message that was posted with that key, if it has not left."""
        self.outbox.drop(key)

    def write(self, frame: bytes) -> None:
        """Post a message that is never dropped."""
        self.post(frame)

    def _put(self, put: Callable[..., None], *args: Hashable) -> None:
        if self.outbox.is_closed:
            return
        try:
            put(*args)
        except MailboxFull as exc:
            # The peer reads nothing, and more is told to it than its bound in bytes would let wait.
            log.warning(events.MESSAGE_LOST, peer=self._peer, why=str(exc))
            return
        self._writer.move_soon(self)

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
        await self.outbox.wait_room()

    async def flushed(self) -> None:
        """Wait until everything posted has been handed to the response, or the stream is closed."""
        while not self.outbox.is_closed and not self._has_left():
            await self.outbox.wait_empty()

    def _moved(self) -> None:
        """Wake the tasks that wait for room, or for all to have left."""
        self.outbox.make_room()
        if self._has_left():
            self.outbox.now_empty()

    def close(self) -> None:
        """Drop what waits, and take nothing more. Idempotent."""
        self.outbox.close()
