"""Calls of stores that users have written: with a deadline, and contained.

Each call runs in a worker of a pool, so what it raises or leaves behind is a failure of that call alone, and a call
that never ends holds up no other. Each result is checked against the interface.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

import trio

from trimcp.actors.pool_call import PoolCall, PoolEnded
from trimcp.actors.supervisor import Supervisor
from trimcp.observability import events, log
from trimcp.stores.event_store import AppendFailed, EventBatch, EventStore, SharedEventStore, StoredEvents
from trimcp.stores.failures import StoreUnavailable
from trimcp.stores.session_store import SessionRecord, SessionStore, StoredSession
from trimcp.stores.store import Store
from trimcp.stores.subscription_store import SubscriptionStore

T = TypeVar("T")
Args = TypeVarTuple("Args")

WRITE_SECONDS: Final = 5.0
"""Seconds that a store may take to keep or to forget something."""
READ_SECONDS: Final = 10.0
"""Seconds that a store may take to find something, while a client waits."""
MOST_CALLS: Final = 64
"""Calls of one store that may be under way. A store with more of them hangs, so the next call fails at once."""
MOST_SHARED_CALLS: Final = 1024
"""The same for a part of a store that nodes share: when a node dies, its sessions come at once."""


class StoreFailed(Exception):
    """A store of a user has raised, taken too long, or returned a value that its interface does not allow.

    `__cause__` is the exception that it raised, if it did.
    """


def is_plain(exc: BaseException) -> bool:
    """Whether a failure needs no traceback: the store itself is unavailable, or it was too slow."""
    return isinstance(_cause_of(exc), (StoreFailed, AppendFailed, StoreUnavailable))


def _cause_of(exc: BaseException) -> BaseException:
    """Return what the store itself has raised; the failure, if it has raised nothing."""
    while isinstance(exc, (StoreFailed, AppendFailed)) and exc.__cause__ is not None:
        exc = exc.__cause__
    return exc


def log_failure(exc: BaseException) -> None:
    """Log the failure of a store."""
    if is_plain(exc):
        why, cause = str(exc), str(_cause_of(exc))
        log.error(events.STORE_FAILED, why=why if cause in why else f"{why}: {cause}")
    else:
        log.error(events.STORE_FAILED, exc_info=exc)


class _StoreCall(PoolCall):
    """One call of a store, as `Work` of its pool."""

    __slots__ = ("_calls",)

    def __init__(self, calls: StoreCalls, function: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(function)
        self._calls = calls

    def left(self) -> None:
        """See `Work`."""
        self._calls.under_way -= 1

    def handed_back(self) -> None:
        """See `Work`."""
        super().handed_back()
        self.left()


class StoreCalls:
    """Calls the methods of one store."""

    def __init__(self, name: str, supervisor: Supervisor, most: int = MOST_CALLS) -> None:
        """`name`: of the tasks. They live in the nursery of the supervisor. `most`: the calls at once."""
        self._pool = supervisor.open_pool(name, most)
        self._most = most
        self.under_way: int = 0
        """Calls that have not ended, with those that no task waits for any more."""

    async def call(self, seconds: float, method: Callable[[Unpack[Args]], Awaitable[T]], *args: *Args) -> T:
        """Call a method of the store, and return its result. The call is cancelled after `seconds`.

        Raises:
            StoreFailed: the method raised, took too long, or was not called since too many calls have not ended.
        """
        name = _name_of(method)
        if self.under_way >= self._most:
            raise StoreFailed(f"{name} was not called: {self._most} calls before it have not ended")
        call = _StoreCall(self, functools.partial(method, *args))
        self.under_way += 1
        self._pool.post(call)
        try:
            with trio.move_on_after(seconds):
                value: T = await call.reply.wait()
                return value
        except PoolEnded:
            raise StoreFailed(f"{name} was not completed: the server stops") from None
        except Exception as exc:
            raise _failed(name, exc) from exc
        finally:
            if not call.reply.is_set:
                call.give_up()
        raise StoreFailed(f"{name} took longer than {seconds:g} s")


class OwnStoreCalls(StoreCalls):
    """Calls the methods of a store of trimcp in the task of the caller: it leaves nothing behind.

    Such a store has a deadline of its own. A second one around it costs the first call of a session 2 %.
    """

    def __init__(self) -> None:
        self.under_way = 0

    async def call(self, seconds: float, method: Callable[[Unpack[Args]], Awaitable[T]], *args: *Args) -> T:
        """See `StoreCalls`."""
        try:
            return await method(*args)
        except Exception as exc:
            raise _failed(_name_of(method), exc) from exc


class DirectCalls(OwnStoreCalls):
    """Calls the methods of any store in the task of the caller, with a deadline."""

    async def call(self, seconds: float, method: Callable[[Unpack[Args]], Awaitable[T]], *args: *Args) -> T:
        """See `StoreCalls`."""
        with trio.move_on_after(seconds):
            return await super().call(seconds, method, *args)
        raise StoreFailed(f"{_name_of(method)} took longer than {seconds:g} s")


def open_calls(store: object, name: str, supervisor: Supervisor, most: int = MOST_CALLS) -> StoreCalls:
    """Return the way to call a store, or a part of it: a store of trimcp needs no workers. See `StoreCalls`."""
    is_ours = type(store).__module__.startswith("trimcp.")
    return OwnStoreCalls() if is_ours else StoreCalls(name, supervisor, most)


def _failed(name: str, exc: Exception) -> StoreFailed:
    return StoreFailed(f"{name} raised {type(exc).__name__}{f': {exc}' if isinstance(exc, StoreUnavailable) else ''}")


def _name_of(method: Callable[..., Any]) -> str:
    return getattr(getattr(method, "func", method), "__name__", "the store")


class ContainedEventStore(EventStore):
    """Calls an event store of a user. Raises `StoreFailed` and `AppendFailed`, and nothing else."""

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
            raise StoreFailed("replay returned an invalid value: return StoredEvents with the events after that number")
        return found

    async def forget(self, session: str) -> None:
        """See `EventStore`."""
        await self._calls.call(WRITE_SECONDS, self._store.forget, session)


def _lost(error: BaseException | None, batches: Sequence[EventBatch]) -> list[EventBatch]:
    """Return the batches that a store says it did not keep; none, where it says nothing valid."""
    named: Any = error.batches if type(error) is AppendFailed else ()
    if type(named) is not tuple:
        return []
    ids = set(map(id, named))
    return [batch for batch in batches if id(batch) in ids]


def _follow(found: object, after: int) -> bool:
    """Whether these are events with the numbers that follow."""
    events: Any = found.events if type(found) is StoredEvents else None
    return type(events) is tuple and all(
        type(each) is tuple and len(each) == 2 and type(each[0]) is int and each[0] == number and type(each[1]) is bytes
        for number, each in enumerate(events, after + 1)
    )


class ContainedSharedEventStore(ContainedEventStore, SharedEventStore):
    """Calls the event store of several nodes. Raises `StoreFailed` and `AppendFailed`, and nothing else."""

    def __init__(self, store: SharedEventStore, calls: StoreCalls) -> None:
        super().__init__(store, calls)
        self._shared = store

    async def settle(self, session: str, stream: int, incarnation: int, events: Sequence[bytes]) -> bool:
        """See `SharedEventStore`."""
        call = self._calls.call
        return await call(WRITE_SECONDS, self._shared.settle, session, stream, incarnation, events) is True


class ContainedSessionStore(SessionStore):
    """Calls a session store of a user. Raises `StoreFailed`, and nothing else."""

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
    """Return what a store has returned for a session.

    Raises:
        StoreFailed: it is neither None nor the record with that id.
    """
    if record is None:
        return None
    if not isinstance(record, SessionRecord) or record.id != id:
        raise StoreFailed("the session store returned an invalid value: return the record with that id, or None")
    return record


class ContainedSubscriptionStore(SubscriptionStore):
    """Calls a subscription store of a user. Raises `StoreFailed`, and nothing else."""

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
        return _checked_uris(await self._calls.call(READ_SECONDS, self._store.uris_of, session))

    async def forget(self, session: str) -> None:
        """See `SubscriptionStore`."""
        await self._calls.call(WRITE_SECONDS, self._store.forget, session)


def _checked_uris(uris: Any) -> frozenset[str]:
    """Return what a store has returned as the subscriptions of a session.

    Raises:
        StoreFailed: it is not a frozenset of strings.
    """
    if type(uris) is not frozenset or not all(type(uri) is str for uri in uris):
        raise StoreFailed("uris_of returned an invalid value: return a frozenset of strings")
    return uris


class ContainedSharedSessionStore(ContainedSessionStore):
    """Calls the session store of several nodes. Raises `StoreFailed`, and nothing else."""

    def __init__(self, store: Store, calls: StoreCalls) -> None:
        super().__init__(store.sessions, calls)
        self._whole = store

    async def load(self, id: str) -> StoredSession | None:
        """See `Store.load_session`."""
        stored = await self._calls.call(READ_SECONDS, self._whole.load_session, id)
        if stored is None:
            return None
        value: object = stored
        if not isinstance(value, StoredSession) or _checked(value.record, id) is None:
            raise StoreFailed("load_session returned an invalid value: return a StoredSession, or None")
        _checked_uris(stored.uris)
        return stored
