"""The store in an SQLite file: the contracts of its parts, several processes, and what a file may be."""

from __future__ import annotations

import functools
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.programs import ROOT
from tests.session.peer import Logged, logged
from tests.stores.contract import (
    EventStoreContract,
    SecretStoreContract,
    SessionStoreContract,
    SettableClock,
    SubscriptionStoreContract,
    record,
)
from trimcp.errors import UsageError
from trimcp.stores import SQLite, StoreUnavailable
from trimcp.stores.event_store import EventBatch, EventStore
from trimcp.stores.secret_store import SecretStore
from trimcp.stores.session_store import SessionStore
from trimcp.stores.sqlite import database
from trimcp.stores.sqlite.database import SCHEMA, Database
from trimcp.stores.sqlite.events import EVENT_COST, SqliteEventStore
from trimcp.stores.sqlite.sessions import SqliteSessionStore, SqliteSubscriptionStore, hash_of
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.testing.store_checks.tasks import task

__all__ = ["logged"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SQLite]:
    store = SQLite(path, **options)
    async with store.open():
        yield store


class InFile:
    """Opens the stores of a contract in a file of its own."""

    @pytest.fixture(autouse=True)
    def _in_file(self, path: Path) -> None:
        self.path = path

    @asynccontextmanager
    async def database(self, clock: Any = None) -> AsyncIterator[Database]:
        database = Database(os.fspath(self.path), *([clock] if clock else []))
        await database.open()
        try:
            yield database
        finally:
            await database.close()


class TestSqliteEventStore(InFile, EventStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[EventStore]:
        most = options.get("bytes", 2**20)
        if "events" in options:  # the file counts bytes: give the room of so many events of one byte
            most = options["events"] * (EVENT_COST + 1)
        async with self.database(options.get("clock")) as database:
            yield SqliteEventStore(database, bytes=most, age=options.get("age", 60.0))


class TestSqliteSessionStore(InFile, SessionStoreContract):
    @asynccontextmanager
    async def open(self, *, clock: Any = None, **options: Any) -> AsyncIterator[SessionStore]:
        async with self.database(clock) as database:
            yield SqliteSessionStore(database, **options)


class TestSqliteSubscriptionStore(InFile, SubscriptionStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[SubscriptionStore]:
        async with opened(self.path) as store:
            yield store.subscriptions


class TestSqliteSecretStore(InFile, SecretStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[SecretStore]:
        async with opened(self.path) as store:
            yield store.secrets


# --- the life of the store ----------------------------------------------------------------


async def test_data_is_there_again_after_a_restart_and_no_thread_stays(path: Path) -> None:
    before = {*threading.enumerate()}
    async with opened(path) as store, store.open():
        await store.sessions.add(record())
        secrets = await store.secrets.read()
        first = await store.nodes.join()
    assert {*threading.enumerate()} <= before
    async with opened(path) as store:
        assert await store.sessions.find("s") == record()
        assert await store.secrets.read() == secrets
        assert await store.nodes.join() == first + 1
    with pytest.raises(UsageError, match="is not open"):
        await store.sessions.find("s")


async def test_what_has_expired_takes_no_room(path: Path) -> None:
    clock = SettableClock()
    async with opened(path, clock=clock) as store:
        await store.sessions.add(record())
        await store.subscriptions.add("s", "file:///a")
        await store.events.append([EventBatch("s", 1, 1, (b"one",))])
        await store.tasks.create(task("t", created_at=clock.now), most=1)
        await store.replay.first_use("key", 10.0)
        await store.admission.take("ada", "place", most=1, seconds=10.0)
        await store.bus.publish(b"it")
        clock.now += 10_000
        await store.replay.first_use("another", 10.0)
    with sqlite3.connect(path) as connection:
        for table in ("sessions", "subscriptions", "streams", "events", "tasks", "places", "messages"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        assert connection.execute("SELECT key FROM proofs").fetchall() == [("another",)]
    connection.close()


async def test_a_subscription_of_no_session_goes_with_time(path: Path) -> None:
    """A process may be killed between the removals of both; a client may subscribe where the end was not heard of."""
    clock = SettableClock()
    database = Database(os.fspath(path), clock)
    await database.open()
    sessions, subscriptions = SqliteSessionStore(database, ttl=100.0), SqliteSubscriptionStore(database, ttl=100.0)
    for id in ("ends", "lives", "dies"):
        await sessions.add(record(id))
        await subscriptions.add(id, "file:///a")
    await sessions.remove("ends")
    clock.now += 60
    await sessions.touch(["lives"], 0.0)
    clock.now += 60
    with trio.fail_after(60):
        while await database.rows("SELECT 1 FROM subscriptions WHERE session <> ?", hash_of("lives")):
            await database.rows("SELECT 1")
            await trio.sleep(0.01)
    assert await subscriptions.uris_of("lives") == {"file:///a"}
    await database.close()


async def test_a_call_that_fails_takes_no_other_with_it(path: Path) -> None:
    async with opened(path) as store:
        await store.sessions.add(record())
        failed: list[Exception] = []

        async def add(id: str) -> None:
            try:
                await store.sessions.add(record(id, next_stream=2**70 if id == "too large" else 1))
                await store.events.append([EventBatch(id, 2**70 if id == "too large" else 1, 1, (b"it",))])
            except (ValueError, OverflowError) as exc:
                failed.append(exc)

        async with trio.open_nursery() as nursery:
            for id in ("a", "s", "too large", "b"):
                nursery.start_soon(add, id)
        assert {type(exc) for exc in failed} == {ValueError, OverflowError}
        for id in ("a", "b"):
            assert await store.sessions.find(id) is not None
            assert await store.events.replay(id, 1, 0) is not None


@pytest.mark.parametrize("number", [1, 7, 8, 9, 63, 64, 65, 75])
async def test_streams_that_are_appended_to_together_are_all_kept(number: int, path: Path) -> None:
    async with opened(path) as store:
        for first in (1, 2):
            await store.events.append([EventBatch("s", n, first, (b"%d" % n,), first == 2) for n in range(number)])
        for n in range(number):
            found = await store.events.replay("s", n, 0)
            assert found is not None
            assert (found.events, found.is_finished) == (((1, b"%d" % n), (2, b"%d" % n)), True)


async def test_a_cancelled_call_leaves_the_store_as_it_was(path: Path) -> None:
    async with opened(path) as store:
        for n in range(20):
            with trio.CancelScope() as scope:
                scope.cancel()
                await store.sessions.add(record(f"s{n}"))
        await store.sessions.add(record("after"))
        assert await store.sessions.find("after") == record("after")


# --- files ----------------------------------------------------------------------------------


def _hang(disk: threading.Event, _: sqlite3.Connection) -> bool:
    return disk.wait(60)


async def test_a_call_has_its_time_where_the_disk_hangs(path: Path, mock_clock: MockClock) -> None:
    database = Database(str(path))
    await database.open()
    for call in (database.read, database.write):
        disk = threading.Event()
        mock_clock.autojump_threshold = 0.0
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await call(functools.partial(_hang, disk))
        mock_clock.autojump_threshold = math.inf
        disk.set()
        assert await call(lambda _: "an answer") == "an answer"
    await database.close()


async def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    async with opened(path) as store:
        await store.secrets.read()
        for each in path.parent.iterdir():
            assert each.stat().st_mode & 0o077 == 0


async def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    async with opened(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA + 1}")
    connection.close()
    with pytest.raises(UsageError, match=f"schema {SCHEMA + 1}, and this version of trimcp reads schema {SCHEMA}"):
        async with opened(path):
            pass


async def test_a_file_of_another_program_is_refused_and_left_as_it_was(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(UsageError, match="is not a store of trimcp"):
        async with opened(path):
            pass
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["text", "directory", "missing"])
async def test_what_is_no_database_is_a_usage_error(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("no database, " * 1000)
    elif kind == "directory":
        path.mkdir()
    else:
        path = path / "in" / "a" / "directory"
    with pytest.raises(UsageError, match="cannot be used"):
        async with trimcp.Server("s", store=SQLite(path)).running():
            pass


async def test_secrets_are_wrapped_with_the_key_of_the_operator(path: Path) -> None:
    key, other = path.with_name("key"), path.with_name("other")
    key.write_text("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n")
    other.write_text("b2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n")
    async with opened(path) as store:
        plain = await store.secrets.read()
    async with opened(path, key_file=key) as store:
        assert await store.secrets.read() == plain
        await store.secrets.rotate()
        secrets = await store.secrets.rotate()
    content = b"".join(each.read_bytes() for each in path.parent.glob("state.db*"))
    assert not any(secret in content for secret in secrets.values)
    for wrong in (other, None):
        async with opened(path, key_file=wrong) as store:
            with pytest.raises(UsageError, match="wrapped"):
                await store.secrets.read()
    other.write_text("short")
    with pytest.raises(UsageError, match="32 bytes in base64"):
        SQLite(path, key_file=other)


# --- processes --------------------------------------------------------------------------------

WRITER = """
import sys, trio
from trimcp.stores import SQLite
from trimcp.stores.event_store import EventBatch
from trimcp.testing.store_checks.tasks import task

async def main(path, name):
    store = SQLite(path)
    async with store.open(), trio.open_nursery() as nursery:
        async def write(stream):
            for number in range(1, 10**9):
                await store.events.append([EventBatch(name, stream, number, (b"x" * 100,))])
                await store.tasks.create(task(f"{name}-{stream}-{number}"), most=10**9)
                print(stream, number, flush=True)
        for stream in range(4):
            nursery.start_soon(write, stream)

trio.run(main, *sys.argv[1:])
"""


def test_nothing_that_was_acknowledged_is_lost_with_processes_that_are_killed(path: Path) -> None:
    """All three open the new file at the same time, and die in the middle of their work."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    names = ("one", "two", "three")
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], stdout=subprocess.PIPE, env=environment)
        for name in names
    ]
    kept: dict[tuple[str, int], int] = {}
    lines: dict[str, list[bytes]] = {name: [] for name in names}
    for name, process in zip(names, processes, strict=True):
        assert process.stdout is not None
        lines[name] += [process.stdout.readline() for _ in range(50)]
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for name, process in zip(names, processes, strict=True):
        lines[name] += process.communicate()[0].split(b"\n")[:-1]
        for line in lines[name]:
            stream, number = map(int, line.split())
            kept[name, stream] = number
    assert len(kept) == 12

    async def check() -> None:
        async with opened(path) as store:
            for (name, stream), number in kept.items():
                found = await store.events.replay(name, stream, 0)
                assert found is not None
                assert found.events[-1][0] in (number, number + 1)
                assert await store.tasks.find(f"{name}-{stream}-{number}") is not None

    trio.run(check)


async def test_reads_do_not_wait_for_the_commits_of_another_process(path: Path) -> None:
    async with opened(path) as store:
        session = record()
        await store.sessions.add(session)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.sessions.touch, [session.id], 1.0)  # waits for the other process
            await wait_all_tasks_blocked(0.05)
            found = await store.sessions.find(session.id)
            assert found is not None
            assert found.seen_at != 1.0
            other.execute("COMMIT")
        assert (await store.sessions.find(session.id)).seen_at == 1.0  # type: ignore[union-attr]
        other.close()


async def test_tasks_survive_a_loss_of_power(path: Path) -> None:
    """The commit of a task waits for the disk; that of an event does not."""
    async with opened(path) as store:
        synchronous = []
        await store.sessions.remove("s")  # after the first write, the thread removes what has expired
        for write in (
            lambda: store.tasks.create(task("t"), most=1),
            lambda: store.events.append([EventBatch("s", 1, 1, (b"it",))]),
            lambda: store.tasks.update(attrs.evolve(task("t"), status="completed")),
        ):
            await write()
            synchronous.append(store._database._writing.execute("PRAGMA synchronous").fetchone()[0])
        assert synchronous == [2, 1, 2]


async def test_a_thread_that_hangs_does_not_hold_up_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    """As on a dead disk: the thread keeps its connection."""
    has_begun, goes_on = threading.Event(), threading.Event()

    def hang(connection: sqlite3.Connection) -> None:
        has_begun.set()
        goes_on.wait(60)

    async with opened(path) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store._database.write, hang)
        await trio.to_thread.run_sync(has_begun.wait, 60)
        nursery.cancel_scope.cancel()  # its thread goes on
        used = store._database
        writer, reader = used._writer, used._reader
        monkeypatch.setattr(database, "BUSY", 0.1)
    assert not goes_on.is_set()
    assert used._writing.in_transaction
    assert f"the thread that writes {path} did not end" in str(logged.of("store.failed"))
    goes_on.set()
    for thread in (writer, reader):
        assert thread is not None
        await trio.to_thread.run_sync(thread._thread.join)
    for connection in (used._writing, used._reading, used._direct):
        connection.close()
