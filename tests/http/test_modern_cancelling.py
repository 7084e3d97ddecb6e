"""In 2026-07-28 a client cancels a request by closing its connection (basic/patterns/cancellation)."""

from __future__ import annotations

import pytest
import trio

from tests.http.clients import Modern
from tests.http.raw import serving
from tests.http.wires import settled
from tests.http.workshop import Workshop, by_name

LOST = "connection_lost"


@pytest.mark.parametrize("principal", [None, "ada"])
async def test_a_connection_that_is_lost_cancels_in_json_mode(door: str, principal: str | None) -> None:
    shop = Workshop()
    async with serving(door, shop.server, **({"authenticate": by_name} if principal else {})) as http:
        answer = await Modern(http, principal=principal).call("hold", {"name": "it"})
        await shop.begun("it")
        await answer.drop()
        assert await shop.is_over("it") == LOST


async def test_a_stream_that_is_closed_cancels(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        answer = await Modern(http).call("talk", {"name": "it"}, progressToken=1)
        await answer.message()
        await answer.drop()
        assert await shop.is_over("it") == LOST


async def test_a_client_that_leaves_while_its_request_waits_for_a_place_is_forgotten(door: str) -> None:
    shop = Workshop(limits={"server_requests": 1})
    async with serving(door, shop.server) as http:
        client = Modern(http)
        first = await client.call("hold", {"name": "first"})
        await shop.begun("first")
        second = await client.call("hold", {"name": "second"})
        third = await client.call("hold", {"name": "third"})
        await settled()
        await second.drop()
        await settled()
        shop.open("first")
        assert await first.text() == "first"
        await shop.begun("third")
        shop.open("third")
        assert await third.text() == "third"
        assert shop.began == ["first", "third"]


async def test_others_of_the_same_principal_go_on(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server, authenticate=by_name) as http:
        client = Modern(http, principal="ada")
        first = await client.call("hold", {"name": "first"}, id=1)
        second = await client.call("hold", {"name": "second"}, id=1)
        await shop.begun("first")
        await shop.begun("second")
        await first.drop()
        assert await shop.is_over("first") == LOST
        shop.open("second")
        assert await second.text() == "second"


async def test_a_client_that_leaves_when_it_has_its_answer_cancels_nothing(door: str) -> None:
    shop = Workshop()
    shop.open("it")
    async with serving(door, shop.server) as http:
        answer = await Modern(http).call("hold", {"name": "it"})
        assert await answer.text() == "it"
        await answer.drop()
        assert await shop.is_over("it") is None


async def test_a_listen_whose_connection_is_lost_is_forgotten(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).listen(toolsListChanged=True, resourceSubscriptions=["mem://motd"])
        await answer.message()
        (run,) = http.server.tree()
        assert (run.listens, run.subscriptions) == (1, 1)
        await answer.drop()
        await settled()
        (run,) = http.server.tree()
        assert (run.listens, run.subscriptions) == (0, 0)


async def test_hundreds_that_leave_at_once_leave_nothing_behind(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        client = Modern(http)
        await (await client.call("add", {"a": 1, "b": 1})).result()
        await http.leave()
        tasks = trio.lowlevel.current_statistics().tasks_living
        answers = [await client.call("hold", {"name": str(number)}) for number in range(200)]
        for number in range(200):
            await shop.begun(str(number))
        for answer in answers:
            await answer.drop()
        await settled()
        assert set(shop.ended.values()) == {LOST}
        assert len(shop.ended) == 200
        (run,) = http.server.tree()
        assert run.places_free == run.places
        assert http.callers == 0
        # Those that ran the calls have ended too, and nobody watches over what has unwound already.
        assert (
            trio.lowlevel.current_statistics().tasks_living <= tasks + 2
        )  # the CancellationManager, and a second worker
