"""A mailbox is bounded, and its policy says what happens to one message more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trimcp.actors.mailbox import Mailbox, MailboxFull, Overflow
from trimcp.actors.snapshots import MailboxStatistics


def take_all(mailbox: Mailbox[str]) -> list[str]:
    """Take what waits, as a receiver does after a wake."""
    taken = []
    while mailbox.waiting:
        taken.append(mailbox.receive_nowait())
    return taken


def first_letter(message: str) -> str | None:
    """The key of a message: None for those that start with a dash."""
    return None if message.startswith("-") else message[0]


# --- policies -------------------------------------------------------------------------


async def test_messages_come_out_in_the_order_in_which_they_were_told() -> None:
    mailbox = Mailbox[str](10)
    for message in "abc":
        mailbox.tell(message)
    assert await mailbox.receive() == "a"
    assert take_all(mailbox) == ["b", "c"]
    with pytest.raises(trio.WouldBlock):
        mailbox.receive_nowait()


@pytest.mark.parametrize("overflow", [Overflow.REFUSE, Overflow.WAIT])
async def test_a_full_mailbox_refuses_what_it_is_told(overflow: Overflow) -> None:
    mailbox = Mailbox[str](2, overflow)
    mailbox.tell("a")
    mailbox.tell("b")
    with pytest.raises(MailboxFull, match="2 messages wait"):
        mailbox.tell("c")
    assert mailbox.statistics().refused == 1
    assert mailbox.receive_nowait() == "a"
    mailbox.tell("d")
    assert take_all(mailbox) == ["b", "d"]


async def test_the_oldest_message_makes_room_for_the_newest() -> None:
    mailbox = Mailbox[str](2, Overflow.DROP_OLDEST)
    for message in "abcd":
        mailbox.tell(message)
    assert mailbox.waiting == 2
    assert mailbox.statistics().dropped == 2
    assert take_all(mailbox) == ["c", "d"]


async def test_a_message_replaces_the_one_with_its_key_in_its_place() -> None:
    mailbox = Mailbox[str](3, Overflow.REPLACE, key=first_letter)
    for message in ("a1", "b1", "c1", "a2", "b2", "a3"):
        mailbox.tell(message)
    assert take_all(mailbox) == ["a3", "b2", "c1"]
    mailbox.tell("a4")  # what was taken is replaced by nothing
    assert take_all(mailbox) == ["a4"]
    assert mailbox.statistics().replaced == 3


async def test_a_full_mailbox_replaces_and_refuses_other_keys() -> None:
    mailbox = Mailbox[str](2, Overflow.REPLACE, key=first_letter)
    mailbox.tell("a1")
    mailbox.tell("b1")
    with pytest.raises(MailboxFull):
        mailbox.tell("c1")
    mailbox.tell("b2")
    assert take_all(mailbox) == ["a1", "b2"]
    mailbox.tell("c2")  # the refused one has left no trace
    assert take_all(mailbox) == ["c2"]


async def test_a_message_without_a_key_replaces_none() -> None:
    mailbox = Mailbox[str](4, Overflow.REPLACE, key=first_letter)
    for message in ("-1", "-2", "a1", "-3"):
        mailbox.tell(message)
    assert take_all(mailbox) == ["-1", "-2", "a1", "-3"]


async def test_a_message_is_replaced_until_its_receiver_has_run() -> None:
    mailbox = Mailbox[str](4, Overflow.REPLACE, key=first_letter)
    taken: list[str] = []

    async def receive() -> None:
        taken.append(await mailbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        mailbox.tell("a1")
        mailbox.tell("a2")
    assert taken == ["a2"]
    assert mailbox.waiting == 0


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Mailbox[str](0),
        lambda: Mailbox[str](1, Overflow.REPLACE),
        lambda: Mailbox[str](1, Overflow.WAIT, key=first_letter),
    ],
)
async def test_a_declaration_that_makes_no_sense_is_refused(declare: Callable[[], Mailbox[str]]) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        declare()


@pytest.mark.parametrize(
    "mailbox", [Mailbox[str](1, Overflow.REPLACE, key=first_letter), Mailbox[str](1, Overflow.DROP_OLDEST)]
)
async def test_what_drops_messages_is_told_and_never_sent_to(mailbox: Mailbox[str]) -> None:
    with pytest.raises(TypeError, match="use tell"):
        await mailbox.send("a")


# --- waiting --------------------------------------------------------------------------


async def test_send_waits_for_room_in_the_order_of_sending(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](1, Overflow.WAIT)
    with assert_checkpoints():
        await mailbox.send("a")
    async with trio.open_nursery() as nursery:
        for message in "bcd":
            nursery.start_soon(mailbox.send, message)
            await wait_all_tasks_blocked()
        assert mailbox.waiting == 1
        taken = []
        for _ in range(4):
            with trio.fail_after(1):
                taken.append(await mailbox.receive())
    assert taken == ["a", "b", "c", "d"]
    assert mailbox.statistics().told == 4


async def test_a_sender_that_is_overtaken_by_a_teller_waits_again(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](1, Overflow.WAIT)
    mailbox.tell("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.send, "slow")
        await wait_all_tasks_blocked()
        assert mailbox.receive_nowait() == "a"
        mailbox.tell("quick")
        await wait_all_tasks_blocked()
        assert take_all(mailbox) == ["quick"]
        await wait_all_tasks_blocked()
        assert take_all(mailbox) == ["slow"]


async def test_a_cancelled_send_leaves_nothing(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](1, Overflow.WAIT)
    mailbox.tell("a")
    with trio.move_on_after(1) as waiting:
        await mailbox.send("b")
    assert waiting.cancelled_caught
    with trio.CancelScope() as before:
        before.cancel()
        await mailbox.send("c")
    assert before.cancelled_caught
    assert take_all(mailbox) == ["a"]
    assert mailbox.statistics() == MailboxStatistics(1, 0, 0, 1, 1, 0, 0, 0)


async def test_what_waits_can_be_taken_though_a_sender_was_cancelled_and_has_not_run(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](1, Overflow.WAIT)
    mailbox.tell("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.send, "b")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        assert take_all(mailbox) == ["a"]  # raises where `waiting` counts more than there is
    assert mailbox.waiting == 0


async def test_a_cancelled_receive_takes_nothing(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](2)
    with trio.move_on_after(1) as waiting:
        await mailbox.receive()
    assert waiting.cancelled_caught
    mailbox.tell("a")
    with trio.CancelScope() as before:
        before.cancel()
        await mailbox.receive()
    assert before.cancelled_caught
    assert take_all(mailbox) == ["a"]


async def test_a_message_that_was_handed_over_survives_a_cancel(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](2)
    taken: list[str] = []

    async def receive() -> None:
        while True:
            taken.append(await mailbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        mailbox.tell("handed")
        mailbox.tell("left")
        assert mailbox.waiting == 2
        nursery.cancel_scope.cancel()
    assert taken == ["handed"]
    assert take_all(mailbox) == ["left"]


@pytest.mark.parametrize(
    "mailbox", [Mailbox[str](10), Mailbox[str](10, Overflow.REPLACE, key=first_letter)], ids=["plain", "keyed"]
)
async def test_all_that_waits_may_be_taken_at_once(mailbox: Mailbox[str], autojump_clock: MockClock) -> None:
    for message in "abc":
        mailbox.tell(message, 5)
    messages = await mailbox.receive_all()
    assert list(messages) == ["a", "b", "c"]
    assert (mailbox.waiting, mailbox.waiting_bytes) == (0, 0)
    mailbox.tell("d")
    messages.popleft()
    mailbox.put_back(messages)
    assert mailbox.waiting == 3
    assert take_all(mailbox) == ["b", "c", "d"]
    for message in "efg":
        mailbox.tell(message)
    messages = await mailbox.receive_all()
    for message in "hi":
        mailbox.tell(message)
    assert mailbox.receive_nowait() == "h"
    mailbox.put_back(messages)
    assert take_all(mailbox) == ["e", "f", "g", "i"]
    with trio.move_on_after(1) as waiting:
        await mailbox.receive_all()
    assert waiting.cancelled_caught


async def test_messages_may_be_taken_from_a_receiver_that_was_woken_and_has_not_run(
    autojump_clock: MockClock,
) -> None:
    mailbox = Mailbox[str](10)
    received: list[str] = []

    async def receive() -> None:
        received.extend(await mailbox.receive_all())

    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            mailbox.tell("a")
            mailbox.tell("b")
            assert take_all(mailbox) == ["a", "b"]
            await wait_all_tasks_blocked()
            assert received == []  # it waits again
            mailbox.tell("c")
            mailbox.tell("d")
    assert received == ["c", "d"]


# --- bytes ----------------------------------------------------------------------------


async def test_senders_wait_while_more_bytes_wait_than_should(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](100, max_bytes=10)
    went_on: list[float] = []

    async def sender() -> None:
        await mailbox.wait_room()
        went_on.append(trio.current_time())

    mailbox.tell("a", 6)
    await mailbox.wait_room()
    mailbox.tell("b", 5)
    assert mailbox.is_over
    assert mailbox.waiting_bytes == 11
    started = trio.current_time()
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender)
            nursery.start_soon(sender)
            await trio.sleep(5)
            assert went_on == []
            assert take_all(mailbox) == ["a", "b"]
    assert went_on == [started + 5, started + 5]
    assert mailbox.waiting_bytes == 0


async def test_bytes_without_a_bound_hold_up_no_sender() -> None:
    mailbox = Mailbox[str](100)
    mailbox.tell("a", 10**12)
    assert not mailbox.is_over
    await mailbox.wait_room()


async def test_a_message_that_replaces_another_takes_the_place_of_its_bytes() -> None:
    mailbox = Mailbox[str](100, Overflow.REPLACE, key=first_letter, max_bytes=10)
    mailbox.tell("a1", 9)
    mailbox.tell("b1", 5)
    assert mailbox.is_over
    mailbox.tell("a2", 2)
    assert (mailbox.waiting_bytes, mailbox.is_over) == (7, False)


async def test_senders_wait_while_a_mailbox_is_more_than_half_full(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](4)
    for message in "ab":
        mailbox.tell(message)
        await mailbox.wait_room()
    mailbox.tell("c")
    assert mailbox.is_over
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.wait_room)
            await wait_all_tasks_blocked()
            assert mailbox.receive_nowait() == "a"
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1  # until the receiver has taken all
            assert take_all(mailbox) == ["b", "c"]


async def test_a_sender_may_wait_until_all_was_taken(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](100)
    await mailbox.wait_taken()
    mailbox.tell("a")
    mailbox.tell("b")
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.wait_taken)
            nursery.start_soon(mailbox.wait_taken)
            await wait_all_tasks_blocked()
            mailbox.receive_nowait()
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 2
            mailbox.receive_nowait()


@pytest.mark.parametrize("capacity", [1, 100])
async def test_a_sender_that_waits_for_room_learns_of_the_end(capacity: int, autojump_clock: MockClock) -> None:
    mailbox = Mailbox[str](capacity, max_bytes=1)
    mailbox.tell("a", 2)
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.wait_room)
            await wait_all_tasks_blocked()
            mailbox.close()
    assert take_all(mailbox) == ["a"]


# --- the end --------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["", "ab"])
async def test_a_closed_mailbox_gives_out_what_waits_and_then_its_end(told: str) -> None:
    mailbox = Mailbox[str](10)
    for message in told:
        mailbox.tell(message)
    mailbox.close()
    mailbox.close()
    with pytest.raises(trio.ClosedResourceError):
        mailbox.tell("late")
    with pytest.raises(trio.ClosedResourceError):
        await mailbox.send("late")
    assert "".join(take_all(mailbox)) == told
    with pytest.raises(trio.EndOfChannel):
        mailbox.receive_nowait()
    with pytest.raises(trio.EndOfChannel):
        await mailbox.receive()


async def test_closing_wakes_the_receiver_and_the_senders(autojump_clock: MockClock) -> None:
    empty, full = Mailbox[str](1), Mailbox[str](1, Overflow.WAIT)
    full.tell("a")
    ends: list[str] = []

    async def receive() -> None:
        with pytest.raises(trio.EndOfChannel):
            await empty.receive()
        ends.append("receiver")

    async def send(message: str) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await full.send(message)
        ends.append("sender")

    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(send, "b")
            nursery.start_soon(send, "c")
            await wait_all_tasks_blocked()
            empty.close()
            full.close()
    assert sorted(ends) == ["receiver", "sender", "sender"]
    assert take_all(full) == ["a"]


async def test_a_closed_mailbox_replaces_nothing() -> None:
    mailbox = Mailbox[str](2, Overflow.REPLACE, key=first_letter)
    mailbox.tell("a1")
    mailbox.close()
    with pytest.raises(trio.ClosedResourceError):
        mailbox.tell("a2")
    assert take_all(mailbox) == ["a1"]


async def test_statistics_tell_what_has_happened() -> None:
    mailbox = Mailbox[str](3, Overflow.REPLACE, key=first_letter, max_bytes=100)
    assert mailbox.statistics() == MailboxStatistics(3, 0, 0, 0, 0, 0, 0, 0)
    for message in ("a1", "b1", "a2", "c1"):
        mailbox.tell(message, 7)
    with pytest.raises(MailboxFull):
        mailbox.tell("d1", 7)
    mailbox.receive_nowait()
    assert mailbox.statistics() == MailboxStatistics(
        capacity=3, waiting=2, waiting_bytes=21, told=3, peak=3, refused=1, dropped=0, replaced=1
    )
