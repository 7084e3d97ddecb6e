"""Requests of 2026-07-28 over HTTP: each stands for itself, in its head and in its body."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import HINTS, MODERN, modern, quiet_stream, text, until_gone
from tests.http.client.scripted import Answer, Ask, scripted
from trimcp.errors import RequestFailed, UsageError
from trimcp.types.elicitation import ElicitRequestFormParams

PREFIX = "io.modelcontextprotocol/"
TOOL = {
    "name": "query",
    "inputSchema": {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
            "text": {"type": "string"},
        },
    },
}


def encoded(value: str) -> str:
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


async def test_head_and_body_of_every_request_say_the_same(carrier: str) -> None:
    on: dict[str, Any] = {
        "resources/list": {**HINTS, "resources": []},
        "resources/read": {**HINTS, "contents": []},
        "prompts/get": {**HINTS, "messages": []},
    }
    async with scripted(modern(on), carrier) as server, trimcp.connect(server.url, name="me", version="7") as client:
        await client.list_tools()
        await client.call_tool("add", {"a": 1})
        await client.list_resources()
        await client.read_resource("file:///a%20b")
        await client.get_prompt("greet")
    assert len(server.asks) == 6
    for ask in server.asks:
        meta = ask.params["_meta"]
        assert ask.fields["mcp-protocol-version"] == meta[PREFIX + "protocolVersion"] == MODERN
        assert meta[PREFIX + "clientInfo"] == {"name": "me", "version": "7"}
        assert meta[PREFIX + "clientCapabilities"] == {}
        assert ask.fields["mcp-method"] == ask.method
        assert ask.fields["accept"] == "application/json, text/event-stream"
        assert "mcp-session-id" not in ask.fields
    names = {ask.method: ask.fields.get("mcp-name") for ask in server.asks}
    assert names["tools/call"] == "add"
    assert names["resources/read"] == "file:///a%20b"
    assert names["prompts/get"] == "greet"
    assert names["tools/list"] is None


async def test_names_that_a_header_cannot_carry_are_encoded(carrier: str) -> None:
    async with scripted(modern(), carrier) as server, trimcp.connect(server.url) as client:
        for name in ("größe", " padded ", "a\nb", "=?base64?x?="):
            await client.call_tool(name)
    assert [ask.fields["mcp-name"] for ask in server.asked("tools/call")] == [
        encoded(name) for name in ("größe", " padded ", "a\nb", "=?base64?x?=")
    ]


async def test_marked_arguments_go_into_the_head_as_well(carrier: str) -> None:
    async with (
        scripted(modern({"tools/list": {**HINTS, "tools": [TOOL]}}), carrier) as server,
        trimcp.connect(server.url) as client,
    ):
        await client.list_tools()
        await client.call_tool("query", {"region": "us west", "count": 42, "dry": False, "text": "no"})
        await client.call_tool("query", {"region": "Köln", "count": None})
    first, second = server.asked("tools/call")
    assert {name: value for name, value in first.fields.items() if name.startswith("mcp-param")} == {
        "mcp-param-region": "us west",
        "mcp-param-count": "42",
        "mcp-param-dry": "false",
    }
    assert {name: value for name, value in second.fields.items() if name.startswith("mcp-param")} == {
        "mcp-param-region": encoded("Köln")
    }


async def test_a_call_refused_for_its_head_is_made_again_with_what_the_list_says(carrier: str) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        if "mcp-param-region" in ask.fields:
            await answer.result(text("done"))
        else:
            await answer.error(-32020, "Header mismatch", 400)

    async with (
        scripted(modern({"tools/list": {**HINTS, "tools": [TOOL]}, "tools/call": call}), carrier) as server,
        trimcp.connect(server.url) as client,
    ):
        assert (await client.call_tool("query", {"region": "us"})).text == "done"
    assert server.methods == ["server/discover", "tools/call", "tools/list", "tools/call"]


async def test_a_call_refused_for_its_head_twice_fails() -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.error(-32020, "Header mismatch", 400)

    async with scripted(modern({"tools/call": call})) as server, trimcp.connect(server.url) as client:
        with pytest.raises(RequestFailed, match="Header mismatch"):
            await client.call_tool("query", {"region": "us"})
    assert server.methods.count("tools/call") == 2


async def test_a_tool_that_is_declared_wrongly_is_left_out_and_the_others_stay(logged: Any) -> None:
    wrong = {"name": "bad", "inputSchema": {"type": "object", "properties": {"x": {"x-mcp-header": "a b"}}}}
    async with (
        scripted(modern({"tools/list": {**HINTS, "tools": [wrong, TOOL]}})) as server,
        trimcp.connect(server.url) as client,
    ):
        assert [tool.name for tool in await client.list_tools()] == ["query"]


async def test_an_argument_that_no_header_can_carry_fails_its_call_alone() -> None:
    async with (
        scripted(modern({"tools/list": {**HINTS, "tools": [TOOL]}})) as server,
        trimcp.connect(server.url) as client,
    ):
        await client.list_tools()
        with pytest.raises(UsageError, match="integers"):
            await client.call_tool("query", {"count": 2**60})
        assert (await client.call_tool("query", {"count": 1})).text == "done"
        assert client.session.snapshot().calls == 0


async def test_the_trace_of_the_program_goes_with_its_requests(carrier: str) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with scripted(modern(), carrier) as server, trimcp.connect(server.url) as client:
        await client.call_tool("x", meta={"traceparent": parent, "tracestate": "a=1"})
    ask = server.asked("tools/call")[0]
    assert ask.params["_meta"]["traceparent"] == parent
    assert (ask.fields["traceparent"], ask.fields["tracestate"]) == (parent, "a=1")


async def test_answers_come_as_json_or_as_a_stream(carrier: str) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        if ask.params["name"] == "json":
            await answer.result(text("json"))
        else:
            await answer.stream()
            await answer.piece(b": nothing\n\n")
            await answer.result_event(text("stream"))

    async with scripted(modern({"tools/call": call}), carrier) as server, trimcp.connect(server.url) as client:
        assert (await client.call_tool("json")).text == "json"
        assert (await client.call_tool("stream")).text == "stream"


async def test_progress_is_told_in_order_and_before_the_result(carrier: str) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        token = ask.params["_meta"]["progressToken"]
        for progress in (1, 2, 3):
            await answer.notice("notifications/progress", {"progressToken": token, "progress": progress})
        await answer.result_event(text("done"))

    told: list[Any] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        await trio.lowlevel.checkpoint()
        told.append(progress)

    async with scripted(modern({"tools/call": call}), carrier) as server, trimcp.connect(server.url) as client:
        told.append((await client.call_tool("x", on_progress=on_progress)).text)
    assert told == [1, 2, 3, "done"]


async def test_a_server_that_does_not_end_its_stream_behind_the_answer_holds_nobody_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.result_event(text("done"))
        await ask.gone.wait()

    async with scripted(modern({"tools/call": call})) as server, trimcp.connect(server.url) as client:
        began = trio.current_time()
        assert (await client.call_tool("x")).text == "done"
        assert trio.current_time() == began
        await server.asked("tools/call")[0].gone.wait()
        assert trio.current_time() - began <= 2


# --- several rounds -------------------------------------------------------------------


async def test_questions_of_the_server_are_answered_by_another_request(carrier: str) -> None:
    question = {
        "method": "elicitation/create",
        "params": {
            "mode": "form",
            "message": "Sure?",
            "requestedSchema": {"type": "object", "properties": {"ok": {"type": "boolean"}}},
        },
    }

    async def call(ask: Ask, answer: Answer) -> None:
        if "inputResponses" not in ask.params:
            await answer.result({"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s"})
        else:
            assert ask.params["requestState"] == "s"
            await answer.result(text(str(ask.params["inputResponses"]["q"]["content"])))

    async def elicitation(form: ElicitRequestFormParams) -> dict[str, Any]:
        return {"ok": True}

    async with (
        scripted(modern({"tools/call": call}), carrier) as server,
        trimcp.connect(server.url, elicitation=elicitation) as client,
    ):
        assert (await client.call_tool("x", {"a": 1})).text == "{'ok': True}"
    first, second = server.asked("tools/call")
    assert first.id != second.id
    assert first.params["arguments"] == second.params["arguments"] == {"a": 1}
    assert first.fields["mcp-name"] == second.fields["mcp-name"] == "x"


async def test_a_request_of_the_servers_on_a_stream_is_not_answered(logged: Any) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.event({"jsonrpc": "2.0", "id": 7, "method": "ping"})
        await answer.event({"jsonrpc": "2.0", "id": 8, "method": "roots/list"})
        await answer.result_event(text("done"))

    async with scripted(modern({"tools/call": call})) as server, trimcp.connect(server.url, roots=[]) as client:
        assert (await client.call_tool("x")).text == "done"
        await client.list_tools()
    assert "answer" not in server.methods


# --- cancelling -----------------------------------------------------------------------


@pytest.mark.parametrize("answered", [until_gone, quiet_stream])
async def test_cancelling_a_call_closes_its_response_and_says_nothing(answered: Any, carrier: str) -> None:
    async with scripted(modern({"tools/call": answered}), carrier) as server, trimcp.connect(server.url) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "slow")
            call = await server.was_asked("tools/call")
            nursery.cancel_scope.cancel()
        await call.gone.wait()
        assert await client.list_tools() == []
    assert "notifications/cancelled" not in server.methods


async def test_leaving_a_listen_closes_its_stream(carrier: str) -> None:
    async with scripted(modern(), carrier) as server, trimcp.connect(server.url) as client:
        async with client.listen(tools=True):
            pass
        await server.asked("subscriptions/listen")[0].gone.wait()
        assert await client.list_tools() == []


async def test_a_call_that_times_out_closes_its_response(autojump_clock: trio.testing.MockClock) -> None:
    async with scripted(modern({"tools/call": until_gone})) as server, trimcp.connect(server.url) as client:
        with pytest.raises(trimcp.RequestTimedOut):
            await client.call_tool("slow", timeout=5)
        await server.asked("tools/call")[0].gone.wait()
        assert await client.list_tools() == []


async def test_leaving_the_client_does_not_wait_for_open_streams(carrier: str) -> None:
    async with scripted(modern({"tools/call": quiet_stream}), carrier) as server:
        async with trimcp.connect(server.url) as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "slow")
            nursery.start_soon(client.list_tools)
            await server.was_asked("tools/call")
            nursery.cancel_scope.cancel()
        await server.asked("tools/call")[0].gone.wait()
    assert "DELETE" not in server.methods


# --- kept results ---------------------------------------------------------------------


async def test_a_result_is_kept_as_long_as_the_server_says(autojump_clock: trio.testing.MockClock) -> None:
    tools = {"resultType": "complete", "ttlMs": 5000, "cacheScope": "private", "tools": []}
    async with scripted(modern({"tools/list": tools})) as server, trimcp.connect(server.url) as client:
        for _ in range(3):
            await client.list_tools()
        assert server.methods.count("tools/list") == 1
        await client.list_tools(fresh=True)
        assert server.methods.count("tools/list") == 2
        await trio.sleep(6)
        await client.list_tools()
        assert server.methods.count("tools/list") == 3


async def test_tools_that_are_gone_are_not_kept_in_mind() -> None:
    count = 0

    async def listing(ask: Ask, answer: Answer) -> None:
        nonlocal count
        count += 1
        schema = {"type": "object", "properties": {"r": {"type": "string", "x-mcp-header": "Region"}}}
        await answer.result({**HINTS, "tools": [{"name": f"t{count}", "inputSchema": schema}]})

    async with scripted(modern({"tools/list": listing})) as server, trimcp.connect(server.url) as client:
        for _ in range(20):
            await client.list_tools(fresh=True)
        session: Any = client.session
        assert list(session.tool_headers.known) == ["t20"]
