"""A mailbox that drops its oldest message, with and without keys."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.actors.mailbox import Mailbox, Overflow


def _key(message: tuple[str, int]) -> str | None:
    return message[0] if message[0] != "-" else None


def _taken(mailbox: Mailbox[tuple[str, int]]) -> list[tuple[str, int]]:
    return [mailbox.receive_nowait() for _ in range(mailbox.waiting)]


def test_a_message_with_a_key_takes_the_place_of_the_one_that_waits() -> None:
    mailbox: Mailbox[tuple[str, int]] = Mailbox(3, Overflow.DROP_OLDEST, key=_key)
    for message in (("a", 1), ("b", 1), ("-", 1), ("-", 2), ("b", 2)):
        mailbox.tell(message)
    assert _taken(mailbox) == [("b", 2), ("-", 1), ("-", 2)]
    assert (mailbox.dropped, mailbox.replaced) == (1, 1)


def test_a_dropped_message_does_not_hold_its_key() -> None:
    mailbox: Mailbox[tuple[str, int]] = Mailbox(1, Overflow.DROP_OLDEST, key=_key)
    for n, key in enumerate("aba"):
        mailbox.tell((key, n))
    assert _taken(mailbox) == [("a", 2)]
    assert (mailbox.dropped, mailbox.replaced) == (2, 0)


def test_bytes_of_a_dropped_message_are_given_back() -> None:
    mailbox: Mailbox[tuple[str, int]] = Mailbox(2, Overflow.DROP_OLDEST, key=_key, max_bytes=100)
    for n, key in enumerate("abcb"):
        mailbox.tell((key, n), 10 + n)
    assert mailbox.waiting_bytes == 12 + 13


@given(st.integers(1, 4), st.lists(st.sampled_from([*"abcdef-", ""]), max_size=40))
def test_it_holds_the_newest_of_each_key_in_order_of_the_first(capacity: int, keys: list[str]) -> None:
    mailbox: Mailbox[tuple[str, int]] = Mailbox(capacity, Overflow.DROP_OLDEST, key=_key)
    model: OrderedDict[object, tuple[str, int]] = OrderedDict()
    for n, key in enumerate(keys):
        if not key:  # a turn of the receiver
            if model:
                assert mailbox.receive_nowait() == model.popitem(last=False)[1]
            continue
        slot: object = key if key != "-" else n
        if slot not in model and len(model) == capacity:
            model.popitem(last=False)
        model[slot] = (key, n)
        mailbox.tell((key, n))
    assert _taken(mailbox) == list(model.values())


@pytest.mark.parametrize("overflow", [Overflow.REFUSE, Overflow.WAIT])
def test_a_key_is_for_mailboxes_that_replace_or_drop(overflow: Overflow) -> None:
    with pytest.raises(ValueError, match="key function"):
        Mailbox[tuple[str, int]](1, overflow, key=_key)
    with pytest.raises(ValueError, match="key function"):
        Mailbox[tuple[str, int]](1, Overflow.REPLACE)
    Mailbox[tuple[str, int]](1, Overflow.DROP_OLDEST)
