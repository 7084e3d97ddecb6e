"""The mailbox: a bounded memory channel with one receiver, and its policy when it is full.

Any task of the run may `tell`, which never waits, or `send`, which waits for room. An item of the channel
is the list of the messages that were told since the receiver last took one, so only the first of them
costs a `send_nowait`. The receiver takes all that has arrived at each wake: `receive_all`, or `receive` and then
`receive_nowait` while `waiting` is not 0. The channel is made with the first message, so an actor that is
never told anything costs no channel.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from trimcp.actors.snapshots import MailboxStatistics

M = TypeVar("M")

EMPTY: Final[deque[Any]] = deque()
"""Stands for a list that was taken and emptied; no message is put into it."""


class Overflow(enum.Enum):
    """The policy for a message that finds its mailbox full."""

    REFUSE = "refuse"
    """`tell` raises `MailboxFull`."""
    WAIT = "wait"
    """Senders use `send`, which waits for room; `tell` raises `MailboxFull`."""
    REPLACE = "replace"
    """A message replaces the waiting one that has the same key, in its place; a full mailbox refuses other keys."""
    DROP_OLDEST = "drop_oldest"
    """The oldest message is dropped and counted. With a key function, a message replaces as with `REPLACE` before."""


class MailboxFull(Exception):
    """A mailbox holds as many messages as it may, and its policy is not to drop any."""


class Mailbox(Generic[M]):
    """Carries messages to one receiver, in order and within bounds."""

    __slots__ = (
        "_batch",
        "_current",
        "_gone",
        "_is_closed",
        "_key",
        "_keyed",
        "_limit",
        "_max_bytes",
        "_overflow",
        "_peak",
        "_places",
        "_receive",
        "_room",
        "_send",
        "capacity",
        "dropped",
        "handled_at_once",
        "refused",
        "replaced",
        "waiting",
        "waiting_bytes",
    )

    def __init__(
        self,
        capacity: int,
        overflow: Overflow = Overflow.REFUSE,
        *,
        key: Callable[[M], Hashable] | None = None,
        max_bytes: int | None = None,
    ) -> None:
        """
        Args:
            capacity: messages that may wait, 1 or more.
            overflow: the policy for one message more.
            key: the key of a message, for `Overflow.REPLACE`, and if wanted for `Overflow.DROP_OLDEST`; a message with
                the key None replaces no other.
            max_bytes: bytes of waiting messages above which `is_over` is true; no bound if None.
        """
        if capacity < 1:
            raise ValueError(f"Invalid capacity {capacity} of a mailbox: give 1 or more")
        if (key is None) == (overflow is Overflow.REPLACE) and overflow is not Overflow.DROP_OLDEST:
            raise ValueError(
                f"Invalid key of a mailbox with {overflow}: REPLACE needs a key function, REFUSE and WAIT take none"
            )
        self.capacity: Final = capacity
        self._overflow = overflow
        self._key = key
        self._max_bytes = max_bytes
        self._keyed: dict[Hashable, list[Any]] = {}
        self._is_closed = False
        self._room: trio.Event | None = None
        self._places: trio.lowlevel.ParkingLot | None = None  # where `send` waits
        self._send: trio.MemorySendChannel[deque[Any]] | None = None
        self._receive: trio.MemoryReceiveChannel[deque[Any]] | None = None
        self._batch: deque[Any] | None = None
        """The list that is in the channel, or was handed to the receiver, which has not run since."""
        self._current: deque[Any] = EMPTY
        """The list that the receiver took, as far as it has not taken the messages out of it."""
        self._limit = 0 if key is not None else capacity
        """Messages up to which `tell` appends without a further look; 0 when closed."""
        self._peak = 0
        self.waiting: int = 0
        """Messages that were told, and not taken out."""
        self.waiting_bytes: int = 0
        self._gone = 0
        """Messages that were taken out or dropped."""
        self.handled_at_once: int = 0
        """Messages that its actor handled in the turn of their sender: they never were in here."""
        self.refused: int = 0
        self.dropped: int = 0
        self.replaced: int = 0

    # --- putting in -------------------------------------------------------------------

    def tell(self, message: M, size: int = 0) -> None:
        """Put a message in, without a wait. `size`: its bytes, where the mailbox bounds them.

        Raises:
            MailboxFull: the mailbox is full, and its policy is to refuse or to wait.
            trio.BrokenResourceError, trio.ClosedResourceError: the mailbox is closed.
        """
        if self._batch is None or self.waiting >= self._limit:
            self._tell_slowly(message, size)
            return
        self._batch.append(message)  # most messages: in line, since it is all they cost
        self.waiting += 1
        self.waiting_bytes += size

    def _tell_slowly(self, message: M, size: int) -> None:
        """Put a message in where it begins a list, has a key, or finds the mailbox full or closed."""
        if self._is_closed:
            raise trio.ClosedResourceError
        if self._key is not None:
            self._tell_keyed(message, size)
            return
        self._put(message)
        self.waiting += 1
        self.waiting_bytes += size

    def _put(self, item: Any) -> None:
        """Put an item in, and make room where there is none."""
        if self.waiting >= self.capacity:
            self._make_room()
        if self._batch is None:
            told = deque((item,))
            self._opened()[0].send_nowait(told)
            self._batch = told
        else:
            self._batch.append(item)

    async def send(self, message: M, size: int = 0) -> None:
        """Put a message in, and wait for room where there is none. A cancelled `send` has put nothing in.

        Of several senders that wait, the first gets the first room; order is kept for the messages of each sender.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the mailbox is closed.
        """
        if self._overflow in (Overflow.REPLACE, Overflow.DROP_OLDEST):
            raise TypeError(f"Cannot send to a mailbox with {self._overflow}: use tell")
        await trio.lowlevel.checkpoint_if_cancelled()
        has_waited = False
        while self.waiting >= self.capacity and not self._is_closed:
            has_waited = True
            self._places = self._places or trio.lowlevel.ParkingLot()
            await self._places.park()
        self.tell(message, size)
        if not has_waited:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _make_room(self) -> None:
        if self._overflow is not Overflow.DROP_OLDEST:
            self.refused += 1
            raise MailboxFull(f"{self.capacity} messages wait, the most that the mailbox takes")
        oldest = self._get()
        if self._key is not None:
            self._keyed.pop(oldest[0], None)
            self.waiting_bytes -= oldest[2]
        self.waiting -= 1
        self._gone += 1
        self.dropped += 1

    def _tell_keyed(self, message: M, size: int) -> None:
        assert self._key is not None
        key = self._key(message)
        slot = None if key is None else self._keyed.get(key)
        if slot is not None:
            self.waiting_bytes += size - slot[2]
            slot[1:] = [message, size]
            self.replaced += 1
            return
        slot = [key, message, size]
        self._put(slot)
        if key is not None:
            self._keyed[key] = slot
        self.waiting += 1
        self.waiting_bytes += size

    # --- taking out -------------------------------------------------------------------

    async def receive(self) -> M:
        """Wait for a message and take it. A cancelled `receive` has taken none.

        Raises:
            trio.EndOfChannel: the mailbox is closed and empty.
        """
        if self._current:
            await trio.lowlevel.checkpoint()
        while not self._current:  # another task may have emptied the list
            self._taken_list(await self._opened()[1].receive())
        return self._message(self._current.popleft())

    def receive_nowait(self) -> M:
        """Take a message that waits.

        Raises:
            trio.WouldBlock: none waits.
            trio.EndOfChannel: the mailbox is closed and empty.
        """
        return self._message(self._get())

    async def receive_all(self) -> deque[M]:
        """Wait for messages and take all of them. A cancelled `receive_all` has taken none.

        Raises:
            trio.EndOfChannel: the mailbox is closed and empty.
        """
        if self._current:
            await trio.lowlevel.checkpoint()
        while not self._current:  # as above
            self._taken_list(await self._opened()[1].receive())
        return self._all()

    def receive_all_nowait(self) -> deque[M]:
        """Take all messages that wait, if any."""
        if not self._current and self._batch:
            try:
                self._taken_list(self._opened()[1].receive_nowait())
            except trio.WouldBlock:  # the list was handed to the receiver, which has not run since
                self._current = self._batch.copy()
                self._batch.clear()
        return self._all()

    def _all(self) -> deque[M]:
        taken, self._current = self._current, EMPTY
        self._has_taken(len(taken))
        if self._key is None:
            return taken
        for slot in taken:
            self._keyed.pop(slot[0], None)
        return deque(slot[1] for slot in taken)

    def put_back(self, messages: deque[M]) -> None:
        """Put back messages that were taken last: the receiver ends, and others handle them."""
        items = deque(messages if self._key is None else [[None, message, 0] for message in messages])
        items.extend(self._current)
        self._current = items
        self.waiting += len(messages)
        self._gone -= len(messages)

    def _taken_list(self, messages: deque[Any]) -> None:
        if self._current:  # put back after the list was handed to the receiver
            messages.extendleft(reversed(self._current))
        self._current = messages
        self._batch = None
        if self.waiting > self._peak:
            self._peak = self.waiting

    def _get(self) -> Any:
        """Take an item out."""
        if not self._current:
            if not self._batch:
                raise trio.EndOfChannel if self._is_closed else trio.WouldBlock
            try:
                self._taken_list(self._opened()[1].receive_nowait())
            except trio.WouldBlock:  # the list was handed to the receiver, which has not run since
                return self._batch.popleft()
        return self._current.popleft()

    def _message(self, item: Any) -> M:
        self._has_taken(1)
        if self._key is None:
            message: M = item
        else:
            key, message, _ = item
            if key is not None:
                self._keyed.pop(key, None)
        return message

    def _has_taken(self, count: int) -> None:
        self.waiting -= count
        self._gone += count
        if not self.waiting:  # the receiver takes all at each wake, so this is when bytes are handed on
            self.waiting_bytes = 0
            self._current = EMPTY
            if self._room is not None:
                self._room.set()
                self._room = None
        if self._places is not None:
            self._places.unpark(count=count)

    # --- bounds and the end -----------------------------------------------------------

    @property
    def told(self) -> int:
        """Messages that were put in so far, or were handled at once in place of that."""
        return self._gone + self.waiting + self.handled_at_once

    @property
    def is_over(self) -> bool:
        """Whether the mailbox is more than half full, or over its bytes: senders that can wait, do so."""
        return self.waiting * 2 > self.capacity or (
            self._max_bytes is not None and self.waiting_bytes > self._max_bytes
        )

    async def wait_room(self) -> None:
        """Wait while `is_over`, until the receiver has taken all that waits, or the mailbox is closed."""
        while self.is_over and not self._is_closed:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    async def wait_taken(self) -> None:
        """Wait until the receiver has taken all that waits."""
        while self.waiting:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def close(self) -> None:
        """End the mailbox: the receiver takes what waits, and then learns that no more will come. Idempotent."""
        self._opened()[0].close()
        self._is_closed = True
        self._limit = 0
        self._keyed.clear()  # from now on none is replaced either
        if self._places is not None:
            self._places.unpark_all()
        if self._room is not None:
            self._room.set()
            self._room = None

    def statistics(self) -> MailboxStatistics:
        """Take a snapshot of the mailbox."""
        from trimcp.actors.snapshots import MailboxStatistics

        return MailboxStatistics(
            self.capacity,
            self.waiting,
            self.waiting_bytes,
            self.told,
            max(self._peak, self.waiting),
            self.refused,
            self.dropped,
            self.replaced,
        )

    def _opened(self) -> tuple[trio.MemorySendChannel[deque[Any]], trio.MemoryReceiveChannel[deque[Any]]]:
        if self._send is None or self._receive is None:
            self._send, self._receive = trio.open_memory_channel[deque[Any]](1)
        return self._send, self._receive
