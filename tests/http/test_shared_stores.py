"""A registry of sessions and a store of events of the user's own, which take their time as a network does."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import MockClock

from tests.http.clients import TOO_MANY_SESSIONS, Legacy, Modern, initialize
from tests.http.raw import serving
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop, by_name
from tests.session.peer import Logged
from trimcp.endpoint.event_store import MemoryEventStore
from trimcp.endpoint.http_session import HttpSession
from trimcp.endpoint.registry import LocalSessions
from trimcp.transports.http.door import HttpRequest


class SlowStore(MemoryEventStore):
    """Takes a second to find anything."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
        self.asked += 1
        found = await super().replay(session, stream, after)
        await trio.sleep(1)
        # Nothing may have changed between what is returned and what its caller does.
        return await super().replay(session, stream, after) if found is not None else found


class SlowSessions(LocalSessions):
    """Takes a second for anything."""

    async def add(self, session: HttpSession) -> None:
        await trio.sleep(1)
        await super().add(session)

    async def find(self, id: str) -> HttpSession | None:
        await trio.sleep(1)
        return await super().find(id)


async def first_id(answer: Answer) -> str:
    """The id of the first event."""
    while (match := re.search(r"^id: (\S+)\n", answer.body.decode())) is None:
        assert await answer._more()
    return match[1]


@pytest.mark.parametrize("pause", [0.0, 0.5, 1.0, 1.5])
async def test_what_happens_while_the_store_is_asked_is_not_lost(
    door: str, autojump_clock: MockClock, pause: float
) -> None:
    shop = Workshop()
    async with serving(door, shop.server, store=SlowStore()) as http:
        client = await Legacy.open(http)
        answer = await client.call("talk", {"name": "it"}, token=1)
        id = await first_id(answer)
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
    shop = Workshop()
    async with serving(door, shop.server, store=SlowStore()) as http:
        client = await Legacy.open(http)
        answer = await client.call("talk", {"name": "it"}, token=1)
        id = await first_id(answer)
        await answer.drop()
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.sleep(0.5)
                await client.delete()

            nursery.start_soon(end)
            again = await client.get(id)
            await again.ended()
        assert again.status in (200, 400, 404)
        assert http.sessions == 0


async def test_a_client_that_leaves_while_the_store_is_asked(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop()
    async with serving(door, shop.server, store=SlowStore()) as http:
        client = await Legacy.open(http)
        answer = await client.call("talk", {"name": "it"}, token=1)
        id = await first_id(answer)
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
        async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
            raise RuntimeError("the database at 10.0.0.4711 is gone")

    async with serving(door, Workshop().server, store=Broken()) as http:
        client = await Legacy.open(http)
        answer = await client.call("add", {"a": 1, "b": 1})
        id = await first_id(answer)
        assert await answer.text() == "2"
        again = await client.get(id)
        await again.ended()
        assert again.status == 500
        assert b"4711" not in again.body
        assert logged.of("request.failed")
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_store_that_takes_nothing_costs_no_answer(door: str, logged: Logged) -> None:
    class Broken(MemoryEventStore):
        def append(self, session: str, stream: int, number: int, event: bytes) -> None:
            raise RuntimeError("the database is gone")

        def finish(self, session: str, stream: int) -> None:
            raise RuntimeError("the database is gone")

        def forget(self, session: str) -> None:
            raise RuntimeError("the database is gone")

    async with serving(door, Workshop().server, store=Broken()) as http:
        client, other = await Legacy.open(http), await Legacy.open(http)
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert await (await other.call("add", {"a": 1, "b": 1})).text() == "2"
        await client.delete()
        assert await (await other.call("add", {"a": 1, "b": 1})).text() == "2"
        assert logged.of("store.failed")


async def test_a_registry_that_fails_fails_the_request_alone(door: str, logged: Logged) -> None:
    class Broken(LocalSessions):
        async def add(self, session: HttpSession) -> None:
            raise RuntimeError("the database at 10.0.0.4711 is gone")

    async with serving(door, Workshop().server, registry=Broken()) as http:
        answer = await initialize(http)
        await answer.ended()
        assert answer.status == 500
        assert b"4711" not in answer.body
        assert http.sessions == 0
        assert await (await Modern(http).call("add", {"a": 1, "b": 1})).text() == "2"
