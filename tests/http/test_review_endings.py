"""What is left behind when things end while other things go on: places, streams, drains."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.http.clients import Legacy, Modern, open_session, request
from tests.http.raw import Http, serving
from tests.http.wires import AsgiWire, settled
from tests.http.workshop import Workshop, by_name
from tests.session.peer import Logged
from trimcp.http.binding import HttpRequest
from trimcp.http.server.legacy_session import LegacySession
from trimcp.limits import HttpLimits
from trimcp.stores.event_store import EventBatch, StoredEvents
from trimcp.stores.memory import MemoryEventStore
from trimcp.types.jsonrpc import Request


class SlowStore(MemoryEventStore):
    """Takes a second to find anything."""

    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        await trio.sleep(1)
        return await super().replay(session, stream, after)


class Forgetful(MemoryEventStore):
    """Keeps nothing."""

    async def append(self, batches: Sequence[EventBatch]) -> None:
        """Forget them at once."""


async def test_the_place_of_a_request_that_its_session_ends_before_is_given_back_once(door: str) -> None:
    shop = Workshop(limits={"batch_length": 250})
    async with serving(door, shop.server) as http:
        assert http.running is not None
        admission, sessions = http.running.admission, http.running.sessions
        busy = await Legacy.open(http, "2025-03-26")
        (other,) = sessions
        await Legacy.open(http, "2025-03-26")
        (session,) = sessions - {other}
        # More than the crew of both runs in one turn.
        answer = await busy.post(
            [request(n, "tools/call", {"name": "add", "arguments": {"a": n, "b": 1}}) for n in range(250)]
        )
        while not other.requests.running:
            await trio.lowlevel.checkpoint()
        call = Request(1, "tools/call", {"name": "hold", "arguments": {"name": "it"}})
        session.dispatcher.take(call, session.reply_stream, 100, trio.current_time())
        assert session.requests.running == 1
        session.close()
        assert len(await answer.messages()) == 250
        await settled()
        assert http.sessions == 1
        assert admission.free == admission.most
        assert session.requests.running == len(session.requests.in_flight) == 0
        assert shop.began == []


async def test_a_standing_stream_is_not_resumed_in_a_session_that_has_ended(
    door: str, autojump_clock: MockClock
) -> None:
    async with open_session(door, store=SlowStore()) as (_, client):
        standing = await client.get()
        id = await standing.first_id()
        await standing.drop()
        await settled()
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.sleep(0.5)
                await client.delete()

            nursery.start_soon(end)
            with trio.move_on_after(100) as patience:
                again = await client.get(id)
                await again.ended()
        assert not patience.cancelled_caught
        assert again.status == 404


async def answered_to_nobody(http: Http, shop: Workshop) -> tuple[Legacy, str]:
    """A client that reads nothing of a stream whose answer waits to leave; the id that the stream began with."""

    @shop.server.tool
    async def shout(bytes: int, ctx: trimcp.Context) -> str:
        await ctx.progress(1, message="x" * bytes)
        return "y" * bytes

    client = await Legacy.open(http)
    answer = await client.call("shout", {"bytes": 200_000}, token=1, on=http.connect(capacity=1000))
    id = await answer.first_id()
    await settled()
    return client, id


async def test_a_session_ends_though_a_client_came_back_for_what_is_forgotten(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server, store=Forgetful()) as http:
        assert http.running is not None
        client, id = await answered_to_nobody(http, shop)
        (session,) = http.running.sessions
        assert isinstance(session, LegacySession)
        assert (await client.get(id)).status == 400
        await settled()
        session.check_times(trio.current_time() + 10_000)
        assert session.end is not None


async def test_a_drain_ends_though_a_client_came_back_for_what_is_forgotten(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server, store=Forgetful()) as http:
        client, id = await answered_to_nobody(http, shop)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shop.server.drain, 1)
            await settled()
            assert http.sessions == 1
            assert (await client.get(id)).status in (400, 404)
        assert http.sessions == 0


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_the_head_of_a_stream_leaves_before_the_answer_is_there(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        answer = await client.call("hold", {"name": "it"}, id=1)
        await shop.begun("it")
        await answer.begun()
        assert answer.status == 200
        shop.open("it")
        assert await answer.text() == "it"


async def test_a_connection_that_brings_many_principals_keeps_few(door: str) -> None:
    async with serving(door, Workshop().server, authenticate=by_name) as http:
        wire = http.connect()
        assert http.running is not None
        for n in range(300):
            assert await (await Modern(http, principal=f"p{n}").call("add", {"a": 1, "b": n}, on=wire)).result()
        assert len(http.running.callers) <= 100
        await http.leave()
        assert door == "asgi" or not http.running.callers  # by ASGI nobody tells that a connection is closed


async def test_an_answer_that_is_on_its_way_when_the_clock_strikes_stays_json(
    door: str, autojump_clock: MockClock
) -> None:
    shop = Workshop(limits={"keep_alive": 10})
    async with serving(door, shop.server) as http:
        await trio.sleep(9.5)
        answer = await Modern(http).call("hold", {"name": "it"})
        await trio.sleep(1)
        shop.open("it")
        assert (await answer.begun()).kind == "application/json"


async def test_an_authenticate_that_never_returns_holds_nobody_for_ever(
    door: str, autojump_clock: MockClock, logged: Logged
) -> None:
    async def for_ever(request: HttpRequest) -> None:
        await trio.sleep_forever()

    async with serving(door, Workshop().server, authenticate=for_ever) as http:
        answer = await (await Modern(http).call("add", {"a": 1, "b": 2})).begun()
        assert answer.status == 500
    assert [entry["path"] for entry in logged.of("request.failed")] == ["/mcp"]


async def test_answers_that_nobody_reads_are_within_the_bound_of_memory() -> None:
    http_limits = HttpLimits(connections=64)
    small = {"sessions": 1, "server_requests": 1, "message_bytes": 4096, "session_request_bytes": 65536}
    shop = Workshop(limits={**small, "result_bytes": 2**20, "out_bytes": 65536, "stored_bytes": 65536})
    async with serving("direct", shop.server, limits=http_limits) as http:
        assert http.listener is not None
        for _ in range(http_limits.connections):
            await Modern(http).call("big", {"bytes": 500_000}, on=http.connect(capacity=1000))
        await settled()
        assert all(connection.output.is_clogged for connection in http.listener._connections)
        held = len(http.listener._connections) * 2 * 500_000  # as text, and as structured content
        assert held <= shop.server.memory_bound(http_limits)


async def test_an_application_serves_a_connection_that_it_knows_from_an_earlier_run() -> None:
    shop = Workshop()
    app = shop.server.asgi()
    async with trio.open_nursery() as nursery:
        wire = AsgiWire(app, nursery, 1000)
        for n in range(2):
            async with shop.server.running():
                http = Http("asgi", shop.server, nursery)
                http.app = app
                result = await (await Modern(http).call("add", {"a": 1, "b": n}, on=wire)).result()
                assert result["structuredContent"] == {"result": 1 + n}
        await wire.close()
