"""The checks of records of sessions, of subscriptions and of secrets."""

from __future__ import annotations

import functools
from typing import Any

import attrs

from trimcp.protocol.client_profile import ClientProfile
from trimcp.protocol.lifecycle import Phase
from trimcp.stores.session_store import SessionRecord, StoredSession
from trimcp.stores.store import Store
from trimcp.testing.store_checks.racing import ODD_IDS, at_once, fresh, raised
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.metadata import Implementation
from trimcp.types.revisions import BY_VERSION

PROFILE = ClientProfile(
    BY_VERSION["2025-11-25"], ClientCapabilities(), Implementation(name="a client", version="1.0"), "warning"
)


def record(id: str, **fields: Any) -> SessionRecord:
    """Make a record of a session."""
    return SessionRecord(**{"id": id, "principal": "3:ada", "opened_at": 1.0, "seen_at": 2.0, **fields})


async def a_session_is_found_as_it_was_added(store: Store, other: Store) -> None:
    """Check that both handles find a session as it was added."""
    id = fresh()
    assert await store.sessions.find(id) is None
    added = record(id, client=PROFILE, phase=Phase.READY, has_posted=True, next_stream=10**12)
    await store.sessions.add(added)
    assert await other.sessions.find(id) == added
    assert await raised(other.sessions.add(record(id, principal=None)), ValueError)
    assert await store.sessions.find(id) == added
    await other.sessions.remove(id)
    await store.sessions.remove(id)
    assert await store.sessions.find(id) is None
    assert await store.sessions.update(added) is None


async def ids_of_sessions_are_data(store: Store, other: Store) -> None:
    """Check that an id may have any characters."""
    base = fresh()
    for id in (base + odd for odd in ODD_IDS):
        await store.sessions.add(record(id))
        await store.sessions.touch([id, fresh()], 7.0)
        assert await other.sessions.find(id) == record(id, seen_at=7.0)
        await store.subscriptions.add(id, id)
        assert await other.subscriptions.uris_of(id) == {id}
        await store.subscriptions.forget(id)
        assert await other.subscriptions.uris_of(id) == frozenset()
        await store.sessions.remove(id)


async def of_many_updates_of_a_session_one_wins(store: Store, other: Store) -> None:
    """Check that an update of another version changes nothing."""
    id = fresh()
    await store.sessions.add(record(id))
    updates = [
        functools.partial(handle.sessions.update, record(id, next_stream=n))
        for n, handle in enumerate((store, other) * 5)
    ]
    won = [each for each in await at_once(updates) if each is not None]
    assert len(won) == 1
    assert won[0].version == 1
    assert await other.sessions.find(id) == won[0]
    assert await other.sessions.update(attrs.evolve(won[0], phase=Phase.READY)) is not None


async def touching_is_no_change_of_a_session(store: Store, other: Store) -> None:
    """Check that a touch changes the time alone, and not the version."""
    id = fresh()
    await store.sessions.add(record(id))
    await other.sessions.touch([id], 50.0)
    found = await store.sessions.find(id)
    assert found is not None
    assert (found.seen_at, found.version) == (50.0, 0)
    assert await store.sessions.update(attrs.evolve(found, next_stream=2)) is not None


async def a_session_is_loaded_with_its_subscriptions(store: Store, other: Store) -> None:
    """Check that one call returns the record and the subscriptions, and None once the session is over."""
    id = fresh()
    assert await store.load_session(id) is None
    await store.sessions.add(record(id, client=PROFILE))
    await store.sessions.touch([id], 9.0)
    expected = record(id, client=PROFILE, seen_at=9.0)
    assert await other.load_session(id) == StoredSession(expected, frozenset())
    for uri in ("file:///a", "file:///ü"):
        await store.subscriptions.add(id, uri)
    assert await other.load_session(id) == StoredSession(expected, frozenset(("file:///a", "file:///ü")))
    await store.sessions.remove(id)
    assert await other.load_session(id) is None
    await store.subscriptions.forget(id)


async def of_many_that_subscribe_one_is_first(store: Store, other: Store) -> None:
    """Check that a subscription is added once, and removed once."""
    id = fresh()
    for method in ("add", "remove"):
        calls = [functools.partial(getattr(each.subscriptions, method), id, "file:///a") for each in (store, other) * 4]
        assert sorted(await at_once(calls)) == [False] * 7 + [True]


async def all_handles_read_the_same_secrets(store: Store, other: Store) -> None:
    """Check that a secret is made once, and that rotation keeps the one before it."""
    read = await at_once([each.secrets.read for each in (store, other) * 3])
    assert all(each == read[0] for each in read)
    rotated = await other.secrets.rotate()
    assert rotated.values == (rotated.values[0], read[0].values[0])
    assert rotated.values[0] not in read[0].values
    assert await store.secrets.read() == rotated


CHECKS = (
    a_session_is_found_as_it_was_added,
    ids_of_sessions_are_data,
    of_many_updates_of_a_session_one_wins,
    touching_is_no_change_of_a_session,
    a_session_is_loaded_with_its_subscriptions,
    of_many_that_subscribe_one_is_first,
    all_handles_read_the_same_secrets,
)
