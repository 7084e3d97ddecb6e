"""Any order of telling, sending, cancelling, taking and closing leaves a mailbox as its model says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from trimcp.actors.mailbox import Mailbox, MailboxFull, Overflow

SENDERS = 3
KEYS = (None, "x", "y")


@attrs.define(eq=False)
class Message:
    """A message with its key and its bytes."""

    number: int
    key: str | None
    size: int


@attrs.define
class Model:
    """What a mailbox should hold, written for clarity."""

    capacity: int
    overflow: Overflow
    has_keys: bool
    waiting: list[Message] = attrs.Factory(list)
    bytes_since_empty: int = 0
    told: int = 0
    refused: int = 0
    dropped: int = 0
    replaced: int = 0
    is_closed: bool = False

    def tell(self, message: Message) -> type[Exception] | None:
        if self.is_closed:
            return trio.ClosedResourceError
        if self.has_keys and message.key is not None:
            for place, old in enumerate(self.waiting):
                if old.key == message.key:
                    self.waiting[place] = message
                    self.bytes_since_empty += message.size - old.size
                    self.replaced += 1
                    return None
        if len(self.waiting) == self.capacity:
            if self.overflow is not Overflow.DROP_OLDEST:
                self.refused += 1
                return MailboxFull
            dropped = self.waiting.pop(0)
            self.dropped += 1
            if self.has_keys:  # else the sizes of single messages are not known
                self.bytes_since_empty -= dropped.size
        self.waiting.append(message)
        self.told += 1
        self.bytes_since_empty += message.size
        return None

    def take(self) -> Message:
        message = self.waiting.pop(0)
        if not self.waiting:
            self.bytes_since_empty = 0
        return message


class Bench:
    """A mailbox, its model, tasks that send, and one that receives."""

    def __init__(
        self, nursery: trio.Nursery, capacity: int, overflow: Overflow, max_bytes: int | None, *, has_keys: bool
    ) -> None:
        self.nursery = nursery
        key: Callable[[Message], Any] | None = (lambda m: m.key) if has_keys else None
        self.mailbox = Mailbox[Message](capacity, overflow, key=key, max_bytes=max_bytes)
        self.model = Model(capacity, overflow, has_keys)
        self.max_bytes = max_bytes
        self.sending: dict[int, tuple[trio.CancelScope, Message]] = {}  # those that wait, by number of the message
        self.receiving: trio.CancelScope | None = None
        self.received: list[Message] = []
        self.numbers = 0

    def _message(self, key: str | None, size: int) -> Message:
        self.numbers += 1
        return Message(self.numbers, key, size)

    # --- steps ------------------------------------------------------------------------

    async def tell(self, key: str | None, size: int) -> None:
        message = self._message(key, size)
        refusal = self.model.tell(message)
        if refusal is None:
            self.mailbox.tell(message, size)
        else:
            with pytest.raises(refusal):
                self.mailbox.tell(message, size)
        await self._settle()

    async def send(self, key: str | None, size: int) -> None:
        if len(self.sending) == SENDERS or self.model.overflow in (Overflow.REPLACE, Overflow.DROP_OLDEST):
            return
        message = self._message(key, size)
        self.nursery.start_soon(self._send, message)
        await self._settle()

    async def _send(self, message: Message) -> None:
        with trio.CancelScope() as scope:
            self.sending[message.number] = scope, message
            try:
                await self.mailbox.send(message, message.size)
            except trio.ClosedResourceError:
                assert self.model.is_closed
            else:
                assert self.model.tell(message) is None  # there was room
            finally:
                del self.sending[message.number]

    async def cancel_send(self, which: int) -> None:
        if self.sending:
            number = sorted(self.sending)[which % len(self.sending)]
            self.sending[number][0].cancel()
            await self._settle()
            assert number not in self.sending

    async def take(self, how_many: int) -> None:
        if self.receiving is not None:
            return
        for _ in range(how_many):
            if not self.mailbox.waiting:
                break
            expected = self.model.take()
            assert self.mailbox.receive_nowait() is expected
        await self._settle()

    async def receive(self, how: str) -> None:
        if self.receiving is None:
            self.nursery.start_soon(self._receive, how)
            await self._settle()

    async def _receive(self, how: str) -> None:
        with trio.CancelScope() as self.receiving:
            try:
                if how == "all":
                    for message in await self.mailbox.receive_all():
                        assert message is self.model.take()
                else:
                    message = await self.mailbox.receive()
                    assert message is self.model.take()
            except trio.EndOfChannel:
                assert self.model.is_closed
                assert not self.model.waiting
        self.receiving = None

    async def cancel_receive(self) -> None:
        if self.receiving is not None:
            self.receiving.cancel()
            await self._settle()
            assert self.receiving is None

    async def close(self) -> None:
        self.mailbox.close()
        self.model.is_closed = True
        await self._settle()
        assert not self.sending
        assert self.receiving is None

    # --- invariants -------------------------------------------------------------------

    async def _settle(self) -> None:
        await wait_all_tasks_blocked()
        self.check()

    def check(self) -> None:
        mailbox, model = self.mailbox, self.model
        found = mailbox.statistics()
        assert found.waiting == len(model.waiting) <= found.capacity
        assert found.waiting_bytes == model.bytes_since_empty
        has_too_many_bytes = self.max_bytes is not None and model.bytes_since_empty > self.max_bytes
        assert mailbox.is_over == (has_too_many_bytes or len(model.waiting) > model.capacity / 2)
        assert (found.told, found.refused) == (model.told, model.refused)
        assert (found.dropped, found.replaced) == (model.dropped, model.replaced)
        # No task waits in vain.
        assert not (self.sending and len(model.waiting) < model.capacity)
        assert not (self.receiving is not None and model.waiting)


key, size = st.sampled_from(KEYS), st.integers(0, 5)
step = st.one_of(
    st.tuples(st.just("tell"), key, size),
    st.tuples(st.just("tell"), key, size),
    st.tuples(st.just("send"), key, size),
    st.tuples(st.just("cancel_send"), st.integers(0, SENDERS)),
    st.tuples(st.just("take"), st.integers(1, 4)),
    st.tuples(st.just("receive"), st.sampled_from(["one", "all"])),
    st.tuples(st.just("cancel_receive")),
)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from(Overflow),
    st.sampled_from([None, 6]),
    st.lists(step, max_size=25),
    st.booleans(),
    st.booleans(),
)
def test_a_mailbox_does_what_its_model_does(
    capacity: int, overflow: Overflow, max_bytes: int | None, steps: list[tuple[Any, ...]], closes: bool, keys: bool
) -> None:
    has_keys = overflow is Overflow.REPLACE or (overflow is Overflow.DROP_OLDEST and keys)

    async def main() -> None:
        with trio.fail_after(1_000_000):  # the clock jumps there where a task waits in vain
            async with trio.open_nursery() as nursery:
                bench = Bench(nursery, capacity, overflow, max_bytes, has_keys=has_keys)
                for name, *arguments in steps:
                    await getattr(bench, name)(*arguments)
                if closes:
                    await bench.close()
                while bench.model.waiting:
                    await bench.receive("one")
                nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
