"""Tasks in an SQLite file. Each commit survives a loss of power."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import attrs

from trimcp.stores.sqlite.database import Database
from trimcp.stores.task_store import TaskRecord, TaskStore, decode_task, encode_task

NEVER: Final = 9e99
"""When a task without a time to live expires."""


class SqliteTaskStore(TaskStore):
    """Keeps tasks in the file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, record: TaskRecord, *, most: int) -> bool:
        """See `TaskStore`."""
        now = self._database.clock()
        row = (record.id, record.principal, *_columns(record))

        def create(connection: sqlite3.Connection) -> bool:
            if connection.execute("SELECT 1 FROM tasks WHERE id = ? AND until > ?", (record.id, now)).fetchone():
                raise ValueError("there is a task with that id already")
            count = "SELECT count(*) FROM tasks WHERE principal IS ? AND until > ?"
            if connection.execute(count, (record.principal, now)).fetchone()[0] >= most:
                return False
            connection.execute(
                "INSERT OR REPLACE INTO tasks (id, principal, incarnation, version, record, until) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            return True

        return await self._database.write(create, durable=True)

    async def find(self, id: str) -> TaskRecord | None:
        """See `TaskStore`."""
        statement = "SELECT record FROM tasks WHERE id = ? AND until > ?"
        rows = await self._database.rows(statement, id, self._database.clock())
        return decode_task(rows[0][0]) if rows else None

    async def update(self, record: TaskRecord) -> TaskRecord | None:
        """See `TaskStore`."""
        updated = attrs.evolve(record, version=record.version + 1)
        changed = await self._database.change(
            "UPDATE tasks SET incarnation = ?, version = ?, record = ?, until = ? "
            "WHERE id = ? AND version = ? AND until > ?",
            *(*_columns(updated), record.id, record.version, self._database.clock()),
            durable=True,
        )
        return updated if changed else None

    async def list(self, principal: str | None, after: str | None, limit: int) -> Sequence[TaskRecord]:
        """See `TaskStore`."""
        place = 0
        if after is not None:
            statement = "SELECT place FROM tasks WHERE id = ? AND principal IS ?"
            found = await self._database.rows(statement, after, principal)
            if not found:
                raise KeyError(after)
            place = found[0][0]
        statement = "SELECT record FROM tasks WHERE principal IS ? AND place > ? AND until > ? ORDER BY place LIMIT ?"
        rows = await self._database.rows(statement, principal, place, self._database.clock(), limit)
        return [decode_task(row[0]) for row in rows]

    async def unfinished(self, incarnation: int) -> Sequence[TaskRecord]:
        """See `TaskStore`."""
        statement = "SELECT record FROM tasks WHERE incarnation = ? AND until > ? ORDER BY place"
        rows = await self._database.rows(statement, incarnation, self._database.clock())
        return [decode_task(row[0]) for row in rows]


def _columns(record: TaskRecord) -> tuple[int | None, int, bytes, float]:
    """Return the columns that an update sets. A task that is final belongs to no node."""
    until = NEVER if record.expires_at is None else record.expires_at
    return (None if record.is_final else record.incarnation, record.version, encode_task(record), until)
