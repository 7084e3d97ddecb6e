"""Sessions, subscriptions and secrets in an SQLite file. Ids of sessions are secrets of clients, and kept as hashes."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Collection
from typing import Final

import attrs

from trimcp.stores.memory import SESSION_TTL
from trimcp.stores.memory_secrets import SECRET_BYTES
from trimcp.stores.secret_store import Secrets, SecretStore
from trimcp.stores.secret_wrapping import SecretWrapping
from trimcp.stores.session_store import SessionRecord, SessionStore, StoredSession, decode_record, encode_record
from trimcp.stores.sqlite.database import Database
from trimcp.stores.subscription_store import SubscriptionStore

FIND: Final = "SELECT record, seen_at FROM sessions WHERE id = ? AND until > ?"
URIS: Final = "SELECT uri FROM subscriptions WHERE session = ?"


def hash_of(id: str) -> bytes:
    """Return the hash of a session's id, by which the file knows it."""
    return hashlib.sha256(id.encode(errors="surrogatepass")).digest()


class SqliteSessionStore(SessionStore):
    """Keeps records of sessions in the file."""

    def __init__(self, database: Database, *, ttl: float = SESSION_TTL) -> None:
        """`ttl`: seconds that a session is kept after it was added, updated or touched."""
        self._database = database
        self._ttl = ttl

    async def add(self, record: SessionRecord) -> None:
        """See `SessionStore`."""
        key, now = hash_of(record.id), self._database.clock()
        row = (key, encode_record(record), record.version, record.seen_at, now + self._ttl)

        def add(connection: sqlite3.Connection) -> None:
            if connection.execute("SELECT 1 FROM sessions WHERE id = ? AND until > ?", (key, now)).fetchone():
                raise ValueError("there is a session with that id already")
            connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)", row)

        await self._database.write(add)

    async def find(self, id: str) -> SessionRecord | None:
        """See `SessionStore`."""
        found = await self._database.rows(FIND, hash_of(id), self._database.clock())
        return _record(id, found[0]) if found else None

    async def load(self, id: str) -> StoredSession | None:
        """See `Store.load_session`."""
        key, now = hash_of(id), self._database.clock()

        def load(connection: sqlite3.Connection) -> tuple[tuple[bytes, float] | None, list[tuple[str]]]:
            return connection.execute(FIND, (key, now)).fetchone(), connection.execute(URIS, (key,)).fetchall()

        row, uris = await self._database.read_few(load)
        return None if row is None else StoredSession(_record(id, row), frozenset(uri for (uri,) in uris))

    async def update(self, record: SessionRecord) -> SessionRecord | None:
        """See `SessionStore`."""
        updated = attrs.evolve(record, version=record.version + 1)
        now = self._database.clock()
        changed = await self._database.change(
            "UPDATE sessions SET record = ?, version = ?, seen_at = ?, until = ? "
            "WHERE id = ? AND version = ? AND until > ?",
            *(encode_record(updated), updated.version, updated.seen_at, now + self._ttl),
            *(hash_of(record.id), record.version, now),
        )
        return updated if changed else None

    async def touch(self, ids: Collection[str], seen_at: float) -> None:
        """See `SessionStore`."""
        now = self._database.clock()
        rows = [(seen_at, now + self._ttl, hash_of(id), now) for id in ids]

        def touch(connection: sqlite3.Connection) -> None:
            statement = "UPDATE sessions SET seen_at = ?, until = ? WHERE id = ? AND until > ?"
            connection.executemany(statement, rows)

        await self._database.write(touch)

    async def remove(self, id: str) -> None:
        """See `SessionStore`."""
        await self._database.change("DELETE FROM sessions WHERE id = ?", hash_of(id))


def _record(id: str, row: tuple[bytes, float]) -> SessionRecord:
    return decode_record(id, row[0], row[1])


class SqliteSubscriptionStore(SubscriptionStore):
    """Keeps subscriptions in the file."""

    def __init__(self, database: Database, *, ttl: float = SESSION_TTL) -> None:
        """`ttl`: seconds that a subscription is kept whose session has no record, or has one no more."""
        self._database = database
        self._ttl = ttl

    async def add(self, session: str, uri: str) -> bool:
        """See `SubscriptionStore`."""
        statement = "INSERT OR IGNORE INTO subscriptions VALUES (?, ?, ?)"
        until = self._database.clock() + self._ttl
        return await self._database.change(statement, hash_of(session), uri, until) == 1

    async def remove(self, session: str, uri: str) -> bool:
        """See `SubscriptionStore`."""
        statement = "DELETE FROM subscriptions WHERE session = ? AND uri = ?"
        return await self._database.change(statement, hash_of(session), uri) == 1

    async def uris_of(self, session: str) -> frozenset[str]:
        """See `SubscriptionStore`."""
        rows = await self._database.rows(URIS, hash_of(session))
        return frozenset(uri for (uri,) in rows)

    async def forget(self, session: str) -> None:
        """See `SubscriptionStore`."""
        await self._database.change("DELETE FROM subscriptions WHERE session = ?", hash_of(session))


class SqliteSecretStore(SecretStore):
    """Keeps secrets in the file, wrapped where there is a key of the operator."""

    def __init__(self, database: Database, wrapping: SecretWrapping) -> None:
        self._database = database
        self._wrapping = wrapping

    async def read(self) -> Secrets:
        """See `SecretStore`."""
        found = await self._database.read(_newest)
        if not found:
            made = self._wrapping.wrap(os.urandom(SECRET_BYTES))

            def make(connection: sqlite3.Connection) -> list[bytes]:
                if not _newest(connection):
                    connection.execute("INSERT INTO secrets (secret) VALUES (?)", (made,))
                return _newest(connection)

            found = await self._database.write(make, durable=True)
        return Secrets(tuple(map(self._wrapping.unwrap, found)))

    async def rotate(self, secret: bytes | None = None) -> Secrets:
        """See `SecretStore`."""
        await self.read()
        (new,) = Secrets((os.urandom(SECRET_BYTES) if secret is None else secret,)).values
        wrapped = self._wrapping.wrap(new)

        def rotate(connection: sqlite3.Connection) -> list[bytes]:
            connection.execute("INSERT INTO secrets (secret) VALUES (?)", (wrapped,))
            connection.execute(
                "DELETE FROM secrets WHERE place NOT IN (SELECT place FROM secrets ORDER BY place DESC LIMIT 2)"
            )
            return _newest(connection)

        return Secrets(tuple(map(self._wrapping.unwrap, await self._database.write(rotate, durable=True))))


def _newest(connection: sqlite3.Connection) -> list[bytes]:
    return [secret for (secret,) in connection.execute("SELECT secret FROM secrets ORDER BY place DESC LIMIT 2")]
