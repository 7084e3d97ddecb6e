"""Events of streams in an SQLite file: a log, of which the oldest events go first."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import attrs

from trimcp.codec.jsontext import dumps, loads
from trimcp.stores.event_store import SETTLED, AppendFailed, EventBatch, SharedEventStore, StoredEvents
from trimcp.stores.sqlite.database import Database
from trimcp.stores.sqlite.sessions import hash_of

R = TypeVar("R")

EVENT_COST: Final = 128
"""Bytes that an event counts for beside its own."""

STREAM: Final = (
    "SELECT last, is_finished, incarnation, owed FROM streams WHERE session = ? AND stream = ? AND until > ?"
)
MOST_ROWS: Final = 64
"""Rows that one statement reads or writes: for each statement the thread gives way to all others once or twice."""
STEP: Final = 8
"""A statement has fewer rows than this, or a multiple of it: SQLite keeps the few statements that there are then."""


class SqliteEventStore(SharedEventStore):
    """Keeps events in the file. The position of an event is the cost of all events before it and of itself."""

    def __init__(self, database: Database, *, bytes: int, age: float) -> None:
        """
        Args:
            database: the file.
            bytes: the most bytes, of all sessions; over it, the oldest events go.
            age: seconds that an event is kept.
        """
        self._database = database
        self._bytes = bytes
        self._age = age

    async def append(self, batches: Sequence[EventBatch]) -> None:
        """See `EventStore`."""
        now, until = self._database.clock(), self._database.clock() + self._age
        keys = {session: hash_of(session) for session in {batch.session for batch in batches}}
        places = [(keys[batch.session], batch.stream) for batch in batches]

        def append(connection: sqlite3.Connection) -> list[EventBatch]:
            appending = _Appending(connection, places, now, until)
            refused = [
                batch for place, batch in zip(places, batches, strict=True) if not appending.append(place, batch)
            ]
            appending.write(self._bytes)
            return refused

        refused = await self._database.write(append)
        if refused:
            raise AppendFailed(refused)

    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        """See `EventStore`."""
        place, now = (hash_of(session), stream), self._database.clock()

        def replay(connection: sqlite3.Connection) -> StoredEvents | None:
            found = connection.execute(STREAM, (*place, now)).fetchone()
            if found is None:
                return None
            last, is_finished, incarnation, owed = found
            rows = connection.execute(
                "SELECT number, event FROM events WHERE session = ? AND stream = ? AND number > ? AND until > ? "
                "ORDER BY number",
                (*place, after, now),
            ).fetchall()
            if not 0 <= after <= last or len(rows) != last - after:
                return None
            ids = () if owed is None else tuple(id.encode() for id in loads(owed))
            return StoredEvents(tuple(rows), bool(is_finished), incarnation, ids)

        return await self._database.read(replay)

    async def forget(self, session: str) -> None:
        """See `EventStore`."""
        key = (hash_of(session),)

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM streams WHERE session = ?", key)
            connection.execute("DELETE FROM events WHERE session = ?", key)

        await self._database.write(forget)

    async def settle(self, session: str, stream: int, incarnation: int, events: Sequence[bytes]) -> bool:
        """See `SharedEventStore`."""
        place, now = (hash_of(session), stream), self._database.clock()

        def settle(connection: sqlite3.Connection) -> bool:
            found = connection.execute(STREAM, (*place, now)).fetchone()
            if found is None or found[1] or found[2] != incarnation:
                return False
            appending = _Appending(connection, [place], now, now + self._age)
            appending.settle(place, events)
            appending.write(self._bytes)
            return True

        return await self._database.write(settle)


@attrs.define
class _Stream:
    """A stream, as it will be written."""

    last: int | None
    is_finished: bool
    incarnation: int
    owed: bytes | str | None
    events: list[tuple[int, bytes]] = attrs.Factory(list)
    """New events with their numbers."""


class _Appending:
    """Appends batches in one transaction: reads all their streams, and then writes all rows."""

    def __init__(
        self, connection: sqlite3.Connection, places: Sequence[tuple[bytes, int]], now: float, until: float
    ) -> None:
        """`places`: sessions and streams that are appended to; `until`: when the events expire."""
        self._connection = connection
        self._until = until
        self._streams: dict[tuple[bytes, int], _Stream] = {}
        for rows in _pieces(list(dict.fromkeys(places))):
            marks = ", ".join(["(?, ?)"] * len(rows))
            found = connection.execute(
                "SELECT session, stream, last, is_finished, incarnation, owed "  # noqa: S608 - marks alone
                # A join in this order is one look-up for each place; IN would read the whole table.
                f"FROM (VALUES {marks}) CROSS JOIN streams ON session = column1 AND stream = column2 WHERE until > ?",
                (*itertools.chain.from_iterable(rows), now),
            )
            for session, number, last, is_finished, incarnation, owed in found:
                self._streams[session, number] = _Stream(last, bool(is_finished), incarnation, owed)

    def append(self, place: tuple[bytes, int], batch: EventBatch) -> bool:
        """Append one batch. Returns False where the stream has another writer."""
        stream = self._streams.get(place)
        if stream is None:
            if not batch.events and (batch.is_last or batch.first != 1):
                return True
            owed = dumps([each.decode() for each in batch.owed]) if batch.owed else None
            stream = self._streams[place] = _Stream(None, is_finished=False, incarnation=batch.incarnation, owed=owed)
        elif stream.incarnation != batch.incarnation:
            return False
        last = stream.last or 0
        if batch.is_last and last < batch.last and not batch.events:
            self._forget(place)  # the events between are lost, so that the stream cannot be resumed
            self._connection.execute("DELETE FROM streams WHERE session = ? AND stream = ?", place)
            del self._streams[place]
            return True
        if batch.events and batch.last > last:
            if batch.first > last + 1:
                self._forget(place)
                last = batch.first - 1
            stream.events += enumerate(batch.events[last + 1 - batch.first :], last + 1)
            last = batch.last
        stream.last = last
        stream.is_finished = stream.is_finished or (batch.is_last and batch.last == last)
        return True

    def settle(self, place: tuple[bytes, int], events: Sequence[bytes]) -> None:
        """Append the last events to a stream that has been read."""
        stream = self._streams[place]
        stream.events += enumerate(events, (stream.last or 0) + 1)
        stream.last = (stream.last or 0) + len(events)
        stream.is_finished, stream.incarnation = True, SETTLED

    def _forget(self, place: tuple[bytes, int]) -> None:
        self._streams[place].events.clear()
        self._connection.execute("DELETE FROM events WHERE session = ? AND stream = ?", place)

    def write(self, most: int) -> None:
        """Write all rows, and remove the oldest events over `most` bytes."""
        connection, until = self._connection, self._until
        (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
        rows: list[tuple[object, ...]] = []
        for place, stream in self._streams.items():
            for number, event in stream.events:
                position += len(event) + EVENT_COST
                rows.append((position, *place, number, event, until))
        # Events of an earlier stream with that number may still be there, when they have expired.
        _insert(connection, "events", rows)
        _insert(
            connection,
            "streams",
            [
                (*place, stream.last or 0, stream.is_finished, stream.incarnation, stream.owed, until)
                for place, stream in self._streams.items()
            ],
        )
        if rows:
            connection.execute("DELETE FROM events WHERE position <= ?", (position - most,))


def _insert(connection: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    """Insert rows, in the place of those with the same keys."""
    for piece in _pieces(rows):
        marks = ", ".join([f"({', '.join('?' * len(piece[0]))})"] * len(piece))
        connection.execute(
            f"INSERT OR REPLACE INTO {table} VALUES {marks}",  # noqa: S608 - the names are ours
            [*itertools.chain.from_iterable(piece)],
        )


def _pieces(rows: list[R]) -> Iterator[list[R]]:
    """Split rows into few pieces of few different sizes."""
    place = 0
    while place < len(rows):
        left = min(len(rows) - place, MOST_ROWS)
        size = left - left % STEP or left
        yield rows[place : place + size]
        place += size
