"""Reads in Trio's thread: they wait for nothing, and leave it to the thread that reads where they would."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.stores.contract import record
from trimcp.stores import SQLite
from trimcp.stores.sqlite import direct_reader
from trimcp.stores.sqlite.direct_reader import PAUSE, SLOW, DirectReader, ThreadNeeded


class Clock:
    """The clock of the reads: on a busy machine a read may take long by the real one."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(direct_reader, "time", clock)
    return clock


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SQLite]:
    """Open a store with one session, which watches one resource."""
    store = SQLite(path / "state.db")
    async with store.open():
        await store.sessions.add(record("s"))
        await store.subscriptions.add("s", "file:///a")
        yield store


async def check_loaded(store: SQLite) -> None:
    """Check that the session is read."""
    found = await store.load_session("s")
    assert found is not None
    assert (found.record, found.uris) == (record("s"), {"file:///a"})
    assert await store.load_session("unknown") is None


class Refused(sqlite3.Connection):
    """A connection that is locked out. It counts what it was asked."""

    asked = 0

    def execute(self, *args: Any) -> sqlite3.Cursor:  # type: ignore[override]
        self.asked += 1
        raise sqlite3.OperationalError("database is locked")


@contextmanager
def thread_is_busy(store: SQLite) -> Iterator[None]:
    """Keep the thread that reads from reading."""
    release = threading.Event()
    reader = store._database._reader
    assert reader is not None
    read_group = reader._run_group

    def wait_and_read(jobs: Any) -> None:
        release.wait()
        read_group(jobs)

    reader._run_group = wait_and_read
    try:
        yield
    finally:
        release.set()


async def test_a_session_is_loaded_without_the_thread(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with thread_is_busy(store):
            await check_loaded(store)


async def test_the_thread_reads_while_the_file_is_locked(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        locked = sqlite3.connect(tmp_path / "state.db", factory=Refused)
        store._database._direct._connection.close()
        store._database._direct = DirectReader(locked)
        await check_loaded(store)
        assert isinstance(locked, Refused)
        assert locked.asked == 2


async def test_the_thread_reads_while_a_commit_waits_for_the_disk(tmp_path: Path, clock: Clock) -> None:
    async with opened(tmp_path) as store:
        database = store._database
        began, release = trio.Event(), threading.Event()

        def wait(connection: sqlite3.Connection) -> None:
            trio.from_thread.run_sync(began.set, trio_token=token)
            release.wait()

        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.write, wait)
            await began.wait()
            clock.now = database._commit_began + 2 * SLOW
            with thread_is_busy(store):
                nursery.start_soon(check_loaded, store)
                await wait_all_tasks_blocked()
                assert database._reader is not None
                assert database._reader._waiting == 1
            release.set()
        clock.now = 0.0
        with thread_is_busy(store):
            await check_loaded(store)


def test_a_slow_read_is_the_last_one_for_a_while(clock: Clock) -> None:
    def slow(connection: sqlite3.Connection) -> list[Any]:
        clock.now += 2 * SLOW
        return quick(connection)

    def quick(connection: sqlite3.Connection) -> list[Any]:
        return connection.execute("SELECT 1").fetchall()

    reader = DirectReader(sqlite3.connect(":memory:", isolation_level=None))
    assert reader.read(quick) == reader.read(slow) == [(1,)]
    with pytest.raises(ThreadNeeded):
        reader.read(quick)
    clock.now += PAUSE
    assert reader.read(quick) == [(1,)]
    reader.close()


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database is locked"), ValueError("a bug")])
def test_a_read_that_fails_leaves_no_transaction(error: Exception) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    reader = DirectReader(connection)

    def fail(connection: sqlite3.Connection) -> None:
        assert connection.in_transaction
        raise error

    with pytest.raises(ThreadNeeded if isinstance(error, sqlite3.Error) else ValueError):
        reader.read(fail)
    assert not connection.in_transaction
    reader.close()
