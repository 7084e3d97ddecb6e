"""The Writer by itself: what leaves in which order, what is replaced or dropped, and when it gives up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.peer import Logged
from trimcp.actors.supervisor import open_supervisor
from trimcp.errors import ConnectionEnded, ConnectionLost
from trimcp.limits import Limits
from trimcp.session.writer import Writer
from trimcp.transports.lines import LineDuplex
from trimcp.transports.memory import memory_pair


@attrs.define
class Rig:
    """A writer, and the other end of what it writes to."""

    writer: Writer
    peer: LineDuplex
    failures: list[ConnectionEnded]
    writes: list[int]

    async def read(self) -> list[bytes]:
        """What has arrived by the time nothing more does."""
        frames: list[Any] = []
        with trio.move_on_after(0.001):
            while True:
                frames += await self.peer.receive()
        return [bytes(frame) for frame in frames]


@attrs.frozen
class Losing:
    """The session of a writer."""

    failures: list[ConnectionEnded]

    def lose(self, end: ConnectionEnded) -> None:
        """See `ConnectionOwner`."""
        self.failures.append(end)

    def room_made(self) -> None:
        """See `ConnectionOwner`."""


@asynccontextmanager
async def rig(capacity: int = 100_000, **limits: Any) -> AsyncIterator[Rig]:
    ours, theirs = memory_pair(capacity=capacity)
    failures: list[ConnectionEnded] = []
    writes: list[int] = []
    plain = ours.try_send

    def try_send(data: bytes) -> int:
        writes.append(len(data))
        return plain(data)

    ours.try_send = try_send  # type: ignore[method-assign]
    async with open_supervisor("rig") as supervisor:
        writer = supervisor.add(Writer(supervisor, ours, Limits(**limits), Losing(failures)))
        yield Rig(writer, theirs, failures, writes)


@pytest.mark.parametrize("has_run", [False, True])  # else the list that waits was not handed to the task
async def test_a_frame_is_written_in_the_turn_of_its_poster_behind_what_waits(
    has_run: bool, autojump_clock: MockClock
) -> None:
    async with rig() as r:
        if has_run:
            r.writer.post(b"zero")
            await wait_all_tasks_blocked()
            r.writes.clear()
        r.writer.write(b"one")
        assert r.writes == [4]
        r.writer.post(b"two")
        r.writer.post_log(b"log")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(r.writer.flushed)
            r.writer.write(b"three")
            assert r.writes == [4, 14]
            r.writer.post(b"four")  # the task, which was woken for two, writes it
        assert await r.read() == [*([b"zero"] if has_run else []), b"one", b"two", b"log", b"three", b"four"]
        assert r.writes == [4, 14, 5]
        assert r.writer.waiting_bytes == 0
        assert r.writer.posted == 5 + has_run


@pytest.mark.parametrize("end", ["flushed", "close"])
async def test_what_a_woken_task_would_write_leaves_also_if_the_writer_ends_first(
    end: str, autojump_clock: MockClock
) -> None:
    async with rig() as r:
        r.writer.post(b"zero")
        await wait_all_tasks_blocked()
        r.writer.post(b"one")  # handed to the task, which has not run
        if end == "close":
            r.writer.close()
        else:
            r.writer.write(b"two")
            with trio.fail_after(1):
                await r.writer.flushed()
        assert await r.read() == [b"zero", b"one", *([b"two"] if end == "flushed" else [])]


async def test_a_large_backlog_is_left_to_the_task(autojump_clock: MockClock) -> None:
    async with rig(capacity=1_000_000) as r:
        for _ in range(2):
            r.writer.post(b"x" * 40_000)
        r.writer.write(b"y")
        assert r.writes == []
        assert await r.read() == [b"x" * 40_000, b"x" * 40_000, b"y"]


async def test_a_long_frame_is_written_in_the_turn_of_its_poster_and_is_not_copied(autojump_clock: MockClock) -> None:
    async with rig(capacity=1_000_000) as r:
        long = b"x" * 70_000
        r.writer.post(long)
        assert r.writes == [70_000, 1]
        r.writer.post(b"a")
        r.writer.post(long)  # behind what waits
        assert r.writes == [70_000, 1, 70_003]
        assert await r.read() == [long, b"a", long]


async def test_a_long_frame_ends_with_its_delimiter_however_much_the_medium_takes(autojump_clock: MockClock) -> None:
    long = b"x" * 70_000
    for capacity in (69_999, 70_000, 70_001):
        async with rig(capacity=capacity) as r:
            for _ in range(3):
                r.writer.post(long)
            r.writer.post(b"end")
            assert await r.read() == [long, long, long, b"end"]
            assert r.writer.waiting_bytes == 0


async def test_frames_that_are_posted_in_one_turn_leave_in_one_write(autojump_clock: MockClock) -> None:
    async with rig() as r:
        for n in range(10):
            r.writer.post(b"%d" % n)
        r.writer.post_log(b"log")
        r.writer.post_latest("key", b"latest")
        assert r.writes == []
        assert await r.read() == [*(b"%d" % n for n in range(10)), b"log", b"latest"]
        assert r.writes == [20 + 4 + 7]


async def test_reports_replace_each_other_only_while_the_peer_does_not_read(autojump_clock: MockClock) -> None:
    async with rig(capacity=10) as r:
        for n in range(3):
            r.writer.post_reports("key", [b"%d" % n])
        assert await r.read() == [b"0", b"1", b"2"]
        r.writer.post(b"x" * 100)
        await wait_all_tasks_blocked()
        for n in range(3):
            r.writer.post_reports("key", [b"%d" % n])
        assert await r.read() == [b"x" * 100, b"2"]
        for n in range(3):
            r.writer.post_reports("key", [b"%d" % n])
        r.writer.drop("key")
        r.writer.post(b"end")
        assert await r.read() == [b"end"]


async def test_reports_that_are_posted_together_are_messages_each_and_are_dropped_together(
    autojump_clock: MockClock,
) -> None:
    async with rig(capacity=10) as r:
        r.writer.post_reports("key", [b"0", b"1", b"2"])
        assert r.writer.posted == 3
        assert await r.read() == [b"0", b"1", b"2"]
        assert r.writes == [6]
        r.writer.post(b"x" * 100)
        await wait_all_tasks_blocked()
        r.writer.post_reports("key", [b"3", b"4"])
        r.writer.post_reports("key", [b"5", b"6"])
        assert await r.read() == [b"x" * 100, b"6"]
        r.writer.post_reports("key", [b"7", b"8"])
        r.writer.post_reports("key", [b"9"])
        r.writer.drop("key")
        r.writer.post(b"end")
        assert await r.read() == [b"end"]


async def test_the_order_of_posting_is_the_order_on_the_wire_also_when_the_medium_is_full(
    autojump_clock: MockClock,
) -> None:
    async with rig(capacity=100) as r:
        expected = []
        for n in range(300):
            frame = b"%d" % n * (n % 17 + 1)
            expected.append(frame)
            if n % 3 == 0:
                r.writer.post_log(frame)
            elif n % 3 == 1:
                r.writer.post_latest(n, frame)
            else:
                r.writer.post(frame)
        assert await r.read() == expected
        assert r.writer.waiting_bytes == 0
        r.writer.write(b"direct")  # once the task has caught up, writes are direct again
        assert r.writes[-1] == 7


async def test_the_latest_replaces_the_one_before_it_in_its_place(autojump_clock: MockClock) -> None:
    async with rig(capacity=4) as r:
        r.writer.post(b"blocks")
        await wait_all_tasks_blocked()
        r.writer.post_latest("a", b"a1")
        r.writer.post_latest("b", b"b1")
        r.writer.post(b"between")
        r.writer.post_latest("a", b"a-much-longer")
        r.writer.post_latest("b", b"")
        bytes_waiting = r.writer.waiting_bytes
        assert bytes_waiting == len(b"ks\n" + b"a-much-longer" + b"between")
        assert await r.read() == [b"blocks", b"a-much-longer", b"between"]
        r.writer.post_latest("a", b"a3")  # what has left is not replaced
        assert await r.read() == [b"a3"]


async def test_of_too_many_logs_the_oldest_are_dropped_and_counted(logged: Logged, autojump_clock: MockClock) -> None:
    async with rig(capacity=4, log_messages=3) as r:
        r.writer.post(b"blocks")
        await wait_all_tasks_blocked()
        for n in range(10):
            r.writer.post_log(b"log %d" % n)
            if n == 4:
                r.writer.post(b"answer")
        assert await r.read() == [b"blocks", b"answer", b"log 7", b"log 8", b"log 9"]
        assert [line["number"] for line in logged.of("logs.dropped")] == [7]
        # And the count begins anew.
        r.writer.post(b"blocks")
        await wait_all_tasks_blocked()
        for n in range(4):
            r.writer.post_log(b"log %d" % n)
        await r.read()
        assert [line["number"] for line in logged.of("logs.dropped")] == [7, 1]


async def test_logs_that_are_dropped_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with rig(capacity=4, log_messages=10) as r:
        r.writer.post(b"blocks")
        await wait_all_tasks_blocked()
        for n in range(20_000):
            r.writer.post_log(b"log %d" % n)
            r.writer.post_latest("key", b"latest")
            r.writer.drop("key")
        assert r.writer.outbox.waiting <= 300
        assert r.writer.waiting_bytes < 1000
        assert await r.read() == [b"blocks", *(b"log %d" % n for n in range(19_990, 20_000))]
        for n in range(1000):
            r.writer.post_log(b"%d" % n)
            assert await r.read() == [b"%d" % n]


async def test_a_dropped_log_between_answers_costs_no_empty_line(autojump_clock: MockClock) -> None:
    async with rig(capacity=1, log_messages=1) as r:
        r.writer.post(b"xx")
        await wait_all_tasks_blocked()
        r.writer.post_log(b"dropped")
        r.writer.post_log(b"kept")
        with trio.fail_after(100):
            data = b""
            while not data.endswith(b"kept\n"):
                data += await r.peer._stream.receive_some(100)
        assert data == b"xx\nkept\n"


async def test_a_peer_that_takes_nothing_for_the_write_timeout_is_given_up(
    logged: Logged, autojump_clock: MockClock
) -> None:
    async with rig(capacity=10, write_timeout=30) as r:
        before = trio.current_time()
        r.writer.post(b"x" * 100)
        await trio.sleep(29)
        assert not r.failures
        await trio.sleep(2)
        [failure] = r.failures
        assert isinstance(failure, ConnectionLost)
        assert "30 s" in str(failure)
        assert logged.levels("writer.blocked") == ["warning"]
        assert trio.current_time() - before == pytest.approx(31)
        r.writer.post(b"nobody hears it")
        r.writer.post_log(b"nor that")
        r.writer.post_latest("k", b"nor that")
        assert r.writer.waiting_bytes == 0


async def test_a_peer_that_is_merely_slow_is_not_given_up(autojump_clock: MockClock) -> None:
    async with rig(capacity=1000, write_timeout=30) as r:
        r.writer.post(b"x" * 100_000)
        taken = 0
        while taken < 100_001:
            await trio.sleep(2)
            taken += len(await r.peer._stream.receive_some(1000))
        assert trio.current_time() > 100  # far more than the timeout
        assert not r.failures


async def test_a_medium_that_fails_is_told_once(autojump_clock: MockClock) -> None:
    async with rig(capacity=10) as r:
        await r.peer.aclose()
        r.writer.post(b"one")
        r.writer.post(b"two")
        await wait_all_tasks_blocked()
        assert [type(f) for f in r.failures] == [ConnectionLost]
    async with rig(capacity=10) as r:  # and the same where it fails under the task
        r.writer.post(b"x" * 100)
        await wait_all_tasks_blocked()
        await r.peer.aclose()
        await wait_all_tasks_blocked()
        assert [type(f) for f in r.failures] == [ConnectionLost]


async def test_room_is_waited_for_until_half_of_it_is_free(autojump_clock: MockClock) -> None:
    async with rig(capacity=1000, out_bytes=10_000) as r:
        for n in range(150):  # the piece that is being written does not count
            r.writer.post(b"%03d" % n + b"x" * 997)
            await wait_all_tasks_blocked()
        assert r.writer.is_over
        went = trio.Event()

        async def wait() -> None:
            await r.writer.wait_room()
            went.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            assert not went.is_set()
            with trio.fail_after(100):
                while not went.is_set():
                    await r.peer.receive()
                    await wait_all_tasks_blocked()
            assert not r.writer.is_over
            nursery.cancel_scope.cancel()


async def test_whoever_waits_for_room_or_for_the_end_is_let_go_when_the_writer_closes(
    autojump_clock: MockClock,
) -> None:
    async with rig(capacity=1, out_bytes=1) as r:
        r.writer.post(b"x" * 100)
        r.writer.post(b"x" * 100)
        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(r.writer.wait_room)
                nursery.start_soon(r.writer.flushed)
                nursery.start_soon(r.writer.flushed)
                await wait_all_tasks_blocked()
                r.writer.close()


async def test_several_may_wait_until_everything_has_left(autojump_clock: MockClock) -> None:
    async with rig(capacity=10) as r:
        r.writer.post(b"x" * 100)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(r.writer.flushed)
                await wait_all_tasks_blocked()
                assert await r.read() == [b"x" * 100]
        await r.writer.flushed()  # at once
