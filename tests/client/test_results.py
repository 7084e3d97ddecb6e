"""What calls of tools return: checked against the schema of the method, of the tool, and of the type asked for."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.test_calls import Outcome, pair
from tests.session.peer import ERAS, MODERN, Peer, error, notification, result
from trimcp import InvalidResult, ToolFailed


@attrs.define
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Place:
    name: str
    point: Point


class Options(TypedDict):
    depth: int


@pytest.mark.parametrize("version", ERAS)
async def test_a_result_becomes_the_type_asked_for(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def place(name: str) -> Place:
        return Place(name, Point(1, 2))

    @server.tool
    async def options() -> Options:
        return {"depth": 5}

    @server.tool
    async def points(n: int) -> list[Point]:
        return [Point(i) for i in range(n)]

    @server.tool
    async def number() -> int:
        return 7

    @server.tool
    async def maybe() -> str | None:
        return None

    @server.tool
    async def plain():  # type: ignore[no-untyped-def]
        return "only text"

    async with trimcp.connect(server, revision=version) as client:
        assert await client.call_tool("place", {"name": "x"}, returns=Place) == Place("x", Point(1, 2))
        assert await client.call_tool("options", returns=Options) == {"depth": 5}
        assert await client.call_tool("points", {"n": 2}, returns=list[Point]) == [Point(0), Point(1)]
        assert await client.call_tool("number", returns=int) == 7
        assert await client.call_tool("maybe", returns=str | None) is None  # type: ignore[call-overload]
        assert await client.call_tool("plain", returns=str) == "only text"
        for name, kind in (("number", str), ("options", Point), ("plain", int), ("points", list[Point])):
            arguments = {"n": 1} if name == "points" else None
            if name == "points":
                kind = list[str]
            with pytest.raises(InvalidResult):
                await client.call_tool(name, arguments, returns=kind)


@pytest.mark.parametrize("version", ERAS)
async def test_a_tool_that_failed_is_a_result_or_an_exception(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def fail() -> int:
        raise trimcp.ToolError("no luck")

    async with trimcp.connect(server, revision=version) as client:
        failed = await client.call_tool("fail")
        assert (failed.is_error, failed.text, failed.has_structured) == (True, "no luck", False)
        with pytest.raises(ToolFailed, match="no luck"):
            failed.raise_for_error()
        with pytest.raises(ToolFailed, match="no luck"):
            await client.call_tool("fail", returns=int)


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"content": "text"},
        {"content": None},
        {"content": [{"type": "text"}]},
        {"content": [{"type": "text", "text": 5}]},
        {"content": [{"type": "hologram"}]},
        {"content": [], "isError": "yes"},
        {"content": [], "_meta": []},
    ],
)
async def test_a_result_that_breaks_its_schema_fails_its_call(
    version: str, answer: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.call_tool, "x")
        await peer.send(result((await peer.receive())["id"], answer))
        failure = (await call.done()).error
        assert isinstance(failure, InvalidResult)
        assert all("@ $" in problem for problem in failure.problems)


@pytest.mark.parametrize("kind", ["surprise", 5, None])
async def test_a_result_type_that_is_not_known_fails_its_call(kind: Any, autojump_clock: MockClock) -> None:
    async with pair() as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.call_tool, "x")
        await peer.send(result((await peer.receive())["id"], {"resultType": kind, "content": []}))
        assert isinstance((await call.done()).error, InvalidResult)


# --- what the tool declared -----------------------------------------------------------


TOOL = {
    "name": "x",
    "inputSchema": {"type": "object"},
    "outputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
}


async def answer_calls(peer: Peer, structured: list[Any], tools: Any) -> int:
    """Answer `tools/call` with one after the other, and `tools/list` as told; return how often that was asked."""
    listed = 0
    while True:
        try:
            asked = await peer.receive()
        except EOFError:
            return listed
        if asked["method"] == "tools/list":
            listed += 1
            if isinstance(tools, int):
                await peer.send(error(asked["id"], tools))
            else:
                await peer.send(result(asked["id"], {"tools": tools, "ttlMs": 0, "cacheScope": "private"}))
        elif asked["method"] == "tools/call":
            value = structured.pop(0)
            await peer.send(
                result(asked["id"], {"content": [], **({} if value is ... else {"structuredContent": value})})
            )


@pytest.mark.parametrize("version", ERAS)
async def test_structured_content_is_checked_against_what_the_tool_declared(
    version: str, autojump_clock: MockClock
) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        server = Outcome(nursery, answer_calls, peer, [{"n": 1}, {"n": "1"}, {}, ...], [TOOL])
        assert (await client.call_tool("x")).structured == {"n": 1}
        for _ in range(3):
            with pytest.raises(InvalidResult, match="x"):
                await client.call_tool("x")
        client.close()
        assert (await server.done()).value == 1  # the list was read once


async def test_a_failing_tool_need_not_keep_to_its_schema(autojump_clock: MockClock) -> None:
    async with pair() as (client, peer), trio.open_nursery() as nursery:
        server = Outcome(nursery, answer_calls, peer, [{"n": 1}], [TOOL])
        await client.call_tool("x")
        server.scope.cancel()
        call = Outcome(nursery, client.call_tool, "x")
        asked = await peer.receive()
        await peer.send(result(asked["id"], {"content": [], "isError": True, "structuredContent": {"why": 1}}))
        assert (await call.done()).value.is_error


@pytest.mark.parametrize("version", ERAS)
async def test_a_list_that_cannot_be_read_loses_no_result(version: str, autojump_clock: MockClock) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        Outcome(nursery, answer_calls, peer, [{"n": "not checked"}], -32603)
        assert (await client.call_tool("x")).structured == {"n": "not checked"}
        client.close()


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("tools", [[TOOL], -32603])
async def test_calls_that_need_the_list_together_read_it_once(
    version: str, tools: Any, autojump_clock: MockClock
) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        calls = [Outcome(nursery, client.call_tool, "x") for _ in range(10)]
        ids = [(await peer.receive())["id"] for _ in calls]
        answer = {"content": [], "structuredContent": {"n": 1}}
        await peer.send(*[result(id, answer) for id in ids])
        await wait_all_tasks_blocked()
        server = Outcome(nursery, answer_calls, peer, [], tools)
        assert [(await call.done()).value.structured for call in calls] == [{"n": 1}] * 10
        client.close()
        assert (await server.done()).value == 1


async def test_a_schema_that_is_none_is_passed_over(autojump_clock: MockClock) -> None:
    tool = {**TOOL, "outputSchema": {"type": "object", "$ref": "http://elsewhere.example/schema"}}
    async with pair() as (client, peer), trio.open_nursery() as nursery:
        Outcome(nursery, answer_calls, peer, [{"n": "x"}], [tool])
        assert (await client.call_tool("x")).structured == {"n": "x"}
        client.close()


async def test_a_schema_of_an_unknown_dialect_is_an_error_that_says_so(autojump_clock: MockClock) -> None:
    tool = {**TOOL, "outputSchema": {"$schema": "https://elsewhere.example/dialect", "type": "object"}}
    async with pair() as (client, peer), trio.open_nursery() as nursery:
        Outcome(nursery, answer_calls, peer, [{"n": "x"}], [tool])
        with pytest.raises(trimcp.InvalidResult, match="dialect is not supported"):
            await client.call_tool("x")
        client.close()


async def test_when_the_list_changes_it_is_read_again(autojump_clock: MockClock) -> None:
    async with pair("2025-11-25") as (client, peer), trio.open_nursery() as nursery:
        server = Outcome(nursery, answer_calls, peer, [{"n": 1}, {"n": 2}, {"n": 3}], [TOOL])
        await client.call_tool("x")
        await client.call_tool("x")
        await peer.send(notification("notifications/tools/list_changed"))
        await trio.sleep(1)
        await client.call_tool("x")
        client.close()
        assert (await server.done()).value == 2


async def test_a_list_that_never_ends_is_refused(autojump_clock: MockClock) -> None:
    async with pair() as (client, peer), trio.open_nursery() as nursery:

        async def endless() -> None:
            n = 0
            while True:
                asked = await peer.receive()
                n += 1
                page = {"tools": [], "nextCursor": str(n), "ttlMs": 0, "cacheScope": "private"}
                await peer.send(result(asked["id"], page))

        nursery.start_soon(endless)
        with pytest.raises(InvalidResult, match="pages"):
            await client.list_tools()
        nursery.cancel_scope.cancel()


async def test_what_a_modern_server_says_in_null_is_no_absence(autojump_clock: MockClock) -> None:
    async with pair(MODERN) as (client, peer), trio.open_nursery() as nursery:
        Outcome(nursery, answer_calls, peer, [None, ...], [{"name": "x", "inputSchema": {"type": "object"}}])
        null = await client.call_tool("x")
        assert (null.has_structured, null.structured) == (True, None)
        absent = await client.call_tool("x")
        assert (absent.has_structured, absent.structured) == (False, None)
        client.close()
