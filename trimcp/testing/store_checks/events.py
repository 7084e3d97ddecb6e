"""The checks of events of streams."""

from __future__ import annotations

import functools

from trimcp.stores.event_store import SETTLED, AppendFailed, EventBatch, StoredEvents
from trimcp.stores.store import Store
from trimcp.testing.store_checks.racing import at_once, fresh


async def _refused(store: Store, *batches: EventBatch) -> tuple[EventBatch, ...]:
    try:
        await store.events.append(batches)
    except AppendFailed as exc:
        return exc.batches
    return ()


async def events_come_back_behind_any_number(store: Store, other: Store) -> None:
    """Check that events come back as they were, from any number on."""
    id, odd = fresh(), (bytes(range(256)), b"", "ü€".encode() * 1000)
    await store.events.append(
        [EventBatch(id, 1, 1, odd[:1]), EventBatch(id, 2, 1, (b"it",)), EventBatch(id, 1, 2, odd[1:])]
    )
    for after in range(4):
        events = tuple((n, odd[n - 1]) for n in range(after + 1, 4))
        assert await other.events.replay(id, 1, after) == StoredEvents(events)
    for session, stream, after in ((id, 1, 4), (id, 1, -1), (id, 3, 0), (fresh(), 1, 0)):
        assert await other.events.replay(session, stream, after) is None
    await other.events.forget(id)
    assert await store.events.replay(id, 1, 0) is None
    assert await store.events.replay(id, 2, 0) is None


async def an_event_that_comes_twice_is_kept_once(store: Store, other: Store) -> None:
    """Check that known numbers are ignored, and that a gap begins the stream anew."""
    id = fresh()
    for first, events in ((1, (b"1", b"2")), (1, (b"1", b"2")), (2, (b"x", b"3"))):
        await store.events.append([EventBatch(id, 1, first, events)])
    assert await other.events.replay(id, 1, 0) == StoredEvents(((1, b"1"), (2, b"2"), (3, b"3")))
    await store.events.append([EventBatch(id, 1, 5, (b"5",))])
    assert await other.events.replay(id, 1, 2) is None
    assert await other.events.replay(id, 1, 4) == StoredEvents(((5, b"5"),))
    await store.events.append([EventBatch(id, 1, 7, (), is_last=True)])
    assert await other.events.replay(id, 1, 5) is None


async def the_last_batch_finishes_a_stream(store: Store, other: Store) -> None:
    """Check that a stream ends with its last batch, also if that has no events."""
    id = fresh()
    await store.events.append([EventBatch(id, 1, 1, (b"1",), is_last=True), EventBatch(id, 2, 1, (b"1",))])
    await store.events.append([EventBatch(id, 2, 2, (), is_last=True)])
    for stream in (1, 2):
        assert await other.events.replay(id, stream, 1) == StoredEvents((), is_finished=True)


async def a_stream_has_one_writer(store: Store, other: Store) -> None:
    """Check that a stream takes events from the node that opened it, and from no other."""
    id = fresh()
    owed = (b"7", b'"seven"')
    await store.events.append([EventBatch(id, 1, 1, (), incarnation=3, owed=owed)])
    assert await other.events.replay(id, 1, 0) == StoredEvents((), incarnation=3, owed=owed)
    await store.events.append([EventBatch(id, 1, 1, (b"1",), incarnation=3)])
    foreign, own = EventBatch(id, 1, 2, (b"x",), incarnation=4), EventBatch(id, 9, 1, (b"1",), incarnation=4)
    assert await _refused(other, foreign, own) == (foreign,)
    assert await store.events.replay(id, 1, 0) == StoredEvents(((1, b"1"),), incarnation=3, owed=owed)
    assert await store.events.replay(id, 9, 0) == StoredEvents(((1, b"1"),), incarnation=4)


async def a_stream_is_settled_once(store: Store, other: Store) -> None:
    """Check that of many nodes one settles a stream, and that its writer then writes nothing more."""
    id = fresh()
    await store.events.append([EventBatch(id, 1, 1, (b"1",), incarnation=3, owed=(b"7",))])
    assert not await other.events.settle(id, 1, 4, (b"x",))
    assert not await other.events.settle(id, 2, 3, (b"x",))
    settling = [functools.partial(each.events.settle, id, 1, 3, (b"lost",)) for each in (store, other) * 4]
    assert sorted(await at_once(settling)) == [False] * 7 + [True]
    expected = StoredEvents(((1, b"1"), (2, b"lost")), is_finished=True, incarnation=SETTLED, owed=(b"7",))
    assert await store.events.replay(id, 1, 0) == expected
    for late in (EventBatch(id, 1, 2, (b"late",), True, 3), EventBatch(id, 1, 9, (b"late",), False, 3)):
        assert await _refused(store, late) == (late,)
    assert await other.events.replay(id, 1, 0) == expected


async def a_stream_that_ended_is_not_settled(store: Store, other: Store) -> None:
    """Check that the end that the writer has written stays."""
    id = fresh()
    await store.events.append([EventBatch(id, 1, 1, (b"1",), True, 3)])
    assert not await other.events.settle(id, 1, 3, (b"x",))
    assert await other.events.replay(id, 1, 0) == StoredEvents(((1, b"1"),), True, 3)


CHECKS = (
    events_come_back_behind_any_number,
    an_event_that_comes_twice_is_kept_once,
    the_last_batch_finishes_a_stream,
    a_stream_has_one_writer,
    a_stream_is_settled_once,
    a_stream_that_ended_is_not_settled,
)
