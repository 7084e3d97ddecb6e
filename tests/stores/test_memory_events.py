"""The event store in memory against a naive one that looks at all its events at each step."""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trimcp.stores.event_store import StoredEvents
from trimcp.stores.memory_events import EVENT_COST, MemoryEventStore

EVENTS, BYTES, AGE = 16, 16 * EVENT_COST + 400, 10.0
SESSIONS = st.sampled_from(["a", "b", "c"])
STREAMS = st.integers(1, 3)


@attrs.frozen
class Kept:
    session: str
    stream: int
    number: int
    event: bytes
    at: float


class Naive:
    """What the store promises, written down."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []

    def of(self, session: str, stream: int | None = None) -> list[Kept]:
        return [one for one in self.kept if one.session == session and stream in (None, one.stream)]

    def expire(self, now: float) -> None:
        self.kept = [one for one in self.kept if now - one.at < AGE]

    def append(self, now: float, new: Kept) -> None:
        self.expire(now)
        before = self.of(new.session, new.stream)
        if before and new.number <= before[-1].number:
            return
        if before and before[-1].number + 1 != new.number:
            self.kept = [one for one in self.kept if one not in before]
        self.kept.append(new)
        for part, chosen in ((8, (new.session, new.stream)), (4, (new.session,)), (1, None)):
            while True:
                some = self.kept if chosen is None else self.of(*chosen)
                if len(some) <= EVENTS // part and cost_of(some) <= BYTES // part:
                    break
                self.kept.remove(some[0])

    def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
        events = self.of(session, stream)
        if not events or not events[0].number - 1 <= after <= events[-1].number:
            return None
        return [(one.number, one.event) for one in events if one.number > after]


async def events_of(asking: Awaitable[StoredEvents | None]) -> list[tuple[int, bytes]]:
    """The events of a replay, which must find the stream."""
    found = await asking
    assert found is not None
    return list(found.events)


def cost_of(events: list[Kept]) -> int:
    return sum(len(one.event) + EVENT_COST for one in events)


class StoreMachine(RuleBasedStateMachine):
    """Any order of appending, waiting, asking and forgetting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.store = MemoryEventStore(events=EVENTS, bytes=BYTES, age=AGE, clock=lambda: self.now)
        self.naive = Naive()
        self.numbers: dict[tuple[str, int], int] = {}

    @rule(session=SESSIONS, stream=STREAMS, size=st.sampled_from([0, 10, 100, 1000, 5000]))
    def append(self, session: str, stream: int, size: int) -> None:
        number = self.numbers[session, stream] = self.numbers.get((session, stream), 0) + 1
        self.put(session, stream, number, b"x" * size)

    @rule(session=SESSIONS, stream=STREAMS, number=st.integers(1, 50))
    def append_out_of_order(self, session: str, stream: int, number: int) -> None:
        self.numbers[session, stream] = number
        self.put(session, stream, number, b"y")

    def put(self, session: str, stream: int, number: int, event: bytes) -> None:
        self.store.append_nowait(session, stream, number, [event])
        self.naive.append(self.now, Kept(session, stream, number, event, self.now))

    @rule(seconds=st.sampled_from([0.5, 3.0, AGE, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(session=SESSIONS, stream=STREAMS, after=st.integers(-1, 30))
    def ask(self, session: str, stream: int, after: int) -> None:
        found = trio.run(self.store.replay, session, stream, after)
        self.naive.expire(self.now)
        assert (found and list(found.events)) == self.naive.replay(session, stream, after)

    @rule(session=SESSIONS, stream=STREAMS, back=st.integers(0, 4))
    def ask_for_the_latest(self, session: str, stream: int, back: int) -> None:
        self.ask(session, stream, self.numbers.get((session, stream), 0) - back)

    @rule(session=SESSIONS, stream=STREAMS, missed=st.sampled_from([0, 0, 1]))
    def finish(self, session: str, stream: int, missed: int) -> None:
        before = self.naive.of(session, stream)
        last = before[-1].number if before else 0
        self.store.finish_nowait(session, stream, last + missed)
        if missed:
            self.naive.kept = [one for one in self.naive.kept if one not in before]

    @rule(session=SESSIONS)
    def forget(self, session: str) -> None:
        self.store.forget_nowait(session)
        self.naive.kept = [one for one in self.naive.kept if one.session != session]

    @invariant()
    def holds_as_much_as_it_may(self) -> None:
        assert len(self.store) == len(self.naive.kept) <= EVENTS
        assert self.store.cost == cost_of(self.naive.kept) <= BYTES
        assert set(self.store._sessions) == {one.session for one in self.naive.kept}


StoreMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None, database=None)
test_the_store_keeps_what_a_naive_one_keeps = StoreMachine.TestCase


async def test_events_are_kept_for_a_time_by_trios_clock(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryEventStore(age=60)
    store.append_nowait("s", 1, 1, [b"one"])
    await trio.sleep(59)
    store.append_nowait("s", 1, 2, [b"two"])
    assert await events_of(store.replay("s", 1, 0)) == [(1, b"one"), (2, b"two")]
    await trio.sleep(1)
    assert await store.replay("s", 1, 0) is None
    assert await events_of(store.replay("s", 1, 1)) == [(2, b"two")]
    assert await events_of(store.replay("s", 1, 2)) == []
    await trio.sleep(59)
    assert await store.replay("s", 1, 2) is None
    assert len(store) == store.cost == 0


async def test_a_session_that_floods_takes_no_room_from_the_others() -> None:
    store = MemoryEventStore(events=1000, bytes=10**6)
    for session in ("b", "c", "d"):
        for number in range(1, 101):
            store.append_nowait(session, 1, number, [b"x"])
    for number in range(1, 10_001):
        store.append_nowait("a", number % 7, 1 + number // 7, [b"y" * 50])
    for session in ("b", "c", "d"):
        assert len(await events_of(store.replay(session, 1, 0))) == 100
    assert len(store) == 300 + 250


async def test_a_stream_that_floods_takes_no_room_from_others_of_its_session() -> None:
    store = MemoryEventStore(events=80)
    store.append_nowait("s", 1, 1, [b"the answer"])
    for number in range(1, 1000):
        store.append_nowait("s", 2, number, [b"y"])
    assert await events_of(store.replay("s", 1, 0)) == [(1, b"the answer")]
    assert len(store) == 11


def test_events_that_were_given_up_take_no_memory_behind_an_older_one() -> None:
    store = MemoryEventStore(events=100, clock=lambda: 0.0)
    store.append_nowait("quiet", 1, 1, [b"the oldest of all"])

    def flood(first: int, events: int) -> int:
        for number in range(first, first + events):
            store.append_nowait("busy", 1, number, [b"y"])
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        few = flood(1, 1000)
        many = flood(1001, 10_000)
    finally:
        tracemalloc.stop()
    assert many - few < 10_000 * 8


async def test_an_event_that_is_longer_than_its_stream_may_be_is_not_kept() -> None:
    store = MemoryEventStore(bytes=8 * (EVENT_COST + 100))
    store.append_nowait("s", 1, 1, [b"x" * 100])
    assert len(store) == 1
    store.append_nowait("s", 1, 2, [b"x" * 101])
    assert len(store) == 0
    assert await store.replay("s", 1, 1) is None
    store.append_nowait("s", 1, 3, [b"x"])
    assert await store.replay("s", 1, 1) is None
    assert await events_of(store.replay("s", 1, 2)) == [(3, b"x")]


async def test_asking_is_a_checkpoint() -> None:
    store = MemoryEventStore()
    with trio.testing.assert_checkpoints():
        await store.replay("s", 1, 0)


@pytest.mark.parametrize(
    "bad", [{"events": 0}, {"bytes": 0}, {"age": 0}, {"session_share": 0}, {"session_share": 2}, {"stream_share": 1.1}]
)
def test_bounds_that_keep_nothing_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Invalid bounds"):
        MemoryEventStore(**bad)
