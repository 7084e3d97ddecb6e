"""The file of an SQLite store: a thread that commits what has come together, and a thread that reads.

Any number of processes may use the file at the same time. Events and sessions are committed with
`synchronous=normal`: they survive the death of the process, and the latest may be lost with the machine. Tasks and
secrets survive that too (`durable`). Reads wait for no commit, of this process or another: the file has a write-ahead
log. A few rows for which a client waits are read in Trio's thread: see `direct_reader`.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import attrs
import trio

from trimcp.actors.grouping_thread import GroupingThread, ThreadBusy, ThreadJob
from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.stores.bus import BusChannel, Gap
from trimcp.stores.failures import StoreUnavailable
from trimcp.stores.sqlite.direct_reader import DirectReader, ThreadNeeded

T = TypeVar("T")

SCHEMA: Final = 2
"""The version of the tables, in `PRAGMA user_version`."""
APPLICATION: Final = 0x7472_6D63
"""Marks the file, in `PRAGMA application_id`: "trmc"."""
BUSY: Final = 5.0
"""Seconds that a call waits for other processes, or for a disk that hangs. Each thread has as long to end: no call
waits for it longer."""
MOST_WAITING: Final = 16_384
"""Calls that may wait for one of the threads."""
SWEEP: Final = 30.0
"""Seconds between two removals of rows that have expired."""
POLL: Final = 0.02
"""Seconds between two looks for messages of the bus, while there are subscribers."""
IDLE: Final = 10.0
"""Seconds between two looks of a thread otherwise."""

TABLES: Final = """
CREATE TABLE sessions (
    id BLOB PRIMARY KEY, record BLOB NOT NULL, version INTEGER NOT NULL, seen_at REAL NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE subscriptions (
    session BLOB, uri TEXT, until REAL NOT NULL, PRIMARY KEY (session, uri)
) WITHOUT ROWID;
CREATE TABLE streams (
    session BLOB, stream INTEGER, last INTEGER NOT NULL, is_finished INTEGER NOT NULL, incarnation INTEGER NOT NULL,
    owed BLOB, until REAL NOT NULL, PRIMARY KEY (session, stream)
) WITHOUT ROWID;
CREATE TABLE events (
    position INTEGER PRIMARY KEY, session BLOB NOT NULL, stream INTEGER NOT NULL, number INTEGER NOT NULL,
    event BLOB NOT NULL, until REAL NOT NULL
);
CREATE UNIQUE INDEX events_by_number ON events (session, stream, number);
CREATE TABLE tasks (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, principal TEXT, incarnation INTEGER,
    version INTEGER NOT NULL, record BLOB NOT NULL, until REAL NOT NULL
);
CREATE INDEX tasks_by_principal ON tasks (principal, place);
CREATE INDEX tasks_by_incarnation ON tasks (incarnation) WHERE incarnation IS NOT NULL;
CREATE TABLE secrets (place INTEGER PRIMARY KEY AUTOINCREMENT, secret BLOB NOT NULL);
CREATE TABLE nodes (incarnation INTEGER PRIMARY KEY AUTOINCREMENT, until REAL NOT NULL);
CREATE TABLE messages (
    place INTEGER PRIMARY KEY AUTOINCREMENT, receiver INTEGER, message BLOB NOT NULL, until REAL NOT NULL
);
CREATE TABLE proofs (key TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE places (
    principal TEXT, place TEXT, until REAL NOT NULL, PRIMARY KEY (principal, place)
) WITHOUT ROWID;
"""
EXPIRE: Final = """
DELETE FROM subscriptions WHERE session IN (SELECT id FROM sessions WHERE until <= :now);
DELETE FROM sessions WHERE until <= :now;
DELETE FROM subscriptions WHERE until <= :now AND session NOT IN (SELECT id FROM sessions);
DELETE FROM streams WHERE until <= :now;
DELETE FROM tasks WHERE until <= :now;
DELETE FROM messages WHERE until <= :now;
DELETE FROM proofs WHERE until <= :now;
DELETE FROM places WHERE until <= :now;
DELETE FROM events WHERE position <
    coalesce((SELECT position FROM events WHERE until > :now ORDER BY position LIMIT 1), 9e18)
"""


@attrs.frozen
class _Work:
    """One call: a function of the connection, which may run twice."""

    function: Callable[[sqlite3.Connection], object]
    durable: bool = False


class Database:
    """The connections to the file, and the threads that use them."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            path: of the file, which is made if it does not exist.
            clock: returns the time, in seconds since the epoch, the same in all processes.
        """
        self.path: str = path
        self.clock: Callable[[], float] = clock
        self._opening = trio.Lock()
        self._opened = 0
        self._writer: GroupingThread[_Work] | None = None
        self._reader: GroupingThread[_Work] | None = None
        self._writing: sqlite3.Connection
        self._reading: sqlite3.Connection
        self._direct: DirectReader
        self._swept_at = 0.0
        self._commit_began = math.inf
        """When the commit began that is under way in the thread that writes; infinite while there is none."""
        self._is_durable: bool | None = None
        """Whether commits survive a loss of power as the connection is set now; None where it is not set."""
        self._channels: dict[BusChannel, int] = {}
        """Subscribers of the bus, each with its incarnation. A new dict at each change: the thread reads it."""
        self._message = 0
        """The last message of the bus that the reader has seen."""

    async def open(self) -> None:
        """Open the file, and start the threads, unless they are.

        Raises:
            UsageError: it is not a file of trimcp, or of a newer version, or cannot be used.
        """
        async with self._opening:
            if not self._opened:
                try:
                    self._writing = await trio.to_thread.run_sync(_connected, self.path)
                    self._is_durable = None
                    self._reading = _connection(self.path)
                    self._direct = DirectReader(_connection(self.path, timeout=0.0))
                except (sqlite3.Error, OSError) as exc:
                    advice = "give a file on a local disk, in a directory that exists"
                    raise UsageError(f"The store {self.path} cannot be used ({exc}): {advice}") from exc
                most, interval = MOST_WAITING, IDLE
                self._writer = GroupingThread(
                    f"trimcp {self.path}", self._write_group, most=most, look=self._sweep, interval=interval
                )
                self._reader = GroupingThread(
                    f"trimcp {self.path} reader", self._read_group, most=most, look=self._look, interval=interval
                )
            self._opened += 1

    async def close(self) -> None:
        """Undo one `open`; with the last one, end the threads and close the file.

        A thread that hangs keeps its connections, and ends with the process.
        """
        self._opened -= 1
        if not self._opened and self._reader is not None and self._writer is not None:
            reader, self._reader = self._reader, None
            if await reader.stop(BUSY):
                self._reading.close()
                self._direct.close()
            else:
                _log_abandoned("reads", self.path)
            writer, self._writer = self._writer, None
            if await writer.stop(BUSY):
                self._writing.close()
            else:
                _log_abandoned("writes", self.path)

    # --- calls ------------------------------------------------------------------------

    async def rows(self, statement: str, *values: object) -> list[Any]:
        """Return the rows of a statement that only reads."""
        return await self.read(lambda connection: connection.execute(statement, values).fetchall())

    async def change(self, statement: str, *values: object, durable: bool = False) -> int:
        """Execute a statement that writes, and return the number of rows that it has changed. See `write`."""
        return await self.write(lambda connection: connection.execute(statement, values).rowcount, durable=durable)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Return the value of a function that only reads. All that it reads is of one moment."""
        value: T = await self._call(self._reader, _Work(function))
        return value

    async def read_few(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Return the value of a function that reads a few rows by their keys, for a client that waits. See `read`."""
        if self._reader is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                return self._direct.read(function, self._commit_began)
            except ThreadNeeded:
                pass
        return await self.read(function)

    async def write(self, function: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """Return the value of a function that writes, after the commit.

        Args:
            function: called in a transaction, which other calls may share. Where one of them raises, it is rolled
                back, and each is called again alone.
            durable: whether the commit survives a loss of power.
        """
        value: T = await self._call(self._writer, _Work(function, durable))
        return value

    async def _call(self, thread: GroupingThread[_Work] | None, work: _Work) -> Any:
        if thread is None:
            raise UsageError(f"The store {self.path} is not open: use it inside of `async with store.open()`")
        try:
            return await thread.call(work, BUSY)
        except (ThreadBusy, sqlite3.Error, trio.TooSlowError) as exc:
            raise StoreUnavailable(f"The store {self.path} failed: {str(exc) or 'no answer in time'}") from exc

    # --- the bus ----------------------------------------------------------------------

    async def subscribe(self, channel: BusChannel, incarnation: int) -> None:
        """Give a channel the messages to all and to this incarnation from now on."""
        if self._reader is not None:
            self._reader.interval = POLL  # before the call, which wakes it
        newest = await self.read(_newest_message)
        if not self._channels:
            self._message = newest
        self._channels = {**self._channels, channel: incarnation}

    def unsubscribe(self, channel: BusChannel) -> None:
        """Give a channel no more messages."""
        self._channels = {each: incarnation for each, incarnation in self._channels.items() if each is not channel}
        if self._reader is not None and not self._channels:
            self._reader.interval = IDLE

    def _deliver(self, messages: Sequence[tuple[int | None, bytes | Gap]]) -> None:
        for receiver, message in messages:
            for channel, incarnation in self._channels.items():
                if receiver is None or receiver == incarnation:
                    channel.put(message)

    # --- in the thread that writes ----------------------------------------------------

    def _write_group(self, jobs: Sequence[ThreadJob[_Work]]) -> None:
        durable = any(job.work.durable for job in jobs)
        if durable is not self._is_durable:
            self._writing.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._is_durable = durable
        self._commit_began = time.monotonic()
        try:
            _run_group(self._writing, "BEGIN IMMEDIATE", jobs)
        finally:
            self._commit_began = math.inf

    def _sweep(self) -> None:
        """Remove what has expired. A failure is repaired by the next sweep."""
        now = self.clock()
        if not self._swept_at <= now < self._swept_at + SWEEP:
            self._swept_at = now
            self._write_group([ThreadJob(_Work(self._expire))])

    def _expire(self, connection: sqlite3.Connection) -> None:
        for statement in EXPIRE.split(";"):
            connection.execute(statement, {"now": self.clock()})

    # --- in the thread that reads -----------------------------------------------------

    def _read_group(self, jobs: Sequence[ThreadJob[_Work]]) -> None:
        _run_group(self._reading, "BEGIN", jobs)

    def _look(self) -> None:
        """Read the bus. A failure is repaired by the next look."""
        try:
            if self._channels:
                self._read_bus()
        except sqlite3.Error:
            return

    def _read_bus(self) -> None:
        rows = self._reading.execute(
            "SELECT place, receiver, message FROM messages WHERE place > ? ORDER BY place", (self._message,)
        ).fetchall()
        if not rows or self._reader is None:
            return
        messages: list[tuple[int | None, bytes | Gap]] = [(receiver, message) for _, receiver, message in rows]
        if rows[0][0] != self._message + 1:  # the oldest were removed before they were read
            messages.insert(0, (None, Gap()))
        self._message = rows[-1][0]
        self._reader.soon(self._deliver, messages)


def _run_group(connection: sqlite3.Connection, begin: str, jobs: Sequence[ThreadJob[_Work]]) -> None:
    """Do all jobs in one transaction; each alone, if one fails."""
    try:
        connection.execute(begin)
        try:
            for job in jobs:
                job.value = job.work.function(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except Exception as exc:  # noqa: BLE001 - the error of the job, which its caller gets
        if len(jobs) == 1:
            jobs[0].error = exc
        else:
            for job in jobs:
                _run_group(connection, begin, [job])


def _log_abandoned(does: str, path: str) -> None:
    why = f"the thread that {does} {path} did not end within {BUSY:g} s, and was abandoned: check the disk"
    log.error(events.STORE_FAILED, why=why)


def _newest_message(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    return 0 if row is None else row[0]


def _connected(path: str) -> sqlite3.Connection:
    """Open the file and check it. The file is for its owner alone: it has secrets."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = _connection(path)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connection(path: str, timeout: float = BUSY) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    if not _is_empty(connection):
        _check(connection, path)
    _use_wal(connection)
    connection.execute("BEGIN IMMEDIATE")
    if _is_empty(connection):  # no other process was first
        for statement in TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={SCHEMA}")
    connection.execute("COMMIT")
    _check(connection, path)


def _is_empty(connection: sqlite3.Connection) -> bool:
    row: tuple[int] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return row == (0,)


def _check(connection: sqlite3.Connection, path: str) -> None:
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
        raise UsageError(f"The file {path} is not a store of trimcp: give another path")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA:
        raise UsageError(
            f"The store {path} has schema {version}, and this version of trimcp reads schema {SCHEMA}: "
            "use the version of trimcp that wrote it, or another file"
        )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. SQLite does not wait for other processes that open the file here."""
    give_up_at = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
