"""How long clients may keep what a server answers: the hints of 2026-07-28, and their absence before."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

import trimcp
from tests.server.reading import client_of, every_revision
from tests.session.peer import MODERN
from trimcp import CacheHint, Caching
from trimcp.types.content import TextResourceContents
from trimcp.types.resources import ReadResourceResult

CACHEABLE: list[tuple[str, dict[str, Any], str]] = [
    ("tools/list", {}, "tools"),
    ("prompts/list", {}, "prompts"),
    ("resources/list", {}, "resources"),
    ("resources/templates/list", {}, "templates"),
    ("resources/read", {"uri": "x:plain"}, "reads"),
    ("server/discover", {}, "discover"),
]


KEPT = {a: ReadResourceResult([TextResourceContents(f"w:{a}", a)], ttl_ms=7 * int(a)) for a in "01"}


def make_server(caching: Caching | None = None) -> trimcp.Server:
    server = trimcp.Server("a", caching=caching, limits=trimcp.Limits(page=2))
    server.tool(name="t")(lambda: 1)
    server.prompt(name="p")(lambda: "")
    server.add_resource("x:plain", "plain")
    server.add_resource("x:long", "long", ttl_ms=60_000, cache_scope="public")
    server.resource("t:{a}", name="t", ttl_ms=5)(lambda a: a)
    server.resource("w:{a}", name="w", ttl_ms=5, cache_scope="private")(whole)
    return server


async def whole(a: str) -> ReadResourceResult:
    return KEPT[a]


def hints(result: dict[str, Any]) -> tuple[Any, Any]:
    return result.get("ttlMs"), result.get("cacheScope")


@pytest.mark.parametrize(("method", "params"), [(method, params) for method, params, _ in CACHEABLE])
async def test_everything_that_can_be_kept_says_that_it_should_not(
    method: str, params: dict[str, Any], mock_clock: MockClock
) -> None:
    async with client_of(make_server()) as client:
        assert hints(await client.request(method, params)) == (0, "private")


@pytest.mark.parametrize(("method", "params", "setting"), CACHEABLE)
async def test_the_server_has_one_hint_for_all_and_one_for_each(
    method: str, params: dict[str, Any], setting: str, mock_clock: MockClock
) -> None:
    default = CacheHint(1000, "public")
    async with client_of(make_server(Caching(default=default))) as client:
        assert hints(await client.request(method, params)) == (1000, "public")
    own: dict[str, Any] = {setting: CacheHint(5)}
    async with client_of(make_server(Caching(default=default, **own))) as client:
        for other, its_params, _ in CACHEABLE:
            expected = (5, "private") if other == method else (1000, "public")
            assert hints(await client.request(other, its_params)) == expected


async def test_a_resource_says_it_for_itself(mock_clock: MockClock) -> None:
    async with client_of(make_server(Caching(reads=CacheHint(9, "public")))) as client:
        for uri, expected in {
            "x:plain": (9, "public"),
            "x:long": (60_000, "public"),
            "t:1": (5, "public"),
            "w:1": (7, "private"),  # the function's own time, the declaration's scope
            "w:0": (0, "private"),
        }.items():
            assert hints(await client.request("resources/read", {"uri": uri})) == expected


async def test_what_depends_on_answers_of_the_client_is_never_to_be_kept(mock_clock: MockClock) -> None:
    async with client_of(make_server()) as client:
        params = {"uri": "w:1", "inputResponses": {"name": {"action": "accept", "content": {"a": "b"}}}}
        assert hints(await client.request("resources/read", params)) == (0, "private")
        assert KEPT["1"].ttl_ms == 7


async def test_all_pages_of_a_list_have_the_same_scope(mock_clock: MockClock) -> None:
    server = make_server(Caching(resources=CacheHint(10, "public")))
    for n in range(5):
        server.add_resource(f"n:{n}", "")
    async with client_of(server) as client:
        cursor: dict[str, Any] = {}
        seen = []
        while cursor.get("cursor", "") is not None:
            result = await client.request("resources/list", cursor)
            seen.append(hints(result))
            cursor = {"cursor": result.get("nextCursor")}
        assert seen == [(10, "public")] * 4


@every_revision
async def test_older_revisions_are_told_nothing_of_it(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(Caching(default=CacheHint(1000, "public"))), version) as client:
        for method, params, _ in CACHEABLE[:-1]:
            result = await client.request(method, params)
            assert (hints(result) == (None, None)) is (version != MODERN)


async def test_what_cannot_be_kept_has_no_hint(mock_clock: MockClock) -> None:
    async with client_of(make_server(Caching(default=CacheHint(1000, "public")))) as client:
        for method, params in (("tools/call", {"name": "t"}), ("prompts/get", {"name": "p"})):
            assert hints(await client.request(method, params)) == (None, None)


@pytest.mark.parametrize("ttl", [-1, 2**53, 1.5, True, "1"])
def test_a_time_is_a_number_of_milliseconds(ttl: Any) -> None:
    with pytest.raises(trimcp.UsageError, match="milliseconds"):
        CacheHint(ttl)


def test_a_scope_is_public_or_private() -> None:
    with pytest.raises(trimcp.UsageError, match="public or private"):
        CacheHint(0, "shared")  # type: ignore[arg-type]
