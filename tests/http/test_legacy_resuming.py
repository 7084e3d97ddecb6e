"""A connection that is lost in a legacy session is no cancel: its client comes back for what it missed."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.http.clients import STREAMABLE, Legacy, open_session
from tests.http.raw import serving
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop, by_name

versions = pytest.mark.parametrize("version", STREAMABLE)
HEARD = {"role": "assistant", "content": {"type": "text", "text": "well"}, "model": "m", "stopReason": "endTurn"}
CHANGED = "notifications/tools/list_changed"


async def interrupted(client: Legacy) -> str:
    """Call `talk`, and lose the connection behind its first event; return the id of that event."""
    answer = await client.call("talk", {"name": "it"}, id=1, token=1)
    first = await answer.event()
    assert first is not None
    await answer.drop()
    await settled()
    return first.id.decode()


@versions
async def test_a_connection_that_is_lost_cancels_nothing_and_the_answer_is_kept(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        last = await interrupted(client)
        shop.open("it")
        assert await shop.is_over("it") is None
        again = await client.get(last)
        assert again.status == 200
        messages = await again.messages()
        assert [m.get("params", {}).get("progress") for m in messages] == [2, None]
        assert messages[-1]["result"]["content"][0]["text"] == "it is done"
        assert again.is_complete
        # And once more, from where it began to come back.
        assert await (await client.get(last)).messages() == messages


async def test_a_client_comes_back_before_the_answer_is_there(door: str) -> None:
    async with open_session(door) as (shop, client):
        last = await interrupted(client)
        again = await client.get(last)
        assert await again.arrived() == []
        shop.open("it")
        assert await again.text() == "it is done"


async def test_the_priming_event_is_enough_to_come_back_with(door: str) -> None:
    async with open_session(door) as (shop, client):
        answer = await client.call("hold", {"name": "it"}, id=1)
        id = await answer.first_id()
        await answer.drop()
        await shop.begun("it")
        shop.open("it")
        await settled()
        assert await (await client.get(id)).text() == "it"


@versions
async def test_streams_are_primed_from_2025_11_25_on(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        answer = await client.call("hold", {"name": "it"}, id=1)
        await shop.begun("it")
        standing = await client.get()
        for stream in (answer, standing):
            await stream.begun()
            await stream.arrived()
            assert bool(stream.last_id) == (version == "2025-11-25")
            assert (b"data: \n\n" in stream.body) == (version == "2025-11-25")
        shop.open("it")
        assert await answer.text() == "it"
        assert answer.last_id


async def test_a_connection_that_only_seems_alive_is_ended_when_its_client_comes_back(door: str) -> None:
    async with open_session(door) as (shop, client):
        answer = await client.call("talk", {"name": "it"}, id=1, token=1)
        first = await answer.event()
        assert first is not None
        again = await client.get(first.id.decode())
        await answer.ended()
        shop.open("it")
        assert await again.text() == "it is done"
        assert await answer.arrived() == []


async def test_a_client_that_comes_back_twice_at_once_is_answered_once_on_a_live_stream(door: str) -> None:
    async with open_session(door) as (shop, client):
        last = await interrupted(client)
        both: list[Answer] = []

        async def come_back() -> None:
            both.append(await client.get(last))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(come_back)
        await settled()
        shop.open("it")
        await settled()
        found = [await each.arrived() for each in both]
        assert sorted(len(messages) for messages in found) == [0, 0, 2]
        assert all(each.is_complete for each in both)


async def test_a_client_that_opens_its_standing_stream_again_twice_at_once_has_one(door: str) -> None:
    async with open_session(door) as (shop, client):
        standing = await client.get()
        id = await standing.first_id()
        await standing.drop()
        await settled()
        both: list[Answer] = []

        async def come_back() -> None:
            both.append(await client.get(id))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(come_back)
        shop.server.notify_tools_changed()
        assert sorted([len(await each.arrived()) for each in both]) == [0, 0, 1]
        for each in both:
            await each.drop()
        await settled()
        shop.server.notify_tools_changed()
        assert len(await (await client.get()).arrived()) == 1


async def test_a_standing_stream_goes_on_behind_its_last_event(door: str) -> None:
    async with open_session(door) as (shop, client):
        await (await client.ask("resources/subscribe", {"uri": "mem://motd"})).result()
        standing = await client.get()
        shop.server.notify_tools_changed()
        seen = await standing.event()
        assert seen is not None
        shop.server.notify_resource_updated("mem://motd")
        await settled()
        await standing.drop()  # the second is on its way, and does not arrive
        await settled()
        shop.server.notify_tools_changed()
        again = await client.get(seen.id.decode())
        found = [message["method"] for message in await again.arrived()]
        assert found == ["notifications/resources/updated", CHANGED]


# --- who may not ------------------------------------------------------------------------


async def test_an_event_of_another_session_is_refused(door: str) -> None:
    shop = Workshop()
    shop.open("it")
    async with serving(door, shop.server) as http:
        ada, bob = await Legacy.open(http), await Legacy.open(http)
        answer = await ada.call("hold", {"name": "it"}, id=1)
        id = await answer.first_id()
        await answer.messages()
        refused = await bob.get(id)
        assert refused.status == 400
        assert b"it" not in refused.body.replace(b"it can", b"")
        assert await (await ada.get(id)).text() == "it"


async def test_an_event_of_another_principal_is_refused(door: str) -> None:
    async with serving(door, Workshop().server, authenticate=by_name) as http:
        ada = await Legacy.open(http, principal="ada")
        answer = await ada.call("add", {"a": 1, "b": 1})
        id = await answer.first_id()
        await answer.messages()
        assert (await Legacy(http, ada.version, ada.id, "bob").get(id)).status == 404
        bob = await Legacy.open(http, principal="bob")
        assert (await bob.get(id)).status == 400


@pytest.mark.parametrize(
    "make",
    [
        lambda tag, stream, number: "garbage",
        lambda tag, stream, number: f"{tag}.{stream}",
        lambda tag, stream, number: f"{tag}.{stream}.{number + 1}",
        lambda tag, stream, number: f"{tag}.{stream + 1}.{number}",
        lambda tag, stream, number: f"{tag}.0.0",
        lambda tag, stream, number: f"{tag}.{stream}.-1",
        lambda tag, stream, number: f"{tag}.{stream}.{10**17}",
        lambda tag, stream, number: f"{'A' * len(tag)}.{stream}.{number}",
        lambda tag, stream, number: f"{tag}.{stream}.{number}, {tag}.{stream}.{number}",
        lambda tag, stream, number: "\xff" * 40,
    ],
)
async def test_ids_that_name_no_event_are_refused_and_change_nothing(door: str, make: object) -> None:
    async with open_session(door) as (shop, client):
        answer = await client.call("hold", {"name": "it"})
        tag, stream, number = (await answer.first_id()).split(".")
        wrong = make(tag, int(stream), int(number))  # type: ignore[operator]
        assert (await client.get(wrong)).status == 400
        shop.open("it")
        assert await answer.text() == "it"


async def test_events_that_are_not_kept_any_more_are_refused(door: str, autojump_clock: MockClock) -> None:
    async with open_session(door, limits={"stored_events": 8, "stored_age": 60}) as (_, client):
        old = await client.call("add", {"a": 1, "b": 1})
        id = await old.first_id()
        await old.messages()
        for _ in range(3):
            await (await client.call("add", {"a": 1, "b": 1})).messages()
        assert (await client.get(id)).status == 400
        newest = await client.call("add", {"a": 1, "b": 1})
        id = await newest.first_id()
        await newest.messages()
        assert await (await client.get(id)).text() == "2"
        await trio.sleep(61)
        assert (await client.get(id)).status == 400


async def test_nothing_of_a_session_is_kept_when_it_is_over(door: str) -> None:
    async with open_session(door) as (_, client):
        answer = await client.call("add", {"a": 1, "b": 1})
        await answer.messages()
        (session,) = client.http.running.sessions  # type: ignore[union-attr]
        store = session.event_log.store  # type: ignore[attr-defined]
        assert len(store) == 1
        await client.delete()
        await settled()
        assert len(store) == 0
        assert (await client.get(answer.last_id)).status == 404


# --- what time does ---------------------------------------------------------------------


@pytest.mark.parametrize("accept", [None, "application/json"])
async def test_a_request_whose_client_stays_away_is_cancelled(
    door: str, autojump_clock: MockClock, accept: str | None
) -> None:
    async with open_session(door, limits={"detached": 100, "keep_alive": 10}) as (shop, client):
        answer = await client.call("hold", {"name": "it"}, fields={"accept": accept} if accept else None)
        await shop.begun("it")
        await answer.drop()
        await trio.sleep(95)
        assert shop.ended == {}
        await trio.sleep(20)
        assert shop.ended == {"it": "connection_lost"}


@versions
async def test_a_stream_that_was_cancelled_is_not_resumed(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        last = await interrupted(client)
        assert (await client.notify("notifications/cancelled", {"requestId": 1})).status == 202
        assert await shop.is_over("it") == "cancelled"
        again = await client.get(last)
        if again.status == 200:  # with the events that were sent meanwhile
            await again.ended()
            again = await client.get(again.last_id)
        assert again.status == 405
        assert again.fields["allow"] == "POST, DELETE"
        assert "cancelled" in (await again.error())["message"]
        assert (await client.get()).status == 200  # the session has GET streams as before


async def test_a_cancelled_stream_without_a_message_is_not_resumed(door: str) -> None:
    async with open_session(door) as (_, client):
        answer = await client.call("hold", {"name": "it"}, id=1)
        id = await answer.first_id()
        assert (await client.notify("notifications/cancelled", {"requestId": 1})).status == 202
        assert await answer.messages() == []
        assert answer.is_complete
        for _ in range(2):
            assert (await client.get(id)).status == 405


async def test_a_client_that_comes_back_in_time_begins_its_time_anew(door: str, autojump_clock: MockClock) -> None:
    async with open_session(door, limits={"detached": 100, "keep_alive": 10}) as (shop, client):
        answer = await client.call("hold", {"name": "it"})
        id = await answer.first_id()
        for _ in range(3):
            await answer.drop()
            await trio.sleep(80)
            answer = await client.get(id)
            await trio.sleep(200)
        shop.open("it")
        assert await answer.text() == "it"


async def test_a_quiet_stream_of_a_post_is_kept_alive(door: str, autojump_clock: MockClock) -> None:
    async with open_session(door, limits={"keep_alive": 10}) as (shop, client):
        answer, standing = await client.call("hold", {"name": "it"}), await client.get()
        await trio.sleep(65)
        for stream in (answer, standing):
            assert await stream.arrived() == []
            assert 4 <= stream.comments <= 7
        shop.open("it")
        assert await answer.text() == "it"


# --- polling ----------------------------------------------------------------------------


async def test_a_tool_may_let_go_of_its_connection_and_the_client_polls(door: str) -> None:
    async with open_session(door) as (shop, client):
        answer = await client.call("leave", {"name": "it"}, id="x")
        assert await answer.messages() == []
        assert answer.is_complete
        assert answer.retry == 2500
        assert shop.ended == {}
        again = await client.get(answer.last_id)
        shop.open("it")
        message = await again.answer()
        assert (message["id"], message["result"]["content"][0]["text"]) == ("x", "released: True")


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18"])
async def test_before_2025_11_25_a_connection_is_not_let_go(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        shop.open("it")
        assert await (await client.call("leave", {"name": "it"})).text() == "released: False"


async def test_a_question_waits_for_a_client_that_comes_back(door: str) -> None:
    async with open_session(door, capabilities={"sampling": {}}) as (_, client):
        answer = await client.call("think", {"text": "Well?"})
        id = await answer.first_id()
        await answer.drop()
        await settled()
        again = await client.get(id)
        question = await again.message()
        await client.respond(question["id"], HEARD)
        assert await again.text() == "well"
