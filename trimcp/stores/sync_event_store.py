"""Adapts event stores with the synchronous methods of trimcp's first interface, or refuses them with advice.

That interface was `append(session, stream, number, event)`, `finish(session, stream)` and `forget(session)`, none of
them async, and `async replay(session, stream, after)`, which returned a list of pairs or None.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final

from trimcp.errors import UsageError
from trimcp.stores.event_store import AppendFailed, EventBatch, EventStore, StoredEvents
from trimcp.stores.memory_events import MemoryEventStore

METHODS: Final = ("append", "replay", "forget")
ADVICE: Final = (
    "derive it from trimcp.stores.event_store.EventStore, with `async append(batches)`, "
    "`async replay(session, stream, after)` and `async forget(session)`"
)


def event_store_of(store: Any) -> EventStore:
    """Return an `EventStore`: the store itself, or an adapter for a store of the first interface.

    Raises:
        UsageError: the store has the methods of neither interface.
    """
    missing = [name for name in METHODS if not callable(getattr(store, name, None))]
    if missing or isinstance(store, type):
        what = "a class, not an instance" if isinstance(store, type) else f"it has no {', '.join(missing)}"
        raise UsageError(f"Invalid event store {_name(store)} ({what}): {ADVICE}")
    if _takes(store.append, 1):
        checked: EventStore = store
        return checked
    if isinstance(store, MemoryEventStore):
        raise UsageError(
            f"Invalid event store {_name(store)}: its append overrides MemoryEventStore.append, "
            "which is `async append(batches)` now; override that"
        )
    if _takes(store.append, 4) and callable(getattr(store, "finish", None)):
        return SyncEventStore(store)
    raise UsageError(f"Invalid event store {_name(store)} (its append takes other arguments): {ADVICE}")


def _takes(method: Any, number: int) -> bool:
    try:
        inspect.signature(method).bind(*range(number))
    except (TypeError, ValueError):
        return False
    return True


def _name(store: Any) -> str:
    return store.__name__ if isinstance(store, type) else type(store).__name__


class SyncEventStore(EventStore):
    """Adapts an event store of the first interface."""

    def __init__(self, store: Any) -> None:
        """`store`: has `append`, `replay`, `finish` and `forget`; those that are async are awaited."""
        self._store = store

    async def append(self, batches: Sequence[EventBatch]) -> None:
        """See `EventStore`."""
        failed: list[EventBatch] = []
        first: Exception | None = None
        for batch in batches:
            try:
                await self._append(batch)
            except Exception as exc:  # noqa: BLE001 - a failure of this stream, which is raised below
                failed.append(batch)
                first = first or exc
        if failed:
            raise AppendFailed(failed) from first

    async def _append(self, batch: EventBatch) -> None:
        for number, event in enumerate(batch.events, batch.first):
            await _awaited(self._store.append(batch.session, batch.stream, number, event))
        if batch.is_last:
            await _awaited(self._store.finish(batch.session, batch.stream))

    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        """See `EventStore`."""
        found = await _awaited(self._store.replay(session, stream, after))
        if found is None or isinstance(found, StoredEvents):
            return found
        return StoredEvents(tuple(tuple(each) for each in found))

    async def forget(self, session: str) -> None:
        """See `EventStore`."""
        await _awaited(self._store.forget(session))


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
