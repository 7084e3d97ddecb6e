"""Requests of 2026-07-28 over HTTP: each a POST that stands alone (basic/transports/streamable-http)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.http.clients import MODERN, PREFIX, Legacy, Modern, notification, request, response
from tests.http.raw import serving
from tests.http.wires import settled
from tests.http.workshop import Workshop, by_name

LOGS = {PREFIX + "logLevel": "info"}


async def test_an_answer_that_nothing_precedes_is_json(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("add", {"a": 1, "b": 2}, id="first")
        body = await answer.json()
    assert answer.status == 200
    assert (body["id"], body["result"]["structuredContent"]) == ("first", {"result": 3})
    assert "mcp-session-id" not in answer.fields


async def test_progress_and_logs_before_the_answer_make_a_stream(door: str) -> None:
    shop = Workshop()
    shop.open("it")
    async with serving(door, shop.server) as http:
        answer = await Modern(http).call("talk", {"name": "it"}, id=7, progressToken="p", **LOGS)
        messages = await answer.messages()
    assert answer.status == 200
    assert answer.fields["x-accel-buffering"] == "no"
    assert "no-transform" in answer.fields["cache-control"]
    assert [m.get("method") for m in messages] == [
        "notifications/progress",
        "notifications/message",
        "notifications/progress",
        None,
    ]
    assert {m["params"]["progressToken"] for m in messages if "progress" in m.get("method", "")} == {"p"}
    assert messages[-1]["id"] == 7
    assert answer.is_complete
    assert answer.last_id == ""


async def test_what_precedes_an_answer_does_not_wait_for_it(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        answer = await Modern(http).call("talk", {"name": "it"}, progressToken="p")
        assert (await answer.message())["params"]["progress"] == 1
        shop.open("it")
        assert (await answer.message())["params"]["progress"] == 2
        assert await answer.text() == "it is done"


async def test_a_client_that_takes_only_streams_gets_one(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("add", {"a": 1, "b": 2}, fields={"Accept": "text/event-stream"})
        (message,) = await answer.messages()
    assert message["result"]["structuredContent"] == {"result": 3}


async def test_a_client_that_takes_only_json_gets_the_answer_alone(door: str) -> None:
    shop = Workshop()
    shop.open("it")
    async with serving(door, shop.server) as http:
        only = {"Accept": "application/json"}
        answer = await Modern(http).call("talk", {"name": "it"}, progressToken="p", fields=only, **LOGS)
        body = await answer.json()
    assert body["result"]["content"][0]["text"] == "it is done"


async def test_a_client_that_takes_only_json_cannot_listen(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).listen(toolsListChanged=True, fields={"Accept": "application/json"})
        assert answer.status == 406
        assert "event-stream" in (await answer.error())["message"]


async def test_an_answer_that_is_long_in_coming_becomes_a_stream_that_is_kept_alive(
    door: str, autojump_clock: MockClock
) -> None:
    shop = Workshop(limits={"keep_alive": 10})
    async with serving(door, shop.server) as http:
        answer = await Modern(http).call("hold", {"name": "it"})
        await trio.sleep(55)
        assert await answer.arrived() == []
        assert answer.is_stream
        assert 2 <= answer.comments <= 5
        shop.open("it")
        assert await answer.text() == "it"


async def test_a_stream_on_which_something_moves_needs_no_comments(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop(limits={"keep_alive": 10})
    async with serving(door, shop.server) as http:
        answer = await Modern(http).call("talk", {"name": "it"}, progressToken="p")
        await trio.sleep(12)
        shop.open("it")
        await answer.messages()
        assert answer.comments <= 1


# --- errors ---------------------------------------------------------------------------


async def test_an_unknown_method_is_404_with_the_id(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).ask("tools/juggle", id="x")
        body = await answer.json()
    assert answer.status == 404
    assert (body["id"], body["error"]["code"]) == ("x", -32601)


@pytest.mark.parametrize("method", ["ping", "resources/subscribe", "logging/setLevel", "tasks/list"])
async def test_a_method_of_other_revisions_is_404(door: str, method: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).ask(method, {"uri": "mem://motd", "level": "info"})
        assert (await answer.error())["code"] == -32601
        assert answer.status == 404


async def test_an_unknown_version_is_400_with_those_that_are_supported(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        stamp = {PREFIX + "protocolVersion": "2099-01-01"}
        answer = await Modern(http).ask("tools/list", fields={"MCP-Protocol-Version": "2099-01-01"}, id=3, **stamp)
        body = await answer.json()
    assert answer.status == 400
    assert (body["id"], body["error"]["code"]) == (3, -32022)
    assert body["error"]["data"] == {"supported": [MODERN], "requested": "2099-01-01"}


async def test_a_capability_that_is_missing_is_400(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("ask")
        error = await answer.error()
    assert answer.status == 400
    assert error["code"] == -32021
    assert "elicitation" in error["data"]["requiredCapabilities"]


@pytest.mark.parametrize(
    "wrong",
    [
        {PREFIX + "clientCapabilities": None},
        {PREFIX + "clientCapabilities": {"roots": 5}},
        {PREFIX + "clientInfo": {"name": 5}},
        {PREFIX + "logLevel": "loud"},
        {PREFIX + "protocolVersion": 5},
    ],
)
async def test_metadata_that_does_not_fit_is_400(door: str, wrong: dict[str, Any]) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("add", {"a": 1, "b": 2}, id=9, **wrong)
        body = await answer.json()
    assert answer.status == 400
    assert (body["id"], body["error"]["code"]) == (9, -32602)


async def test_a_version_in_the_head_alone_asks_for_the_metadata(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        fields = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
        answer = await http.ask("POST", body=request(1, "tools/list"), fields=fields)
        assert (await answer.error())["code"] == -32602
        assert answer.status == 400


async def test_arguments_that_do_not_fit_are_no_matter_of_http(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).ask("prompts/get", {"name": "greet"})
        assert (await answer.error())["code"] == -32602
        assert answer.status == 200


async def test_notifications_are_accepted_without_a_body(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        message = notification(
            "notifications/cancelled", {"requestId": 1, "_meta": {PREFIX + "protocolVersion": MODERN}}
        )
        answer = await (await Modern(http).post(message)).ended()
        assert (answer.status, answer.body) == (202, b"")


async def test_a_notification_of_a_cancel_cancels_nothing(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        client = Modern(http)
        answer = await client.call("hold", {"name": "it"}, id=1)
        await shop.begun("it")
        await (await client.post(notification("notifications/cancelled", {"requestId": 1}))).ended()
        await settled()
        shop.open("it")
        assert await answer.text() == "it"


async def test_answers_are_refused(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        fields = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "x"}
        answer = await http.ask("POST", body=response(1, {}), fields=fields)
        assert answer.status == 400
        assert "id" not in await answer.json()


async def test_batches_are_refused(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        client = Modern(http)
        message = client.request(1, "tools/list")
        answer = await http.ask("POST", body=[message], fields=client.fields(message))
        assert answer.status == 400
        assert (await answer.error())["code"] == -32600


async def test_session_ids_and_event_ids_mean_nothing(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        fields = {"Mcp-Session-Id": "nobody", "Last-Event-ID": "x.1.1"}
        answer = await Modern(http).call("add", {"a": 1, "b": 2}, fields=fields)
        await answer.result()
        assert "mcp-session-id" not in answer.fields


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_there_is_neither_get_nor_delete(door: str, method: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await http.ask(method, fields={"MCP-Protocol-Version": MODERN})
        assert answer.status == 405


# --- two at once ----------------------------------------------------------------------


@pytest.mark.parametrize("principal", [None, "ada"])
async def test_two_requests_with_one_id_each_get_their_own_answer(door: str, principal: str | None) -> None:
    shop = Workshop()
    options = {} if principal is None else {"authenticate": by_name}
    async with serving(door, shop.server, **options) as http:
        client = Modern(http, principal=principal)
        first = await client.call("hold", {"name": "first"}, id=1, progressToken=1)
        await shop.begun("first")
        second = await client.call("hold", {"name": "second"}, id=1, progressToken=1)
        await shop.begun("second")
        shop.open("second")
        assert await second.text() == "second"
        shop.open("first")
        assert await first.text() == "first"


async def test_a_connection_serves_one_request_after_the_other(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        wire, client = http.connect(), Modern(http)
        for number in range(5):
            assert await (await client.call("add", {"a": number, "b": 1}, on=wire)).text() == str(number + 1)
        (run,) = http.server.tree()
        assert len(run.callers) == 1
        assert "callers  1 without a session" in str(run)


async def test_a_client_whose_address_nobody_knows_is_served() -> None:
    """As ASGI servers tell of Unix sockets: each request then counts as a connection of its own."""
    shop = Workshop()
    async with serving("asgi", shop.server) as http:
        wire = http.connect()
        wire._client = None  # type: ignore[attr-defined]
        client = Modern(http)
        for number in range(3):
            assert await (await client.call("add", {"a": number, "b": 1}, on=wire)).text() == str(number + 1)
        answer = await client.call("hold", {"name": "it"}, on=wire)
        await shop.begun("it")
        await answer.drop()
        assert await shop.is_over("it") == "connection_lost"
        await settled()
        (run,) = http.server.tree()
        assert run.callers == ()


async def test_both_eras_on_one_connection(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        wire = http.connect()
        legacy = await Legacy.open(http, on=wire)
        assert await (await Modern(http).call("add", {"a": 1, "b": 2}, on=wire)).text() == "3"
        assert await (await legacy.call("add", {"a": 2, "b": 2}, on=wire)).text() == "4"
        # Also with the fields of a session that the client has beside.
        both = {"Mcp-Session-Id": legacy.id}
        assert await (await Modern(http).call("add", {"a": 2, "b": 3}, on=wire, fields=both)).text() == "5"
        (run,) = http.server.tree()
        assert len(run.sessions) == len(run.callers) == 1
