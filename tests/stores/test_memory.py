"""The stores in memory keep the contracts; records as bytes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from trio.testing import assert_checkpoints

from tests.stores.contract import (
    PROFILE,
    EventStoreContract,
    SecretStoreContract,
    SessionStoreContract,
    SettableClock,
    SubscriptionStoreContract,
    record,
)
from trimcp.errors import UsageError
from trimcp.protocol.lifecycle import Phase
from trimcp.stores import StoreUnavailable
from trimcp.stores.event_store import EventBatch
from trimcp.stores.memory import (
    SUBSCRIBED_SESSIONS,
    MemoryEventStore,
    MemorySecretStore,
    MemorySessionStore,
    MemorySubscriptionStore,
)
from trimcp.stores.memory_nodes import MemoryAdmissionStore, MemoryReplayStore
from trimcp.stores.secret_store import Secrets
from trimcp.stores.session_store import decode_record, encode_record
from trimcp.stores.task_store import decode_task, encode_task
from trimcp.testing.store_checks.tasks import task
from trimcp.types.revisions import BY_VERSION


class TestMemoryEventStore(EventStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[MemoryEventStore]:
        yield MemoryEventStore(**options)


class TestMemorySessionStore(SessionStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[MemorySessionStore]:
        yield MemorySessionStore(**options)


class TestMemorySubscriptionStore(SubscriptionStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[MemorySubscriptionStore]:
        yield MemorySubscriptionStore()


class TestMemorySecretStore(SecretStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[MemorySecretStore]:
        yield MemorySecretStore()


async def test_every_call_is_a_checkpoint() -> None:
    events, sessions = MemoryEventStore(), MemorySessionStore()
    subscriptions, secrets = MemorySubscriptionStore(), MemorySecretStore()
    for call in (
        lambda: events.append([EventBatch("s", 1, 1, (b"it",))]),
        lambda: events.replay("s", 1, 0),
        lambda: events.forget("s"),
        lambda: sessions.add(record()),
        lambda: sessions.find("s"),
        lambda: sessions.update(record()),
        lambda: sessions.touch(["s"], 1.0),
        lambda: sessions.remove("s"),
        lambda: subscriptions.add("s", "u"),
        lambda: subscriptions.uris_of("s"),
        lambda: subscriptions.remove("s", "u"),
        lambda: subscriptions.forget("s"),
        lambda: secrets.read(),
        lambda: secrets.rotate(),
    ):
        with assert_checkpoints():
            await call()


async def test_sessions_that_are_left_take_no_room() -> None:
    clock = SettableClock()
    store = MemorySessionStore(ttl=10, clock=clock)
    for n in range(1000):
        await store.add(record(f"s{n}"))
        clock.now += 1
    assert len(store) == 10


def test_a_session_is_data_that_another_process_reads() -> None:
    for each in (
        record(),
        record(principal=None, version=7, next_stream=10**12),
        record(client=PROFILE, phase=Phase.READY, has_posted=True),
        record(client=attrs.evolve(PROFILE, revision=BY_VERSION["2025-03-26"], info=None, log_level=None)),
    ):
        data = encode_record(each)
        assert decode_record("s", data) == each
        assert decode_record("t", data) == attrs.evolve(each, id="t")


def test_the_id_of_a_session_is_not_in_its_bytes() -> None:
    assert b"a-secret-of-the-client" not in encode_record(record("a-secret-of-the-client", client=PROFILE))


def test_a_record_knows_its_revision() -> None:
    assert record().revision is None
    assert record(client=PROFILE).revision is BY_VERSION["2025-11-25"]


def test_secrets_are_not_shown() -> None:
    assert "kkk" not in repr(Secrets((b"k" * 32,)))


@pytest.mark.parametrize("bad", [[], [b"k" * 15], [b"k" * 32, b""]])
def test_secrets_are_long_enough(bad: list[bytes]) -> None:
    with pytest.raises(UsageError, match="16 random bytes"):
        MemorySecretStore(bad)


# --- bounds -----------------------------------------------------------------------------------


async def test_subscriptions_go_with_their_sessions() -> None:
    clock = SettableClock()
    sessions = MemorySessionStore(ttl=10, clock=clock)
    store = MemorySubscriptionStore(sessions)
    for n in range(4 * SUBSCRIBED_SESSIONS):
        await sessions.add(record(f"s{n}"))
        await store.add(f"s{n}", "file:///a")
        clock.now += 1
    assert len(store._uris) <= SUBSCRIBED_SESSIONS
    assert await store.uris_of(f"s{4 * SUBSCRIBED_SESSIONS - 1}") == {"file:///a"}


async def test_proofs_are_remembered_within_a_bound() -> None:
    clock = SettableClock()
    store = MemoryReplayStore(most=2, clock=clock)
    for key in ("a", "b"):
        assert await store.first_use(key, 10.0)
    with pytest.raises(StoreUnavailable):
        await store.first_use("c", 10.0)
    assert not await store.first_use("a", 10.0)
    clock.now += 11
    assert await store.first_use("c", 10.0)


async def test_places_of_principals_that_are_gone_take_no_room() -> None:
    clock = SettableClock()
    store = MemoryAdmissionStore(clock=clock)
    for n in range(100):
        assert await store.take(f"p{n}", "place", most=1, seconds=10.0)
    clock.now += 5
    assert await store.take("p0", "place", most=1, seconds=10.0)  # for longer
    clock.now += 6
    assert not await store.take("p0", "other", most=1, seconds=10.0)
    assert await store.take("p1", "other", most=1, seconds=10.0)
    assert set(store._taken) == {"p0", "p1"}


# --- records of another version -----------------------------------------------------------------


def test_a_task_of_another_version_is_read() -> None:
    members = json.loads(encode_task(task("t", outcome=b'{"result": {"a": 1.0}}')))
    assert decode_task(json.dumps({**members, "added_later": [1]}).encode()).outcome == b'{"result": {"a": 1.0}}'
    del members["is_cancelling"]
    assert decode_task(json.dumps(members).encode()).is_cancelling is False
