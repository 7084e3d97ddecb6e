"""Results are kept for as long as the server says, and not a moment longer (server/utilities/caching)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.server.news import newsy
from tests.session.peer import ALL, LEGACY, MODERN, Peer, RawServer, cancelled, discovered, error, notification, result
from trimcp.client.cache import LISTS, Fetch, ResultCache
from trimcp.types.methods import METHODS


class Kitchen:
    """A server by hand that counts what it is asked, and answers as it is told to."""

    def __init__(self, **answer: Any) -> None:
        self.answer: dict[str, Any] = {"resultType": "complete", "ttlMs": 5000, "cacheScope": "private", **answer}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refusal: int | None = None
        self.news: list[dict[str, Any]] = []
        """Sent before the next answer."""
        self.peer: Peer | None = None

    async def script(self, peer: Peer) -> None:
        self.peer = peer
        probe = await peer.receive()
        await peer.send(discovered(probe["id"], ttlMs=5000))
        while True:
            try:
                request = await peer.receive()
            except EOFError:
                return
            if "id" not in request:
                continue
            params = {key: value for key, value in request.get("params", {}).items() if key != "_meta"}
            self.asked.append((request["method"], params))
            if self.refusal is not None:
                reply = error(request["id"], self.refusal)
            else:
                body: dict[str, Any] = {"tools": [], "contents": [], "number": len(self.asked)}
                reply = result(request["id"], {**body, **self.answer})
            await peer.send(*self.news, reply)
            self.news = []

    def __call__(self) -> RawServer:
        return RawServer(self.script)


async def number(client: trimcp.Client, method: str = "tools/list", params: Any = None, **options: Any) -> int:
    """Which answer of the kitchen's a request gets."""
    found: int = (await client.request(method, params, **options))["number"]
    return found


CACHEABLE = sorted(name for name, row in METHODS.items() if row.cacheable)


@pytest.mark.parametrize("method", CACHEABLE)
async def test_a_result_is_served_from_the_cache_while_it_is_fresh(method: str, autojump_clock: MockClock) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        assert await number(client, method) == 1
        await trio.sleep(4.999)
        assert await number(client, method) == 1
        await trio.sleep(0.001)
        assert await number(client, method) == 2
        assert client.cache is not None
        assert client.cache.hits == 1


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "completion/complete", "custom/method"])
async def test_what_is_not_cacheable_is_always_asked(method: str) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        assert [await number(client, method, {"name": "x"}) for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("ttl", [0, -1, -5000, None, "5000", True, [5000]])
async def test_without_a_time_to_live_nothing_is_kept(ttl: Any) -> None:
    kitchen = Kitchen(ttlMs=ttl)
    async with trimcp.connect(kitchen()) as client:
        assert [await number(client) for _ in range(2)] == [1, 2]
        assert client.cache is not None
        assert len(client.cache) == 0


@pytest.mark.parametrize("ttl", [10**15, 1e300])
async def test_a_preposterous_time_to_live_is_a_long_one(ttl: float, autojump_clock: MockClock) -> None:
    cache = ResultCache(10, 10_000)
    fetch = cache.fetch("tools/list", None)
    assert fetch is not None
    cache.finish(fetch, {"ttlMs": ttl})
    await trio.sleep(10**8)
    assert cache.kept(fetch) is not None
    await trio.sleep(10**9)
    assert cache.kept(fetch) is None


async def test_a_result_that_asks_for_input_is_not_kept() -> None:
    kitchen = Kitchen(resultType="input_required", requestState="s")
    async with trimcp.connect(kitchen()) as client:
        assert [await number(client, "resources/read", {"uri": "a:1"}) for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("more", [{"inputResponses": {}}, {"requestState": "s"}, {"_meta": {"tenant": 1}}])
async def test_a_request_that_brings_more_than_params_is_neither_kept_nor_served(more: dict[str, Any]) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        plain = {"uri": "a:1"}
        assert await number(client, "resources/read", plain) == 1
        assert await number(client, "resources/read", {**plain, **more}) == 2
        assert await number(client, "resources/read", {**plain, **more}) == 3
        assert await number(client, "resources/read", plain) == 1


async def test_the_key_is_the_method_and_the_params_in_any_order() -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        assert await number(client, "tools/list") == 1
        assert await number(client, "tools/list", {}) == 1
        assert await number(client, "tools/list", {"cursor": "1"}) == 2
        assert await number(client, "prompts/list") == 3
        assert await number(client, "tools/list", {"a": 1, "b": 2}) == 4
        assert await number(client, "tools/list", {"b": 2, "a": 1}) == 4
        assert await number(client, "tools/list", {"a": 1, "b": 2.0}) == 5


async def test_params_that_are_no_json_are_refused_as_ever() -> None:
    async with trimcp.connect(Kitchen()()) as client:
        with pytest.raises(trimcp.InvalidPayload):
            await client.request("tools/list", {"cursor": object()})


async def test_pages_are_kept_one_by_one() -> None:
    server = trimcp.Server(
        "pages",
        limits=trimcp.Limits(page=2),
        caching=trimcp.Caching(tools=trimcp.CacheHint(60_000)),
    )
    for n in range(5):

        @server.tool(name=f"t{n}")
        async def nothing() -> None: ...

    async with trimcp.connect(server) as client:
        before = client.session.messages_read
        assert [tool.name for tool in await client.list_tools()] == [f"t{n}" for n in range(5)]
        assert client.session.messages_read == before + 3
        assert len(await client.list_tools()) == 5
        assert client.session.messages_read == before + 3
        assert len(await client.list_tools(fresh=True)) == 5
        assert client.session.messages_read == before + 6


async def test_fresh_asks_again_and_what_comes_is_kept() -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        assert await number(client) == 1
        assert await number(client, fresh=True) == 2
        assert await number(client) == 2


async def test_a_fresh_result_that_is_not_to_be_kept_replaces_the_one_that_was() -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        assert await number(client) == 1
        kitchen.answer["ttlMs"] = 0
        assert await number(client, fresh=True) == 2
        assert await number(client) == 3


async def test_a_ping_is_never_served_from_the_cache() -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        await client.ping()
        await client.ping()
        assert [method for method, _ in kitchen.asked] == ["server/discover"] * 2


async def test_without_a_cache_every_request_is_made() -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen(), cache=False) as client:
        assert client.cache is None
        assert [await number(client) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("version", ALL)
async def test_only_a_revision_with_hints_has_a_cache(version: str) -> None:
    async with trimcp.connect(trimcp.Server("any"), revision=version) as client:
        assert (client.cache is None) == (version in LEGACY)


async def test_what_a_caller_does_to_a_result_is_its_own_business() -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        for _ in range(3):
            answer = await client.request("tools/list")
            assert answer["tools"] == []
            answer["tools"].append("mine")


async def test_a_result_from_the_cache_is_a_checkpoint_as_well() -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        await client.request("tools/list")
        with trio.testing.assert_checkpoints():
            await client.request("tools/list")


# --- news ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LISTS)
async def test_a_changed_list_is_stale_and_the_others_are_not(kind: str) -> None:
    kitchen = Kitchen()
    lists = [method for methods in LISTS.values() for method in methods]
    async with trimcp.connect(kitchen()) as client:
        for method in [*lists, "server/discover"]:
            await number(client, method)
        kitchen.asked.clear()
        kitchen.news = [notification(f"notifications/{kind}/list_changed")]
        await client.request("custom/any")
        for method in [*lists, "server/discover"]:
            await number(client, method)
        assert [method for method, _ in kitchen.asked] == ["custom/any", *LISTS[kind]]


@pytest.mark.parametrize(
    ("updated", "stale"),
    [
        ("file:///d/f", {"file:///d/f", "file:///d", "file:///d/"}),
        ("file:///d", {"file:///d"}),
        ("file:///d/", {"file:///d/", "file:///d"}),
        ("file:///e", set()),
        ("x" * 5000, {"file:///d/f", "file:///d", "file:///d/", "file:///dozen", "mem:x"}),
    ],
    ids=["part", "whole", "slash", "other", "long"],
)
async def test_an_updated_resource_is_stale_and_so_is_what_it_is_a_part_of(updated: str, stale: set[str]) -> None:
    kitchen = Kitchen()
    uris = ["file:///d/f", "file:///d", "file:///d/", "file:///dozen", "mem:x"]
    async with trimcp.connect(kitchen()) as client:
        await number(client, "resources/list")
        for uri in uris:
            await number(client, "resources/read", {"uri": uri})
        kitchen.news = [notification("notifications/resources/updated", {"uri": updated})]
        await client.request("custom/any")
        kitchen.asked.clear()
        await number(client, "resources/list")
        for uri in uris:
            await number(client, "resources/read", {"uri": uri})
        assert {params["uri"] for _, params in kitchen.asked} == stale


@pytest.mark.parametrize(
    ("method", "params", "news"),
    [
        ("tools/list", None, notification("notifications/tools/list_changed")),
        ("resources/read", {"uri": "a:1"}, notification("notifications/resources/updated", {"uri": "a:1"})),
    ],
)
async def test_a_result_that_news_overtook_is_not_kept(method: str, params: Any, news: dict[str, Any]) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        kitchen.news = [news]
        assert await number(client, method, params) == 1
        assert await number(client, method, params) == 2
        assert await number(client, method, params) == 2


async def test_news_right_behind_a_result_makes_it_stale_before_its_caller_knows_of_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(discovered((await peer.receive())["id"]))
        answer = {"resultType": "complete", "tools": [], "ttlMs": 5000, "cacheScope": "public"}
        for _ in range(2):
            request = await peer.receive()
            assert request["method"] == "tools/list"
            await peer.send(result(request["id"], answer), notification("notifications/tools/list_changed"))
        await peer.rest()

    async with trimcp.connect(RawServer(script)) as client:
        await client.list_tools()
        await client.list_tools()


@pytest.mark.parametrize(
    "news",
    [
        notification("notifications/resources/updated"),
        notification("notifications/resources/updated", {"uri": 1}),
        notification("notifications/roots/list_changed"),
        notification("notifications/tools/other"),
        notification("list_changed"),
        cancelled(1),
    ],
)
async def test_other_news_leaves_the_cache_as_it_is(news: dict[str, Any]) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        await number(client)
        await number(client, "resources/read", {"uri": "a:1"})
        kitchen.news = [news]
        await client.request("custom/any")
        assert await number(client) == 1
        assert await number(client, "resources/read", {"uri": "a:1"}) == 2


@pytest.mark.parametrize(("code", "doubted"), [(-32602, True), (-32601, True), (-32603, False), (-31001, False)])
async def test_a_call_that_fails_as_for_what_is_not_there_puts_the_list_in_doubt(code: int, doubted: bool) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        await number(client)
        await number(client, "prompts/list")
        kitchen.refusal = code
        with pytest.raises(trimcp.RequestFailed):
            await client.call_tool("gone")
        kitchen.refusal = None
        assert (await number(client) != 1) is doubted
        assert await number(client, "prompts/list") == 2


async def test_a_cursor_that_has_become_invalid_takes_all_pages_along() -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        await number(client)
        await number(client, "tools/list", {"cursor": "2"})
        kitchen.refusal = -32602
        with pytest.raises(trimcp.RequestFailed):
            await number(client, "tools/list", {"cursor": "2"}, fresh=True)
        kitchen.refusal = None
        assert await number(client) > 2


async def test_a_request_that_fails_or_is_cancelled_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen()) as client:
        kitchen.refusal = -32603
        with pytest.raises(trimcp.RequestFailed):
            await number(client)
        with trio.move_on_after(0):
            await number(client)
        kitchen.refusal = None
        await wait_all_tasks_blocked()
        asked = len(kitchen.asked)
        assert await number(client) == asked + 1


# --- bounds -------------------------------------------------------------------------------


async def test_the_least_recently_used_go_first(autojump_clock: MockClock) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen(), limits=trimcp.Limits(cache_entries=2)) as client:
        assert client.cache is not None
        await number(client, "tools/list")
        await number(client, "prompts/list")
        await number(client, "tools/list")  # used
        await number(client, "resources/list")
        assert len(client.cache) == 2
        assert await number(client, "tools/list") == 1
        assert await number(client, "prompts/list") == 4


async def test_the_bytes_kept_are_bounded() -> None:
    kitchen = Kitchen(padding="x" * 400)
    async with trimcp.connect(kitchen(), limits=trimcp.Limits(cache_bytes=1200)) as client:
        assert client.cache is not None
        for n in range(10):
            await number(client, "resources/read", {"uri": f"a:{n}"})
            assert client.cache.bytes <= 1200
        assert len(client.cache) == 2
        kitchen.answer["padding"] = "x" * 1200  # more than all of it
        assert [await number(client, "tools/list") for _ in range(2)] == [11, 12]
        assert len(client.cache) == 2


@pytest.mark.parametrize("bounds", [{"cache_entries": 0}, {"cache_bytes": 0}])
async def test_a_cache_without_room_keeps_nothing(bounds: dict[str, int]) -> None:
    kitchen = Kitchen()
    async with trimcp.connect(kitchen(), limits=trimcp.Limits(**bounds)) as client:
        assert [await number(client) for _ in range(2)] == [1, 2]


async def test_bytes_are_given_back_in_whatever_way_a_result_goes(autojump_clock: MockClock) -> None:
    cache = ResultCache(10, 10_000)

    def keep(method: str, params: dict[str, Any] | None = None, **more: Any) -> Fetch:
        fetch = cache.fetch(method, params)
        assert fetch is not None
        cache.start(fetch)
        cache.finish(fetch, {"ttlMs": 1000, "cacheScope": "private", **more})
        return fetch

    listed = keep("tools/list")
    keep("tools/list")
    read = keep("resources/read", {"uri": "a:1"})
    keep("prompts/list")
    assert len(cache) == 3
    cache.changed("prompts")
    cache.updated("a:1")
    assert cache.kept(read) is None
    await trio.sleep(1)
    assert cache.kept(listed) is None
    assert (len(cache), cache.bytes) == (0, 0)


async def test_what_is_private_goes_with_whoever_it_was_for() -> None:
    cache = ResultCache(10, 10_000)
    fetches = {}
    for method, scope in (("tools/list", "public"), ("prompts/list", "private"), ("resources/list", None)):
        fetch = fetches[method] = cache.fetch(method, None)
        assert fetch is not None
        cache.start(fetch)
        cache.finish(fetch, {"ttlMs": 1000, **({} if scope is None else {"cacheScope": scope})})
    under_way = cache.fetch("server/discover", None)
    assert under_way is not None
    cache.start(under_way)
    cache.forget_private()
    cache.finish(under_way, {"ttlMs": 1000, "cacheScope": "private"})
    left = [method for method, fetch in fetches.items() if fetch is not None and cache.kept(fetch) is not None]
    assert left == ["tools/list"]
    assert cache.kept(under_way) is None


async def test_a_server_of_ours_and_its_news_work_together() -> None:
    server = newsy()
    server._declarations.caching = trimcp.Caching(default=trimcp.CacheHint(60_000))
    async with trimcp.connect(server) as client, client.listen(tools=True, uris=["mem://motd"]) as notices:
        assert client.protocol_version == MODERN
        for _ in range(2):
            assert len(await client.list_tools()) == 1

        @server.tool
        async def late() -> None: ...

        await anext(notices)
        assert len(await client.list_tools()) == 2
