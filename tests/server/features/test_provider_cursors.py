"""Pages over several providers: complete, in order, and stable; cursors are the server's own."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimcp
from tests.server.providing import Library, Shelf, with_functions
from tests.session.peer import MODERN, Peer, served


async def page(peer: Peer, cursor: str | None = None, method: str = "tools/list") -> dict[str, Any]:
    answer = await peer.ask(peer.request(1, method, {} if cursor is None else {"cursor": cursor}))
    result: dict[str, Any] = answer.get("result", answer)
    return result


def names(result: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in result["tools"]]


async def walk(peer: Peer, size: int) -> list[str]:
    """All names, page by page; each page but the last is full."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        result = await page(peer, cursor)
        assert len(result["tools"]) <= size
        seen += names(result)
        cursor = result.get("nextCursor")
        if cursor is None:
            return seen
        assert len(result["tools"]) == size


def server_of(size: int) -> tuple[trimcp.Server, Shelf, Shelf]:
    """Three declared tools, a provider with a whole list, and one with pages of two; some names are taken."""
    server = with_functions("a1", "a2", "a3", page=size)
    whole = Shelf("b1", "a2", "b2", "b3", name="whole")
    paged = Shelf("c1", "b2", "c2", "c3", "a1", "c4", "c5", name="paged", size=2)
    server.add_provider(whole)
    server.add_provider(paged)
    return server, whole, paged


ALL_NAMES = ["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3", "c4", "c5"]


@pytest.mark.parametrize("size", range(1, 14))
async def test_every_page_size_shows_everything_once_and_in_order(size: int) -> None:
    server, _, _ = server_of(size)
    async with served(server) as peer:
        assert await walk(peer, size) == ALL_NAMES


@settings(max_examples=60, deadline=None)
@given(
    shelves=st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=7), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 4) | st.none(), min_size=4, max_size=4),
    size=st.integers(1, 6),
)
def test_any_providers_are_shown_completely(shelves: list[list[str]], sizes: list[int | None], size: int) -> None:
    import trio

    declared, *rest = shelves
    server = with_functions(*dict.fromkeys(declared), page=size)
    for number, (shelf, of) in enumerate(zip(rest, sizes, strict=False)):
        server.add_provider(Shelf(*shelf, name=f"shelf {number}", size=of))
    server.add_provider(Shelf("z", name="the last"))
    expected = list(dict.fromkeys([*(name for shelf in shelves for name in shelf), "z"]))

    async def main() -> None:
        async with served(server) as peer:
            seen: list[str] = []
            cursor: str | None = None
            for _ in range(100):
                result = await page(peer, cursor)
                seen += names(result)
                cursor = result.get("nextCursor")
                if cursor is None:
                    break
            # A name that one provider lists twice may stand twice where its places are on different pages.
            assert list(dict.fromkeys(seen)) == expected

    trio.run(main)


async def test_a_provider_gets_its_own_cursors_back() -> None:
    server, _, paged = server_of(2)
    async with served(server) as peer:
        await walk(peer, 2)
    assert set(paged.cursors) == {None, "from 2", "from 4", "from 6"}


async def test_a_cursor_stays_good_while_items_and_providers_come_and_go() -> None:
    server, whole, _ = server_of(4)
    async with served(server, MODERN) as peer:
        first = await page(peer)
        assert names(first) == ["a1", "a2", "a3", "b1"]
        server.remove_tool("a1")
        server.tool(name="a4")(lambda: 1)
        server.add_provider(Shelf("d1", name="late"))
        whole.names.insert(0, "b0")
        whole.names.remove("b2")
        second = await page(peer, first["nextCursor"])
        assert names(second) == ["b3", "c1", "b2", "c2"]
        third = await page(peer, second["nextCursor"])
        assert names(third) == ["c3", "a1", "c4", "c5"]
        fourth = await page(peer, third["nextCursor"])
        assert (names(fourth), fourth.get("nextCursor")) == (["d1"], None)


async def test_a_cursor_whose_place_is_gone_is_refused() -> None:
    server, whole, paged = server_of(4)
    async with served(server) as peer:
        first = (await page(peer))["nextCursor"]
        second = (await page(peer, first))["nextCursor"]
        whole.names.remove("b1")
        assert (await page(peer, first))["error"]["code"] == -32602
        server.remove_provider(paged)
        assert (await page(peer, second))["error"]["code"] == -32602


async def test_cursors_from_before_the_first_provider_stay_good() -> None:
    server = with_functions("a1", "a2", "a3", page=2)
    async with served(server) as peer:
        cursor = (await page(peer))["nextCursor"]
        shelf = Shelf("b1", "b2")
        server.add_provider(shelf)
        second = await page(peer, cursor)
        assert names(second) == ["a3", "b1"]
        assert names(await page(peer, second["nextCursor"])) == ["b2"]
        server.remove_provider(shelf)
        assert names(await page(peer, cursor)) == ["a3"]
        assert (await page(peer, second["nextCursor"]))["error"]["code"] == -32602


async def test_no_byte_of_a_cursor_can_be_changed_and_it_belongs_to_its_list() -> None:
    server, _, _ = server_of(5)
    server.add_provider(Library())
    async with served(server) as peer:
        cursor = (await page(peer))["nextCursor"]
        sealed = base64.urlsafe_b64decode(cursor)
        for index in range(len(sealed)):
            changed = bytes([*sealed[:index], sealed[index] ^ 1, *sealed[index + 1 :]])
            made_up = base64.urlsafe_b64encode(changed).decode()
            assert (await page(peer, made_up))["error"]["code"] == -32602
        assert (await page(peer, cursor, "prompts/list"))["error"]["code"] == -32602


async def test_processes_with_the_same_keys_read_each_others_cursors() -> None:
    def make(key: bytes) -> trimcp.Server:
        server = trimcp.Server("a", keys=[key], limits=trimcp.Limits(page=1))
        server.add_provider(Shelf("b1", "b2", "b3", size=2))
        return server

    async with served(make(b"k" * 16)) as one, served(make(b"k" * 16)) as two, served(make(b"o" * 16)) as stranger:
        cursor = (await page(one))["nextCursor"]
        assert names(await page(two, cursor)) == ["b2"]
        assert (await page(stranger, cursor))["error"]["code"] == -32602
