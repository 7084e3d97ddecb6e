"""Event stores of the first interface, whose methods did not wait: adapted, or refused with advice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.stores.contract import EventsContract, batch
from trimcp.errors import UsageError
from trimcp.stores.event_store import AppendFailed, EventStore, StoredEvents
from trimcp.stores.memory import MemoryEventStore
from trimcp.stores.sync_event_store import SyncEventStore, event_store_of


class First:
    """A store of the first interface."""

    def __init__(self, **bounds: Any) -> None:
        self.store = MemoryEventStore(**bounds)
        self.finished: list[tuple[str, int]] = []

    def append(self, session: str, stream: int, number: int, event: bytes) -> None:
        self.store.append_nowait(session, stream, number, [event])

    async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
        found = await self.store.replay(session, stream, after)
        return None if found is None else list(found.events)

    def finish(self, session: str, stream: int) -> None:
        self.finished.append((session, stream))

    def forget(self, session: str) -> None:
        self.store.forget_nowait(session)


class TestAdaptedEventStore(EventsContract):
    """The first interface cannot say in `replay` that a stream has ended, nor in `finish` where."""

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[EventStore]:
        yield event_store_of(First(**options))


async def test_the_end_of_a_stream_is_told() -> None:
    first = First()
    await event_store_of(first).append([batch("s", 1, 1, b"x"), batch("s", 2, 1, b"x", is_last=True)])
    assert first.finished == [("s", 2)]


async def test_methods_that_are_async_are_awaited() -> None:
    class Async(First):
        async def append(self, session: str, stream: int, number: int, event: bytes) -> None:  # type: ignore[override]
            super().append(session, stream, number, event)

    store = event_store_of(Async())
    await store.append([batch("s", 1, 1, b"x")])
    assert await store.replay("s", 1, 0) == StoredEvents(((1, b"x"),))


async def test_a_stream_that_cannot_be_kept_costs_no_other() -> None:
    class Picky(First):
        def append(self, session: str, stream: int, number: int, event: bytes) -> None:
            if event == b"bad":
                raise ValueError("a bad one")
            super().append(session, stream, number, event)

    store = event_store_of(Picky())
    batches = [batch("s", 1, 1, b"x"), batch("s", 2, 1, b"bad"), batch("s", 3, 1, b"x")]
    with pytest.raises(AppendFailed) as caught:
        await store.append(batches)
    assert caught.value.batches == (batches[1],)
    assert isinstance(caught.value.__cause__, ValueError)
    assert await store.replay("s", 3, 0) is not None


def test_a_store_of_today_is_taken_as_it_is() -> None:
    store = MemoryEventStore()
    assert event_store_of(store) is store


def test_what_is_no_store_is_refused_with_advice() -> None:
    class Halfway(MemoryEventStore):
        def append(self, session: str, stream: int, number: int, event: bytes) -> None:  # type: ignore[override]
            pass

    class Odd(First):
        def append(self, session: str, event: bytes) -> None:  # type: ignore[override]
            pass

    with pytest.raises(UsageError, match=r"event store Halfway: .*override that"):
        event_store_of(Halfway())
    with pytest.raises(UsageError, match=r"event store Odd .*async append\(batches\)"):
        event_store_of(Odd())
    with pytest.raises(UsageError, match=r"event store First .*a class, not an instance"):
        event_store_of(First)
    with pytest.raises(UsageError, match=r"event store object .*no append, replay, forget"):
        event_store_of(object())
    assert type(event_store_of(First())) is SyncEventStore
