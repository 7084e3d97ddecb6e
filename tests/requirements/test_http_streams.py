"""Which message comes by which stream of a session over HTTP (basic/transports of 2025-03-26 to 2025-11-25)."""

from __future__ import annotations

import json
import re

import pytest
import trio

import trimcp
from tests.http.clients import MODERN, STREAMABLE, Legacy, open_session, response
from tests.http.raw import serving
from tests.http.wires import settled
from tests.http.workshop import Workshop, by_name

EVERY = (*STREAMABLE, MODERN)
every_revision = pytest.mark.parametrize("version", EVERY)
legacy_revisions = pytest.mark.parametrize("version", STREAMABLE)

CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
ADA = {"action": "accept", "content": {"name": "Ada"}}


@legacy_revisions
async def test_no_answer_comes_on_a_stream_that_was_opened_by_get(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        standing = await client.get()
        lost = await client.call("talk", {"name": "lost"}, id=1, token=1)
        first = await lost.event()
        assert first is not None
        only = {"accept": "application/json"}
        json_only = await client.call("hold", {"name": "json"}, id=2, fields=only)
        kept = await client.call("hold", {"name": "kept"}, id=3)
        for name in ("lost", "json", "kept"):
            await shop.begun(name)
        await lost.drop()
        await json_only.drop()
        await settled()
        for name in ("lost", "json", "kept"):
            shop.open(name)
        assert (await kept.answer())["id"] == 3
        await settled()
        shop.server.notify_tools_changed()
        assert [message.get("method") for message in await standing.arrived()] == [CHANGED]
        # Where the stream of the request is resumed, the answer comes.
        assert (await (await client.get(first.id.decode())).answer())["id"] == 1


@legacy_revisions
async def test_the_ids_of_events_are_unique_in_their_session(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        streams = [await client.get(), await client.get()]
        for number in range(3):
            name = str(number)
            streams.append(await client.call("talk", {"name": name}, id=number, token=number))
            await shop.begun(name)
            shop.server.notify_tools_changed()
            await settled()
            shop.open(name)
        streams.append(await client.call("add", {"a": 1, "b": 2}))
        shop.server.notify_tools_changed()
        await settled()
        for stream in streams:
            await stream.arrived()
        await streams[1].drop()
        await settled()
        shop.server.notify_tools_changed()
        await settled()
        streams.append(await client.get())
        shop.server.notify_tools_changed()
        await streams[0].arrived()
        await streams[-1].arrived()
        ids = []
        for stream in streams:
            ids += re.findall(rb"^id: (.*)$", stream.body, re.MULTILINE)
        assert len(ids) == len(set(ids)) >= 3 * 3 + 3
        other = await Legacy.open(client.http, version)
        answer = await other.call("add", {"a": 1, "b": 2})
        await answer.messages()
        assert not set(re.findall(rb"^id: (.*)$", answer.body, re.MULTILINE)) & set(ids)


@legacy_revisions
async def test_a_stream_that_is_resumed_replays_no_message_of_another(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        standing = await client.get()
        shop.server.notify_tools_changed()
        told = await standing.event()
        assert told is not None
        lost = {name: await client.call("talk", {"name": name}, id=name, token=name) for name in ("one", "two")}
        first = {name: await answer.event() for name, answer in lost.items()}
        for answer in (standing, *lost.values()):
            await answer.drop()
        await settled()
        for name in ("two", "one"):
            shop.open(name)
        await settled()
        shop.server.notify_tools_changed()
        # In whatever order they are resumed, each has what was its own.
        for name in ("one", "two"):
            event = first[name]
            assert event is not None
            *progress, result = await (await client.get(event.id.decode())).messages()
            assert result["id"] == name
            assert [message["params"]["progressToken"] for message in progress] == [name]
        resumed = await client.get(told.id.decode())
        assert [message["method"] for message in await resumed.arrived()] == [CHANGED]


@legacy_revisions
async def test_a_standing_stream_that_is_resumed_has_nothing_of_the_one_that_took_its_place(
    door: str, version: str
) -> None:
    async with open_session(door, version) as (shop, client):
        await (await client.ask("resources/subscribe", {"uri": "mem://motd"})).result()
        one = await client.get()
        shop.server.notify_tools_changed()
        seen = await one.event()
        assert seen is not None
        await one.drop()
        await settled()
        two = await client.get()
        shop.server.notify_resource_updated("mem://motd")
        assert [message["method"] for message in await two.arrived()] == [UPDATED]
        again = await client.get(seen.id.decode())
        assert again.status == 200
        assert await again.arrived() == []


@legacy_revisions
async def test_each_message_of_a_session_comes_by_one_stream(door: str, version: str) -> None:
    async with open_session(door, version, {"sampling": {}}) as (shop, client):
        await (await client.ask("logging/setLevel", {"level": "info"})).result()
        streams = [await client.get() for _ in range(3)]
        streams.append(await client.call("talk", {"name": "it"}, id="talk", token=1))
        await shop.begun("it")
        streams.append(await client.call("think", {"text": "Well?"}, id="think"))
        await settled()
        shop.server.notify_tools_changed()
        shop.open("it")
        await settled()
        found = [json.dumps(message) for stream in streams for message in await stream.arrived()]
        assert len(found) == len(set(found))
        # Two of progress, a log message, an answer; a question; a change.
        assert len(found) == 6


# --- questions that are open ----------------------------------------------------------


async def test_a_question_is_not_answered_by_whoever_knows_the_session_id(door: str) -> None:
    async with serving(door, Workshop().server, authenticate=by_name) as http:
        ada = await Legacy.open(http, "2025-11-25", {"elicitation": {"form": {}}}, principal="ada")
        bob = Legacy(http, "2025-11-25", ada.id, principal="bob")
        answer = await ada.call("ask", id=1)
        question = await answer.message()
        assert question["method"] == "elicitation/create"
        stolen = {"action": "accept", "content": {"name": "Bob"}}
        assert (await bob.respond(question["id"], stolen)).status == 404
        await settled()
        assert (await ada.respond(question["id"], ADA)).status == 202
        assert await answer.text() == "Hello Ada."


@legacy_revisions
async def test_a_session_that_has_ended_is_gone_at_once_though_its_work_takes_time_to_end(
    door: str, version: str
) -> None:
    server, go_on, began = trimcp.Server("slow"), trio.Event(), trio.Event()

    @server.tool
    async def slow() -> str:
        with trio.CancelScope(shield=True):
            began.set()
            await go_on.wait()
        return "done"

    async with serving(door, server) as http:
        client = await Legacy.open(http, version)
        await client.call("slow")
        await began.wait()
        assert (await client.delete()).status == 204
        await settled()
        answers = [await client.ask("ping"), await client.post(response(1, {})), await client.get()]
        statuses = [(await answer.begun()).status for answer in answers]
        go_on.set()
        assert statuses == [404, 404, 404]
