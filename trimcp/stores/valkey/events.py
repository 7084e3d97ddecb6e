"""Events of streams in Valkey.

An event stream is a Valkey stream, with the numbers of events as ids, and a hash that has its writer and its end. A set
has the numbers of the streams of a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trimcp.codec.jsontext import dumps, loads
from trimcp.stores.event_store import SETTLED, AppendFailed, EventBatch, SharedEventStore, StoredEvents
from trimcp.stores.failures import StoreUnavailable
from trimcp.stores.valkey.connection import Connection, Script, ScriptCall

# Scripts get the key of the set, which begins the other two, and the number of the stream as ARGV[1].
STREAM: Final = """
local events = KEYS[1] .. ':' .. ARGV[1]
local state = events .. ':state'
local found = redis.call('HMGET', state, 'last', 'finished', 'incarnation', 'owed')
local last = tonumber(found[1])
"""
ADD: Final = """
local function add(first, offset, most)
    for n = offset, #ARGV do
        redis.call('XADD', events, 'MAXLEN', most, string.format('%.0f-0', first + n - offset), 'e', ARGV[n])
    end
end
local function keep(age)
    redis.call('SADD', KEYS[1], ARGV[1])
    for _, key in ipairs({KEYS[1], events, state}) do redis.call('PEXPIRE', key, age) end
end
"""
APPEND: Final = Script(
    STREAM
    + ADD
    + """
local incarnation, first, is_last, owed, most, age = unpack(ARGV, 2, 7)
local count = #ARGV - 7
first = tonumber(first)
if last and found[3] ~= incarnation then return 0 end
if not last and count == 0 and (is_last == '1' or first ~= 1) then return 1 end
if last and count == 0 and is_last == '1' and last < first - 1 then  -- events between are lost
    redis.call('DEL', events, state)
    return 1
end
local known = last or 0
local final = first + count - 1
if count > 0 and final > known then
    if not last or first > known + 1 then
        redis.call('DEL', events)
        known = first - 1
    end
    add(known + 1, 8 + known + 1 - first, most)
    known = final
end
local fields = {'last', string.format('%.0f', known)}
if is_last == '1' and final == known then fields[3], fields[4] = 'finished', '1' end
if last then
    redis.call('HSET', state, unpack(fields))
else
    redis.call('HSET', state, 'incarnation', incarnation, 'owed', owed, unpack(fields))
end
keep(age)
return 1
"""
)
SETTLE: Final = Script(
    STREAM
    + ADD
    + f"""
if not last or found[2] == '1' or found[3] ~= ARGV[2] then return 0 end
add(last + 1, 5, ARGV[3])
last = string.format('%.0f', last + #ARGV - 4)
redis.call('HSET', state, 'last', last, 'finished', '1', 'incarnation', '{SETTLED}')
keep(ARGV[4])
return 1
"""
)
REPLAY: Final = Script(
    STREAM
    + """
local after = tonumber(ARGV[2])
if not last or after < 0 or after > last then return nil end
local events = redis.call('XRANGE', events, string.format('%.0f-0', after + 1), '+')
if #events ~= last - after then return nil end
local answer = {found[2] or '0', found[3], found[4]}
for _, event in ipairs(events) do answer[#answer + 1] = event[2][2] end
return answer
""",
    "no-writes",
)
FORGET: Final = Script(
    """
for _, number in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local events = KEYS[1] .. ':' .. number
    redis.call('DEL', events, events .. ':state')
end
redis.call('DEL', KEYS[1])
return 1
""",
    "allow-oom",
)


class ValkeyEventStore(SharedEventStore):
    """Keeps events in Valkey."""

    def __init__(self, connection: Connection, *, stream_events: int, age: float) -> None:
        """
        Args:
            connection: the connection.
            stream_events: the most events of one stream; over it, its oldest go.
            age: seconds that a stream is kept after its last event.
        """
        self._connection = connection
        self._most = str(stream_events)
        self._age = str(int(1000 * age))

    def _keys(self, session: str) -> tuple[str]:
        return (self._connection.key("events", session),)

    async def append(self, batches: Sequence[EventBatch]) -> None:
        """See `EventStore`."""
        if not batches:
            return
        answers = await self._connection.run_all(
            [ScriptCall(APPEND, self._keys(batch.session), self._arguments(batch)) for batch in batches]
        )
        # An exception says that the server is full, or that a cluster lacks the slot.
        refused = [batch for batch, answer in zip(batches, answers, strict=True) if answer != 1]
        if refused:
            why = next((str(each) for each in answers if isinstance(each, Exception)), None)
            raise AppendFailed(refused) from (None if why is None else StoreUnavailable(f"Valkey failed: {why}"))

    def _arguments(self, batch: EventBatch) -> tuple[bytes | str, ...]:
        owed = dumps([id.decode() for id in batch.owed])
        head = (str(batch.stream), str(batch.incarnation), str(batch.first), str(int(batch.is_last)), owed)
        return (*head, self._most, self._age, *batch.events)

    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        """See `EventStore`."""
        answer = await self._connection.run(REPLAY, self._keys(session), str(stream), str(after))
        if answer is None:
            return None
        is_finished, incarnation, owed, *events = answer
        ids = tuple(id.encode() for id in loads(owed))
        return StoredEvents(tuple(enumerate(events, after + 1)), is_finished == b"1", int(incarnation), ids)

    async def forget(self, session: str) -> None:
        """See `EventStore`."""
        await self._connection.run(FORGET, self._keys(session))

    async def settle(self, session: str, stream: int, incarnation: int, events: Sequence[bytes]) -> bool:
        """See `SharedEventStore`."""
        place = (str(stream), str(incarnation), self._most, self._age)
        settled = await self._connection.run(SETTLE, self._keys(session), *place, *events)
        return bool(settled == 1)
