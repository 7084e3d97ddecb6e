"""Middleware: around every request that takes work, outermost first."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import ERAS, cancelled, served
from trimcp.types import CallToolResult, TextContent


def make_server() -> trimcp.Server:
    server = trimcp.Server("a")

    @server.tool
    async def double(a: int) -> int:
        return 2 * a

    @server.tool
    async def wait() -> None:
        await trio.sleep_forever()

    return server


@pytest.mark.parametrize("version", ERAS)
async def test_the_first_declared_is_the_outermost(version: str, autojump_clock: MockClock) -> None:
    server = make_server()
    happened: list[str] = []

    def layer(name: str) -> None:
        @server.middleware
        async def note(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
            happened.append(f"{name} in {ctx.method}")
            try:
                return await proceed(params)
            finally:
                happened.append(f"{name} out")

    layer("one")
    layer("two")
    async with served(server, version) as peer:
        await peer.ask(peer.call(1, "double", {"a": 1}))
        assert happened == ["one in tools/call", "two in tools/call", "two out", "one out"]
        happened.clear()
        await peer.ask(peer.request(2, "tools/list"))
        assert happened[0] == "one in tools/list"
        happened.clear()
        # What is answered at once takes no work, and nothing is around it.
        await peer.ask(peer.request(3, "ping" if version != ERAS[1] else "server/discover"))
        assert happened == []


async def test_it_may_change_params_and_result_or_answer_by_itself(autojump_clock: MockClock) -> None:
    server = make_server()

    @server.middleware
    async def meddle(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        if ctx.method != "tools/call":
            return await proceed(params)
        if params.arguments["a"] == 0:
            return CallToolResult([TextContent("nothing to do")], {"result": 0})
        params.arguments = {"a": params.arguments["a"] + 1}
        result = await proceed(params)
        result.content.append(TextContent("seen"))
        return result

    async with trimcp.connect(server) as client:
        assert (await client.call_tool("double", {"a": 5})).text == "12\nseen"
        assert (await client.call_tool("double", {"a": 0})).text == "nothing to do"


@pytest.mark.parametrize("version", ERAS)
async def test_what_it_raises_is_answered_as_if_the_handler_had(version: str, autojump_clock: MockClock) -> None:
    server = make_server()

    @server.middleware
    async def guard(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        if ctx.method == "tools/list":
            raise trimcp.RequestFailed(-7, "not for you", {"why": "x"})
        if params.arguments["a"] == 1:
            raise ValueError("secret")
        if params.arguments["a"] == 2:
            return "no result at all"
        return await proceed(params)

    async with served(server, version) as peer:
        answer = await peer.ask(peer.request(1, "tools/list"))
        assert answer["error"] == {"code": -7, "message": "not for you", "data": {"why": "x"}}
        for a in (1, 2):
            answer = await peer.ask(peer.call(a, "double", {"a": a}))
            assert answer["error"] == {"code": -32603, "message": "Internal error"}
        assert "result" in await peer.ask(peer.call(3, "double", {"a": 3}))


async def test_it_sees_cancels_and_may_not_answer_them(autojump_clock: MockClock) -> None:
    server = make_server()
    reasons: list[Any] = []

    @server.middleware
    async def swallow(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        try:
            return await proceed(params)
        finally:
            reasons.append(ctx.cancel_reason)

    async with served(server) as peer:
        await peer.send(peer.call(1, "wait"))
        await trio.sleep(1)
        await peer.send(cancelled(1))
        assert await peer.settled() == []
        assert reasons == [trimcp.CancelReason.CANCELLED]


async def test_it_may_ask_for_the_answer_twice(autojump_clock: MockClock) -> None:
    server = make_server()

    @server.middleware
    async def again(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        await proceed(params)
        return await proceed(params)

    async with trimcp.connect(server) as client:
        assert (await client.call_tool("double", {"a": 4})).text == "8"
