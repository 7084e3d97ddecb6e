"""Lists in pages, and cursors that clients must not look into."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from trio.testing import MockClock

import trimcp
from tests.session.peer import ALL, ERAS, Peer, served
from trimcp import Limits


def make_server(tools: int, page: int) -> trimcp.Server:
    server = trimcp.Server("a", limits=Limits(page=page))
    for n in range(tools):
        server.tool(name=f"tool-{n:02}")(lambda: 1)
    return server


async def page(peer: Peer, cursor: Any = None) -> dict[str, Any]:
    params = {} if cursor is None else {"cursor": cursor}
    answer = await peer.ask(peer.request(1, "tools/list", params))
    result: dict[str, Any] = answer.get("result", answer)
    return result


def names(result: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in result["tools"]]


@pytest.mark.parametrize("version", ALL)
async def test_every_page_leads_to_the_next_and_the_last_to_none(version: str, autojump_clock: MockClock) -> None:
    async with served(make_server(7, 3), version) as peer:
        seen = []
        cursor = None
        for expected in (3, 3, 1):
            result = await page(peer, cursor)
            assert len(result["tools"]) == expected
            seen += names(result)
            cursor = result.get("nextCursor")
        assert cursor is None
        assert seen == [f"tool-{n:02}" for n in range(7)]


@pytest.mark.parametrize(("tools", "size"), [(3, 3), (6, 3), (1, 1)])
async def test_a_full_last_page_has_no_cursor(tools: int, size: int, autojump_clock: MockClock) -> None:
    async with served(make_server(tools, size)) as peer:
        result = await page(peer)
        for _ in range(tools // size - 1):
            result = await page(peer, result["nextCursor"])
        assert "nextCursor" not in result


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "tool-00",
        "!!!!",
        "ü",
        "\ud83d\ude00",
        base64.b64encode(b"tools\0no-such").decode(),
        "A" * 100_000,
        "====",
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(version: str, cursor: str, autojump_clock: MockClock) -> None:
    async with served(make_server(7, 3), version) as peer:
        result = await page(peer, cursor)
        assert result["error"]["code"] == -32602
        assert len(json.dumps(result)) < 1000
        assert len((await page(peer))["tools"]) == 3


async def test_a_cursor_does_not_show_what_it_is_made_of(autojump_clock: MockClock) -> None:
    async with served(make_server(7, 3)) as peer:
        cursor = (await page(peer))["nextCursor"]
        assert "tool" not in cursor
        assert cursor.isascii()


async def test_a_cursor_that_was_tampered_with_is_refused(autojump_clock: MockClock) -> None:
    async with served(make_server(7, 3)) as peer:
        cursor = (await page(peer))["nextCursor"]
        for index in range(0, len(cursor), 5):
            other = "A" if cursor[index] != "A" else "B"
            assert "error" in await page(peer, cursor[:index] + other + cursor[index + 1 :])


async def test_a_cursor_stays_good_while_other_items_come_and_go(autojump_clock: MockClock) -> None:
    server = make_server(7, 3)
    async with served(server) as peer:
        cursor = (await page(peer))["nextCursor"]
        server.remove_tool("tool-00")
        server.remove_tool("tool-04")
        server.tool(name="late")(lambda: 1)
        result = await page(peer, cursor)
        assert names(result) == ["tool-03", "tool-05", "tool-06"]
        assert names(await page(peer, result["nextCursor"])) == ["late"]


async def test_the_cursor_of_an_item_that_is_gone_is_refused(autojump_clock: MockClock) -> None:
    server = make_server(7, 3)
    async with served(server) as peer:
        cursor = (await page(peer))["nextCursor"]
        server.remove_tool("tool-02")
        assert (await page(peer, cursor))["error"]["code"] == -32602


async def test_a_client_reads_all_pages(autojump_clock: MockClock) -> None:
    async with trimcp.connect(make_server(25, 4)) as client:
        assert [tool.name for tool in await client.list_tools()] == [f"tool-{n:02}" for n in range(25)]
        first = await client.tools_page()
        assert len(first.tools) == 4
        assert len((await client.tools_page(first.next_cursor)).tools) == 4
        with pytest.raises(trimcp.RequestFailed, match="cursor"):
            await client.tools_page("made up")
