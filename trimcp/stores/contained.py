"""Calls of stores that users have written: with a deadline, and behind a boundary.

Each call runs in a worker of a pool, so what it raises or leaves behind is a failure of that call alone, and a call
that never ends holds up no other. What comes back is checked against the interface.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

import trio

from trimcp.actors.reply import Reply
from trimcp.actors.supervisor import Supervisor
from trimcp.stores.event_store import AppendFailed, EventBatch, EventStore, StoredEvents
from trimcp.stores.session_store import SessionRecord, SessionStore
from trimcp.stores.subscription_store import SubscriptionStore

T = TypeVar("T")
Args = TypeVarTuple("Args")

WRITE_SECONDS: Final = 5.0
"""How long a store may take to keep or to forget something."""
READ_SECONDS: Final = 10.0
"""How long a store may take to find something, for which a client waits."""
MOST_CALLS: Final = 64
"""Calls of one store that may be under way. A store with more of them hangs, and the next call fails at once."""


class StoreFailed(Exception):
    """A store of a user's has raised, taken too long, or returned what its interface does not have.

    `__cause__` is what it raised, if it did.
    """


class _Call:
    """One call of a store, as the pool sees it: see `Work`."""

    __slots__ = ("_calls", "_error", "_is_abandoned", "_is_done", "_name", "_run", "_value", "reply", "scope")

    def __init__(self, calls: StoreCalls, name: str, run: Callable[[], Awaitable[Any]]) -> None:
        self.scope: trio.CancelScope | None = None
        self.reply: Reply[Any] = Reply()
        self._calls = calls
        self._name = name
        self._run = run
        self._is_abandoned = False
        self._is_done = False
        self._value: Any = None
        self._error: BaseException | None = None

    async def run(self) -> None:
        if not self._is_abandoned:
            self._value = await self._run()
            self._is_done = True

    def failed(self, error: BaseException) -> None:
        self._error = error

    def finished(self) -> bool:
        error = self._error
        if error is not None:
            failure = StoreFailed(f"{self._name} raised {type(error).__name__}")
            failure.__cause__ = error
            self.reply.fail(failure)
        elif self._is_done:
            self.reply.set(self._value)
        else:
            self.reply.fail(StoreFailed(f"{self._name} was cancelled"))
        return self.scope is not None and self.scope.cancel_called

    def left(self) -> None:
        self._calls.under_way -= 1

    def handed_back(self) -> None:
        self._calls.under_way -= 1
        self.reply.fail(StoreFailed(f"{self._name} was not called: the server stops"))

    def abandon(self) -> None:
        """Cancel it: no task waits for it any more. Nothing happens where it has ended."""
        self._is_abandoned = True
        if self.scope is not None:
            self.scope.cancel()


class StoreCalls:
    """Calls the methods of one store."""

    def __init__(self, name: str, supervisor: Supervisor) -> None:
        """`name`: of the tasks. They live in the nursery of the supervisor."""
        self._pool = supervisor.open_pool(name, MOST_CALLS)
        self.under_way = 0
        """Calls that have not ended, those included that no task waits for any more."""

    async def call(self, seconds: float, method: Callable[[Unpack[Args]], Awaitable[T]], *args: *Args) -> T:
        """Call a method of the store, and return what it returns. It is cancelled after `seconds`.

        Raises:
            StoreFailed: it raised, took too long, or was not called since too many calls have not ended.
        """
        name = getattr(method, "__name__", "the store")
        if self.under_way >= MOST_CALLS:
            raise StoreFailed(f"{name} was not called: {MOST_CALLS} calls before it have not ended")

        async def run() -> T:
            return await method(*args)

        call = _Call(self, name, run)
        self.under_way += 1
        self._pool.post(call)
        try:
            with trio.move_on_after(seconds):
                value: T = await call.reply.wait()
                return value
        finally:
            if not call.reply.is_set:
                call.abandon()
        raise StoreFailed(f"{name} took longer than {seconds:g} s")


class ContainedEventStore(EventStore):
    """An event store of a user's. Raises `StoreFailed` and `AppendFailed`, and nothing else."""

    def __init__(self, store: EventStore, calls: StoreCalls) -> None:
        self._store = store
        self._calls = calls

    async def append(self, batches: Sequence[EventBatch]) -> None:
        """See `EventStore`."""
        try:
            await self._calls.call(WRITE_SECONDS, self._store.append, batches)
        except StoreFailed as exc:
            lost = _lost(exc.__cause__, batches)
            if lost:
                raise AppendFailed(lost) from exc
            raise

    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        """See `EventStore`."""
        found = await self._calls.call(READ_SECONDS, self._store.replay, session, stream, after)
        if found is not None and not _follow(found, after):
            raise StoreFailed("replay returned something else than the events after that number: see StoredEvents")
        return found

    async def forget(self, session: str) -> None:
        """See `EventStore`."""
        await self._calls.call(WRITE_SECONDS, self._store.forget, session)


def _lost(error: BaseException | None, batches: Sequence[EventBatch]) -> list[EventBatch]:
    """The batches that a store says it did not keep; none, where it says nothing that makes sense."""
    said: Any = error.batches if type(error) is AppendFailed else ()
    if type(said) is not tuple:
        return []
    named = set(map(id, said))
    return [batch for batch in batches if id(batch) in named]


def _follow(found: object, after: int) -> bool:
    """Whether these are events with the numbers that follow."""
    events: Any = found.events if type(found) is StoredEvents else None
    return type(events) is tuple and all(
        type(each) is tuple and len(each) == 2 and type(each[0]) is int and each[0] == number and type(each[1]) is bytes
        for number, each in enumerate(events, after + 1)
    )


class ContainedSessionStore(SessionStore):
    """A session store of a user's. Raises `StoreFailed`, and nothing else."""

    def __init__(self, store: SessionStore, calls: StoreCalls) -> None:
        self._store = store
        self._calls = calls

    async def add(self, record: SessionRecord) -> None:
        """See `SessionStore`."""
        await self._calls.call(WRITE_SECONDS, self._store.add, record)

    async def find(self, id: str) -> SessionRecord | None:
        """See `SessionStore`."""
        return _checked(await self._calls.call(READ_SECONDS, self._store.find, id), id)

    async def update(self, record: SessionRecord) -> SessionRecord | None:
        """See `SessionStore`."""
        return _checked(await self._calls.call(WRITE_SECONDS, self._store.update, record), record.id)

    async def touch(self, ids: Collection[str], seen_at: float) -> None:
        """See `SessionStore`."""
        await self._calls.call(WRITE_SECONDS, self._store.touch, ids, seen_at)

    async def remove(self, id: str) -> None:
        """See `SessionStore`."""
        await self._calls.call(WRITE_SECONDS, self._store.remove, id)


def _checked(record: object, id: str) -> SessionRecord | None:
    if record is None:
        return None
    if not isinstance(record, SessionRecord) or record.id != id:
        raise StoreFailed("a store of sessions returned something else than the record with that id, or None")
    return record


class ContainedSubscriptionStore(SubscriptionStore):
    """A subscription store of a user's. Raises `StoreFailed`, and nothing else."""

    def __init__(self, store: SubscriptionStore, calls: StoreCalls) -> None:
        self._store = store
        self._calls = calls

    async def add(self, session: str, uri: str) -> bool:
        """See `SubscriptionStore`."""
        return await self._calls.call(WRITE_SECONDS, self._store.add, session, uri) is True

    async def remove(self, session: str, uri: str) -> bool:
        """See `SubscriptionStore`."""
        return await self._calls.call(WRITE_SECONDS, self._store.remove, session, uri) is True

    async def uris_of(self, session: str) -> frozenset[str]:
        """See `SubscriptionStore`."""
        uris: Any = await self._calls.call(READ_SECONDS, self._store.uris_of, session)
        if type(uris) is not frozenset or not all(type(uri) is str for uri in uris):
            raise StoreFailed("uris_of returned something else than a frozenset of strings")
        found: frozenset[str] = uris
        return found

    async def forget(self, session: str) -> None:
        """See `SubscriptionStore`."""
        await self._calls.call(WRITE_SECONDS, self._store.forget, session)
