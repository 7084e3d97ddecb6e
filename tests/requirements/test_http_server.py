"""What a server answers over HTTP (basic/transports; basic/transports/streamable-http)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.http.clients import (
    MODERN,
    PREFIX,
    STREAMABLE,
    Legacy,
    Modern,
    initialize,
    notification,
    open_session,
    request,
    response,
)
from tests.http.raw import serving
from tests.http.wires import AsgiAnswer, settled
from tests.http.workshop import Workshop, by_name
from tests.requirements.traffic import everything, use
from tests.requirements.wires import Exchange, over_http
from tests.server.context.people import EVERYTHING, Household

EVERY = (*STREAMABLE, MODERN)
every_revision = pytest.mark.parametrize("version", EVERY)
legacy_revisions = pytest.mark.parametrize("version", STREAMABLE)

CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
ADA = {"action": "accept", "content": {"name": "Ada"}}


async def all_that_passes(version: str) -> list[Exchange]:
    """What passes between a client that uses everything and its server."""
    async with over_http(everything(), version, log_level="debug", **Household().options()) as line:
        async with line.client.listen(tools=True, prompts=True, resources=True, uris=["mem://0"]):
            await use(line.client, version)
            line.http.server.notify_tools_changed()
            line.http.server.notify_resource_updated("mem://0")
            await wait_all_tasks_blocked()
        await trio.sleep(5)
    return line.exchanges


# --- the endpoint ---------------------------------------------------------------------


async def test_one_path_takes_posts_of_every_revision_and_gets_of_those_that_have_them(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        assert await (await Modern(http).call("add", {"a": 1, "b": 2})).text() == "3"
        for version in STREAMABLE:
            client = await Legacy.open(http, version)
            assert await (await client.call("add", {"a": 1, "b": 2})).text() == "3"
            standing = await client.get()
            assert (standing.status, standing.kind) == (200, "text/event-stream")
        assert (await http.ask("GET", fields={"MCP-Protocol-Version": MODERN})).status == 405
    async with serving(door, Workshop(revisions=[MODERN]).server) as http:
        assert (await http.ask("GET", fields={"accept": "text/event-stream"})).status == 405


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "nonsense"])
async def test_nothing_is_done_for_a_page_that_comes_from_elsewhere(door: str, origin: str) -> None:
    async with open_session(door, sse=True) as (shop, client):
        shop.open("it")
        stream = await client.http.ask("GET", "/sse", fields={"accept": "text/event-stream"})
        event = await stream.event()
        assert event is not None
        fields = {"Origin": origin}
        hold = {"name": "hold", "arguments": {"name": "it"}}
        for answer in (
            await client.ask("tools/call", hold, fields=fields),
            await client.post(notification("notifications/initialized"), fields=fields),
            await client.post(response(1, {}), fields=fields),
            await client.get(fields=fields),
            await client.http.send("DELETE", fields=client.fields(fields)),
            await initialize(client.http, fields=fields),
            await Modern(client.http).ask("tools/call", hold, fields=fields),
            await client.http.send("GET", "/sse", fields={**fields, "accept": "text/event-stream"}),
            await client.http.send("POST", event.data.decode(), body=request(1, "tools/call", hold), fields=fields),
        ):
            await answer.ended()
            assert answer.status == 403
        await settled()
        assert shop.began == []
        assert client.http.sessions == 2


# --- what is posted -------------------------------------------------------------------


@every_revision
async def test_whatever_is_posted_gets_the_answer_that_its_kind_has(version: str, autojump_clock: MockClock) -> None:
    kinds = set()
    for exchange in await all_that_passes(version):
        if exchange.verb != "POST" or exchange.status == 0:  # its client did not wait for it
            continue
        if {"id", "method"} <= exchange.message.keys():
            assert exchange.kind in ("application/json", "text/event-stream")
            kinds.add(exchange.kind)
            if exchange.kind == "application/json":
                assert type(json.loads(exchange.answer)) is dict
                (answer,) = exchange.messages
                assert answer["id"] == exchange.message["id"]
        else:
            assert (exchange.status, exchange.answer) == (202, b"")
            assert "content-type" not in exchange.answered
    assert kinds == {"application/json", "text/event-stream"}


@legacy_revisions
async def test_a_notification_or_an_answer_that_cannot_be_taken_gets_an_error_status(door: str, version: str) -> None:
    async with open_session(door, version) as (_, client):
        for message in (notification("notifications/initialized"), response(1, {})):
            for fields, status in (
                ({"Mcp-Session-Id": None, "MCP-Protocol-Version": None}, 400),
                ({"Mcp-Session-Id": "nobody"}, 404),
                ({"MCP-Protocol-Version": "2099-01-01"}, 400),
                ({"content-type": "text/plain"}, 415),
            ):
                answer = await (await client.post(message, fields=fields)).ended()
                assert answer.status == status
                assert "id" not in await answer.json()
        for broken in (
            {"jsonrpc": "2.0", "method": "notifications/initialized", "params": [1]},
            {"jsonrpc": "1.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "result": {}},
            {"jsonrpc": "2.0", "method": 5},
        ):
            answer = await (await client.post(broken)).ended()
            assert answer.status == 400
        assert await (await client.call("add", {"a": 1, "b": 2})).text() == "3"


async def test_a_modern_notification_that_cannot_be_taken_gets_an_error_status(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        fields = {"MCP-Protocol-Version": MODERN}
        for broken in (
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": [1]},
            {"jsonrpc": "2.0", "method": None},
            response(1, {}),
            [notification("notifications/cancelled", {"requestId": 1})],
            5,
        ):
            answer = await http.ask("POST", body=broken, fields=fields)
            assert answer.status == 400
            assert "id" not in await answer.json()


# --- what comes on the stream of a modern request -------------------------------------

LOGS: dict[str, Any] = {PREFIX + "logLevel": "debug"}


async def test_the_stream_of_a_modern_request_carries_what_is_about_it_and_nothing_else(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server, authenticate=by_name) as http:
        client = Modern(http, principal="ada")
        wire = http.connect() if door == "asgi" else None
        listen = await client.listen(id="L", toolsListChanged=True, resourceSubscriptions=["mem://motd"], on=wire)
        calls = {
            name: await client.call("talk", {"name": name}, id=name, progressToken=f"of {name}", on=wire, **LOGS)
            for name in ("one", "two", "three")
        }
        for name in calls:
            await shop.begun(name)
        http.server.notify_tools_changed()
        http.server.notify_resource_updated("mem://motd")
        for name in ("two", "three", "one"):
            shop.open(name)
        for name, answer in calls.items():
            *told, result = await answer.messages()
            assert result["id"] == name
            assert [message["method"] for message in told] == [
                "notifications/progress",
                "notifications/message",
                "notifications/progress",
            ]
            assert {m["params"].get("progressToken", f"of {name}") for m in told} == {f"of {name}"}
            assert told[1]["params"]["data"] == f"{name} begins"
        assert [m["method"] for m in await listen.arrived()][1:] == [CHANGED, UPDATED]


async def test_a_modern_server_makes_no_requests_whatever_it_wants_to_know(autojump_clock: MockClock) -> None:
    methods = set()
    for exchange in await all_that_passes(MODERN):
        for message in exchange.messages:
            assert not {"id", "method"} <= message.keys()
            methods.add(message.get("method"))
    assert {"notifications/progress", "notifications/message", CHANGED} <= methods


async def test_questions_that_follow_other_messages_on_a_stream_are_part_of_its_result(door: str) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def ask(ctx: trimcp.Context) -> str:
        await ctx.progress(1)
        return f"{(await ctx.sample('well?')).text} {len(await ctx.roots())}"

    async with serving(door, server) as http:
        answer = await Modern(http, EVERYTHING).call("ask", progressToken=1)
        progress, result = await answer.messages()
        assert progress["method"] == "notifications/progress"
        assert result["result"]["resultType"] == "input_required"
        assert len(result["result"]["inputRequests"]) == 1


async def test_nothing_more_is_said_of_a_modern_request_whose_stream_was_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late: list[Any] = []
    send = AsgiAnswer._send

    async def watched(self: AsgiAnswer, event: Any) -> None:
        if self._gone:
            late.append(event)
        await send(self, event)

    monkeypatch.setattr(AsgiAnswer, "_send", watched)
    server = trimcp.Server("stubborn")
    ended = trio.Event()

    @server.tool
    async def stubborn(ctx: trimcp.Context) -> None:
        await ctx.progress(1)
        try:
            await trio.sleep_forever()
        finally:
            ctx.log("error", "I was cancelled")
            with trio.CancelScope(shield=True):
                await ctx.progress(2)
                await trio.lowlevel.checkpoint()
            ended.set()

    async with serving("asgi", server) as http:
        wire, client = http.connect(), Modern(http)
        listen = await client.listen(toolsListChanged=True, on=wire)
        await listen.message()
        answer = await client.call("stubborn", id="it", progressToken=1, on=wire, **LOGS)
        await answer.message()
        await answer.drop()
        await ended.wait()
        await settled()
        assert late == []
        assert await listen.arrived() == []
        # Nor does it come on the stream of a request that has the same id.
        again = await client.call("stubborn", id="it", on=wire, **LOGS)
        await settled()
        assert await again.arrived() == []


# --- revisions ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2099-01-01", "2025-11-25", "2024-11-05", "nonsense"])
@pytest.mark.parametrize("revisions", [None, [MODERN]])
async def test_a_modern_request_of_a_revision_that_is_not_spoken_is_told_which_are(
    door: str, version: str, revisions: list[str] | None
) -> None:
    async with serving(door, Workshop(revisions=revisions).server) as http:
        stamp: dict[str, Any] = {PREFIX + "protocolVersion": version}
        answer = await Modern(http).ask("tools/list", id=3, fields={"MCP-Protocol-Version": version}, **stamp)
        body = await answer.json()
        assert answer.status == 400
        assert (body["id"], body["error"]["code"]) == (3, -32022)
        assert MODERN in body["error"]["data"]["supported"]
        assert body["error"]["data"]["requested"] == version


@pytest.mark.parametrize("method", ["tools/list", "ping", "initialize"])
async def test_a_server_without_old_clients_serves_nothing_without_the_header(door: str, method: str) -> None:
    async with serving(door, Workshop(revisions=[MODERN]).server) as http:
        for body in (request(1, method), Modern(http).request(1, method)):
            answer = await http.ask("POST", body=body, fields={"Mcp-Method": method})
            assert answer.status == 400
            assert (await answer.error())["code"] == -32020


@pytest.mark.parametrize("field", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}),
        ("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}}),
        ("resources/read", {"uri": "mem://motd"}),
        ("tools/list", {}),
        ("server/discover", {}),
    ],
)
async def test_a_modern_request_without_a_standard_header_is_refused(
    door: str, field: str, method: str, params: dict[str, Any]
) -> None:
    async with serving(door, Workshop().server) as http:
        for value in (None, "", "other"):
            answer = await (await Modern(http).ask(method, params, fields={field: value})).begun()
            is_needed = field != "Mcp-Name" or method.partition("/")[2] in ("call", "get", "read")
            assert answer.status == (400 if is_needed else 200)
            if is_needed:
                assert (await answer.error())["code"] == -32020


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("wrong", ["2099-01-01", "nonsense", "1"])
async def test_a_header_that_names_no_revision_gets_400_whatever_the_request(
    door: str, version: str, wrong: str
) -> None:
    async with open_session(door, version) as (_, client):
        fields = {"MCP-Protocol-Version": wrong}
        for answer in (
            await client.ask("tools/list", fields=fields),
            await client.post(notification("notifications/initialized"), fields=fields),
            await client.post(response(1, {}), fields=fields),
            await client.get(fields=fields),
            await client.http.send("DELETE", fields=client.fields(fields)),
            await initialize(client.http, version, fields=fields),
        ):
            assert (await answer.ended()).status == 400
        assert await (await client.call("add", {"a": 1, "b": 2})).text() == "3"


# --- HTTP+SSE -------------------------------------------------------------------------


async def test_the_stream_of_http_sse_begins_with_where_to_post_and_the_answers_come_on_it(door: str) -> None:
    async with serving(door, Workshop().server, sse=True) as http:
        stream = await http.ask("GET", "/sse", fields={"accept": "text/event-stream"})
        event = await stream.event()
        assert event is not None
        assert event.event == b"endpoint"
        params = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
        posted = await http.ask("POST", event.data.decode(), body=request(1, "initialize", params))
        assert posted.status == 202
        answer = await stream.message()
        assert (answer["id"], answer["result"]["protocolVersion"]) == (1, "2024-11-05")
