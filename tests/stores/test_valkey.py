"""The store in Valkey: the contracts of its parts, and a server that is down, frozen, full, restarted or flushed."""

from __future__ import annotations

import functools
import hashlib
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import trimcp
from tests.stores.contract import (
    EventStoreContract,
    SecretStoreContract,
    SessionStoreContract,
    SubscriptionStoreContract,
    batch,
    record,
)
from tests.stores.valkey import ValkeyProcess, running_valkey
from trimcp.errors import UsageError
from trimcp.stores import StoreUnavailable, Valkey
from trimcp.stores.bus import Gap
from trimcp.stores.event_store import AppendFailed, EventStore
from trimcp.stores.secret_store import SecretStore
from trimcp.stores.session_store import SessionStore
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.valkey.address import read_address
from trimcp.stores.valkey.nodes import ValkeyBus
from trimcp.testing.check_store import check_store
from trimcp.testing.store_checks.racing import fresh
from trimcp.testing.store_checks.tasks import task

PATIENT = 5.0
"""A deadline for tests that are not about deadlines: the machine may be busy."""


@asynccontextmanager
async def opened(server: ValkeyProcess, **options: Any) -> AsyncIterator[Valkey]:
    store = Valkey(server.url, **{"deadline": PATIENT, **options})
    async with store.open():
        yield store


class InValkey:
    """Opens the stores of a contract in an empty Valkey."""

    has_clock = False

    @pytest.fixture(autouse=True)
    def _in_valkey(self, valkey: ValkeyProcess) -> None:
        self.server = valkey

    @asynccontextmanager
    async def store(self, **options: Any) -> AsyncIterator[Valkey]:
        async with opened(self.server, **options) as store:
            await store._connection.command("FLUSHALL")
            yield store


class TestValkeyEventStore(InValkey, EventStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[EventStore]:
        if "bytes" in options:
            pytest.skip("the server has the bound on bytes: maxmemory")
        async with self.store(stream_events=options.get("events", 1000)) as store:
            yield store.events


class TestValkeySessionStore(InValkey, SessionStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[SessionStore]:
        async with self.store() as store:
            yield store.sessions


class TestValkeySubscriptionStore(InValkey, SubscriptionStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[SubscriptionStore]:
        async with self.store() as store:
            yield store.subscriptions


class TestValkeySecretStore(InValkey, SecretStoreContract):
    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[SecretStore]:
        async with self.store() as store:
            yield store.secrets


# --- keys ---------------------------------------------------------------------------------


async def test_every_key_of_a_client_expires_and_has_the_prefix_and_no_id(valkey: ValkeyProcess) -> None:
    async with opened(valkey) as store:
        command = store._connection.command
        valkey.command("FLUSHALL")
        id = fresh("session")
        await store.sessions.add(record(id))
        await store.subscriptions.add(id, "file:///a")
        await store.sessions.touch([id], 1.0)
        await store.events.append([batch(id, 1, 1, b"it"), batch(id, 2, 1, b"it", is_last=True)])
        await store.tasks.create(task(fresh(), principal="ada"), most=1)
        await store.replay.first_use("key", 60.0)
        await store.admission.take("ada", "place", most=1, seconds=60.0)
        keys = await command("KEYS", "*")
        kinds = {key.split(b":")[1] for key in keys}
        assert kinds == {b"session", b"events", b"task", b"tasks-of", b"tasks-on", b"proof", b"places"}
        for key in keys:
            assert key.startswith(b"test:")
            assert id.encode() not in key
            assert await command("PTTL", key) > 0, key
        assert id.encode() not in b"".join([await command("DUMP", key) for key in keys])
        # Beside them there are the nodes and the secrets, which do not grow.
        await store.nodes.join()
        await store.secrets.read()
        lasting = [key for key in await command("KEYS", "*") if await command("PTTL", key) == -1]
        assert sorted(lasting) == [
            b"test:nodes:{nodes}",
            b"test:nodes:{nodes}:newest",
            b"test:secrets:{secrets}",
        ]


# --- the life of the server -----------------------------------------------------------------


async def test_the_index_of_a_node_keeps_no_tasks_that_have_expired(valkey: ValkeyProcess) -> None:
    async with opened(valkey) as store:
        now = time.time()
        for n in range(3):
            await store.tasks.create(task(f"gone {n}", incarnation=77, created_at=now - 100, ttl=99.0), most=9)
        extended = task("extended", incarnation=77, created_at=now, ttl=2.0)
        await store.tasks.create(extended, most=9)
        assert await store.tasks.update(attrs.evolve(extended, ttl=60.0))
        await trio.sleep(max(0.0, now + 2.1 - time.time()))
        await store.tasks.create(task("new", incarnation=77, created_at=now, ttl=60.0), most=9)
        assert await store._connection.command("ZCARD", store._connection.key("tasks-on", "77")) == 2
        assert {each.id for each in await store.tasks.unfinished(77)} == {"extended", "new"}


async def test_a_server_that_restarts_has_its_data_and_learns_the_scripts_again() -> None:
    with running_valkey("--appendonly", "yes", "--appendfsync", "everysec") as server:
        async with opened(server, deadline=1.0) as store:
            await store.sessions.add(record())
            await store.tasks.create(task("t"), most=1)
            server.stop()
            with pytest.raises(StoreUnavailable):
                await store.sessions.find("s")
            server.start()
            await becomes_available(store)
            assert await store.sessions.find("s") == record()
            assert await store.sessions.update(record()) == attrs.evolve(record(), version=1)
            assert await store.tasks.find("t") is not None


async def test_an_unknown_script_is_an_answer_of_a_server_that_is_there_again(valkey: ValkeyProcess) -> None:
    async with opened(valkey, deadline=60.0) as store:
        valkey.command("SCRIPT", "FLUSH")
        store._connection._breaker.open()  # as after failures: one call tries for all others
        await store.sessions.add(record("unknown-script"))
        assert await store.sessions.find("unknown-script") is not None


async def becomes_available(store: Valkey) -> None:
    with trio.fail_after(60):
        while True:
            try:
                await store.sessions.find("s")
                return
            except StoreUnavailable:
                await trio.sleep(0.05)


async def test_a_frozen_server_costs_a_deadline_and_then_nothing(valkey: ValkeyProcess) -> None:
    async with opened(valkey, deadline=0.25) as store:
        await becomes_available(store)
        valkey.signal(signal.SIGSTOP)
        try:
            with trio.fail_after(60):
                refused = ""
                while "asked again in a moment" not in refused:  # the breaker is open
                    with pytest.raises(StoreUnavailable) as caught:
                        await store.sessions.find("s")
                    refused = str(caught.value)
        finally:
            valkey.signal(signal.SIGCONT)
        await becomes_available(store)


async def test_answers_that_come_while_a_handler_holds_up_the_event_loop_are_read(valkey: ValkeyProcess) -> None:
    async with opened(valkey, deadline=4.0) as store:
        await store.sessions.find("warm")
        async with trio.open_nursery() as nursery:
            valkey.signal(signal.SIGSTOP)  # until all have asked: it might answer before
            try:
                for _ in range(8):  # more than open the circuit breaker
                    nursery.start_soon(store.sessions.find, "s")
                await trio.testing.wait_all_tasks_blocked()
            finally:
                valkey.signal(signal.SIGCONT)
            time.sleep(4.5)  # noqa: ASYNC251 - as a handler that computes
        await store.sessions.find("s")


async def test_a_full_server_refuses_writes_and_keeps_what_it_has() -> None:
    with running_valkey("--maxmemory", "6mb") as server:
        async with opened(server) as store:
            await store.sessions.add(record())
            with pytest.raises(AppendFailed):
                for n in range(1, 2000):
                    await store.events.append([batch("s", n, 1, b"x" * 100_000)])
            with pytest.raises(StoreUnavailable, match="maxmemory"):
                for n in range(5000):
                    await store.sessions.add(record(f"t{n}"))
            assert await store.sessions.find("s") == record()
            await store.events.forget("s")
            await store.sessions.add(record("t"))


async def test_a_bus_that_lost_its_connection_has_a_gap() -> None:
    with running_valkey() as server:
        async with opened(server) as store, opened(server) as other, store.bus.subscribe(1) as messages:
            await other.bus.publish(b"one")
            assert await messages.receive() == b"one"
            command = other._connection.command
            for line in (await command("CLIENT", "LIST")).splitlines():
                if b"sub=1" in line:
                    await command("CLIENT", "KILL", "ID", line.split()[0].removeprefix(b"id="))
            assert isinstance(other.bus, ValkeyBus)
            other.bus._number += 1  # as if a message had been published before there is a new connection
            with trio.fail_after(60):
                received: list[bytes | Gap] = []
                while b"after" not in received:
                    await other.bus.publish(b"after")
                    with trio.move_on_after(0.05):
                        received.append(await messages.receive())
            assert received == [Gap(), b"after"]


async def test_a_message_that_is_sent_again_is_received_once(valkey: ValkeyProcess) -> None:
    async with opened(valkey) as store, store.bus.subscribe(1) as messages:
        assert isinstance(store.bus, ValkeyBus)
        send = store.bus._send

        async def send_unsure(*args: Any) -> None:
            store.bus._send = send  # type: ignore[attr-defined]
            await send(*args)
            raise StoreUnavailable("the answer was lost")

        store.bus._send = send_unsure  # type: ignore[method-assign]
        await store.bus.publish(b"first")
        await store.bus.publish(b"second")
        with trio.fail_after(60):
            assert [await messages.receive() for _ in range(2)] == [b"first", b"second"]


async def test_a_heartbeat_shows_that_the_last_message_was_lost() -> None:
    with running_valkey() as server:
        async with opened(server) as store, opened(server) as other, store.bus.subscribe(1) as messages:
            node = await other.nodes.join()
            await other.bus.publish(b"one")
            assert await messages.receive() == b"one"
            assert isinstance(other.bus, ValkeyBus)
            other.bus._number += 1  # as if the message had been lost
            await other.nodes.renew(node)
            with trio.fail_after(60):
                assert await messages.receive() == Gap()
            await other.nodes.renew(node)
            await other.bus.publish(b"two")
            assert await messages.receive() == b"two"


async def test_no_incarnation_comes_again_after_the_data_is_lost(valkey: ValkeyProcess) -> None:
    async with opened(valkey) as store:
        first = await store.nodes.join()
        await trio.sleep(1.1)
        await store._connection.command("FLUSHALL")
        assert not await store.nodes.renew(first)
        assert await store.nodes.join() > first


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_after_a_failover_the_new_primary_is_found_for_calls_and_the_bus(end: signal.Signals) -> None:
    with (
        running_valkey("--repl-diskless-sync-delay", "0") as old,
        running_valkey("--replicaof", "127.0.0.1", str(old.port)) as new,
    ):
        with trio.fail_after(30):
            while "'master_link_status': 'up'" not in str(new.command("INFO", "replication")):
                await trio.sleep(0.05)
        store = Valkey(f"valkey://127.0.0.1:{old.port},127.0.0.1:{new.port}/test", lease=60.0, deadline=1.0)
        async with store.open(), store.bus.subscribe(1) as messages:
            node = await store.nodes.join()
            await store.sessions.add(record())
            old.command("WAIT", "1", "5000")
            old.signal(end)
            new.command("REPLICAOF", "NO", "ONE")
            with trio.fail_after(60):
                while True:
                    try:
                        assert await store.sessions.update(record()) == attrs.evolve(record(), version=1)
                        break
                    except StoreUnavailable:
                        await trio.sleep(0.05)
                received: list[bytes | Gap] = []
                while b"after" not in received:
                    await store.nodes.renew(node)
                    with trio.move_on_after(0.2):
                        await store.bus.publish(b"after")
                        received.append(await messages.receive())


async def test_a_connection_that_hangs_is_replaced(valkey: ValkeyProcess) -> None:
    """The address leads to another server after a failover, and nothing tells the client that its connection ended."""
    hanging = trio.Event()

    async def forward(one: trio.SocketStream, other: trio.SocketStream, *, ends: bool) -> None:
        async for data in one:
            if ends and hanging.is_set():
                await trio.sleep_forever()
            await other.send_all(data)

    async def serve(client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", valkey.port)
        async with server, trio.open_nursery() as nursery:
            nursery.start_soon(functools.partial(forward, client, server, ends=not hanging.is_set()))
            await forward(server, client, ends=not hanging.is_set())
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        store = Valkey(f"valkey://127.0.0.1:{listener.socket.getsockname()[1]}/test", deadline=1.0)
        async with store.open():
            await becomes_available(store)
            hanging.set()
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await store.sessions.find("s")
            await becomes_available(store)
        nursery.cancel_scope.cancel()


# --- servers that cannot be used ---------------------------------------------------------------


async def test_a_server_that_removes_keys_is_refused() -> None:
    refused = pytest.raises(UsageError, match=r"allkeys-lru\): set maxmemory-policy noeviction")
    with running_valkey("--maxmemory-policy", "allkeys-lru") as server, refused:
        async with trimcp.Server("s", store=Valkey(server.url, deadline=PATIENT)).running():
            pass


async def test_a_server_that_is_not_there_is_a_usage_error() -> None:
    with running_valkey() as server:
        server.stop()
        with pytest.raises(UsageError, match=r"valkey://127.0.0.1:\d+/test cannot be reached"):
            async with Valkey(server.url).open():
                pass


async def test_data_of_another_schema_is_refused(valkey: ValkeyProcess) -> None:
    async with opened(valkey) as store:
        await store._connection.command("SET", store._connection.key("schema"), "3")
        try:
            with pytest.raises(UsageError, match="schema 3, and this version of trimcp reads schema 2"):
                async with opened(valkey):
                    pass
        finally:
            await store._connection.command("DEL", store._connection.key("schema"))


async def test_a_user_needs_the_keys_and_channels_of_the_prefix_alone(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("it is secret\n")
    rules = "user node on #PASSWORD ~test:* &test:* +@all -@dangerous +info"
    digest = hashlib.sha256(b"it is secret").hexdigest()
    acl = tmp_path / "users.acl"
    acl.write_text(f"user default off\n{rules.replace('PASSWORD', digest)}\n")
    with running_valkey("--aclfile", str(acl)) as server:
        url = server.url.replace("//", "//node@") + f"?password_file={password}"

        @asynccontextmanager
        async def handles() -> AsyncIterator[tuple[Valkey, Valkey]]:
            stores = [Valkey(url, lease=2.0, deadline=PATIENT) for _ in range(2)]
            async with stores[0].open(), stores[1].open():
                yield stores[0], stores[1]

        await check_store(handles)
        password.write_text("wrong")
        with pytest.raises(UsageError, match="check its address, the password"):
            async with Valkey(url).open():
                pass


async def test_a_cluster_has_the_same_rules() -> None:
    with running_valkey("--cluster-enabled", "yes") as server:
        server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        with trio.fail_after(60):
            while "cluster_state:ok" not in str(server.command("CLUSTER", "INFO")):
                await trio.sleep(0.05)

        @asynccontextmanager
        async def handles() -> AsyncIterator[tuple[Valkey, Valkey]]:
            stores = [Valkey(f"{server.url}?cluster=1", lease=2.0, deadline=PATIENT) for _ in range(2)]
            async with stores[0].open(), stores[1].open():
                yield stores[0], stores[1]

        await check_store(handles)


# --- addresses ------------------------------------------------------------------------------


def test_an_address_is_read_with_all_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMCP_VALKEY_PASSWORD", "of the environment")
    password = tmp_path / "password"
    password.write_text("of the file\n")
    address = read_address(
        f"valkeys://ad%40a@one:1,two,[::1]:3/my%3Aapp?cluster=1&ca_file=ca.pem&password_file={password}"
    )
    assert address.hosts == (("one", 1), ("two", 6379), ("::1", 3))
    assert (address.user, address.prefix, address.tls, address.cluster) == ("ad@a", "my:app", True, True)
    assert (address.ca_file, address.password) == ("ca.pem", "of the file")
    assert "of the file" not in repr(address)
    plain = read_address("valkey://localhost")
    assert (plain.hosts, plain.prefix, plain.user) == ((("localhost", 6379),), "trimcp", None)
    assert plain.password == "of the environment"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("valkey://ada:secret@host", "must have no password"),
        ("valkey://host?password=secret", "option password"),
        ("valkey://host/a{b}", "prefix"),
        ("valkey://", "Invalid store URL"),
        ("valkey://host:port", "Invalid host"),
        ("redis://host", "Invalid store URL"),
        ("valkey://host?password_file=/does/not/exist", "cannot be read"),
        ("valkeys://host?cert_file=client.pem", "give both cert_file and key_file"),
        ("valkeys://host?key_file=client.key", "give both cert_file and key_file"),
        ("valkey://host?ca_file=ca.pem", "write valkeys://"),
        ("valkey://host?cert_file=client.pem&key_file=client.key", "write valkeys://"),
    ],
)
def test_an_address_that_is_wrong_is_refused_and_shows_no_password(url: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        read_address(url)
    assert "secret" not in str(caught.value)
