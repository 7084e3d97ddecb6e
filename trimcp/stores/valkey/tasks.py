"""Tasks in Valkey.

A task is a hash. Two indexes are in other slots of a cluster: the tasks of a principal, and the unfinished tasks of a
node. They are written before the task, and hold it until its time is over, so that a failure in between leaves a place
without a task, which a reader skips, and never a task without a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trimcp.stores.record_versions import replacement
from trimcp.stores.task_store import TaskRecord, TaskStore, decode_task, encode_task
from trimcp.stores.valkey.connection import Connection, Script

NODE_SECONDS: Final = 30 * 24 * 3600
"""Seconds that the index of a node is kept after its last new task."""
CREATED: Final = "created"
FOREVER: Final = "+inf"

# The index of a principal: task ids by the order of their creation, and by the time until which they are kept.
PLACE: Final = Script("""
local now = redis.call('TIME')
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now[1] * 1000 + now[2] / 1000)) do
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZREM', KEYS[2], id)
end
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
    local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
    redis.call('ZADD', KEYS[1], (newest[2] or 0) + 1, ARGV[1])
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
for _, key in ipairs(KEYS) do
    if last == 'inf' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, string.format('%.0f', last)) end
end
return 1
""")
LIST: Final = Script(
    """
local first = '-inf'
if ARGV[1] ~= '' then
    first = redis.call('ZSCORE', KEYS[1], ARGV[1])
    if not first then return nil end
    first = '(' .. first
end
return redis.call('ZRANGEBYSCORE', KEYS[1], first, '+inf', 'LIMIT', 0, ARGV[2])
""",
    "no-writes",
)
# The index of a node: task ids by the time until which they are kept.
RUN_ON: Final = Script("""
local now = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now[1] * 1000 + now[2] / 1000)
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
""")
# A task: its record, and its version, which an update must know. A version of "" creates it.
PUT: Final = Script("""
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'record', ARGV[3])
if ARGV[4] == '+inf' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIREAT', KEYS[1], ARGV[4]) end
return 1
""")


class ValkeyTaskStore(TaskStore):
    """Keeps tasks in Valkey."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _task(self, id: str) -> tuple[str]:
        return (self._connection.key("task", id),)

    def _index(self, principal: str | None) -> tuple[str, str]:
        key = self._connection.key("tasks-of", "anonymous" if principal is None else f"principal {principal}")
        return key, f"{key}:until"

    def _node(self, incarnation: int) -> str:
        return self._connection.key("tasks-on", str(incarnation))

    async def create(self, record: TaskRecord, *, most: int) -> bool:
        """See `TaskStore`."""
        if await self.find(record.id) is not None:
            raise ValueError("there is a task with that id already")
        index = self._index(record.principal)
        if not await self._connection.run(PLACE, index, record.id, _until(record), str(most)):
            return False
        await self._run_on(record.incarnation, record)
        if not await self._put(record, before=""):
            raise ValueError("there is a task with that id already")
        return True

    async def find(self, id: str) -> TaskRecord | None:
        """See `TaskStore`."""
        data = await self._connection.command("HGET", self._task(id)[0], "record")
        return None if data is None else decode_task(data)

    async def update(self, record: TaskRecord) -> TaskRecord | None:
        """See `TaskStore`."""
        before = await self.find(record.id)
        updated = replacement(before, record)
        if before is None or updated is None:
            return None
        if before.expires_at != updated.expires_at:
            await self._connection.run(PLACE, self._index(record.principal), record.id, _until(updated), FOREVER)
        if (before.incarnation, before.expires_at) != (updated.incarnation, updated.expires_at):
            await self._run_on(updated.incarnation, updated)
        if not await self._put(updated, before=str(record.version)):
            return None
        if updated.is_final or before.incarnation != updated.incarnation:
            await self._connection.command("ZREM", self._node(before.incarnation), record.id)
        return updated

    async def _put(self, record: TaskRecord, *, before: str) -> bool:
        row = (before, str(record.version), encode_task(record), _until(record))
        return bool(await self._connection.run(PUT, self._task(record.id), *row))

    async def _run_on(self, incarnation: int, record: TaskRecord) -> None:
        row = (record.id, _until(record), str(NODE_SECONDS))
        await self._connection.run(RUN_ON, (self._node(incarnation),), *row)

    async def list(self, principal: str | None, after: str | None, limit: int) -> Sequence[TaskRecord]:
        """See `TaskStore`."""
        found: list[TaskRecord] = []
        while len(found) < limit:
            ids = await self._connection.run(LIST, self._index(principal), after or "", str(limit - len(found)))
            if ids is None:
                raise KeyError(after)
            if not ids:
                break
            found += await self._records(ids)
            after = ids[-1].decode()
        return found

    async def unfinished(self, incarnation: int) -> Sequence[TaskRecord]:
        """See `TaskStore`."""
        records = await self._records(await self._connection.command("ZRANGE", self._node(incarnation), "0", "-1"))
        return [each for each in records if each.incarnation == incarnation and not each.is_final]

    async def _records(self, ids: Sequence[bytes]) -> Sequence[TaskRecord]:
        """Return the tasks with these ids. Those that have expired, or were never created, are left out."""
        if not ids:
            return []
        found = await self._connection.all([["HGET", self._task(id.decode())[0], "record"] for id in ids])
        return [decode_task(data) for data in found if data is not None]


def _until(record: TaskRecord) -> str:
    """Return when a task expires, in milliseconds since the epoch."""
    return FOREVER if record.expires_at is None else str(int(1000 * record.expires_at))
