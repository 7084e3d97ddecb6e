"""The rules of a `Duplex`, as checks that run against any pair of them.

trimcp's own transports pass them, and the author of another transport runs them in one test:

    async def test_my_transport() -> None:
        await check_duplex(make_pair)

The checks use only the interface. No check waits longer than `PATIENCE`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio
import trio.testing

from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.transports.duplex import Duplex, Frame

MakePair = Callable[[], AbstractAsyncContextManager[tuple[Duplex, Duplex]]]
"""Opens two connected ends, and closes both when the context ends."""

PATIENCE: Final = 60.0
"""The seconds after which a waiting check has failed."""
PLENTY: Final = 8 * 1024 * 1024
"""A number of bytes that no medium buffers."""
SETTLE: Final = 0.01
"""The seconds of silence after which all tasks have done what they can."""

Check = Callable[[Duplex, Duplex], Awaitable[None]]


async def check_duplex(make_pair: MakePair, *, eof: bool = True) -> None:
    """Run every check against a transport, in both directions, each on a new pair.

    Args:
        make_pair: opens a pair; called about thirty times.
        eof: whether the medium can end only one direction (a TLS connection cannot).

    Raises:
        AssertionError: a check failed; a note names the check and the direction.
    """
    checks = [
        _order_is_kept_both_ways_at_once,
        _messages_may_come_in_pieces,
        _what_try_send_took_arrives,
        _a_long_message_arrives_whole,
        _waiting_calls_are_checkpoints,
        _a_cancelled_receive_takes_nothing,
        _a_sender_waits_for_the_reader,
        _what_was_sent_before_the_close_arrives,
        _a_closed_end_says_who_closed_it,
        _closing_wakes_a_receive_of_our_own,
        _closing_wakes_a_send_of_our_own,
        _the_peers_close_ends_a_send_that_waits,
        *([_the_end_of_input_leaves_the_other_direction_open, _a_last_line_needs_no_newline] if eof else []),
    ]
    for check in checks:
        for swapped in (False, True):
            try:
                async with make_pair() as (left, right):
                    with trio.fail_after(PATIENCE):
                        await (check(right, left) if swapped else check(left, right))
            except Exception as exc:
                direction = "from the second to the first" if swapped else "from the first to the second"
                exc.add_note(f"the check `{check.__name__.strip('_')}` failed, {direction}")
                raise


async def send(duplex: Duplex, data: bytes) -> None:
    """Send as a session does: without waiting first, then the rest."""
    taken = duplex.try_send(data)
    assert 0 <= taken <= len(data), f"try_send returned {taken} for {len(data)} bytes"
    if taken < len(data):
        await duplex.send_all(data[taken:])


async def receive_frames(duplex: Duplex, number: int) -> list[Frame]:
    """Receive until this number of frames has arrived, or the end of input."""
    frames: list[Frame] = []
    while len(frames) < number:
        some = await duplex.receive()
        if not some:
            break
        frames.extend(some)
    return frames


async def _refuses(use: Callable[[], Awaitable[object]], otherwise: str) -> None:
    try:
        await use()
    except ConnectionClosed:
        return
    raise AssertionError(otherwise)


async def _order_is_kept_both_ways_at_once(left: Duplex, right: Duplex) -> None:
    messages = [b"%d:" % number + b"x" * (number * 37 % 3000) for number in range(300)]

    async def send_each(duplex: Duplex) -> None:
        for message in messages:
            await send(duplex, message + duplex.delimiter)

    async def receive_each(duplex: Duplex) -> None:
        assert await receive_frames(duplex, len(messages)) == messages, "messages were changed or reordered"

    async with trio.open_nursery() as nursery:
        for duplex in (left, right):
            nursery.start_soon(send_each, duplex)
            nursery.start_soon(receive_each, duplex)


async def _messages_may_come_in_pieces(left: Duplex, right: Duplex) -> None:
    data = left.delimiter.join([b'{"one": 1}', b'{"two": 2}', b""])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            assert await receive_frames(right, 2) == [b'{"one": 1}', b'{"two": 2}']

        for start in range(len(data)):
            await send(left, data[start : start + 1])
            await trio.testing.wait_all_tasks_blocked()


async def _what_try_send_took_arrives(left: Duplex, right: Duplex) -> None:
    block = b"y" * 999
    data = (block + left.delimiter) * (PLENTY // 1000)
    sent = 0
    while sent < len(data):
        taken = left.try_send(data[sent : sent + 70_000])
        if not taken:
            break
        sent += taken
    else:
        raise AssertionError(f"{len(data)} bytes were taken without a reader")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send_rest() -> None:
            # To the end of the message, and one message more.
            await left.send_all(
                data[sent : sent - sent % len(block + left.delimiter) + 2 * len(block + left.delimiter)]
            )

        number = sent // len(block + left.delimiter) + 2
        assert await receive_frames(right, number) == [block] * number, "bytes were lost or came twice"


async def _a_long_message_arrives_whole(left: Duplex, right: Duplex) -> None:
    message = bytes(range(32, 127)) * 10_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, left, message + left.delimiter)
        assert await receive_frames(right, 1) == [message]


async def _waiting_calls_are_checkpoints(left: Duplex, right: Duplex) -> None:
    with trio.testing.assert_checkpoints():
        await left.send_all(b"one" + left.delimiter)
    with trio.testing.assert_checkpoints():
        assert await right.receive() == [b"one"]
    with trio.testing.assert_checkpoints():
        await left.aclose()
    with trio.testing.assert_checkpoints():
        assert not await right.receive()
    with trio.testing.assert_checkpoints():
        await left.aclose()


async def _a_cancelled_receive_takes_nothing(left: Duplex, right: Duplex) -> None:
    for number in range(5):
        message = b"message %d" % number
        await left.send_all(message[:4])
        with trio.CancelScope() as scope:
            scope.cancel()
            await right.receive()
            raise AssertionError("a cancelled receive returned")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(right.receive)
            await trio.testing.wait_all_tasks_blocked(SETTLE)
            nursery.cancel_scope.cancel()
        await left.send_all(message[4:] + left.delimiter)
        assert await receive_frames(right, 1) == [message], "a cancelled receive took bytes with it"


async def _a_sender_waits_for_the_reader(left: Duplex, right: Duplex) -> None:
    message = b"z" * 1023
    data = (message + left.delimiter) * (PLENTY // len(message + left.delimiter))
    done = False

    async def send_plenty() -> None:
        nonlocal done
        await left.send_all(data)
        done = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_plenty)
        await trio.testing.wait_all_tasks_blocked(SETTLE)
        assert not done, f"{len(data)} bytes were taken without a reader"
        number = data.count(left.delimiter)
        assert await receive_frames(right, number) == [message] * number
    assert done


async def _what_was_sent_before_the_close_arrives(left: Duplex, right: Duplex) -> None:
    # The other side has written as well, and it stays unread.
    await right.send_all(b"unread" + right.delimiter)
    await left.send_all(b"last words" + left.delimiter)
    await left.aclose()
    assert await receive_frames(right, 2) == [b"last words"]


async def _a_closed_end_says_who_closed_it(left: Duplex, right: Duplex) -> None:
    assert left.description, "a connection must have a description"
    await left.aclose()
    await left.aclose()
    uses: list[Callable[[], Awaitable[object]]] = [left.receive, lambda: left.send_all(b"x"), lambda: send(left, b"x")]
    for use in uses:
        await _refuses(use, "a closed connection could still be used")
    assert not await right.receive(), "the close was not an end of input"
    assert not await right.receive(), "the end of input was forgotten"
    try:
        # A medium may notice the close late; its buffered bytes are lost silently.
        while True:
            await send(right, b"is anybody there?" + right.delimiter)
    except ConnectionLost:
        pass


async def _closing_wakes_a_receive_of_our_own(left: Duplex, right: Duplex) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            await _refuses(left.receive, "a receive outlived the close of its own end")

        await trio.testing.wait_all_tasks_blocked(SETTLE)
        await left.aclose()


async def _closing_wakes_a_send_of_our_own(left: Duplex, right: Duplex) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send_plenty() -> None:
            await _refuses(lambda: left.send_all(b"x" * PLENTY), "a send outlived the close of its own end")

        await trio.testing.wait_all_tasks_blocked(SETTLE)
        await left.aclose()


async def _the_peers_close_ends_a_send_that_waits(left: Duplex, right: Duplex) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send_plenty() -> None:
            try:
                await left.send_all(b"x" * PLENTY)
            except ConnectionLost:
                return
            raise AssertionError("everything was sent without a reader")

        await trio.testing.wait_all_tasks_blocked(SETTLE)
        await right.aclose()


async def _the_end_of_input_leaves_the_other_direction_open(left: Duplex, right: Duplex) -> None:
    await left.send_all(b"question" + left.delimiter)
    await left.send_eof()
    await left.send_eof()
    assert await receive_frames(right, 2) == [b"question"]
    assert not await right.receive(), "the end of input was forgotten"
    await right.send_all(b"answer" + right.delimiter)
    assert await receive_frames(left, 1) == [b"answer"]
    await _refuses(lambda: left.send_all(b"x"), "something was sent after the end")
    await _refuses(lambda: send(left, b"x"), "something was sent after the end")


async def _a_last_line_needs_no_newline(left: Duplex, right: Duplex) -> None:
    await left.send_all(b"first" + left.delimiter + b"last")
    await left.send_eof()
    assert await receive_frames(right, 3) == [b"first", b"last"]
