"""Nodes, their bus, proofs and places in Valkey."""

from __future__ import annotations

import secrets
import struct
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import trio

from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.bus import Bus, BusChannel, Gap
from trimcp.stores.failures import StoreUnavailable
from trimcp.stores.node_store import NodeStore
from trimcp.stores.replay_store import ReplayStore
from trimcp.stores.valkey.connection import CONNECT, Connection, Script, hash_of

TIME: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# A sorted set has the nodes by the end of their lease. The counter is never below the seconds since 2026: so no number
# comes twice, even if a failover loses the latest, or the data is lost.
JOIN: Final = Script(
    TIME
    + """
local incarnation = math.max((tonumber(redis.call('GET', KEYS[2])) or 0) + 1, time[1] - 1767225600)
redis.call('SET', KEYS[2], incarnation)
redis.call('ZADD', KEYS[1], now + ARGV[1], incarnation)
return incarnation
""",
    "allow-oom",
)
RENEW: Final = Script(
    TIME
    + """
local until_then = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not until_then or tonumber(until_then) <= now then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
return 1
""",
    "allow-oom",
)
ALIVE: Final = Script(TIME + "return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')", "no-writes")
DEAD: Final = Script(TIME + "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)", "no-writes")
TAKE: Final = Script(
    TIME
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIREAT', KEYS[1], redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
return 1
"""
)

HEAD: Final = struct.Struct(">8sQq")
"""Begins each message of the bus: its sender, its number, and the incarnation of its receiver; 0 for all."""
SENDERS: Final = 4096
"""Senders whose numbers a receiver remembers."""
TRIES: Final = 3
"""Times that a message is sent before its sender is told that it may be lost."""
SETTLING: Final = 2.0
"""Seconds that a new client has to connect and to begin to receive."""
HEARTBEAT: Final = 1 / 15
"""The part of the lease for which a renewal waits for its heartbeat: a third of the time that the renewal has."""
READY: Final = 0.05
"""Seconds between two looks whether a new subscription receives."""


class ValkeyBus(Bus):
    """Carries messages in one channel of Valkey, which all nodes hear.

    The numbers of messages show a receiver that it has missed some. `heartbeat` shows it the last number of a sender
    that has nothing to send.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = f"{connection.address.prefix}:bus"
        self._sender = secrets.token_bytes(8)
        self._number = 0
        self._receivers: list[_BusReceiver] = []

    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        """See `Bus`. A message that may not have arrived is sent again with its number, and is received once."""
        self._number += 1
        for _ in range(TRIES - 1):
            with suppress(StoreUnavailable):
                await self._send(self._number, to or 0, message)
                return
            await trio.sleep(READY)
        await self._send(self._number, to or 0, message)

    async def heartbeat(self) -> None:
        """Show all receivers the number of the last message.

        A receiver of this node that has not heard the heartbeat before this one gets another connection: its server
        may be the primary no more. Where this heartbeat is cancelled meanwhile, the client goes on to connect, and the
        next heartbeat is for it to hear.
        """
        for receiver in self._receivers:
            if not receiver.is_hearing and trio.current_time() > receiver.made_at + SETTLING:
                receiver.is_hearing = True
                await self._connect(receiver)
            receiver.is_hearing = False
        await self._send(self._number, 0, b"")

    async def _send(self, number: int, receiver: int, message: bytes) -> None:
        head = HEAD.pack(self._sender, number, receiver)
        await self._connection.command("PUBLISH", self._channel, head + message)

    @asynccontextmanager
    async def subscribe(self, incarnation: int) -> AsyncIterator[trio.MemoryReceiveChannel[bytes | Gap]]:
        """See `Bus`."""
        receiver = _BusReceiver(incarnation, self._sender)
        try:
            await self._connect(receiver)
            with trio.move_on_after(CONNECT):
                while not receiver.is_hearing:
                    await self._send(self._number, 0, b"")
                    await trio.sleep(READY)
            if not receiver.is_hearing:
                raise StoreUnavailable("Valkey did not take the subscription to the bus")
            self._receivers.append(receiver)
            yield receiver.channel.receive
        finally:
            if receiver in self._receivers:
                self._receivers.remove(receiver)
            receiver.channel.close()
            if receiver.client is not None:
                with trio.move_on_after(CONNECT, shield=True):
                    await receiver.client.close()

    async def _connect(self, receiver: _BusReceiver) -> None:
        """Make a client that receives, in place of the one before."""
        try:
            client = await self._connection.connect(CONNECT, self._channel, receiver.receive)
            before, receiver.client = receiver.client, client
            receiver.made_at = trio.current_time()
            if before is not None:
                await before.close()
            with trio.fail_after(CONNECT):
                await client.ping()
        except Exception as exc:
            receiver.is_hearing = False
            raise StoreUnavailable("Valkey did not take the subscription to the bus") from exc


class _BusReceiver:
    """Receives the messages of one subscriber, and notices gaps in the numbers of each sender."""

    def __init__(self, incarnation: int, own: bytes) -> None:
        """`own`: the sender of its node."""
        self.client: Any = None
        """Its connection."""
        self.made_at: float = 0.0
        self.is_hearing: bool = False
        """Whether a message of its own node has come since this was last set to False."""
        self.channel = BusChannel()
        self.numbers: dict[bytes, int] = {}
        """Sender to the number of its last message. Bounded: a node is one sender, and the oldest go."""
        self._incarnation = incarnation
        self._own = own

    def receive(self, data: bytes) -> None:
        """Receive a message. Never waits; ignores what no node has sent."""
        if len(data) < HEAD.size:
            return
        sender, number, receiver = HEAD.unpack_from(data)
        message = data[HEAD.size :]
        self.is_hearing |= sender == self._own
        last = self.numbers.pop(sender, number - bool(message))
        self.numbers[sender] = max(last, number)
        if len(self.numbers) > SENDERS:
            del self.numbers[next(iter(self.numbers))]
        if message and number <= last:
            return  # it was sent again
        if number > last + bool(message):
            self.channel.put(Gap())
        if message and receiver in (0, self._incarnation):
            self.channel.put(message)


class ValkeyNodeStore(NodeStore):
    """Keeps leases in Valkey, by the clock of the server."""

    def __init__(self, connection: Connection, bus: ValkeyBus, lease: float) -> None:
        self.lease = lease
        self._connection = connection
        self._bus = bus
        key = connection.key("nodes")
        self._keys = (key, f"{key}:newest")

    async def join(self) -> int:
        """See `NodeStore`."""
        return int(await self._connection.run(JOIN, self._keys, self._milliseconds))

    async def renew(self, incarnation: int) -> bool:
        """See `NodeStore`."""
        renewed = await self._connection.run(RENEW, self._keys, self._milliseconds, str(incarnation))
        # The lease is renewed, whatever becomes of the heartbeat.
        with suppress(StoreUnavailable), trio.move_on_after(HEARTBEAT * self.lease):
            await self._bus.heartbeat()
        return bool(renewed == 1)

    async def alive(self, incarnations: Collection[int]) -> frozenset[int]:
        """See `NodeStore`."""
        return frozenset(map(int, await self._connection.run(ALIVE, self._keys))) & frozenset(incarnations)

    async def dead(self) -> frozenset[int]:
        """See `NodeStore`."""
        return frozenset(map(int, await self._connection.run(DEAD, self._keys)))

    async def leave(self, incarnation: int) -> None:
        """See `NodeStore`."""
        await self._connection.command("ZREM", self._keys[0], str(incarnation))

    @property
    def _milliseconds(self) -> str:
        return str(int(1000 * self.lease))


class ValkeyReplayStore(ReplayStore):
    """Remembers keys in Valkey."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def first_use(self, key: str, seconds: float) -> bool:
        """See `ReplayStore`."""
        place = self._connection.key("proof", key)
        return await self._connection.command("SET", place, "1", "NX", "PX", str(int(1000 * seconds))) is not None


class ValkeyAdmissionStore(AdmissionStore):
    """Counts places in Valkey, in a sorted set for each principal."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def take(self, principal: str, place: str, *, most: int, seconds: float) -> bool:
        """See `AdmissionStore`."""
        key = self._connection.key("places", principal)
        taken = await self._connection.run(TAKE, (key,), hash_of(place), str(most), str(int(1000 * seconds)))
        return bool(taken == 1)

    async def give(self, principal: str, place: str) -> None:
        """See `AdmissionStore`."""
        await self._connection.command("ZREM", self._connection.key("places", principal), hash_of(place))
