"""What goes wrong stays where it is: handlers, results, slow readers, floods."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.http.clients import BUSY, Legacy, Modern, open_session, request
from tests.http.raw import Http, serving
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop, by_name
from tests.session.peer import Logged
from trimcp.http.binding import HttpRequest

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])


async def of_era(http: Http, era: str) -> Modern | Legacy:
    """A client."""
    return Modern(http) if era == "modern" else await Legacy.open(http)


@ERAS
async def test_a_handler_that_fails_tells_nothing_of_why(door: str, era: str, logged: Logged) -> None:
    async with serving(door, Workshop().server) as http:
        client = await of_era(http, era)
        answer = await client.call("fail", id=1)
        assert (await answer.result())["isError"]
        assert b"4711" not in answer.body
        assert b"Traceback" not in answer.body
        (line,) = logged.of("handler.failed")
        assert "4711" in str(line)
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


@ERAS
async def test_a_result_that_has_no_json_form_is_an_error(door: str, era: str, logged: Logged) -> None:
    async with serving(door, Workshop().server) as http:
        client = await of_era(http, era)
        message = await (await client.call("unspeakable", id=1)).answer()
        assert "error" in message or message["result"]["isError"]
        assert logged.of("handler.failed")
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


@ERAS
async def test_a_result_that_is_too_large_is_an_error(door: str, era: str, logged: Logged) -> None:
    async with serving(door, Workshop(limits={"result_bytes": 10_000}).server) as http:
        client = await of_era(http, era)
        error = await (await client.call("big", {"bytes": 10_001}, id=1)).error()
        assert error["code"] == -32603
        assert len(await (await client.call("big", {"bytes": 4_000})).text()) == 4_000


@ERAS
async def test_a_large_result_arrives_whole(door: str, era: str) -> None:
    async with serving(door, Workshop().server) as http:
        client = await of_era(http, era)
        assert len(await (await client.call("big", {"bytes": 3_000_000})).text()) == 3_000_000


async def test_a_failure_of_the_users_authentication_is_500_without_words(door: str, logged: Logged) -> None:
    async def broken(request: HttpRequest) -> str | None:
        raise RuntimeError("the password is 4711")

    async with serving(door, Workshop().server, authenticate=broken) as http:
        answer = await (await Modern(http).call("add", {"a": 1, "b": 1})).begun()
        await answer.ended()
        assert answer.status == 500
        assert b"4711" not in answer.body
        assert logged.of("request.failed")


@ERAS
async def test_a_slow_reader_of_one_stream_does_not_hold_others(door: str, era: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        client = await of_era(http, era)
        slow = [await client.call("big", {"bytes": 300_000}, id=n, on=http.connect(capacity=1000)) for n in range(5)]
        await settled()
        for number in range(20):
            assert await (await client.call("add", {"a": number, "b": 1}, id=100 + number)).text() == str(number + 1)
        for answer in slow:
            assert len(await answer.text()) == 300_000


async def test_a_slow_reader_of_a_get_does_not_hold_posts(door: str) -> None:
    async with open_session(door) as (shop, client):
        standing = await client.get(on=client.http.connect(capacity=100))
        for number in range(1000):
            shop.server.notify_tools_changed()
            if number % 50 == 0:
                assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert 1 <= len(await standing.arrived()) < 200


async def test_a_reader_that_takes_nothing_is_cut_off(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop(limits={"write_timeout": 20})
    async with serving(door, shop.server) as http:
        client = Modern(http)
        slow = await client.call("big", {"bytes": 5_000_000}, on=http.connect(capacity=1000))
        await trio.sleep(200)
        await slow.ended()
        assert slow.is_broken
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


# --- limits ---------------------------------------------------------------------------


async def in_turn(client: Modern | Legacy, name: str, id: int) -> Answer:
    """A call that has been taken before the next is made."""
    answer = await client.call("hold", {"name": name}, id=id)
    await settled()
    return answer


async def test_a_session_with_a_thousand_calls_at_once_is_told_that_it_is_busy(door: str) -> None:
    shop = Workshop(limits={"session_requests": 10, "session_waiting": 20})
    async with serving(door, shop.server) as http:
        client, other = await Legacy.open(http), await Legacy.open(http)
        answers = [await in_turn(client, str(n), n) for n in range(31)]
        answers += [await client.call("hold", {"name": str(n)}, id=n) for n in range(31, 1000)]
        for answer in answers[30:]:
            await answer.begun()
            assert answer.status == 503
            assert answer.fields["retry-after"] == "1"
            error = await answer.error()
            assert (error["code"], error["data"]["reason"]) == (BUSY, "busy")
        # What needs no place passes all that waits, and another session does not notice.
        assert (await (await client.ask("ping")).answer())["result"] == {}
        assert await (await other.call("add", {"a": 1, "b": 1})).text() == "2"
        for number in range(30):
            shop.open(str(number))
        assert [await answer.text() for answer in answers[:30]] == [str(n) for n in range(30)]


async def test_a_principal_with_a_thousand_calls_at_once_is_told_that_it_is_busy(door: str) -> None:
    shop = Workshop(limits={"session_requests": 10, "session_waiting": 20})
    async with serving(door, shop.server, authenticate=by_name) as http:
        ada, bob = Modern(http, principal="ada"), Modern(http, principal="bob")
        answers = [await in_turn(ada, str(n), 1) for n in range(31)]
        answers += [await ada.call("hold", {"name": str(n)}, id=1) for n in range(31, 1000)]
        for answer in answers[30:]:
            assert (await answer.begun()).status == 503
            assert (await answer.error())["code"] == BUSY
        assert (await (await ada.ask("server/discover")).result())["supportedVersions"]
        assert await (await bob.call("add", {"a": 1, "b": 1})).text() == "2"
        for number in range(30):
            shop.open(str(number))
        assert [await answer.text() for answer in answers[:30]] == [str(n) for n in range(30)]


async def test_the_places_of_a_server_go_round(door: str) -> None:
    shop = Workshop(limits={"server_requests": 2})
    async with serving(door, shop.server) as http:
        greedy, modest = await Legacy.open(http), Modern(http)
        answers = [await in_turn(greedy, f"greedy {n}", n) for n in range(50)]
        await shop.begun("greedy 1")
        late = await modest.call("hold", {"name": "modest"})
        await settled()
        shop.open("greedy 0")
        shop.open("greedy 1")
        await shop.begun("modest")
        assert len(shop.began) <= 4
        shop.open("modest")
        assert await late.text() == "modest"
        for number in range(50):
            shop.open(f"greedy {number}")
        assert [await answer.text() for answer in answers] == [f"greedy {n}" for n in range(50)]


async def test_requests_of_too_many_bytes_are_busy(door: str) -> None:
    async with open_session(door, limits={"session_request_bytes": 5000}) as (shop, client):
        first = await client.call("hold", {"name": "x" * 4000})
        await shop.begun("x" * 4000)
        second = await (await client.call("hold", {"name": "y" * 4000})).begun()
        assert second.status == 503
        shop.open("x" * 4000)
        await first.result()


async def test_garbage_of_every_kind_leaves_a_server_as_it_was(door: str) -> None:
    async with open_session(door) as (_, client):
        bodies: list[Any] = [b"", b"{", b"\0" * 100, json.dumps(request(1, "x" * 10_000)).encode(), b"[[]]", b"[{}]"]
        bodies += [{"jsonrpc": "2.0", "id": True, "method": "ping"}, {"jsonrpc": "2.0", "method": 5}, {"id": 1}]
        for body in bodies:
            for fields in (client.fields(), {}, {"MCP-Protocol-Version": "2026-07-28"}):
                answer = await client.http.ask("POST", body=body, fields={"content-type": "application/json", **fields})
                await answer.ended()
                assert 200 <= answer.status < 500
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert client.http.sessions == 1
