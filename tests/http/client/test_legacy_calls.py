"""Calls in a legacy session over HTTP: how they are cancelled, and what the server asks meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import Legacy, quiet_stream, text, until_gone
from tests.http.client.scripted import Answer, Ask, scripted
from trimcp.errors import RequestFailed

VERSION = "2025-11-25"


# --- cancelling -----------------------------------------------------------------------


@pytest.mark.parametrize("answered", [until_gone, quiet_stream])
async def test_cancelling_a_call_says_so_and_drops_its_stream(answered: Any, carrier: str) -> None:
    async with (
        scripted(Legacy({"tools/call": answered}), carrier) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "slow")
            call = await server.was_asked("tools/call")
            nursery.cancel_scope.cancel()
        said = await server.was_asked("notifications/cancelled")
        assert said.params["requestId"] == call.id
        await call.gone.wait()
        assert await client.list_tools() == []


async def test_a_call_that_times_out_is_cancelled_and_others_go_on(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        scripted(Legacy({"tools/call": quiet_stream})) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
    ):
        with pytest.raises(trimcp.RequestTimedOut):
            await client.call_tool("slow", timeout=5)
        await (await server.was_asked("tools/call")).gone.wait()
        await server.was_asked("notifications/cancelled")
        assert await client.list_tools() == []


async def test_an_initialize_that_is_given_up_is_not_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    async def serve(ask: Ask, answer: Answer) -> None:
        await until_gone(ask, answer)

    async with scripted(serve) as server:
        with trio.move_on_after(3):
            async with trimcp.connect(server.url, revision=VERSION):
                raise AssertionError
        with pytest.raises(trimcp.SessionFailed, match="did not answer initialize within"):
            async with trimcp.connect(server.url, revision=VERSION):
                raise AssertionError
        assert set(server.methods) == {"initialize"}


async def test_a_request_refused_with_an_error_is_no_loss(carrier: str) -> None:
    async def refuse(ask: Ask, answer: Answer) -> None:
        await answer.error(-32602, "not so", 400)

    async with (
        scripted(Legacy({"tools/call": refuse}), carrier) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
    ):
        with pytest.raises(RequestFailed, match="not so"):
            await client.call_tool("x")
        assert await client.list_tools() == []


# --- what the server asks -------------------------------------------------------------


async def test_what_a_server_asks_inside_a_call_is_answered_by_a_post_of_its_own(carrier: str) -> None:
    answered = trio.Event()

    async def call(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        params = {"messages": [{"role": "user", "content": {"type": "text", "text": "?"}}], "maxTokens": 9}
        await answer.event({"jsonrpc": "2.0", "id": "q-1", "method": "sampling/createMessage", "params": params})
        await answered.wait()
        await answer.result_event(text("done"))

    async def take(ask: Ask, answer: Answer) -> None:
        await answer.whole(202)
        answered.set()

    async def think(params: Any) -> str:
        return "42"

    async with (
        scripted(Legacy({"tools/call": call, "answer": take}), carrier) as server,
        trimcp.connect(server.url, revision=VERSION, sampling=think) as client,
    ):
        assert (await client.call_tool("x")).text == "done"
    said = server.asked("answer")[0]
    assert said.message["id"] == "q-1"
    assert said.message["result"]["content"] == {"type": "text", "text": "42"}
    assert said.fields["mcp-session-id"] == "s-1"


async def test_what_a_server_asks_on_the_standing_stream_is_answered(carrier: str) -> None:
    async def standing(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.event({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        await ask.gone.wait()

    async with scripted(Legacy(standing=standing), carrier) as server, trimcp.connect(server.url, revision=VERSION):
        assert (await server.was_asked("answer")).message == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_an_answer_that_the_server_never_takes_holds_up_the_next_ones_for_a_while_only(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        scripted(Legacy({"notifications/a": until_gone})) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
    ):
        client.notify("notifications/a")
        client.notify("notifications/b")
        with trio.fail_after(60):
            await server.was_asked("notifications/b")


async def test_a_batch_of_2025_03_26_in_an_event_is_taken_apart() -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        notice = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        await answer.event([notice, {"jsonrpc": "2.0", "id": ask.id, "result": text("done")}])

    async with (
        scripted(Legacy({"tools/call": call}, version="2025-03-26")) as server,
        trimcp.connect(server.url, revision="2025-03-26") as client,
        client.notices() as notices,
    ):
        assert (await client.call_tool("x")).text == "done"
        assert await anext(notices) == trimcp.ToolsChanged()
