"""Nodes, their bus, proofs and places in an SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import trio

from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.bus import Bus, BusChannel, Gap
from trimcp.stores.node_store import NodeStore
from trimcp.stores.replay_store import ReplayStore
from trimcp.stores.sqlite.database import Database

MESSAGE_AGE: Final = 10.0
"""Seconds that a message of the bus stays in the file, for processes that are slow to read it."""


class SqliteNodeStore(NodeStore):
    """Keeps leases in the file."""

    def __init__(self, database: Database, lease: float) -> None:
        self.lease = lease
        self._database = database

    async def join(self) -> int:
        """See `NodeStore`."""
        until = self._database.clock() + self.lease

        def join(connection: sqlite3.Connection) -> int:
            incarnation = connection.execute("INSERT INTO nodes (until) VALUES (?)", (until,)).lastrowid
            assert incarnation is not None
            return incarnation

        return await self._database.write(join, durable=True)

    async def renew(self, incarnation: int) -> bool:
        """See `NodeStore`."""
        now = self._database.clock()
        row = (now + self.lease, incarnation, now)
        statement = "UPDATE nodes SET until = ? WHERE incarnation = ? AND until > ?"
        return await self._database.change(statement, *row) == 1

    async def alive(self, incarnations: Collection[int]) -> frozenset[int]:
        """See `NodeStore`."""
        living = await self._database.rows("SELECT incarnation FROM nodes WHERE until > ?", self._database.clock())
        return frozenset(each for (each,) in living) & frozenset(incarnations)

    async def dead(self) -> frozenset[int]:
        """See `NodeStore`."""
        dead = await self._database.rows("SELECT incarnation FROM nodes WHERE until <= ?", self._database.clock())
        return frozenset(each for (each,) in dead)

    async def leave(self, incarnation: int) -> None:
        """See `NodeStore`."""
        await self._database.change("DELETE FROM nodes WHERE incarnation = ?", incarnation)


class SqliteBus(Bus):
    """Carries messages in a table of the file, which each process with subscribers looks at 50 times a second."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        """See `Bus`."""
        until = self._database.clock() + MESSAGE_AGE
        await self._database.change(
            "INSERT INTO messages (receiver, message, until) VALUES (?, ?, ?)", to, message, until
        )

    @asynccontextmanager
    async def subscribe(self, incarnation: int) -> AsyncIterator[trio.MemoryReceiveChannel[bytes | Gap]]:
        """See `Bus`."""
        channel = BusChannel()
        await self._database.subscribe(channel, incarnation)
        try:
            yield channel.receive
        finally:
            self._database.unsubscribe(channel)
            channel.close()


class SqliteReplayStore(ReplayStore):
    """Remembers keys in the file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def first_use(self, key: str, seconds: float) -> bool:
        """See `ReplayStore`."""
        now = self._database.clock()

        def use(connection: sqlite3.Connection) -> bool:
            connection.execute("DELETE FROM proofs WHERE key = ? AND until <= ?", (key, now))
            return connection.execute("INSERT OR IGNORE INTO proofs VALUES (?, ?)", (key, now + seconds)).rowcount == 1

        return await self._database.write(use)


class SqliteAdmissionStore(AdmissionStore):
    """Counts places in the file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, principal: str, place: str, *, most: int, seconds: float) -> bool:
        """See `AdmissionStore`."""
        now = self._database.clock()

        def take(connection: sqlite3.Connection) -> bool:
            count = "SELECT count(*) FROM places WHERE principal = ? AND place <> ? AND until > ?"
            is_free: bool = connection.execute(count, (principal, place, now)).fetchone()[0] < most
            if is_free:
                row = (principal, place, now + seconds)
                connection.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", row)
            return is_free

        return await self._database.write(take)

    async def give(self, principal: str, place: str) -> None:
        """See `AdmissionStore`."""
        await self._database.change("DELETE FROM places WHERE principal = ? AND place = ?", principal, place)
