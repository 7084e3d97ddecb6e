"""Stores of users behind their boundary: each failure is one of the call, in time, and of no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.session.peer import Logged, logged
from tests.stores.contract import batch, record
from tests.stores.hostile import FINE_AS_A_WRITE, HOSTILE, VARIABLE, hangs, hangs_behind_a_shield, leaves_a_nursery_open
from trimcp.actors.supervisor import open_supervisor
from trimcp.actors.worker_pool import Work, WorkerPool
from trimcp.stores.contained import (
    MOST_CALLS,
    READ_SECONDS,
    WRITE_SECONDS,
    ContainedEventStore,
    ContainedSessionStore,
    ContainedSubscriptionStore,
    DirectCalls,
    StoreCalls,
    StoreFailed,
    log_failure,
)
from trimcp.stores.event_store import AppendFailed, EventBatch, StoredEvents
from trimcp.stores.failures import StoreUnavailable
from trimcp.stores.memory import MemoryEventStore, MemorySessionStore, MemorySubscriptionStore

__all__ = ["logged"]

PATIENCE = 2000.0
"""Seconds of a mock clock after which the most patient of the hostile functions have ended."""


@pytest.mark.parametrize("does", HOSTILE, ids=lambda does: does.__name__)
@pytest.mark.parametrize("method", ["append", "replay", "forget"])
async def test_what_an_event_store_does_is_a_failure_of_the_call(
    method: str, does: Any, autojump_clock: MockClock
) -> None:
    class Hostile(MemoryEventStore):
        pass

    async with open_supervisor("test") as supervisor:
        calls = StoreCalls("store", supervisor)
        hostile, healthy = ContainedEventStore(Hostile(), calls), ContainedEventStore(MemoryEventStore(), calls)
        setattr(hostile._store, method, does)
        args: dict[str, tuple[Any, ...]] = {
            "append": ([batch("s", 1, 1, b"x")],),
            "replay": ("s", 1, 0),
            "forget": ("s",),
        }
        began = trio.current_time()
        for _ in range(3):
            if does in FINE_AS_A_WRITE and method != "replay":
                await getattr(hostile, method)(*args[method])
                continue
            with pytest.raises(StoreFailed):
                await getattr(hostile, method)(*args[method])
        assert trio.current_time() - began <= 3 * max(READ_SECONDS, WRITE_SECONDS)
        for number in range(1, 9):
            await healthy.append([batch("s", 1, number, b"x")])
            assert await healthy.replay("s", 1, number - 1) == StoredEvents(((number, b"x"),))
        assert VARIABLE.get() == "unchanged"
        await trio.sleep(PATIENCE)
        # A task cannot end before the nurseries that were left open in it: such calls keep their places.
        assert calls.under_way == (3 if does is leaves_a_nursery_open else 0)


@pytest.mark.parametrize("does", HOSTILE, ids=lambda does: does.__name__)
@pytest.mark.parametrize("method", ["add", "find", "update", "touch", "remove"])
async def test_what_a_session_store_does_is_a_failure_of_the_call(
    method: str, does: Any, autojump_clock: MockClock
) -> None:
    async with open_supervisor("test") as supervisor:
        store = MemorySessionStore()
        contained = ContainedSessionStore(store, StoreCalls("store", supervisor))
        await contained.add(record("healthy"))
        setattr(store, method, does)
        args: dict[str, tuple[Any, ...]] = {
            "add": (record(),),
            "find": ("s",),
            "update": (record(),),
            "touch": (["s"], 1.0),
            "remove": ("s",),
        }
        if does in FINE_AS_A_WRITE and method in ("add", "touch", "remove"):
            await getattr(contained, method)(*args[method])
        else:
            with pytest.raises(StoreFailed):
                await getattr(contained, method)(*args[method])
        delattr(store, method)
        assert await contained.find("healthy") == record("healthy")


async def test_a_store_that_works_is_called(autojump_clock: MockClock) -> None:
    async with open_supervisor("test") as supervisor:
        calls = StoreCalls("store", supervisor)
        contained = ContainedSessionStore(MemorySessionStore(), calls)
        await contained.add(record())
        updated = await contained.update(record(next_stream=7))
        assert updated == record(next_stream=7, version=1)
        await contained.touch(["s"], 9.0)
        assert await contained.find("s") == record(next_stream=7, version=1, seen_at=9.0)
        await contained.remove("s")
        assert await contained.find("s") is None
        assert calls.under_way == 0


async def test_the_cause_is_kept_for_the_log() -> None:
    async with open_supervisor("test") as supervisor:
        calls = StoreCalls("store", supervisor)

        async def fail() -> None:
            raise KeyError("it")

        with pytest.raises(StoreFailed, match="fail raised KeyError") as caught:
            await calls.call(1, fail)
        assert isinstance(caught.value.__cause__, KeyError)


async def raises(error: Exception, cause: Exception | None = None) -> None:
    raise error from cause


@pytest.mark.parametrize(
    ("error", "cause", "why"),
    [
        (StoreUnavailable("it is full"), None, "raises raised StoreUnavailable: it is full"),
        (StoreUnavailable("no answer"), OSError("the network"), "raises raised StoreUnavailable: no answer"),
        (AppendFailed([]), StoreUnavailable("it is full"), "raises raised AppendFailed: it is full"),
        (AppendFailed([]), OSError("the disk"), None),
        (KeyError("a defect"), None, None),
    ],
)
async def test_a_store_that_says_why_has_no_traceback_in_the_log(
    error: Exception, cause: Exception | None, why: str | None, logged: Logged
) -> None:
    with pytest.raises(StoreFailed) as caught:
        await DirectCalls().call(1, raises, error, cause)
    log_failure(caught.value)
    (line,) = logged.of("store.failed")
    assert line == ({"exc_info": caught.value} if why is None else {"why": why})


async def test_a_call_has_its_time(autojump_clock: MockClock) -> None:
    async with open_supervisor("test") as supervisor:
        calls = StoreCalls("store", supervisor)
        began = trio.current_time()
        with pytest.raises(StoreFailed, match=r"hangs took longer than 2\.5 s"):
            await calls.call(2.5, hangs)
        assert trio.current_time() - began == 2.5
        await trio.testing.wait_all_tasks_blocked()
        assert calls.under_way == 0


async def test_a_caller_that_leaves_cancels_its_call(autojump_clock: MockClock) -> None:
    async with open_supervisor("test") as supervisor:
        calls = StoreCalls("store", supervisor)
        cancelled: list[bool] = []

        async def wait() -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                cancelled.append(True)
                raise

        with trio.move_on_after(1):
            await calls.call(10, wait)
        await trio.testing.wait_all_tasks_blocked()
        assert cancelled == [True]
        assert calls.under_way == 0


async def test_a_call_whose_caller_left_before_it_began_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_supervisor("test") as supervisor:
        calls = StoreCalls("store", supervisor)
        posted: list[Work] = []
        post = calls._pool.post
        monkeypatch.setattr(WorkerPool, "post", lambda pool, work: posted.append(work))
        began: list[bool] = []

        async def begin() -> None:
            began.append(True)

        with trio.CancelScope() as scope:
            scope.cancel()
            await calls.call(10, begin)
        monkeypatch.undo()
        post(posted[0])  # as if the pool had come to it only now
        await trio.testing.wait_all_tasks_blocked()
        assert began == []
        assert calls.under_way == 0


async def test_calls_that_never_end_are_bounded(autojump_clock: MockClock) -> None:
    async with open_supervisor("test") as supervisor:
        calls = StoreCalls("store", supervisor)

        async def ask() -> None:
            with pytest.raises(StoreFailed, match="took longer"):
                await calls.call(1, hangs_behind_a_shield)

        async with trio.open_nursery() as nursery:
            for _ in range(MOST_CALLS):
                nursery.start_soon(ask)
        assert calls.under_way == MOST_CALLS
        began = trio.current_time()
        with pytest.raises(StoreFailed, match=f"{MOST_CALLS} calls before it"):
            await calls.call(1, hangs)
        assert trio.current_time() == began
        await trio.sleep(PATIENCE)
        assert calls.under_way == 0


async def test_a_supervisor_that_ends_calls_nothing() -> None:
    async with open_supervisor("test") as supervisor:
        calls = StoreCalls("store", supervisor)
        supervisor.stop()
        with pytest.raises(trio.Cancelled):
            await calls.call(1, hangs)
        with trio.CancelScope(shield=True), pytest.raises(StoreFailed, match="the server stops"):
            await calls.call(1, hangs)
        assert calls.under_way == 0


@pytest.mark.parametrize("does", HOSTILE, ids=lambda does: does.__name__)
@pytest.mark.parametrize("method", ["add", "remove", "uris_of", "forget"])
async def test_what_a_subscription_store_does_is_a_failure_of_the_call(
    method: str, does: Any, autojump_clock: MockClock
) -> None:
    async with open_supervisor("test") as supervisor:
        store = MemorySubscriptionStore()
        contained = ContainedSubscriptionStore(store, StoreCalls("store", supervisor))
        assert await contained.add("s", "file:///a")
        assert not await contained.add("s", "file:///a")
        setattr(store, method, does)
        args = ("s",) if method in ("uris_of", "forget") else ("s", "file:///a")
        if does in FINE_AS_A_WRITE and method != "uris_of":
            assert not await getattr(contained, method)(*args)
        else:
            with pytest.raises(StoreFailed):
                await getattr(contained, method)(*args)
        delattr(store, method)
        assert await contained.uris_of("s") == {"file:///a"}
        assert await contained.remove("s", "file:///a")


ODD_REPLAYS: list[Any] = [
    [(1, b"x")],
    (),
    StoredEvents([(1, b"x")]),  # type: ignore[arg-type]
    StoredEvents(((2, b"x"),)),
    StoredEvents(((1, b"x"), (3, b"y"))),
    StoredEvents(((1, "x"),)),  # type: ignore[arg-type]
    StoredEvents(((True, b"x"),)),
    StoredEvents((b"x",)),  # type: ignore[arg-type]
    StoredEvents(((1, b"x", 2),)),  # type: ignore[arg-type]
    StoredEvents(None),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("odd", ODD_REPLAYS, ids=repr)
async def test_a_replay_is_checked(odd: Any) -> None:
    class Odd(MemoryEventStore):
        async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
            return odd  # type: ignore[no-any-return]

    async with open_supervisor("test") as supervisor:
        contained = ContainedEventStore(Odd(), StoreCalls("store", supervisor))
        with pytest.raises(StoreFailed, match="invalid value"):
            await contained.replay("s", 1, 0)


async def test_the_record_of_another_session_is_not_taken() -> None:
    class Odd(MemorySessionStore):
        async def find(self, id: str) -> Any:
            return record("another")

    async with open_supervisor("test") as supervisor:
        contained = ContainedSessionStore(Odd(), StoreCalls("store", supervisor))
        with pytest.raises(StoreFailed, match="invalid value"):
            await contained.find("s")


@pytest.mark.parametrize("said", [None, [1], (), (attrs.evolve(batch("s", 1, 1, b"x")),), "first"])
async def test_a_store_says_which_batches_it_did_not_keep(said: Any) -> None:
    batches = [batch("s", 1, 1, b"x"), batch("s", 2, 1, b"x")]

    class Full(MemoryEventStore):
        async def append(self, batches: Sequence[EventBatch]) -> None:
            error = AppendFailed(batches[:1])
            if said != "first":
                error.batches = said
            raise error

    async with open_supervisor("test") as supervisor:
        contained = ContainedEventStore(Full(), StoreCalls("store", supervisor))
        with pytest.raises((AppendFailed, StoreFailed)) as caught:
            await contained.append(batches)
        if said == "first":
            assert type(caught.value) is AppendFailed
            assert caught.value.batches == (batches[0],)
        else:  # what it says makes no sense: none was kept
            assert type(caught.value) is StoreFailed
