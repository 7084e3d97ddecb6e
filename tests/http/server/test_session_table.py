"""The table of live sessions, and the records that are written behind it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.session.peer import Logged
from tests.stores.contract import PROFILE
from tests.stores.hostile import HOSTILE, hangs, returns_garbage
from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.errors import UsageError
from trimcp.http.server.legacy_session import LegacySession
from trimcp.http.server.legacy_sessions import new_session_id
from trimcp.http.server.session_table import (
    SessionTable,
    open_session_table,
    session_store_of,
    subscription_store_of,
)
from trimcp.limits import Limits
from trimcp.observability import events
from trimcp.protocol.lifecycle import Phase
from trimcp.stores.contained import WRITE_SECONDS, StoreFailed
from trimcp.stores.memory import MemorySessionStore, MemorySubscriptionStore
from trimcp.stores.session_store import SessionRecord, SessionStore
from trimcp.stores.subscription_store import SubscriptionStore


@attrs.define(eq=False)
class Fake:
    """What the table sees of a session."""

    id: str
    phase: Phase = Phase.OPENING
    touched_at: float = 0.0

    @property
    def record_state(self) -> tuple[object, ...]:
        return (self.phase,)

    def record(self) -> SessionRecord:
        return SessionRecord(
            id=self.id, principal="ada", opened_at=1.0, seen_at=2.0, phase=self.phase, client=attrs.evolve(PROFILE)
        )


def fake(id: str) -> tuple[Fake, LegacySession]:
    """A session, as what it is and as what it stands for."""
    session = Fake(id)
    return session, cast(LegacySession, session)


class Recorder(MemorySessionStore):
    """Keeps records, and takes down what is asked. Takes `pause` seconds for each."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self.pause = pause
        self.calls: list[Any] = []

    async def add(self, record: SessionRecord) -> None:
        await self._note("add", record.id)
        await super().add(record)

    async def find(self, id: str) -> SessionRecord | None:
        await self._note("find", id)
        return await super().find(id)

    async def update(self, record: SessionRecord) -> SessionRecord | None:
        await self._note("update", record.id, record.phase)
        return await super().update(record)

    async def touch(self, ids: Collection[str], seen_at: float) -> None:
        await self._note("touch", *ids)
        await super().touch(ids, seen_at)

    async def remove(self, id: str) -> None:
        await self._note("remove", id)
        await super().remove(id)

    async def _note(self, *call: Any) -> None:
        self.calls.append(call)
        await trio.sleep(self.pause)


@asynccontextmanager
async def table_on(
    store: SessionStore | None, subscription_store: SubscriptionStore | None = None, **limits: Any
) -> AsyncIterator[tuple[SessionTable, Supervisor]]:
    async with open_supervisor("test") as supervisor:
        yield open_session_table(supervisor, store, subscription_store, Limits(**limits)), supervisor


async def test_a_session_lives_here_and_has_a_record() -> None:
    store = MemorySessionStore()
    async with table_on(store) as (live, _):
        _, session = fake("s")
        await live.add(session)
        assert await live.find("s") is session
        assert list(live) == [session]
        found = await store.find("s")
        assert found is not None
        assert found.principal == "ada"
        live.remove(session)
        live.remove(session)
        assert await live.find("s") is None
        assert list(live) == []
        await trio.testing.wait_all_tasks_blocked()
        assert await store.find("s") is None


async def test_a_session_that_lives_here_is_not_asked_for_elsewhere(autojump_clock: MockClock) -> None:
    store = Recorder(pause=1)
    async with table_on(store) as (live, _):
        _, session = fake("s")
        await live.add(session)
        began = trio.current_time()
        assert await live.find("s") is session
        assert trio.current_time() == began
        assert await live.find("unknown") is None
        assert store.calls == [("add", "s"), ("find", "unknown")]


async def test_a_session_of_another_process_is_not_here(logged: Logged) -> None:
    store = MemorySessionStore()
    async with table_on(store) as (here, _), table_on(store) as (elsewhere, _):
        _, session = fake("s")
        await elsewhere.add(session)
        assert await here.find("s") is None
        assert len(logged.of(events.SESSION_NOT_HERE)) == 1
        assert await here.find("never was") is None
        assert len(logged.of(events.SESSION_NOT_HERE)) == 1


async def test_what_was_agreed_is_written_behind_the_session(autojump_clock: MockClock) -> None:
    store = Recorder(pause=1)
    async with table_on(store) as (live, _):
        it, session = fake("s")
        await live.add(session)
        began = trio.current_time()
        it.phase = Phase.INITIALIZED
        live.save(session)
        assert trio.current_time() == began
        await trio.sleep(0.5)
        it.phase = Phase.READY
        for _ in range(100):
            live.save(session)
        await trio.sleep(10)
        assert store.calls[1:] == [("update", "s", Phase.INITIALIZED), ("update", "s", Phase.READY)]
        found = await store.find("s")
        assert found is not None
        assert (found.phase, found.version) == (Phase.READY, 2)


async def test_sessions_that_are_alive_are_touched_together_and_changes_are_saved(autojump_clock: MockClock) -> None:
    store = Recorder()
    async with table_on(store) as (live, _):
        (first, one), (second, two), (third, three) = fake("one"), fake("two"), fake("three")
        for session in (one, two, three):
            await live.add(session)
        store.calls.clear()
        live.renew()
        await trio.testing.wait_all_tasks_blocked()
        assert store.calls == []  # nothing was heard of them
        first.touched_at = second.touched_at = third.touched_at = 5.0
        third.phase = Phase.READY
        live.renew()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(store.calls) == [("touch", "one", "two"), ("update", "three", Phase.READY)]
        store.calls.clear()
        for _ in range(3):
            live.renew()
        await trio.testing.wait_all_tasks_blocked()
        assert store.calls == [("touch", "three")]  # it may have changed once more when it was saved
        found = await store.find("one")
        assert found is not None
        assert time.time() - found.seen_at < 60


async def test_a_touch_that_waits_is_not_lost_to_the_next(autojump_clock: MockClock) -> None:
    store = Recorder(pause=1)
    async with table_on(store) as (live, _):
        (first, one), (second, two), (_, busy) = fake("one"), fake("two"), fake("busy")
        for session in (one, two, busy):
            await live.add(session)
        store.calls.clear()
        live.save(busy)
        await trio.sleep(0.5)
        first.touched_at = 5.0
        live.renew()
        second.touched_at = 6.0
        live.renew()
        await trio.sleep(5)
        assert store.calls[1:] == [("touch", "one", "busy", "two")]


async def test_the_end_of_a_session_takes_the_place_of_its_update(autojump_clock: MockClock) -> None:
    store = Recorder(pause=1)
    async with table_on(store) as (live, _):
        (_, one), (_, busy) = fake("one"), fake("busy")
        await live.add(one)
        await live.add(busy)
        store.calls.clear()
        live.save(busy)
        await trio.sleep(0.5)
        live.save(one)
        live.remove(one)
        live.save(one)  # it is over
        await trio.sleep(5)
        assert store.calls == [("update", "busy", Phase.OPENING), ("remove", "one")]


async def test_what_is_subscribed_is_kept_behind_the_session(autojump_clock: MockClock) -> None:
    class Slow(MemorySubscriptionStore):
        calls: ClassVar[list[Any]] = []

        async def add(self, session: str, uri: str) -> bool:
            self.calls.append(("add", uri))
            await trio.sleep(1)
            return await super().add(session, uri)

        async def remove(self, session: str, uri: str) -> bool:
            self.calls.append(("remove", uri))
            await trio.sleep(1)
            return await super().remove(session, uri)

    store = Slow()
    async with table_on(None, store) as (live, _):
        (_, session), (_, other) = fake("s"), fake("never added")
        await live.add(session)
        began = trio.current_time()
        await live.subscribed(session, "file:///busy", is_on=True)
        assert trio.current_time() == began
        await trio.sleep(0.5)
        for is_on in (True, False, True, False):
            await live.subscribed(session, "file:///a", is_on=is_on)
            await live.subscribed(session, "file:///b", is_on=not is_on)
        await live.subscribed(other, "file:///c", is_on=True)
        await trio.sleep(10)
        assert store.calls == [("add", "file:///busy"), ("remove", "file:///a"), ("add", "file:///b")]
        assert await store.uris_of("s") == {"file:///busy", "file:///b"}
        await live.subscribed(session, "file:///d", is_on=True)
        live.remove(session)
        await trio.sleep(10)
        assert await store.uris_of("s") == frozenset()


@pytest.mark.parametrize("does", HOSTILE, ids=lambda does: does.__name__)
async def test_subscriptions_that_cannot_be_kept_cost_nothing_else(
    does: Any, logged: Logged, autojump_clock: MockClock
) -> None:
    sessions, store = MemorySessionStore(), MemorySubscriptionStore()
    async with table_on(sessions, store) as (live, _):
        (_, session), (_, other) = fake("s"), fake("t")
        await live.add(session)
        await live.add(other)
        store.add = store.forget = does  # type: ignore[method-assign]
        await live.subscribed(session, "file:///a", is_on=True)
        live.remove(other)
        await trio.sleep(3 * WRITE_SECONDS)
        assert bool(logged.of(events.STORE_FAILED)) == (does is not returns_garbage)
        assert await sessions.find("t") is None
        del store.add, store.forget  # type: ignore[attr-defined]
        await live.subscribed(session, "file:///b", is_on=True)
        await trio.testing.wait_all_tasks_blocked()
        assert await store.uris_of("s") == {"file:///b"}


async def test_our_store_forgets_what_is_over() -> None:
    async with table_on(None) as (live, supervisor):
        for n in range(50):
            _, session = fake(f"s{n}")
            await live.add(session)
            live.remove(session)
        await trio.testing.wait_all_tasks_blocked()
        assert len(cast(MemorySessionStore, live._store)) == 0
        assert supervisor.snapshot().tasks == ("test: session table",)


@pytest.mark.parametrize("does", HOSTILE, ids=lambda does: does.__name__)
async def test_a_store_that_fails_costs_the_records_and_nothing_else(
    does: Any, logged: Logged, autojump_clock: MockClock
) -> None:
    store = Recorder()
    async with table_on(store) as (live, _):
        (it, session), (_, other) = fake("s"), fake("t")
        await live.add(session)
        await live.add(other)
        store.update = store.touch = store.remove = does  # type: ignore[method-assign]
        live.save(session)
        it.touched_at = 7.0
        live.renew()
        live.remove(other)
        await trio.sleep(4 * WRITE_SECONDS)
        assert logged.of(events.STORE_FAILED)
        assert await live.find("s") is session
        del store.update, store.touch, store.remove  # type: ignore[attr-defined]
        it.phase = Phase.READY
        live.save(session)
        await trio.testing.wait_all_tasks_blocked()
        found = await store.find("s")
        assert found is not None
        assert found.phase is Phase.READY


@pytest.mark.parametrize("does", HOSTILE, ids=lambda does: does.__name__)
async def test_a_store_that_cannot_find_or_add_fails_the_request(does: Any, autojump_clock: MockClock) -> None:
    store = Recorder()
    async with table_on(store) as (live, _):
        _, session = fake("s")
        store.find = store.add = does  # type: ignore[method-assign]
        with pytest.raises(StoreFailed):
            await live.find("s")
        if does.__name__ != "returns_garbage":  # which is not looked at
            with pytest.raises(StoreFailed):
                await live.add(session)
            assert list(live) == []


async def test_a_record_that_another_process_has_changed_is_left_alone(
    logged: Logged, autojump_clock: MockClock
) -> None:
    store = MemorySessionStore()
    async with table_on(store) as (live, _):
        it, session = fake("s")
        await live.add(session)
        record = await store.find("s")
        assert record is not None
        await store.update(attrs.evolve(record, next_stream=1000))
        it.phase = Phase.READY
        live.save(session)
        await trio.testing.wait_all_tasks_blocked()
        assert len(logged.of(events.STORE_FAILED)) == 1
        found = await store.find("s")
        assert found is not None
        assert found.next_stream == 1000


async def test_what_waits_for_a_store_that_hangs_is_bounded(logged: Logged, autojump_clock: MockClock) -> None:
    store = Recorder()
    async with table_on(store, sessions=4, subscriptions=3) as (live, _):
        store.remove = hangs  # type: ignore[method-assign]
        for n in range(100):
            _, session = fake(f"s{n}")
            await live.add(session)
            live.remove(session)
        assert live.mailbox.statistics().peak <= 2 * 4 + 1 + 3
        assert logged.of(events.STORE_FAILED)


async def test_a_record_is_left_where_the_process_ends() -> None:
    store = MemorySessionStore()
    async with table_on(store) as (live, supervisor):
        _, session = fake("s")
        await live.add(session)
        supervisor.stop()
        live.remove(session)
    assert await store.find("s") is not None


def test_ids_are_not_guessed() -> None:
    ids = {new_session_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) == 32 and id.isascii() and id.isprintable() for id in ids)


def test_what_is_no_store_is_refused_with_advice() -> None:
    with pytest.raises(UsageError, match=r"registry dict: .*session_store\.SessionStore"):
        session_store_of({})
    with pytest.raises(UsageError, match=r"subscriptions dict: .*SubscriptionStore"):
        subscription_store_of({})
