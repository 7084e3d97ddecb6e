"""The queue of a client's notifications and answers over HTTP: each is a POST, one after the other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import MailboxFull
from trimcp.errors import ExchangeFailed
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.session.outbox import Item, Outbox


class Poster(Protocol):
    """The session, as its post queue sees it."""

    @property
    def description(self) -> str:
        """The URL of the server."""
        ...

    async def post(self, frame: bytes) -> None:
        """Post one message.

        Raises:
            ExchangeFailed: it did not arrive.
        """
        ...


class PostQueue(Actor[Item]):
    """The actor that posts the messages of the session's own stream. Its mailbox is the outbox."""

    name = "post queue"

    def __init__(self, owner: Owner, limits: Limits, poster: Poster) -> None:
        self.outbox: Outbox = Outbox(limits, poster.description)
        super().__init__(owner, self.outbox)
        self._poster = poster
        self._in_flight = 0

    def post(self, frame: bytes) -> None:
        """See `Stream`."""
        self._post(frame)

    def write(self, frame: bytes) -> None:
        """See `Stream`."""
        self._post(frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """See `Stream`."""
        if not self.outbox.is_closed and not self.outbox.replace(key, frame):
            self._post(self.outbox.keyed(key, frame))

    def post_reports(self, key: Hashable, frames: Sequence[bytes]) -> None:
        """See `Stream`."""
        self.post_latest(key, frames[-1])

    def post_log(self, frame: bytes) -> None:
        """See `Stream`."""
        if not self.outbox.is_closed:
            self._post(self.outbox.log_item(frame))

    def drop(self, key: Hashable) -> None:
        """See `Stream`."""
        self.outbox.drop(key)

    def _post(self, item: Item) -> None:
        try:
            self.tell(item, len(item) if isinstance(item, bytes) else len(item.frame))
        except MailboxFull as exc:
            log.warning(events.MESSAGE_LOST, peer=self._poster.description, why=str(exc))

    def handle(self, message: Item) -> None:
        """Drop a frame: the session is over."""

    async def run(self) -> None:
        """Post the messages of the mailbox, one after the other."""
        outbox = self.outbox
        while True:
            frames = outbox.take(await outbox.receive())
            self._in_flight = sum(map(len, frames))
            for frame in frames:
                try:
                    await self._poster.post(frame)
                except ExchangeFailed as exc:
                    # No task waits for it. The peer that misses an answer notices.
                    log.warning(events.MESSAGE_LOST, peer=self._poster.description, why=str(exc))
                self._in_flight -= len(frame)
            outbox.make_room()
            if not outbox.waiting:
                outbox.now_empty()

    def forget(self) -> None:
        """Drop the messages that wait, since they were for a session that is gone."""
        self.outbox.forget()

    @property
    def posted(self) -> int:
        """Messages posted so far."""
        return self.outbox.posted

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""
        return self.outbox.waiting_bytes + self._in_flight

    @property
    def is_over(self) -> bool:
        """Whether more bytes wait to leave than the bound allows."""
        return self.outbox.is_over

    async def wait_room(self) -> None:
        """Wait until the bytes that wait to leave are within their bound."""
        await self.outbox.wait_room()

    async def flushed(self) -> None:
        """Wait until everything posted has left, or the queue is closed."""
        if self.outbox.waiting or self._in_flight:
            await self.outbox.wait_empty()

    def close(self) -> None:
        """Drop the messages that wait, and take no more. Idempotent."""
        self.outbox.close()
