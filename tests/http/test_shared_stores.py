"""Stores of sessions and events of the user's own, which take their time as a network does, or fail."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.http.clients import TOO_MANY_SESSIONS, Legacy, Modern, initialize, open_session
from tests.http.raw import serving
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop, by_name
from tests.session.peer import Logged
from trimcp.http.binding import HttpRequest
from trimcp.http.server.event_ids import TAG_PURPOSE, make_tag, read_event_id
from trimcp.protocol.lifecycle import Phase
from trimcp.stores.contained import WRITE_SECONDS
from trimcp.stores.event_store import EventBatch, StoredEvents
from trimcp.stores.memory import MemoryEventStore, MemorySecretStore, MemorySessionStore, MemorySubscriptionStore
from trimcp.stores.session_store import SessionRecord
from trimcp.types.jsonrpc import STORE_UNAVAILABLE


class SlowStore(MemoryEventStore):
    """Takes a second to find anything."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        self.asked += 1
        found = await super().replay(session, stream, after)
        await trio.sleep(1)
        return found


class SlowSessions(MemorySessionStore):
    """Takes a second for anything."""

    async def add(self, record: SessionRecord) -> None:
        await trio.sleep(1)
        await super().add(record)

    async def find(self, id: str) -> SessionRecord | None:
        await trio.sleep(1)
        return await super().find(id)


@pytest.mark.parametrize("pause", [0.0, 0.5, 1.0, 1.5])
async def test_what_happens_while_the_store_is_asked_is_not_lost(
    door: str, autojump_clock: MockClock, pause: float
) -> None:
    async with open_session(door, store=SlowStore()) as (shop, client):
        answer = await client.call("talk", {"name": "it"}, token=1)
        id = await answer.first_id()
        await answer.arrived()
        await answer.drop()
        await settled()
        async with trio.open_nursery() as nursery:

            async def finish() -> None:
                await trio.sleep(pause)
                shop.open("it")

            nursery.start_soon(finish)
            messages = await (await client.get(id)).messages()
        assert [m.get("params", {}).get("progress") for m in messages] == [1, 2, None]
        assert messages[-1]["result"]["content"][0]["text"] == "it is done"


async def test_a_session_that_ends_while_the_store_is_asked(door: str, autojump_clock: MockClock) -> None:
    async with open_session(door, store=SlowStore()) as (_, client):
        answer = await client.call("talk", {"name": "it"}, token=1)
        id = await answer.first_id()
        await answer.drop()
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.sleep(0.5)
                await client.delete()

            nursery.start_soon(end)
            again = await client.get(id)
            await again.ended()
        assert again.status in (200, 400, 404)
        assert client.http.sessions == 0


async def test_a_client_that_leaves_while_the_store_is_asked(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop()
    async with serving(door, shop.server, store=SlowStore()) as http:
        client = await Legacy.open(http)
        answer = await client.call("talk", {"name": "it"}, token=1)
        id = await answer.first_id()
        await answer.drop()
        await settled()
        leaving = await http.send("GET", fields=client.fields({"Last-Event-ID": id, "accept": "text/event-stream"}))
        await trio.sleep(0.5)
        await leaving.drop()
        await trio.sleep(2)
        shop.open("it")
        assert (await (await client.get(id)).messages())[-1]["result"]["content"][0]["text"] == "it is done"


async def test_many_come_at_once_to_a_registry_that_takes_its_time(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop(limits={"sessions": 3})
    async with serving(door, shop.server, registry=SlowSessions()) as http:
        answers: list[Answer] = []

        async def come() -> None:
            answers.append(await initialize(http))

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(come)
        refused = [answer for answer in answers if answer.status == 503]
        assert len(refused) == 5
        for answer in refused:
            assert (await answer.error())["code"] == TOO_MANY_SESSIONS
        opened = next(answer for answer in answers if answer.status == 200)
        client = Legacy(http, "2025-11-25", opened.fields["mcp-session-id"])
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_drain_while_sessions_are_being_opened(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop()
    async with serving(door, shop.server, registry=SlowSessions()) as http:
        opening = [await http.send("POST", body=b'{"jsonrpc":"2.0","id":1,"method":"initialize"}') for _ in range(2)]
        opening.append(await initialize_soon(http))
        await trio.sleep(0.5)
        await shop.server.drain(10)
        for answer in opening:
            await answer.ended()
            assert answer.status in (0, 200, 503) or answer.is_broken
        await trio.sleep(5)
        assert http.sessions == 0


async def initialize_soon(http: object) -> Answer:
    """Ask for a session; do not wait for it."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "n", "version": "1"}},
    }
    answer: Answer = await http.send("POST", body=body)  # type: ignore[attr-defined]
    return answer


async def test_a_client_that_leaves_while_it_is_authenticated(door: str, autojump_clock: MockClock) -> None:
    async def slowly(request: HttpRequest) -> str | None:
        await trio.sleep(1)
        return await by_name(request)

    shop = Workshop()
    async with serving(door, shop.server, authenticate=slowly) as http:
        answer = await Modern(http, principal="ada").call("hold", {"name": "it"})
        await trio.sleep(0.5)
        await answer.drop()
        await trio.sleep(2)
        assert shop.began == list(shop.ended)
        assert set(shop.ended.values()) <= {"connection_lost"}
        assert http.callers == 0


async def test_a_store_that_fails_fails_the_request_alone(door: str, logged: Logged) -> None:
    class Broken(MemoryEventStore):
        async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
            raise RuntimeError("the database at 10.0.0.4711 is gone")

    async with open_session(door, store=Broken()) as (_, client):
        answer = await client.call("add", {"a": 1, "b": 1})
        id = await answer.first_id()
        assert await answer.text() == "2"
        again = await client.get(id)
        await again.ended()
        assert again.status == 503
        assert b"4711" not in again.body
        assert logged.of("request.failed")
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_store_that_takes_nothing_costs_no_answer(door: str, logged: Logged) -> None:
    class Broken(MemoryEventStore):
        async def append(self, batches: Sequence[EventBatch]) -> None:
            raise RuntimeError("the database is gone")

        async def forget(self, session: str) -> None:
            raise RuntimeError("the database is gone")

    async with serving(door, Workshop().server, store=Broken()) as http:
        client, other = await Legacy.open(http), await Legacy.open(http)
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert await (await other.call("add", {"a": 1, "b": 1})).text() == "2"
        await client.delete()
        assert await (await other.call("add", {"a": 1, "b": 1})).text() == "2"
        assert logged.of("store.failed")


async def test_a_registry_that_fails_fails_the_request_alone(door: str, logged: Logged) -> None:
    class Broken(MemorySessionStore):
        async def add(self, record: SessionRecord) -> None:
            raise RuntimeError("the database at 10.0.0.4711 is gone")

    async with serving(door, Workshop().server, registry=Broken()) as http:
        answer = await initialize(http)
        await answer.ended()
        assert answer.status == 503
        assert b"4711" not in answer.body
        await settled()
        assert http.sessions == 0
        assert await (await Modern(http).call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_client_is_told_to_come_again_where_no_session_can_be_looked_up(door: str, logged: Logged) -> None:
    class Broken(MemorySessionStore):
        async def find(self, id: str) -> SessionRecord | None:
            raise RuntimeError("the database at 10.0.0.4711 is gone")

    async with open_session(door, registry=Broken()) as (_, client):
        elsewhere = Legacy(client.http, client.version, "of another process")
        answer = await elsewhere.call("add", {"a": 1, "b": 1})
        await answer.ended()
        assert answer.status == 503
        assert answer.fields["retry-after"] == "1"
        error = json.loads(answer.body)["error"]
        assert error["code"] == STORE_UNAVAILABLE
        assert error["data"] == {"reason": "store_unavailable", "retryAfterMs": 1000}
        assert b"4711" not in answer.body
        assert logged.of("request.failed")
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_store_that_hangs_costs_resumption_and_nothing_else(
    door: str, logged: Logged, autojump_clock: MockClock
) -> None:
    class Hanging(MemoryEventStore):
        async def append(self, batches: Sequence[EventBatch]) -> None:
            await trio.sleep_forever()

        async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
            await trio.sleep_forever()

        async def forget(self, session: str) -> None:
            await trio.sleep_forever()

    async with open_session(door, store=Hanging()) as (_, client):
        began = trio.current_time()
        for number in range(20):
            answer = await client.call("add", {"a": number, "b": 1})
            id = await answer.first_id()
            assert await answer.text() == str(number + 1)
        assert trio.current_time() - began < WRITE_SECONDS
        again = await client.get(id)
        await again.ended()
        assert again.status == 503
        assert trio.current_time() - began < 60
        await client.delete()
        await settled()
        assert client.http.sessions == 0
        assert await (await (await Legacy.open(client.http)).call("add", {"a": 1, "b": 1})).text() == "2"
        assert logged.of("store.failed")


async def test_a_client_that_missed_what_the_store_lost_is_told_so(door: str, autojump_clock: MockClock) -> None:
    class Flaky(MemoryEventStore):
        works = True

        async def append(self, batches: Sequence[EventBatch]) -> None:
            if not self.works:
                raise RuntimeError("the database is gone")
            await super().append(batches)

    shop, store = Workshop(), Flaky()
    async with serving(door, shop.server, store=store) as http:
        client = await Legacy.open(http)
        answer = await client.call("talk", {"name": "it"}, token=1)
        first = await answer.event()
        assert first is not None
        await answer.drop()
        await settled()
        store.works = False
        shop.open("it")
        await shop.is_over("it")
        await settled()
        store.works = True
        assert (await client.get(first.id.decode())).status == 400  # rather than a stream without the answer


async def test_a_store_of_the_first_interface_still_serves(door: str) -> None:
    class First:
        """Its methods do not wait."""

        def __init__(self) -> None:
            self.store = MemoryEventStore()

        def append(self, session: str, stream: int, number: int, event: bytes) -> None:
            self.store.append_nowait(session, stream, number, [event])

        async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
            found = await self.store.replay(session, stream, after)
            return None if found is None else list(found.events)

        def finish(self, session: str, stream: int) -> None:
            pass

        def forget(self, session: str) -> None:
            self.store.forget_nowait(session)

    shop, first = Workshop(), First()
    async with serving(door, shop.server, store=first) as http:
        client = await Legacy.open(http)
        answer = await client.call("talk", {"name": "it"}, token=1)
        event = await answer.event()
        assert event is not None
        await answer.drop()
        shop.open("it")
        await shop.is_over("it")
        await settled()
        messages = await (await client.get(event.id.decode())).messages()
        assert messages[-1]["result"]["content"][0]["text"] == "it is done"
        await client.delete()
        await settled()
        assert len(first.store) == 0


async def test_the_record_says_what_was_agreed(door: str, autojump_clock: MockClock) -> None:
    store = MemorySessionStore()
    async with open_session(door, "2025-06-18", principal="ada", registry=store, authenticate=by_name) as (_, client):
        await settled()
        record = await store.find(client.id)
        assert record is not None
        assert "ada" in (record.principal or "")
        assert record.revision is not None
        assert record.revision.version == "2025-06-18"
        await (await client.call("add", {"a": 1, "b": 1})).text()
        await trio.sleep(40)  # the caretaker has seen to it
        record = await store.find(client.id)
        assert record is not None
        assert record.phase is Phase.READY
        assert record.has_posted
        await client.delete()
        await settled()
        assert await store.find(client.id) is None


async def test_what_a_session_has_subscribed_to_is_kept(door: str) -> None:
    store = MemorySubscriptionStore()
    async with open_session(door, subscriptions=store) as (_, client):
        for method, kept in (("subscribe", {"mem://motd"}), ("unsubscribe", set()), ("subscribe", {"mem://motd"})):
            await (await client.ask(f"resources/{method}", {"uri": "mem://motd"})).result()
            await settled()
            assert await store.uris_of(client.id) == kept
        await client.delete()
        await settled()
        assert await store.uris_of(client.id) == frozenset()


async def test_a_session_of_another_process_is_unknown_here(door: str) -> None:
    store = MemorySessionStore()
    async with (
        serving(door, Workshop().server, registry=store) as there,
        serving(door, Workshop().server, registry=store) as here,
    ):
        client = await Legacy.open(there)
        lost = Legacy(here, client.version, client.id)
        assert (await (await lost.call("add", {"a": 1, "b": 1})).begun()).status == 404
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_store_of_sessions_that_fails_behind_them_costs_no_answer(door: str, logged: Logged) -> None:
    class Broken(MemorySessionStore):
        async def update(self, record: SessionRecord) -> SessionRecord | None:
            raise SystemExit(1)

        async def remove(self, id: str) -> None:
            raise GeneratorExit

    async with serving(door, Workshop().server, registry=Broken()) as http:
        client, other = await Legacy.open(http), await Legacy.open(http)
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        await client.delete()
        await settled()
        assert http.sessions == 1
        assert await (await other.call("add", {"a": 1, "b": 1})).text() == "2"
        assert logged.of("store.failed")


@pytest.mark.parametrize("option", ["store", "registry", "subscriptions"])
async def test_what_is_no_store_is_refused_before_anything_is_served(option: str) -> None:
    with pytest.raises(trimcp.UsageError, match="Invalid"):
        await Workshop().server.serve_http(0, **{option: object()})  # type: ignore[arg-type]


async def test_processes_that_share_keys_read_each_others_event_ids(door: str) -> None:
    keys = [b"k" * 32]
    async with serving(door, Workshop(keys=keys).server) as http:
        client = await Legacy.open(http)
        answer = await client.call("add", {"a": 1, "b": 1})
        id = await answer.first_id()
        tag = make_tag(MemorySecretStore(keys).current.derive(TAG_PURPOSE)[0], client.id)
        assert read_event_id([tag], id) == (1, 0)
        assert read_event_id([make_tag(MemorySecretStore().current.derive(TAG_PURPOSE)[0], client.id)], id) is None
