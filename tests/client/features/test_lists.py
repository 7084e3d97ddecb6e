"""Lists have bounds, a list that a server lacks is empty, and a broken item spoils no other."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.client.answering import HINTS, answering
from tests.session.peer import Logged, RawServer, discovered, error, result
from trimcp import InvalidResult, Limits, RequestTimedOut, Timeouts
from trimcp.client.listing import LEFT_OUT, PAGES

LISTS = {
    "tools/list": ("tools", "list_tools"),
    "prompts/list": ("prompts", "list_prompts"),
    "resources/list": ("resources", "list_resources"),
    "resources/templates/list": ("resourceTemplates", "list_resource_templates"),
}
SOUND: dict[str, dict[str, Any]] = {
    "tools/list": {"name": "good", "inputSchema": {"type": "object"}},
    "prompts/list": {"name": "good"},
    "resources/list": {"name": "good", "uri": "x:good"},
    "resources/templates/list": {"name": "good", "uriTemplate": "x:{good}"},
}
BROKEN: dict[str, dict[str, Any]] = {
    "tools/list": {"name": "bad", "inputSchema": {"type": "string"}},
    "prompts/list": {"name": "bad", "arguments": 5},
    "resources/list": {"name": "bad"},
    "resources/templates/list": {"name": "bad", "uriTemplate": None},
}


def pages(member: str, page: Any) -> Any:
    """Answers with a page, and another cursor each time."""
    count = itertools.count()

    def answer(request: Any) -> Any:
        return result(request["id"], {**HINTS, member: [], "nextCursor": str(next(count)), **page})

    return answer


async def read(server: RawServer, method: str, **options: Any) -> Any:
    async with trimcp.connect(server, **options) as client:
        return await getattr(client, LISTS[method][1])()


# --- bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", LISTS)
async def test_a_list_that_does_not_end_is_given_up(method: str, autojump_clock: MockClock) -> None:
    with pytest.raises(InvalidResult, match=f"more than {PAGES} pages"):
        await read(answering({method: pages(LISTS[method][0], {})}), method)


@pytest.mark.parametrize("method", LISTS)
async def test_a_cursor_that_comes_again_ends_the_list(method: str, autojump_clock: MockClock) -> None:
    asked: list[Any] = []

    def answer(request: Any) -> Any:
        asked.append(request)
        return result(request["id"], {**HINTS, LISTS[method][0]: [], "nextCursor": "ab"[len(asked) % 2]})

    with pytest.raises(InvalidResult, match="page 3 has a cursor that an earlier page had"):
        await read(answering({method: answer}), method)
    assert len(asked) == 3


@pytest.mark.parametrize("method", LISTS)
async def test_a_list_has_a_bound_of_bytes(method: str, autojump_clock: MockClock) -> None:
    server = answering({method: pages(LISTS[method][0], {"_meta": {"padding": "x" * 50_000}})})
    with pytest.raises(InvalidResult, match="more than 131072 bytes"):
        await read(server, method, limits=Limits(message_bytes=65536))


async def test_a_list_of_one_page_may_be_as_long_as_a_message(autojump_clock: MockClock) -> None:
    listed = {**HINTS, "tools": [SOUND["tools/list"]] * 1000}
    assert len(await read(answering({"tools/list": listed}), "tools/list", limits=Limits(message_bytes=65536))) == 1000


async def test_a_list_has_a_bound_of_time(autojump_clock: MockClock) -> None:
    async def script(peer: Any) -> None:
        for number in itertools.count():
            request = await peer.receive()
            if request["method"] == "server/discover":
                await peer.send(discovered(request["id"]))
                continue
            await trio.sleep(8)
            await peer.send(result(request["id"], {**HINTS, "tools": [], "nextCursor": str(number)}))

    began = trio.current_time()
    with pytest.raises(RequestTimedOut, match="list of tools was not read within 30 s"):
        await read(RawServer(script), "tools/list", timeouts=Timeouts(request=10, most=30))
    assert trio.current_time() - began < 35


# --- what a server lacks --------------------------------------------------------------


@pytest.mark.parametrize("method", LISTS)
async def test_a_list_that_a_server_lacks_is_empty(method: str, autojump_clock: MockClock) -> None:
    assert await read(answering({method: lambda request: error(request["id"], -32601)}), method) == []


@pytest.mark.parametrize("method", LISTS)
async def test_a_list_of_a_feature_that_was_not_declared_is_empty_without_being_asked_for(
    method: str, autojump_clock: MockClock
) -> None:
    bare = answering({"server/discover": lambda request: discovered(request["id"], capabilities={})})
    assert await read(bare, method) == []


async def test_another_error_is_raised(autojump_clock: MockClock) -> None:
    with pytest.raises(trimcp.RequestFailed):
        await read(answering({"tools/list": lambda request: error(request["id"], -32603)}), "tools/list")


# --- items that break the schema ------------------------------------------------------


@pytest.mark.parametrize("method", LISTS)
async def test_a_broken_item_is_left_out_and_named(method: str, logged: Logged, autojump_clock: MockClock) -> None:
    listed = {**HINTS, LISTS[method][0]: [SOUND[method], BROKEN[method], 5]}
    items = await read(answering({method: listed}), method)
    assert [item.name for item in items] == ["good"]
    assert list(items.left_out) == ["bad", "number 2"]
    assert f"{LISTS[method][0]}[1]" in items.left_out["bad"]
    assert [line["name"] for line in logged.of("item.left_out")] == ["bad", "number 2"]


async def test_a_tool_that_was_left_out_cannot_be_called(autojump_clock: MockClock) -> None:
    server = answering({"tools/list": {**HINTS, "tools": [BROKEN["tools/list"]]}})
    async with trimcp.connect(server) as client:
        page = await client.tools_page()
        assert list((page.meta or {})[LEFT_OUT]) == ["bad"]
        with pytest.raises(trimcp.UsageError, match="the tool bad cannot be called, its definition is invalid"):
            await client.call_tool("bad")


async def test_a_page_that_is_broken_elsewhere_is_refused(autojump_clock: MockClock) -> None:
    for broken in ({"tools": 5}, {"tools": [], "nextCursor": 5}, {}):
        with pytest.raises(InvalidResult):
            await read(answering({"tools/list": {**HINTS, **broken}}), "tools/list")
