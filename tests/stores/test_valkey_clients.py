"""How the store in Valkey replaces its clients: with servers that are simulated, since their moments decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trimcp.errors import UsageError
from trimcp.stores import StoreUnavailable
from trimcp.stores.node_lease import RENEWALS
from trimcp.stores.node_store import LEASE
from trimcp.stores.valkey.address import read_address
from trimcp.stores.valkey.connection import DEADLINE, FAILURES, PAUSE, Connection
from trimcp.stores.valkey.nodes import ValkeyBus, ValkeyNodeStore


class RequestError(Exception):
    """What valkey-glide raises where a server has answered with an error."""


class ClosingError(Exception):
    """What valkey-glide raises where its client is closed."""


class Server:
    """What the clients talk to."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.hangs = False
        self.is_replica = False
        self.connecting: float = 0.0
        """Seconds until it takes a connection."""


class Client:
    """Stands in for a client of valkey-glide."""

    def __init__(self, server: Server, receive: Callable[[bytes], None] | None) -> None:
        self.server = server
        self.receive = receive
        self.connected_at = trio.current_time() + server.connecting
        self.closed = trio.Event()
        server.clients.append(self)

    async def ping(self) -> None:
        await trio.sleep_until(self.connected_at)

    async def custom_command(self, args: list[Any]) -> object:
        """Answer: a SLOW command after ten seconds, each other at once."""
        answering = 10.0 if args[0] == "SLOW" else 0.0
        with trio.move_on_after(DEADLINE if self.server.hangs else answering):
            await self.closed.wait()
            raise ClosingError("closed")
        if self.server.hangs:
            raise TimeoutError
        if self.server.is_replica and args[0] == "SET":
            raise RequestError("READONLY You can't write against a read only replica.")
        if args[0] == "PUBLISH":
            for client in self.server.clients:
                client.hear(args[2])
        return 1 if args[0] == "EVALSHA" else b"OK"

    def hear(self, message: bytes) -> None:
        if self.receive is not None and self.connected_at <= trio.current_time() and not self.closed.is_set():
            self.receive(message)

    async def close(self) -> None:
        self.closed.set()


class SimulatedConnection(Connection):
    """Makes clients of a simulated server. Its first client is connected."""

    def __init__(self) -> None:
        super().__init__(read_address("valkey://host/test"))
        self.server = Server()
        self.problem: Exception | None = None
        """Raised where a client is made."""

    async def connect(
        self, seconds: float, channel: str | None = None, receive: Callable[[bytes], None] | None = None
    ) -> Client:
        if self.problem is not None:
            raise self.problem
        return Client(self.server, receive)

    async def __aenter__(self) -> SimulatedConnection:
        self._client = await self.connect(DEADLINE)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()

    async def fail(self) -> None:
        """Have the server hang until calls fail at once, and until one of them may try again."""
        self.server.hangs = True
        for _ in range(FAILURES):
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await self.command("GET")
        with pytest.raises(StoreUnavailable, match="asked again in a moment"):
            await self.command("GET")
        await trio.sleep(PAUSE)


@pytest.mark.parametrize("problem", [UsageError("The file ca.pem has no certificate"), ClosingError("no client")])
async def test_a_client_that_cannot_be_made_now_is_made_later(autojump_clock: MockClock, problem: Exception) -> None:
    async with SimulatedConnection() as connection:
        await connection.fail()
        connection.problem = problem
        with pytest.raises(StoreUnavailable, match=f"Valkey takes no connection: {problem}"):
            await connection.command("GET")
        assert not connection.server.clients[0].closed.is_set()
        connection.problem, connection.server.hangs = None, False
        await trio.sleep(PAUSE)
        assert await connection.command("GET") == b"OK"
        assert [client.closed.is_set() for client in connection.server.clients] == [True, False]


async def test_a_client_that_is_answered_again_stays_with_its_calls(autojump_clock: MockClock) -> None:
    answers: list[object] = []

    async def call(name: str) -> None:
        answers.append(await connection.command(name))

    async with SimulatedConnection() as connection, trio.open_nursery() as nursery:
        await connection.fail()
        connection.server.connecting = PAUSE + 0.5
        connection.server.hangs = False
        nursery.start_soon(call, "GET")  # connects
        await trio.sleep(PAUSE)
        await call("GET")  # tries with the first client meanwhile
        nursery.start_soon(call, "SLOW")
        await trio.sleep(1.0)
        assert [client.closed.is_set() for client in connection.server.clients] == [False, True]
        assert answers == [b"OK"] * 2
    assert answers == [b"OK"] * 3


async def test_a_client_of_a_replica_is_replaced_while_it_still_answers_reads(autojump_clock: MockClock) -> None:
    async with SimulatedConnection() as connection, trio.open_nursery() as nursery:
        server = connection.server
        server.is_replica, server.connecting = True, 1.0
        nursery.start_soon(connection.command, "SLOW")
        await trio.sleep(9.5)
        with pytest.raises(StoreUnavailable, match="READONLY"):
            await connection.command("SET")
        with pytest.raises(StoreUnavailable, match="READONLY"):
            await connection.command("SET")  # connects; meanwhile the read is answered
        assert [client.closed.is_set() for client in connection.server.clients] == [True, False]


async def test_a_heartbeat_that_takes_long_does_not_take_the_answer_of_a_renewal(autojump_clock: MockClock) -> None:
    class HangingBus(ValkeyBus):
        async def heartbeat(self) -> None:
            await trio.sleep_forever()

    async with SimulatedConnection() as connection:
        nodes = ValkeyNodeStore(connection, HangingBus(connection), LEASE)
        with trio.fail_after(LEASE / RENEWALS):
            assert await nodes.renew(1)


async def test_a_bus_gets_a_connection_that_takes_longer_than_a_heartbeat(autojump_clock: MockClock) -> None:
    async with SimulatedConnection() as connection:
        server = connection.server
        bus = ValkeyBus(connection)
        nodes = ValkeyNodeStore(connection, bus, LEASE)
        async with bus.subscribe(1) as messages:
            server.clients[-1].connected_at = float("inf")  # it hears nothing more
            server.connecting = 1.5
            for _ in range(4):
                with trio.fail_after(LEASE / RENEWALS):
                    assert await nodes.renew(1)
                await trio.sleep(LEASE / RENEWALS)
            await bus.publish(b"it")
            assert messages.receive_nowait() == b"it"
        assert len(server.clients) == 3


async def test_a_bus_that_cannot_connect_does_not_take_the_answer_of_a_renewal(autojump_clock: MockClock) -> None:
    async with SimulatedConnection() as connection:
        bus = ValkeyBus(connection)
        nodes = ValkeyNodeStore(connection, bus, LEASE)
        async with bus.subscribe(1):
            connection.server.clients[-1].connected_at = float("inf")
            connection.problem = UsageError("The file ca.pem has no certificate")
            for _ in range(3):
                assert await nodes.renew(1)
                await trio.sleep(LEASE / RENEWALS)
