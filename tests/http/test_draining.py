"""A server that stops: what it accepted is answered, what comes is refused, and what both need still goes on."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.http.clients import DRAINING, Legacy, Modern, initialize, open_session
from tests.http.raw import serving
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop
from trimcp.session.drain_report import DrainReport

HEARD = {"role": "assistant", "content": {"type": "text", "text": "well"}, "model": "m", "stopReason": "endTurn"}


async def drain(shop: Workshop, seconds: float, into: list[DrainReport]) -> None:
    """Drain, and keep the report."""
    into.append(await shop.server.drain(seconds))


async def refused(answer: Answer) -> None:
    """It must say that the server stops."""
    await answer.begun()
    body = await answer.json()
    assert answer.status == 503
    assert answer.fields["retry-after"] == "1"
    assert body["error"]["code"] == DRAINING
    assert body["error"]["data"] == {"reason": "draining", "retryAfterMs": 1000}
    assert "id" in body


async def test_a_drain_answers_all_that_was_accepted_and_refuses_the_rest(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        modern, legacy, idle = Modern(http), await Legacy.open(http), await Legacy.open(http)
        standing = await legacy.get()
        listening = await modern.listen(toolsListChanged=True)
        in_json = await modern.call("hold", {"name": "json"})
        in_sse = await modern.call("talk", {"name": "sse"}, progressToken=1)
        posted = await legacy.call("hold", {"name": "legacy"})
        for name in ("json", "sse", "legacy"):
            await shop.begun(name)
        wires = [http.connect() for _ in range(4)]
        reports: list[DrainReport] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, shop, 1000, reports)
            await settled()
            await refused(await modern.call("add", {"a": 1, "b": 1}, id=5, on=wires[0]))
            await refused(await legacy.call("add", {"a": 1, "b": 1}, id=6, on=wires[1]))
            await refused(await idle.call("add", {"a": 1, "b": 1}, id=7, on=wires[2]))
            await refused(await initialize(http, id=8, on=wires[3]))
            await refused(await modern.listen(toolsListChanged=True))
            assert (await (await legacy.ask("ping")).answer())["result"] == {}
            for name in ("json", "sse", "legacy"):
                shop.open(name)
        assert [await in_json.text(), await posted.text()] == ["json", "legacy"]
        assert await in_sse.text() == "sse is done"
        assert (await listening.messages())[-1]["result"]
        assert await standing.messages() == []
        assert all(answer.is_complete for answer in (in_json, in_sse, posted, listening, standing))
        (report,) = reports
        assert (report.finished, report.cancelled, report.lost) == (3, 0, 0)
        await settled()
        assert http.sessions == http.callers == 0


async def test_what_work_in_flight_needs_is_taken_during_a_drain(door: str) -> None:
    async with open_session(door, capabilities={"sampling": {}}) as (shop, client):
        other = await Legacy.open(client.http)
        thinking = await client.call("think", {"text": "Well?"}, id="think")
        question = await thinking.message()
        dropped = await client.call("talk", {"name": "resumed"}, id="resumed", token=1)
        event = await dropped.event()
        assert event is not None
        cancelled = await client.call("hold", {"name": "cancelled"}, id="cancelled")
        await shop.begun("cancelled")
        deleted = await other.call("hold", {"name": "deleted"})
        await shop.begun("deleted")
        reports: list[DrainReport] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, shop, 1000, reports)
            await settled()
            assert (await client.respond(question["id"], HEARD)).status == 202
            assert await thinking.text() == "well"
            assert (await client.notify("notifications/cancelled", {"requestId": "cancelled"})).status == 202
            assert await cancelled.messages() == []
            assert (await other.delete()).status == 204
            assert await shop.is_over("deleted") == "session_lost"
            await dropped.drop()
            await settled()
            again = await client.get(event.id.decode())
            assert again.status == 200
            shop.open("resumed")
            assert await again.text() == "resumed is done"
        await deleted.ended()
        assert reports[0].cancelled == 0


@pytest.mark.parametrize("accept", [None, "application/json"])
async def test_an_answer_that_nobody_came_back_for_is_lost(door: str, accept: str | None) -> None:
    async with open_session(door) as (shop, client):
        fields = {"accept": accept} if accept else None
        answer = await client.call("hold", {"name": "it"}, fields=fields)
        kept = await client.call("hold", {"name": "kept"}, fields=fields)
        await shop.begun("it")
        await shop.begun("kept")
        await answer.drop()
        await settled()
        reports: list[DrainReport] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, shop, 1000, reports)
            await settled()
            shop.open("it")
            shop.open("kept")
        assert await kept.text() == "kept"
        assert reports == [DrainReport(finished=1, cancelled=0, lost=1)]


async def test_an_answer_that_is_fetched_during_the_drain_is_not_lost(door: str) -> None:
    async with open_session(door) as (shop, client):
        answer = await client.call("talk", {"name": "it"}, token=1)
        kept = await client.call("hold", {"name": "kept"})
        event = await answer.event()
        assert event is not None
        await shop.begun("kept")
        await answer.drop()
        await settled()
        reports: list[DrainReport] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, shop, 1000, reports)
            await settled()
            shop.open("it")
            await settled()
            assert await (await client.get(event.id.decode())).text() == "it is done"
            shop.open("kept")
        assert await kept.text() == "kept"
        assert reports == [DrainReport(finished=2, cancelled=0, lost=0)]


async def test_what_is_cancelled_while_nobody_listens_is_not_taken_for_what_was_answered(
    door: str, autojump_clock: MockClock
) -> None:
    async with open_session(door) as (shop, client):
        answer = await client.call("hold", {"name": "it"})
        kept = await client.call("hold", {"name": "kept"})
        await shop.begun("it")
        await shop.begun("kept")
        await answer.drop()
        await settled()
        reports: list[DrainReport] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, shop, 100, reports)
            await settled()
            shop.open("kept")
        assert await kept.text() == "kept"
        assert reports == [DrainReport(finished=1, cancelled=1, lost=0)]


async def test_what_does_not_end_in_time_is_cancelled_and_told_so(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        modern, legacy = Modern(http), await Legacy.open(http)
        answers = [await modern.call("hold", {"name": "json"}), await legacy.call("hold", {"name": "legacy"})]
        talking = await modern.call("talk", {"name": "sse"}, progressToken=1)
        for name in ("json", "legacy", "sse"):
            await shop.begun(name)
        report = await shop.server.drain(5)
        assert report == DrainReport(finished=0, cancelled=3, lost=0)
        assert answers[0].status == 0
        for answer in (*answers, talking):
            error = await answer.error()
            assert (error["code"], error["data"]["reason"]) == (DRAINING, "shutdown")
        assert answers[0].status == 503
        assert set(shop.ended.values()) == {"shutdown"}


async def test_a_client_that_comes_between_is_refused_or_answered_and_never_left(door: str) -> None:
    """Requests that arrive while the drain begins, from the first turn of the scheduler on."""
    shop = Workshop()
    async with serving(door, shop.server) as http:
        legacy = await Legacy.open(http)
        answers: list[Answer] = []

        async def come(number: int) -> None:
            for _ in range(number % 10):
                await trio.lowlevel.checkpoint()
            if number % 3 == 0:
                answers.append(await Modern(http).call("add", {"a": 1, "b": 1}, on=wires[number]))
            elif number % 3 == 1:
                answers.append(await legacy.call("add", {"a": 1, "b": 1}, on=wires[number]))
            else:
                answers.append(await initialize(http, on=wires[number]))

        wires = [http.connect() for _ in range(30)]
        await settled()
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(come, number)
            nursery.start_soon(shop.server.drain, 10)
        for answer in answers:
            message: Any = await (await answer.begun()).answer()
            assert answer.status == 200 or message["error"]["code"] == DRAINING
        await settled()
        assert http.sessions == http.callers == 0


async def test_a_peer_that_does_not_read_its_standing_stream_does_not_hold_up_a_drain(
    door: str, autojump_clock: MockClock
) -> None:
    async with open_session(door, limits={"write_timeout": 20}) as (shop, client):
        for number in range(200):
            shop.server.add_resource(f"mem://{number:0500}", "x")
            await (await client.ask("resources/subscribe", {"uri": f"mem://{number:0500}"})).result()
        standing = await client.get(on=client.http.connect(capacity=1000))
        for _ in range(3):
            for number in range(200):
                shop.server.notify_resource_updated(f"mem://{number:0500}")
            await settled()
        with trio.fail_after(500):
            await shop.server.drain(10)
        await standing.ended()
        assert client.http.sessions == 0


async def test_a_server_that_drains_is_alive_and_not_ready(door: str) -> None:
    async with open_session(door, health=True) as (shop, client):
        answer = await client.call("hold", {"name": "it"})
        await shop.begun("it")
        wire, other = client.http.connect(), client.http.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shop.server.drain, 10)
            await settled()
            ready = await client.http.ask("GET", "/health/ready", on=wire)
            assert (ready.status, await ready.json()) == (503, {"status": "draining"})
            assert (await client.http.ask("GET", "/health/live", on=other)).status == 200
            shop.open("it")
        assert await answer.text() == "it"
