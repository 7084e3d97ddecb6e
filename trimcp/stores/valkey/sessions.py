"""Sessions, subscriptions and secrets in Valkey."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Final

import attrs

from trimcp.stores.memory import SESSION_TTL
from trimcp.stores.memory_secrets import SECRET_BYTES
from trimcp.stores.secret_store import Secrets, SecretStore
from trimcp.stores.secret_wrapping import SecretWrapping
from trimcp.stores.session_store import SessionRecord, SessionStore, StoredSession, decode_record, encode_record
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.valkey.connection import Connection, Script, ScriptCall

# A session is a hash: its record, and a field for each of its subscriptions. One command reads it all.

ADD: Final = Script("""
if redis.call('HEXISTS', KEYS[1], 'record') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'version', ARGV[2], 'seen', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
""")
UPDATE: Final = Script("""
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'version', ARGV[3], 'seen', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
""")
TOUCH: Final = Script(
    """
if redis.call('HEXISTS', KEYS[1], 'record') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'seen', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""",
    "allow-oom",
)
SUBSCRIBE: Final = Script("""
local added = redis.call('HSET', KEYS[1], ARGV[1], '')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return added
""")
FORGET_URIS: Final = Script(
    """
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 4) == 'uri:' then redis.call('HDEL', KEYS[1], field) end
end
return 1
""",
    "allow-oom",
)
SECRETS: Final = Script(
    """
if redis.call('LLEN', KEYS[1]) == 0 then redis.call('LPUSH', KEYS[1], ARGV[1]) end
return redis.call('LRANGE', KEYS[1], 0, 1)
""",
    "allow-oom",
)
ROTATE: Final = Script("""
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then redis.call('LPUSH', KEYS[1], ARGV[1]) end
redis.call('LTRIM', KEYS[1], 0, 1)
return redis.call('LRANGE', KEYS[1], 0, 1)
""")


def _key(connection: Connection, session: str) -> str:
    return connection.key("session", session)


class ValkeySessionStore(SessionStore):
    """Keeps records of sessions in Valkey, each in a hash."""

    def __init__(self, connection: Connection, *, ttl: float = SESSION_TTL) -> None:
        """`ttl`: seconds that a session is kept after it was added, updated or touched."""
        self._connection = connection
        self._ttl = str(int(1000 * ttl))

    async def add(self, record: SessionRecord) -> None:
        """See `SessionStore`."""
        row = (encode_record(record), str(record.version), repr(record.seen_at), self._ttl)
        if not await self._connection.run(ADD, (_key(self._connection, record.id),), *row):
            raise ValueError("there is a session with that id already")

    async def find(self, id: str) -> SessionRecord | None:
        """See `SessionStore`."""
        data, seen_at = await self._connection.command("HMGET", _key(self._connection, id), "record", "seen")
        return None if data is None else _record(id, data, seen_at)

    async def load(self, id: str) -> StoredSession | None:
        """See `Store.load_session`."""
        found = await self._connection.command("HGETALL", _key(self._connection, id))
        data = found.get(b"record")
        return None if data is None else StoredSession(_record(id, data, found[b"seen"]), _uris(found))

    async def update(self, record: SessionRecord) -> SessionRecord | None:
        """See `SessionStore`."""
        updated = attrs.evolve(record, version=record.version + 1)
        row = (encode_record(updated), str(updated.version), repr(updated.seen_at), self._ttl)
        keys = (_key(self._connection, record.id),)
        return updated if await self._connection.run(UPDATE, keys, str(record.version), *row) else None

    async def touch(self, ids: Collection[str], seen_at: float) -> None:
        """See `SessionStore`."""
        row = (repr(seen_at), self._ttl)
        calls = [ScriptCall(TOUCH, (_key(self._connection, id),), row) for id in ids]
        if calls:
            await self._connection.run_all(calls)

    async def remove(self, id: str) -> None:
        """See `SessionStore`."""
        await self._connection.command("DEL", _key(self._connection, id))


def _record(id: str, data: bytes, seen_at: bytes) -> SessionRecord:
    return decode_record(id, data, float(seen_at))


def _field(uri: str) -> str:
    return f"uri:{uri}"


def _uris(fields: Iterable[bytes]) -> frozenset[str]:
    return frozenset(field[4:].decode() for field in fields if field.startswith(b"uri:"))


class ValkeySubscriptionStore(SubscriptionStore):
    """Keeps subscriptions in Valkey, in the hash of the session, and with the session."""

    def __init__(self, connection: Connection, *, ttl: float = SESSION_TTL) -> None:
        """`ttl`: seconds, the same as for sessions."""
        self._connection = connection
        self._ttl = str(int(1000 * ttl))

    async def add(self, session: str, uri: str) -> bool:
        """See `SubscriptionStore`."""
        keys = (_key(self._connection, session),)
        added = await self._connection.run(SUBSCRIBE, keys, _field(uri), self._ttl)
        return bool(added == 1)

    async def remove(self, session: str, uri: str) -> bool:
        """See `SubscriptionStore`."""
        removed = await self._connection.command("HDEL", _key(self._connection, session), _field(uri))
        return bool(removed == 1)

    async def uris_of(self, session: str) -> frozenset[str]:
        """See `SubscriptionStore`."""
        return _uris(await self._connection.command("HKEYS", _key(self._connection, session)))

    async def forget(self, session: str) -> None:
        """See `SubscriptionStore`."""
        await self._connection.run(FORGET_URIS, (_key(self._connection, session),))


class ValkeySecretStore(SecretStore):
    """Keeps secrets in Valkey, wrapped where there is a key of the operator."""

    def __init__(self, connection: Connection, wrapping: SecretWrapping) -> None:
        self._connection = connection
        self._wrapping = wrapping

    async def read(self) -> Secrets:
        """See `SecretStore`."""
        return await self._run(SECRETS, os.urandom(SECRET_BYTES))

    async def rotate(self, secret: bytes | None = None) -> Secrets:
        """See `SecretStore`."""
        await self.read()
        (new,) = Secrets((os.urandom(SECRET_BYTES) if secret is None else secret,)).values
        return await self._run(ROTATE, new)

    async def _run(self, script: Script, secret: bytes) -> Secrets:
        kept = await self._connection.run(script, (self._connection.key("secrets"),), self._wrapping.wrap(secret))
        return Secrets(tuple(map(self._wrapping.unwrap, kept)))
