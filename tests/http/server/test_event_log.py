"""The event log: streams never wait for the store, and a store that fails costs resumption and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.session.peer import Logged
from tests.stores.hostile import HOSTILE, hangs, returns_garbage
from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.http.server.event_log import ROUND_BYTES, EventLog, open_event_log
from trimcp.http.server.event_losses import LOSSES
from trimcp.http.server.event_messages import Append, EventMessage, Finish, Forget, merged
from trimcp.limits import Limits
from trimcp.observability import events as log_events
from trimcp.stores.contained import READ_SECONDS, WRITE_SECONDS, StoreFailed
from trimcp.stores.event_store import AppendFailed, EventBatch, EventStore, StoredEvents
from trimcp.stores.memory import MemoryEventStore
from trimcp.stores.memory_events import EVENT_COST


class Recorder(MemoryEventStore):
    """Keeps events, and takes down the calls. Takes `pause` seconds for each."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self.pause = pause
        self.appended: list[list[EventBatch]] = []
        self.forgotten: list[str] = []

    async def append(self, batches: Sequence[EventBatch]) -> None:
        self.appended.append(list(batches))
        await trio.sleep(self.pause)
        await super().append(batches)

    async def forget(self, session: str) -> None:
        self.forgotten.append(session)
        await trio.sleep(self.pause)
        await super().forget(session)


@asynccontextmanager
async def log_on(store: EventStore | None, **limits: Any) -> AsyncIterator[tuple[EventLog, Supervisor]]:
    async with open_supervisor("test") as supervisor:
        yield open_event_log(supervisor, store, Limits(**limits)), supervisor


# --- the memory store ---------------------------------------------------------------------


@pytest.mark.parametrize("store", [None, MemoryEventStore()], ids=["ours", "the user's"])
async def test_the_memory_store_is_written_in_the_turn_of_the_stream(store: EventStore | None) -> None:
    async with log_on(store) as (log, supervisor):
        assert log.append("s", 1, 1, [b"one", b"two"])
        assert isinstance(log.store, MemoryEventStore)
        assert len(log.store) == 2
        log.finish("s", 1, 2)
        assert await log.replay("s", 1, 0) == [(1, b"one"), (2, b"two")]
        assert await log.replay("s", 1, 2) == []
        assert await log.replay("s", 1, 3) is None
        log.forget("s")
        assert len(log.store) == 0
        snapshot = supervisor.snapshot()
        assert [(actor.name, actor.state) for actor in snapshot.actors] == [("event log", "in turn")]
        assert snapshot.tasks == ()


class _Batches(Recorder):
    """A store of the user, which notes the batches that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[int, bool]] = []

    async def append(self, batches: Sequence[EventBatch]) -> None:
        self.ends += [(batch.last, batch.is_last) for batch in batches]
        await super().append(batches)


async def test_the_last_events_of_a_stream_tell_of_its_end() -> None:
    ours = MemoryEventStore()
    async with log_on(ours) as (log, _):
        log.append("s", 1, 1, [b"one"])
        log.append("s", 2, 1, [b"one", b"two"], True)
        found = [await ours.replay("s", stream, 0) for stream in (1, 2)]
        assert [each is not None and each.is_finished for each in found] == [False, True]
    store = _Batches()
    async with log_on(store) as (log, _):
        log.append("s", 1, 1, [b"one"])
        await log.flush()
        log.append("s", 1, 2, [b"two"], True)
        await log.flush()
    assert store.ends == [(1, False), (2, True)]


async def test_our_store_has_the_bounds_of_the_limits() -> None:
    async with log_on(None, stored_events=80, stored_bytes=10**6, stored_age=60) as (log, _):
        for number in range(1, 200):
            log.append("s", 1, number, [b"x"])
        assert await log.replay("s", 1, 188) is None
        assert await log.replay("s", 1, 198) == [(199, b"x")]


async def test_a_memory_store_with_methods_of_the_users_is_called_as_any_other() -> None:
    async with log_on(Recorder()) as (log, supervisor):
        log.append("s", 1, 1, [b"one"])
        assert [actor.state for actor in supervisor.snapshot().actors] == ["running"]


async def test_a_memory_store_with_a_clock_of_the_users_is_called_as_any_other() -> None:
    def broken() -> float:
        raise RuntimeError("no time")

    async with log_on(MemoryEventStore(clock=broken)) as (log, _):
        log.append("s", 1, 1, [b"one"])  # in the stream's turn that would raise
        await log.flush()


# --- a store that takes its time ----------------------------------------------------------


async def test_what_has_come_together_is_one_call(autojump_clock: MockClock) -> None:
    store = Recorder(pause=1)
    async with log_on(store) as (log, _):
        assert log.append("s", 1, 1, [b"one"])
        await trio.testing.wait_all_tasks_blocked()
        for stream in (1, 2, 3):  # while the first call is under way
            assert log.append("s", stream, 2, [b"two"])
            assert log.append("s", stream, 3, [b"three", b"four"])
        log.finish("s", 2, 4)
        await log.flush()
        assert store.appended == [
            [EventBatch("s", 1, 1, (b"one",))],
            [
                EventBatch("s", 1, 2, (b"two", b"three", b"four")),
                EventBatch("s", 2, 2, (b"two", b"three", b"four"), is_last=True),
                EventBatch("s", 3, 2, (b"two", b"three", b"four")),
            ],
        ]


async def test_a_stream_does_not_wait_and_a_replay_does(autojump_clock: MockClock) -> None:
    async with log_on(Recorder(pause=1)) as (log, _):
        began = trio.current_time()
        log.append("s", 1, 1, [b"one"])
        await trio.testing.wait_all_tasks_blocked()
        log.append("s", 1, 2, [b"two"])
        assert trio.current_time() == began
        assert await log.replay("s", 1, 0) == [(1, b"one"), (2, b"two")]
        assert trio.current_time() == began + 2
        assert await log.replay("s", 1, 1) == [(2, b"two")]
        assert trio.current_time() == began + 2  # nothing waits, so nothing is waited for


async def test_a_round_has_a_bound_in_bytes(autojump_clock: MockClock) -> None:
    store = Recorder()
    async with log_on(store) as (log, _):
        for number in range(1, 9):
            log.append("s", 1, number, [b"x" * (ROUND_BYTES // 2)])
        await log.flush()
        assert [sum(len(batch.events) for batch in call) for call in store.appended] == [2, 2, 2, 2]


async def test_a_session_that_is_over_is_not_stored_first(autojump_clock: MockClock) -> None:
    store = Recorder()
    async with log_on(store) as (log, _):
        log.append("s", 1, 1, [b"one"])
        log.append("t", 1, 1, [b"one"])
        log.forget("s")
        await log.flush()
        assert store.appended == [[EventBatch("t", 1, 1, (b"one",))]]
        assert store.forgotten == ["s"]


async def test_the_end_of_a_stream_without_events_is_not_told(autojump_clock: MockClock) -> None:
    store = Recorder()
    async with log_on(store) as (log, _):
        log.finish("s", 1, 0)
        await log.flush()
        log.finish("s", 2, 3)
        await log.flush()
        assert store.appended == [[EventBatch("s", 2, 4, (), is_last=True)]]


async def test_a_replay_that_its_caller_leaves_harms_nothing(autojump_clock: MockClock) -> None:
    async with log_on(Recorder(pause=2)) as (log, _):
        log.append("s", 1, 1, [b"one"])
        with trio.move_on_after(1):
            await log.replay("s", 1, 0)
        assert await log.replay("s", 1, 0) == [(1, b"one")]


# --- bounds -------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["bytes", "events"])
async def test_beyond_the_bound_a_stream_is_told_that_it_cannot_be_resumed(
    bound: str, logged: Logged, autojump_clock: MockClock
) -> None:
    limits = {"stored_bytes": 10 * (EVENT_COST + 100)} if bound == "bytes" else {"stored_events": 10}
    async with log_on(Recorder(pause=1), **limits) as (log, _):
        assert all(log.append("s", 1, number, [b"x" * 100]) for number in range(1, 11))
        assert not log.append("s", 1, 11, [b"x" * 100])
        assert not log.append("t", 1, 1, [b"x" * 100])
        assert logged.levels(log_events.EVENTS_NOT_KEPT) == ["warning"]
        await log.flush()
        assert log.append("s", 1, 12, [b"x"])
        assert await log.replay("s", 1, 10) is None
        assert await log.replay("t", 1, 0) is None
        assert await log.replay("s", 1, 11) == [(12, b"x")]
        assert len(logged.of(log_events.EVENTS_NOT_KEPT)) == 1
        assert not log.append("s", 1, 13, [b"x" * 1000] * 11)
        assert not log.append("s", 1, 24, [b"x" * 1000] * 11)
        assert len(logged.of(log_events.EVENTS_NOT_KEPT)) == 2


async def test_what_waits_is_counted_until_the_store_has_it(autojump_clock: MockClock) -> None:
    store = Recorder(pause=1)
    async with log_on(store, stored_events=4) as (log, _):
        for number in range(1, 5):
            assert log.append("s", 1, number, [b"x"])
        await trio.sleep(0.5)
        assert store.appended  # the store is at work on them, and this process holds them still
        assert not log.append("t", 1, 1, [b"x"])
        await trio.sleep(1)
        assert log.append("t", 1, 2, [b"x"])


async def test_ends_that_find_no_room_are_dropped(logged: Logged, autojump_clock: MockClock) -> None:
    store = Recorder(pause=1)
    async with log_on(store, stored_events=4) as (log, _):
        log.append("s", 1, 1, [b"x"])
        await trio.sleep(0.5)
        for stream in range(100):
            log.finish("s", stream, 1)
            log.forget(f"t{stream}")
        for number in range(2, 9):
            assert not log.append("s", 1, number, [b"x"])  # no room in the mailbox either
        assert len(logged.of(log_events.EVENTS_NOT_KEPT)) == 1
        with pytest.raises(StoreFailed, match="has ended"):
            await log.flush()
        await trio.sleep(100)
        await log.flush()
        assert log.append("s", 1, 9, [b"x"])


async def test_the_log_remembers_few_streams_and_takes_the_older_ones_for_lost(autojump_clock: MockClock) -> None:
    store = Recorder()
    async with log_on(store) as (log, _):
        store.append = hangs  # type: ignore[method-assign]
        for stream in range(1, LOSSES + 6):
            log.append("s", stream, 1, [b"x"])
        log.append("other", 1, 1, [b"x"])
        await trio.sleep(WRITE_SECONDS + 1)
        del store.append  # type: ignore[attr-defined]
        for stream in range(1, LOSSES + 10):
            log.append("s", stream, 2, [b"y"])
        log.append("other", 2, 1, [b"y"])
        # The first five are below the mark; of the others it is known what they miss.
        for stream in range(1, LOSSES + 10):
            assert await log.replay("s", stream, 0) is None
            assert await log.replay("s", stream, 1) == (None if stream <= 5 else [(2, b"y")])
        assert await log.replay("other", 2, 0) == [(1, b"y")]
        log.forget("s")
        await log.flush()
        log.append("s", 1, 1, [b"z"])
        assert await log.replay("s", 1, 0) == [(1, b"z")]


# --- stores that fail ---------------------------------------------------------------------


@pytest.mark.parametrize("does", HOSTILE, ids=lambda does: does.__name__)
async def test_whatever_a_store_does_costs_resumption_and_nothing_else(
    does: Any, logged: Logged, autojump_clock: MockClock
) -> None:
    store = Recorder()
    async with log_on(store) as (log, _):
        assert log.append("s", 1, 1, [b"one"])
        assert await log.replay("s", 1, 0) == [(1, b"one")]
        store.append = store.forget = does  # type: ignore[method-assign,assignment]
        assert log.append("s", 1, 2, [b"two"])
        log.append("over", 1, 1, [b"x"])
        log.forget("gone")
        await trio.sleep(3 * WRITE_SECONDS)
        if does is not returns_garbage:
            assert logged.of(log_events.STORE_FAILED)
            assert await log.replay("s", 1, 1) is None
        del store.append, store.forget  # type: ignore[attr-defined]
        assert log.append("s", 1, 3, [b"three"])
        assert log.append("s", 2, 1, [b"new"])
        assert await log.replay("s", 1, 2) == [(3, b"three")]
        assert await log.replay("s", 2, 0) == [(1, b"new")]
        if does is not returns_garbage:
            assert await log.replay("s", 1, 0) is None
            assert await log.replay("s", 1, 1) is None


@pytest.mark.parametrize("does", HOSTILE, ids=lambda does: does.__name__)
async def test_a_store_that_fails_to_replay_fails_the_replay(does: Any, autojump_clock: MockClock) -> None:
    store = Recorder()
    async with log_on(store) as (log, _):
        log.append("s", 1, 1, [b"one"])
        store.replay = does  # type: ignore[method-assign]
        with pytest.raises(StoreFailed):
            await log.replay("s", 1, 0)
        del store.replay  # type: ignore[attr-defined]
        assert await log.replay("s", 1, 0) == [(1, b"one")]


async def test_a_store_that_hangs_is_not_waited_for_without_end(autojump_clock: MockClock) -> None:
    store = Recorder()
    store.append = hangs  # type: ignore[method-assign]
    async with log_on(store) as (log, _):
        for number in range(1, 6):
            log.append("s", 1, number, [b"x" * ROUND_BYTES])
        began = trio.current_time()
        with pytest.raises(StoreFailed, match="has not taken earlier events"):
            await log.replay("s", 1, 0)
        assert trio.current_time() - began == READ_SECONDS


async def test_the_end_of_a_stream_that_was_lost_is_not_taken_for_its_end(autojump_clock: MockClock) -> None:
    store = Recorder()
    async with log_on(store) as (log, _):
        log.append("s", 1, 1, [b"progress"])
        await log.flush()
        store.append = hangs  # type: ignore[method-assign]
        log.append("s", 1, 2, [b"the answer"])
        log.finish("s", 1, 2)
        await trio.sleep(WRITE_SECONDS + 1)
        del store.append  # type: ignore[attr-defined]
        assert await log.replay("s", 1, 1) is None


async def test_streams_that_a_store_could_not_keep_cost_no_others(logged: Logged, autojump_clock: MockClock) -> None:
    class Picky(Recorder):
        async def append(self, batches: Sequence[EventBatch]) -> None:
            bad = [batch for batch in batches if b"bad" in batch.events]
            await super().append([batch for batch in batches if batch not in bad])
            if bad:
                raise AppendFailed(bad)

    async with log_on(Picky()) as (log, _):
        for stream in range(100):
            log.append("s", stream, 1, [b"bad" if stream == 50 else b"good"])
        for stream in range(100):
            assert await log.replay("s", stream, 0) == (None if stream == 50 else [(1, b"good")])
        assert len(logged.of(log_events.STORE_FAILED)) == 1


async def test_losses_of_sessions_that_leave_without_a_word_are_bounded(
    logged: Logged, autojump_clock: MockClock
) -> None:
    class Broken(Recorder):
        async def append(self, batches: Sequence[EventBatch]) -> None:
            raise RuntimeError("the database is gone")

    async with log_on(Broken(), sessions=10) as (log, _):
        for number in range(100):
            log.append(f"s{number}", 1, 1, [b"x"])
            log.append("busy", 1, number + 1, [b"x"])
            await log.flush()
        assert list(log._losses) == [*(f"s{number}" for number in range(91, 100)), "busy"]


async def test_failures_are_logged_and_the_log_throttles_them(logged: Logged, autojump_clock: MockClock) -> None:
    class Broken(Recorder):
        async def append(self, batches: Sequence[EventBatch]) -> None:
            raise RuntimeError("the database is gone")

    async with log_on(Broken()) as (log, _):
        for number in range(1, 101):
            log.append("s", 1, number, [b"x"])
            await log.flush()
        lines = logged.of(log_events.STORE_FAILED)
        assert len(lines) == 100  # told to the log, which writes the first ten
        assert isinstance(lines[0]["exc_info"], StoreFailed)
        assert isinstance(lines[0]["exc_info"].__cause__, RuntimeError)


# --- the end ------------------------------------------------------------------------------


async def test_a_log_that_has_ended_takes_anything_and_keeps_nothing(autojump_clock: MockClock) -> None:
    store = Recorder(pause=1)
    async with log_on(store) as (log, supervisor):
        for number in range(1, 4):
            log.append("s", 1, number, [b"x"])
        await trio.sleep(0.5)
        log.append("s", 1, 4, [b"x"])
        waited: list[Exception] = []

        async def wait() -> None:
            with trio.CancelScope(shield=True):
                try:
                    await log.flush()
                except StoreFailed as exc:
                    waited.append(exc)

        supervisor.nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        supervisor.stop()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
            log.append("s", 1, 5, [b"x"])
            log.finish("s", 1, 5)
            log.forget("t")
            await log.flush()  # nothing waits
        assert len(waited) == 1
        assert len(store.appended) == 1
        assert store.forgotten == []


# --- joining ------------------------------------------------------------------------------

MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda s, t, n: ("append", s, t, n), st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 3)),
        st.builds(lambda s, t, n: ("lost", s, t, n), st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 2)),
        st.builds(lambda s, t, n: ("finish", s, t, n), st.sampled_from("ab"), st.integers(1, 3), st.just(0)),
    ),
    max_size=30,
)


@given(MESSAGES)
@settings(max_examples=200, deadline=None, database=None)
def test_joined_or_one_by_one_a_store_keeps_the_same(told: list[tuple[str, str, int, int]]) -> None:
    messages: list[EventMessage] = []
    one_by_one: list[EventBatch] = []
    sent: dict[tuple[str, int], int] = {}
    finished: set[tuple[str, int]] = set()
    for action, session, stream, number in told:
        key = session, stream
        if key in finished:
            continue
        first = sent.get(key, 0) + 1
        events = tuple(b"%d" % n for n in range(first, first + number))
        if action == "append":
            batch = EventBatch(session, stream, first, events)
            messages.append(Append(batch, 0))
            one_by_one.append(batch)
        elif action == "finish":
            finished.add(key)
            messages.append(Finish(session, stream, first - 1))
            one_by_one.append(EventBatch(session, stream, first, (), is_last=True))
        sent[key] = first - 1 + number
    joined = merged(messages, ())
    assert len(joined) <= len(one_by_one)

    async def compare() -> None:
        stores = MemoryEventStore(), MemoryEventStore()
        await stores[0].append(one_by_one)
        await stores[1].append(joined)
        for (session, stream), last in sent.items():
            for after in range(last + 2):
                replies: list[StoredEvents | None] = [await store.replay(session, stream, after) for store in stores]
                assert replies[0] == replies[1]

    trio.run(compare)


def test_contiguous_events_and_their_end_are_one_batch() -> None:
    messages: list[EventMessage] = [
        Append(EventBatch("s", 1, 1, (b"one",)), 0),
        Append(EventBatch("gone", 1, 1, (b"one",)), 0),
        Append(EventBatch("s", 1, 2, (b"two", b"three")), 0),
        Finish("s", 1, 3),
        Forget("gone"),
        Finish("gone", 1, 1),
    ]
    assert merged(messages, ["gone"]) == [EventBatch("s", 1, 1, (b"one", b"two", b"three"), is_last=True)]


def test_a_batch_with_nothing_to_join_is_passed_on() -> None:
    whole = EventBatch("s", 1, 1, (b"one",), is_last=True, owed=(b"1",))
    assert merged([Append(whole, 0), Append(EventBatch("s", 2, 1, (b"one",)), 0)], ())[0] is whole
