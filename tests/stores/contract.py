"""The contracts of stores: what any implementation must do. Test classes of a store derive from these.

    class TestMyEvents(EventStoreContract):
        @asynccontextmanager
        async def open(self, **bounds):
            yield MyEventStore(**bounds)

`other` is a second handle on the same data, as another process has it. Where the store has no clock that a test can
set, `has_clock = False` leaves out what needs one.
"""

from __future__ import annotations

import abc
import random
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

import attrs
import pytest
import trio

from trimcp.errors import UsageError
from trimcp.protocol.client_profile import ClientProfile
from trimcp.protocol.lifecycle import Phase
from trimcp.stores.event_store import EventBatch, EventStore, StoredEvents
from trimcp.stores.secret_store import SecretStore
from trimcp.stores.session_store import SessionRecord, SessionStore
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.metadata import Implementation
from trimcp.types.revisions import BY_VERSION

S = TypeVar("S")
ODD_IDS = ["a:b", "a{b}", "*", "ü", "x" * 200, "'; --", "a/b\\c", " "]


class SettableClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class StoreContract(abc.ABC, Generic[S]):
    """What the contracts share."""

    has_clock = True

    @abc.abstractmethod
    def open(self, **options: Any) -> AbstractAsyncContextManager[S]:
        """Open an empty store."""

    def other(self, store: S) -> S:
        """Return a second handle on the same data."""
        return store


def batch(session: str, stream: int, first: int, *events: bytes, is_last: bool = False) -> EventBatch:
    return EventBatch(session, stream, first, events, is_last)


async def numbers(store: EventStore, session: str, stream: int, after: int = 0) -> list[int] | None:
    """The numbers of the events that a replay returns."""
    found = await store.replay(session, stream, after)
    return None if found is None else [number for number, _ in found.events]


class EventsContract(StoreContract[EventStore]):
    """What a store does with events.

    `open` takes the bounds `events`, `bytes` (of events alone, at the least), `age` in seconds, and `clock`.
    """

    async def test_events_come_back_behind_any_number(self) -> None:
        async with self.open() as store:
            await store.append([batch("s", 1, 1, b"one", b"two"), batch("s", 1, 3, b"three")])
            reader = self.other(store)
            assert await reader.replay("s", 1, 0) == StoredEvents(((1, b"one"), (2, b"two"), (3, b"three")))
            assert await reader.replay("s", 1, 2) == StoredEvents(((3, b"three"),))
            assert await reader.replay("s", 1, 3) == StoredEvents(())

    async def test_what_is_not_known_is_none(self) -> None:
        async with self.open() as store:
            await store.append([batch("s", 1, 1, b"one")])
            for session, stream, after in (("s", 1, 2), ("s", 1, -1), ("s", 2, 0), ("t", 1, 0)):
                assert await store.replay(session, stream, after) is None

    async def test_one_call_keeps_events_of_many_streams(self) -> None:
        async with self.open() as store:
            await store.append([batch(f"s{n % 7}", n, 1, b"%d" % n, b"more") for n in range(100)])
            await store.append([])
            for n in range(100):
                assert await store.replay(f"s{n % 7}", n, 0) == StoredEvents(((1, b"%d" % n), (2, b"more")))

    async def test_bytes_come_back_as_they_were(self) -> None:
        async with self.open() as store:
            events = (bytes(range(256)), b"", b"\0", b"\r\n\n", "ü€".encode() * 1000)
            await store.append([EventBatch("s", 1, 1, events)])
            found = await self.other(store).replay("s", 1, 0)
            assert found is not None
            assert tuple(event for _, event in found.events) == events

    async def test_numbers_may_be_large(self) -> None:
        async with self.open() as store:
            stream, first = 10**12 + 7, 10**15
            await store.append([batch("s", stream, first, b"one", b"two")])
            assert await numbers(store, "s", stream, first - 1) == [first, first + 1]

    @pytest.mark.parametrize("id", ODD_IDS)
    async def test_ids_are_data(self, id: str) -> None:
        async with self.open() as store:
            await store.append([batch(id, 1, 1, b"mine"), batch("plain", 1, 1, b"other")])
            assert await store.replay(id, 1, 0) == StoredEvents(((1, b"mine"),))
            await store.forget(id)
            assert await store.replay(id, 1, 0) is None
            assert await numbers(store, "plain", 1) == [1]

    async def test_what_comes_twice_is_kept_once(self) -> None:
        async with self.open() as store:
            await store.append([batch("s", 1, 1, b"one", b"two")])
            await store.append([batch("s", 1, 1, b"one", b"two")])
            await store.append([batch("s", 1, 2, b"again", b"three")])
            await store.append([batch("s", 1, 1, b"again")])
            assert await store.replay("s", 1, 0) == StoredEvents(((1, b"one"), (2, b"two"), (3, b"three")))

    async def test_behind_a_gap_a_stream_begins_anew(self) -> None:
        async with self.open() as store:
            await store.append([batch("s", 1, 1, b"one", b"two"), batch("s", 1, 4, b"four")])
            for after in (0, 1, 2):
                assert await store.replay("s", 1, after) is None
            assert await numbers(store, "s", 1, 3) == [4]
            assert await numbers(store, "s", 1, 4) == []

    async def test_a_stream_may_begin_anywhere(self) -> None:
        async with self.open() as store:
            await store.append([batch("s", 1, 5, b"five")])
            assert await store.replay("s", 1, 3) is None
            assert await numbers(store, "s", 1, 4) == [5]

    async def test_a_session_that_is_over_is_forgotten_and_no_other(self) -> None:
        async with self.open() as store:
            await store.append([batch(session, stream, 1, b"it") for session in ("s", "t") for stream in (1, 2)])
            await self.other(store).forget("s")
            await store.forget("s")
            await store.forget("never was")
            for stream in (1, 2):
                assert await store.replay("s", stream, 0) is None
                assert await numbers(store, "t", stream) == [1]
            await store.append([batch("s", 1, 1, b"anew")])
            assert await store.replay("s", 1, 0) == StoredEvents(((1, b"anew"),))

    async def test_the_newest_events_are_kept_within_a_bound(self) -> None:
        async with self.open(events=80) as store:
            for number in range(1, 501):
                await store.append([batch("s", 1, number, b"x")])
            assert await store.replay("s", 1, 0) is None
            assert await store.replay("s", 1, 419) is None
            assert await numbers(store, "s", 1, 499) == [500]

    async def test_bytes_have_a_bound(self) -> None:
        async with self.open(bytes=100_000) as store:
            for number in range(1, 101):
                await store.append([batch("s", 1, number, b"x" * 3000)])
            assert await store.replay("s", 1, 60) is None
            assert await numbers(store, "s", 1, 99) == [100]

    async def test_events_grow_old(self) -> None:
        if not self.has_clock:
            pytest.skip("the store has a clock of its own")
        clock = SettableClock()
        async with self.open(age=60.0, clock=clock) as store:
            await store.append([batch("s", 1, 1, b"one")])
            clock.now += 40
            await store.append([batch("s", 1, 2, b"two")])
            assert await numbers(store, "s", 1) == [1, 2]
            clock.now += 40
            assert await store.replay("s", 1, 0) is None
            assert await numbers(store, "s", 1, 1) == [2]
            clock.now += 40
            assert await store.replay("s", 1, 1) is None

    async def test_many_tasks_append_at_once(self) -> None:
        async with self.open() as store:

            async def write(stream: int) -> None:
                for number in range(1, 11):
                    await store.append([batch("s", stream, number, b"%d" % number)])

            async with trio.open_nursery() as nursery:
                for stream in range(20):
                    nursery.start_soon(write, stream)
            for stream in range(20):
                assert await numbers(store, "s", stream) == list(range(1, 11))

    async def test_a_batch_is_kept_whole_or_not_at_all_where_its_call_is_cancelled(self) -> None:
        async with self.open() as store:
            for stream in range(10):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await store.append([batch("s", stream, 1, b"one", b"two", b"three")])
                assert await numbers(store, "s", stream) in (None, [1, 2, 3])

    @pytest.mark.parametrize("seed", range(3))
    async def test_any_order_of_calls_against_a_model(self, seed: int) -> None:
        rng = random.Random(seed)
        model: dict[tuple[str, int], list[tuple[int, bytes]]] = {}
        async with self.open() as store:
            for step in range(200):
                session, stream = rng.choice("abc"), rng.randrange(3)
                known = model.get((session, stream), [])
                last = known[-1][0] if known else 0
                action = rng.random()
                if action < 0.6:
                    first = last + 1 if rng.random() < 0.8 else rng.randrange(1, 40)
                    events = [b"%d %d" % (step, n) for n in range(rng.randrange(1, 4))]
                    await store.append([EventBatch(session, stream, first, tuple(events))])
                    new = [(number, event) for number, event in enumerate(events, first) if number > last]
                    if new:
                        model[session, stream] = [*(known if new[0][0] == last + 1 else ()), *new]
                elif action < 0.95:
                    after = max(0, last - rng.randrange(-1, 5))
                    found = await store.replay(session, stream, after)
                    if known and known[0][0] - 1 <= after <= last:
                        assert found == StoredEvents(tuple(each for each in known if each[0] > after))
                    else:
                        assert found is None
                else:
                    await store.forget(session)
                    model = {key: events for key, events in model.items() if key[0] != session}


class EventStoreContract(EventsContract):
    """What any event store must do: it knows the ends of streams as well."""

    async def test_the_last_batch_finishes_a_stream(self) -> None:
        async with self.open() as store:
            await store.append([batch("s", 1, 1, b"one"), batch("s", 2, 1, b"one", is_last=True)])
            await store.append([batch("s", 1, 2, b"two", is_last=True)])
            reader = self.other(store)
            for stream, last in ((1, 2), (2, 1)):
                for after in range(last + 1):
                    found = await reader.replay("s", stream, after)
                    assert found is not None
                    assert found.is_finished
                    assert [number for number, _ in found.events] == list(range(after + 1, last + 1))

    async def test_an_empty_batch_finishes_a_stream(self) -> None:
        async with self.open() as store:
            await store.append([batch("s", 1, 1, b"one")])
            await store.append([batch("s", 1, 2, is_last=True), batch("s", 9, 1, is_last=True)])
            assert await store.replay("s", 1, 0) == StoredEvents(((1, b"one"),), is_finished=True)
            assert await store.replay("s", 1, 1) == StoredEvents((), is_finished=True)

    async def test_a_stream_whose_end_was_not_kept_cannot_be_resumed(self) -> None:
        async with self.open() as store:
            await store.append([batch("s", 1, 1, b"one")])
            await store.append([batch("s", 1, 3, is_last=True)])
            for after in (0, 1):
                assert await store.replay("s", 1, after) is None
            # A client that has the event which the store lost has missed nothing.
            assert await store.replay("s", 1, 2) in (None, StoredEvents((), is_finished=True))


PROFILE = ClientProfile(
    BY_VERSION["2025-11-25"],
    ClientCapabilities(),
    Implementation(name="a client", version="1.0", title="ü"),
    "warning",
)


def record(id: str = "s", **fields: Any) -> SessionRecord:
    return SessionRecord(**{"id": id, "principal": "3:ada", "opened_at": 1.0, "seen_at": 2.0, **fields})


class SessionStoreContract(StoreContract[SessionStore]):
    """`open` takes `ttl` in seconds, and `clock`."""

    async def test_a_session_is_found_as_it_was_added(self) -> None:
        async with self.open() as store:
            assert await store.find("s") is None
            await store.add(record())
            await store.add(
                record("t", principal=None, client=PROFILE, phase=Phase.READY, has_posted=True, next_stream=9)
            )
            reader = self.other(store)
            assert await reader.find("s") == record()
            assert await reader.find("t") == record(
                "t", principal=None, client=PROFILE, phase=Phase.READY, has_posted=True, next_stream=9
            )

    async def test_an_id_is_added_once(self) -> None:
        async with self.open() as store:
            await store.add(record())
            with pytest.raises(ValueError, match="session"):
                await self.other(store).add(record(principal="4:mary"))
            assert await store.find("s") == record()

    @pytest.mark.parametrize("id", ODD_IDS)
    async def test_ids_are_data(self, id: str) -> None:
        async with self.open() as store:
            await store.add(record(id))
            assert await store.find(id) == record(id)
            await store.touch([id], 7.0)
            await store.remove(id)
            assert await store.find(id) is None

    async def test_an_update_takes_the_next_version(self) -> None:
        async with self.open() as store:
            await store.add(record())
            first = await store.update(record(client=PROFILE, phase=Phase.INITIALIZED))
            assert first == record(client=PROFILE, phase=Phase.INITIALIZED, version=1)
            second = await store.update(attrs.evolve(first, phase=Phase.READY))
            assert second is not None
            assert second.version == 2
            assert await self.other(store).find("s") == second

    async def test_an_update_that_another_was_before_changes_nothing(self) -> None:
        async with self.open() as store:
            await store.add(record())
            assert await self.other(store).update(record(next_stream=5)) is not None
            assert await store.update(record(next_stream=6)) is None
            found = await store.find("s")
            assert found is not None
            assert (found.next_stream, found.version) == (5, 1)

    async def test_of_many_updates_at_once_one_wins(self) -> None:
        async with self.open() as store:
            await store.add(record())
            won: list[SessionRecord] = []

            async def update(n: int) -> None:
                updated = await store.update(record(next_stream=n))
                if updated is not None:
                    won.append(updated)

            async with trio.open_nursery() as nursery:
                for n in range(10):
                    nursery.start_soon(update, n)
            assert len(won) == 1
            assert await store.find("s") == won[0]

    async def test_there_is_no_update_of_a_session_that_is_over(self) -> None:
        async with self.open() as store:
            await store.add(record())
            await self.other(store).remove("s")
            await store.remove("s")
            assert await store.update(record(next_stream=2)) is None
            assert await store.find("s") is None

    async def test_touching_says_when_a_session_was_seen(self) -> None:
        async with self.open() as store:
            await store.add(record())
            await store.add(record("t"))
            await store.touch(["s", "never was"], 50.0)
            await store.touch([], 60.0)
            found, other = await store.find("s"), await store.find("t")
            assert found is not None
            assert other is not None
            assert (found.seen_at, other.seen_at) == (50.0, 2.0)
            assert await store.update(record(next_stream=2)) is not None  # it is no change of what was agreed

    async def test_a_session_that_nothing_touches_is_forgotten(self) -> None:
        if not self.has_clock:
            pytest.skip("the store has a clock of its own")
        clock = SettableClock()
        async with self.open(ttl=100.0, clock=clock) as store:
            for id in ("left", "touched", "updated"):
                await store.add(record(id))
            clock.now += 60
            await store.touch(["touched"], clock.now)
            await store.update(record("updated"))
            clock.now += 60
            assert await store.find("left") is None
            assert await store.find("touched") is not None
            assert await store.find("updated") is not None
            await store.add(record("left"))
            clock.now += 60
            assert await store.find("touched") is None
            assert await store.find("left") is not None


class SubscriptionStoreContract(StoreContract[SubscriptionStore]):
    """`open` takes nothing."""

    async def test_subscriptions_come_and_go(self) -> None:
        async with self.open() as store:
            assert await store.uris_of("s") == frozenset()
            assert await store.add("s", "file:///a")
            assert await store.add("s", "file:///b")
            assert not await self.other(store).add("s", "file:///a")
            assert await self.other(store).uris_of("s") == {"file:///a", "file:///b"}
            assert await store.remove("s", "file:///a")
            assert not await store.remove("s", "file:///a")
            assert not await store.remove("t", "file:///a")
            assert await store.uris_of("s") == {"file:///b"}

    async def test_a_session_that_is_over_is_forgotten_and_no_other(self) -> None:
        async with self.open() as store:
            await store.add("s", "file:///a")
            await store.add("t", "file:///a")
            await store.forget("s")
            await store.forget("s")
            assert await store.uris_of("s") == frozenset()
            assert await store.uris_of("t") == {"file:///a"}
            assert await store.add("s", "file:///a")

    @pytest.mark.parametrize("id", ODD_IDS)
    async def test_ids_and_uris_are_data(self, id: str) -> None:
        async with self.open() as store:
            await store.add(id, id)
            assert await store.uris_of(id) == {id}

    async def test_of_many_that_add_the_same_one_is_first(self) -> None:
        async with self.open() as store:
            first: list[bool] = []

            async def add() -> None:
                first.append(await store.add("s", "file:///a"))

            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(add)
            assert sorted(first) == [False] * 9 + [True]


class SecretStoreContract(StoreContract[SecretStore]):
    """`open` takes nothing: a store that is empty makes a secret when it is first read."""

    async def test_all_handles_read_the_same(self) -> None:
        async with self.open() as store:
            read = [await store.read(), await self.other(store).read(), await store.read()]
            assert read[0] == read[1] == read[2]
            assert len(read[0].derive(b"it")[0]) == 32
            assert read[0].derive(b"it") != read[0].derive(b"that")

    async def test_rotation_keeps_the_one_before(self) -> None:
        async with self.open() as store:
            before = await store.read()
            after = await self.other(store).rotate()
            assert await store.read() == after
            assert after.derive(b"it")[1] == before.derive(b"it")[0]
            assert after.derive(b"it")[0] != before.derive(b"it")[0]
            third = await store.rotate(b"k" * 32)
            assert third.values == (b"k" * 32, after.values[0])

    async def test_a_secret_is_not_short(self) -> None:
        async with self.open() as store:
            before = await store.read()
            with pytest.raises(UsageError, match="16 random bytes"):
                await store.rotate(b"short")
            assert await store.read() == before
