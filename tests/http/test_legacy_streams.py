"""Streams of a legacy session: one for each POST with its own messages, and those that GET opens for the rest."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.http.clients import STREAMABLE, Legacy, open_session
from tests.http.raw import serving
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop

versions = pytest.mark.parametrize("version", STREAMABLE)

CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
HEARD = {"role": "assistant", "content": {"type": "text", "text": "well"}, "model": "m", "stopReason": "endTurn"}


async def methods(answer: Answer) -> list[str]:
    """The methods of what has come."""
    return [message.get("method", "answer") for message in await answer.arrived()]


@versions
async def test_the_stream_of_a_post_carries_what_belongs_to_it_and_nothing_else(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        await (await client.ask("logging/setLevel", {"level": "info"})).result()
        one = await client.call("talk", {"name": "one"}, id=1, token="one")
        two = await client.call("talk", {"name": "two"}, id=2, token="two")
        await shop.begun("one")
        await shop.begun("two")
        shop.server.notify_tools_changed()
        shop.open("two")
        shop.open("one")
        for name, answer in (("one", one), ("two", two)):
            messages = await answer.messages()
            progress = [m["params"]["progressToken"] for m in messages if m.get("method") == "notifications/progress"]
            logs = [m["params"]["data"] for m in messages if m.get("method") == "notifications/message"]
            assert progress == [name, name]
            assert logs == [f"{name} begins"]
            assert messages[-1]["result"]["content"][0]["text"] == f"{name} is done"
            assert len(messages) == 4


@versions
async def test_a_question_goes_by_the_stream_of_the_request_that_asks(door: str, version: str) -> None:
    async with open_session(door, version, {"sampling": {}}) as (_, client):
        standing = await client.get()
        answer = await client.call("think", {"text": "Well?"}, id="t")
        question = await answer.message()
        assert question["method"] == "sampling/createMessage"
        assert (await client.respond(question["id"], HEARD)).status == 202
        assert await answer.text() == "well"
        assert await methods(standing) == []


async def test_an_answer_that_is_none_fails_the_question(door: str) -> None:
    async with open_session(door, capabilities={"sampling": {}}) as (_, client):
        answer = await client.call("think", {"text": "Well?"})
        question = await answer.message()
        wrong = {"jsonrpc": "2.0", "id": question["id"], "result": 5}
        refused = await (await client.post(wrong)).begun()
        assert refused.status == 400
        assert "id" not in await refused.json()
        assert (await answer.result())["isError"]


async def test_a_session_cannot_answer_for_another(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        ada = await Legacy.open(http, capabilities={"sampling": {}})
        bob = await Legacy.open(http, capabilities={"sampling": {}})
        answer = await ada.call("think", {"text": "Well?"})
        question = await answer.message()
        assert (await bob.respond(question["id"], {**HEARD, "content": {"type": "text", "text": "no"}})).status == 202
        await ada.respond(question["id"], HEARD)
        assert await answer.text() == "well"


@versions
async def test_the_stream_of_a_get_carries_changes(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        await (await client.ask("resources/subscribe", {"uri": "mem://motd"})).result()
        standing = await client.get()
        assert standing.status == 200
        assert standing.is_stream
        shop.server.notify_tools_changed()
        shop.server.notify_resource_updated("mem://motd")
        shop.server.notify_resource_updated("mem://other")
        assert await methods(standing) == [CHANGED, UPDATED]


async def test_of_several_gets_each_message_comes_by_one(door: str) -> None:
    async with open_session(door) as (shop, client):
        streams = [await client.get() for _ in range(3)]
        for _ in range(5):
            shop.server.notify_tools_changed()
            await settled()
        assert [len(await methods(stream)) for stream in streams] == [0, 0, 5]
        await streams[2].drop()
        await settled()
        shop.server.notify_tools_changed()
        assert [len(await methods(stream)) for stream in streams[:2]] == [0, 1]


async def test_what_happens_while_nobody_listens_is_told_once_somebody_does(door: str) -> None:
    async with open_session(door) as (shop, client):
        await (await client.ask("resources/subscribe", {"uri": "mem://motd"})).result()
        for _ in range(100):
            shop.server.notify_tools_changed()
            shop.server.notify_resource_updated("mem://motd")
        assert await methods(await client.get()) == [CHANGED, UPDATED]


async def test_beyond_so_many_the_oldest_stream_ends(door: str) -> None:
    async with open_session(door) as (shop, client):
        streams = [await client.get() for _ in range(9)]
        assert [stream.status for stream in streams] == [200] * 9
        with trio.fail_after(60):
            await streams[0].ended()
        shop.server.notify_tools_changed()
        await settled()
        assert [len(await methods(stream)) for stream in streams[1:]] == [0] * 7 + [1]


async def test_a_get_that_takes_no_stream_is_406(door: str) -> None:
    async with open_session(door) as (_, client):
        answer = await client.http.ask("GET", fields=client.fields({"accept": "application/json"}))
        assert answer.status == 406


async def test_a_client_that_takes_only_json_gets_json(door: str) -> None:
    async with open_session(door, capabilities={"sampling": {}}) as (shop, client):
        shop.open("it")
        only = {"accept": "application/json"}
        answer = await client.call("talk", {"name": "it"}, id=3, token=1, fields=only)
        body = await answer.json()
        assert (body["id"], body["result"]["content"][0]["text"]) == (3, "it is done")
        asked = await client.call("think", {"text": "Well?"}, fields=only)
        assert (await asked.result())["isError"]


# --- ids that several have ------------------------------------------------------------


@versions
async def test_two_requests_with_one_id_each_get_their_own_answer(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        first = await client.call("talk", {"name": "first"}, id=1, token=1)
        second = await client.call("talk", {"name": "second"}, id=1, token=1)
        await shop.begun("first")
        await shop.begun("second")
        shop.open("second")
        assert await second.text() == "second is done"
        shop.open("first")
        assert await first.text() == "first is done"


@versions
async def test_a_cancel_ends_the_request_and_its_stream(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        answer = await client.call("hold", {"name": "it"}, id="x")
        await shop.begun("it")
        assert (await client.notify("notifications/cancelled", {"requestId": "x"})).status == 202
        assert await shop.is_over("it") == "cancelled"
        assert await answer.messages() == []
        assert answer.is_complete


async def test_a_cancel_of_an_id_that_two_have_is_ignored(door: str) -> None:
    async with open_session(door) as (shop, client):
        first = await client.call("hold", {"name": "first"}, id=1)
        second = await client.call("hold", {"name": "second"}, id=1)
        await shop.begun("first")
        await shop.begun("second")
        await client.notify("notifications/cancelled", {"requestId": 1})
        await settled()
        shop.open("first")
        assert await first.text() == "first"
        # It is the only one by now.
        await client.notify("notifications/cancelled", {"requestId": 1})
        assert await shop.is_over("second") == "cancelled"
        assert await second.messages() == []


async def test_a_cancel_of_another_session_is_ignored(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        ada, bob = await Legacy.open(http), await Legacy.open(http)
        answer = await ada.call("hold", {"name": "it"}, id=1)
        await shop.begun("it")
        await bob.notify("notifications/cancelled", {"requestId": 1})
        await settled()
        shop.open("it")
        assert await answer.text() == "it"


async def test_a_cancel_reaches_a_request_that_waits_for_a_place(door: str) -> None:
    async with open_session(door, limits={"server_requests": 1}) as (shop, client):
        first = await client.call("hold", {"name": "first"}, id=1)
        await shop.begun("first")
        second = await client.call("hold", {"name": "second"}, id=2)
        await settled()
        await client.notify("notifications/cancelled", {"requestId": 2})
        assert await second.messages() == []
        shop.open("first")
        assert await first.text() == "first"
        assert shop.began == ["first"]


async def test_a_request_that_waits_for_a_place_has_a_stream_already(door: str, autojump_clock: MockClock) -> None:
    async with open_session(door, limits={"server_requests": 1}) as (shop, client):
        first = await client.call("hold", {"name": "first"}, id=1)
        await shop.begun("first")
        now = trio.current_time()
        second = await (await client.call("hold", {"name": "second"}, id=2)).begun()
        assert trio.current_time() - now < 1
        await second.arrived()
        assert second.last_id
        shop.open("first")
        shop.open("second")
        assert [await first.text(), await second.text()] == ["first", "second"]


# --- questions of the server's own ----------------------------------------------------


async def test_a_question_of_the_servers_own_goes_by_a_get_and_fails_without_one(door: str) -> None:
    shop = Workshop()
    told: list[object] = []

    @shop.server.on_roots_changed
    async def ask(ctx: object) -> None:
        try:
            told.append(await ctx.roots())  # type: ignore[attr-defined]
        except Exception as exc:
            told.append(exc)

    async with serving(door, shop.server) as http:
        client = await Legacy.open(http, capabilities={"roots": {"listChanged": True}})
        await client.notify("notifications/roots/list_changed")
        await settled()
        assert "roots/list" in str(told.pop())
        standing = await client.get()
        await client.notify("notifications/roots/list_changed")
        question = await standing.message()
        assert question["method"] == "roots/list"
        await client.respond(question["id"], {"roots": [{"uri": "file:///home/ada"}]})
        await settled()
        (roots,) = told
        assert [root.uri for root in roots] == ["file:///home/ada"]  # type: ignore[attr-defined]


@versions
async def test_the_notices_of_a_handler_are_posted_before_its_answer(door: str, version: str) -> None:
    shop = Workshop()
    posted: list[int] = []

    @shop.server.tool
    async def touch() -> None:
        (session,) = http.running.sessions  # type: ignore[union-attr]
        before = session.writer.posted
        shop.server.notify_tools_changed()
        shop.server.notify_resource_updated("mem://motd")
        posted.append(session.writer.posted - before)

    async with serving(door, shop.server) as http:
        client = await Legacy.open(http, version)
        standing = await client.get()
        await (await client.ask("resources/subscribe", {"uri": "mem://motd"})).result()
        await (await client.call("touch")).result()
        assert posted == [2]
        assert await methods(standing) == [CHANGED, UPDATED]
