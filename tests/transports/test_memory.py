"""What the memory pair adds to the kit: its bound is exact, and its bytes are bytes."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.transports.duplex import Oversized
from trimcp.transports.memory import memory_pair


async def test_try_send_takes_what_fits() -> None:
    left, right = memory_pair(capacity=10)
    assert left.try_send(b"abcd\nefgh\nij\n") == 10
    assert left.try_send(b"x") == 0
    assert await right.receive() == [b"abcd", b"efgh"]
    assert left.try_send(b"ij\n") == 3
    assert await right.receive() == [b"ij"]


async def test_everything_that_waits_comes_at_once() -> None:
    left, right = memory_pair()
    for number in range(5):
        left.try_send(b"%d\n" % number)
    assert await right.receive() == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_pair_with_room_for_more_than_a_read_gives_it_in_reads() -> None:
    left, right = memory_pair(capacity=1 << 20)
    data = b"x" * 99_999 + b"\n"
    assert left.try_send(data + b"y\n") == len(data) + 2
    assert await right.receive() == [data[:-1], b"y"]


async def test_a_line_over_the_limit_is_replaced_and_the_next_is_read() -> None:
    left, right = memory_pair(limit=5)
    left.try_send(b"123456\n12345\n")
    assert await right.receive() == [Oversized(5), b"12345"]


async def test_blank_lines_are_no_frames() -> None:
    left, right = memory_pair()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            assert await right.receive() == [b"{}"]

        for data in (b"\n", b"\r\n", b"{}\r\n"):
            left.try_send(data)
            await trio.testing.wait_all_tasks_blocked()


async def test_both_waiting_sides_learn_of_a_close() -> None:
    left, right = memory_pair(capacity=4)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            with pytest.raises(ConnectionClosed):
                await left.receive()

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(ConnectionClosed):
                await left.send_all(b"more than four")

        await trio.testing.wait_all_tasks_blocked()
        await left.aclose()
    with pytest.raises(ConnectionLost):
        right.try_send(b"x")
    assert await right.receive() == [b"more"]
    assert await right.receive() == []


def test_a_pair_needs_room() -> None:
    with pytest.raises(ValueError, match="one byte"):
        memory_pair(capacity=0)
