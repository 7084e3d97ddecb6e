"""Batches: 2025-03-26 has them, and no other revision."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.clients import BUSY, Modern, notification, open_session, request, response
from tests.http.raw import serving
from tests.http.wires import settled
from tests.http.workshop import Workshop

BATCHES = "2025-03-26"


def call(id: Any, tool: str, **arguments: Any) -> dict[str, Any]:
    """A call of a tool."""
    return request(id, "tools/call", {"name": tool, "arguments": arguments})


async def test_each_request_of_a_batch_is_answered_on_its_stream(door: str) -> None:
    async with open_session(door, BATCHES) as (shop, client):
        answer = await client.post(
            [
                call(1, "hold", name="slow"),
                notification("notifications/made_up"),
                call("two", "add", a=1, b=1),
                request(3, "ping"),
                request(4, "tools/juggle"),
            ]
        )
        found = {message["id"]: message for message in [await answer.message() for _ in range(3)]}
        assert found["two"]["result"]["content"][0]["text"] == "2"
        assert found[3]["result"] == {}
        assert found[4]["error"]["code"] == -32601
        assert not answer.is_over
        shop.open("slow")
        (last,) = await answer.messages()
        assert last["id"] == 1
        assert answer.is_complete


async def test_members_that_are_no_messages_are_answered_too(door: str) -> None:
    async with open_session(door, BATCHES) as (_, client):
        answer = await client.post(
            [
                5,
                {"jsonrpc": "2.0", "id": 1},
                {"jsonrpc": "1.0", "id": 2, "method": "ping"},
                {"jsonrpc": "2.0", "id": None, "method": "ping"},
                {"jsonrpc": "2.0", "id": 3, "method": "ping", "result": {}},
                request(4, "initialize", {}),
                {"jsonrpc": "2.0", "id": 5, "result": 5},
                request(6, "ping"),
            ]
        )
        messages = await answer.messages()
        assert [m.get("error", {}).get("code") for m in messages if m["id"] is None] == [-32600, -32600]
        codes = {m["id"]: m.get("error", {}).get("code") for m in messages if m["id"] is not None}
        assert codes.pop(3) in (None, -32600)
        assert codes == {1: -32600, 2: -32600, 4: -32600, 6: None}


async def test_a_batch_that_asks_nothing_is_accepted(door: str) -> None:
    async with open_session(door, BATCHES) as (_, client):
        answer = await (await client.post([notification("notifications/made_up"), response(9, {})])).ended()
        assert (answer.status, answer.body) == (202, b"")


async def test_answers_to_questions_may_come_in_a_batch(door: str) -> None:
    async with open_session(door, BATCHES, {"sampling": {}}) as (_, client):
        answer = await client.post([call(1, "think", text="a"), call(2, "think", text="b")])
        questions = [await answer.message() for _ in range(2)]
        heard = {"role": "assistant", "content": {"type": "text", "text": "well"}, "model": "m"}
        posted = await client.post([response(question["id"], heard) for question in questions])
        assert (await posted.begun()).status == 202
        assert sorted(m["id"] for m in await answer.messages()) == [1, 2]


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
async def test_other_revisions_have_none(door: str, version: str) -> None:
    async with open_session(door, version) as (_, client):
        answer = await (await client.post([request(1, "ping")])).begun()
        assert answer.status == 400
        assert (await answer.error())["code"] == -32600


async def test_an_empty_batch_and_one_that_is_too_long_are_refused(door: str) -> None:
    async with open_session(door, BATCHES, limits={"batch_length": 3}) as (_, client):
        for batch in ([], [request(number, "ping") for number in range(4)]):
            assert (await (await client.post(batch)).begun()).status == 400


async def test_a_batch_of_modern_messages_is_refused(door: str) -> None:
    async with open_session(door, BATCHES) as (_, client):
        answer = await (await client.post([Modern(client.http).request(1, "tools/list")])).begun()
        assert answer.status == 400


async def test_a_batch_before_a_session_is_refused(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await http.ask("POST", body=[request(1, "initialize", {})])
        assert answer.status == 400


async def test_a_batch_for_a_client_that_takes_only_json_is_406(door: str) -> None:
    async with open_session(door, BATCHES) as (_, client):
        answer = await client.post([request(1, "ping")], fields={"accept": "application/json"})
        assert (await answer.begun()).status == 406


async def test_a_batch_whose_connection_is_lost_is_resumed(door: str) -> None:
    async with open_session(door, BATCHES) as (shop, client):
        answer = await client.post([call(1, "add", a=1, b=1), call(2, "hold", name="it")])
        event = await answer.event()
        assert event is not None
        await answer.drop()
        await settled()
        shop.open("it")
        await settled()
        (message,) = await (await client.get(event.id.decode())).messages()
        assert message["id"] == 2


async def test_members_that_are_cancelled_are_left_out(door: str) -> None:
    async with open_session(door, BATCHES) as (shop, client):
        answer = await client.post([call(1, "hold", name="one"), call(2, "hold", name="two")])
        await shop.begun("two")
        await client.notify("notifications/cancelled", {"requestId": 1})
        await client.notify("notifications/cancelled", {"requestId": 2})
        assert await answer.messages() == []
        assert answer.is_complete


async def test_two_members_with_one_id_are_answered_once(door: str) -> None:
    async with open_session(door, BATCHES) as (_, client):
        answer = await client.post([call(1, "add", a=1, b=1), call(1, "add", a=2, b=2), call("1", "add", a=3, b=3)])
        found = {message["id"]: message["result"]["content"][0]["text"] for message in await answer.messages()}
        assert found == {1: "2", "1": "6"}
        assert answer.is_complete


async def test_only_so_many_batches_are_under_way(door: str) -> None:
    async with open_session(door, BATCHES, limits={"batches": 2}) as (shop, client):
        answers = [await client.post([call(1, "hold", name=str(number))]) for number in range(2)]
        await shop.begun("0")
        await shop.begun("1")
        refused = await (await client.post([request(1, "ping")])).begun()
        assert refused.status == 503
        assert (await refused.error())["code"] == BUSY
        # One that asks nothing, and a request that is none, are taken.
        assert (await (await client.post([notification("notifications/made_up")])).begun()).status == 202
        assert (await (await client.ask("ping")).answer())["result"] == {}
        for number, answer in enumerate(answers):
            shop.open(str(number))
            await answer.messages()
        assert (await (await client.post([request(1, "ping")])).begun()).status == 200


async def test_the_answers_to_a_batch_that_wait_have_a_bound_together(door: str) -> None:
    async with open_session(door, BATCHES, limits={"result_bytes": 100_000}) as (_, client):
        batch = [call(number, "big", bytes=60_000) for number in range(20)]
        answer = await client.post(batch, on=client.http.connect(capacity=1000))
        await settled()
        messages = await answer.messages()
        assert sorted(m["id"] for m in messages) == list(range(20))
        failed = [m["error"]["code"] for m in messages if "error" in m]
        assert set(failed) == {-32603}
        assert len(failed) >= 10
