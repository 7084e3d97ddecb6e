"""More scopes, where a server says that a token has too few: asked for once, never lost again."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from tests.auth.client.world import World
from trimcp.auth import MemoryStore
from trimcp.errors import ExchangeFailed


def scopes(world: World) -> list[str]:
    """The scopes of each authorization request."""
    return [parse_qs(urlsplit(url).query)["scope"][0] for url in world.shown]


async def test_the_union_is_asked_for(world: World) -> None:
    async with world.connected(world.oauth()) as connection:
        assert await connection.call("basic") == 200
        assert await connection.call("write") == 200
        assert await connection.call("admin") == 200
        assert await connection.call("basic write admin") == 200
    assert scopes(world) == ["basic", "basic write", "admin basic write"]
    assert "refresh_token" not in world.grants


async def test_a_registration_that_may_not_ask_for_the_scope_is_replaced_once(world: World) -> None:
    world.holds_to_registration = True
    store = MemoryStore()
    async with world.connected(world.oauth(store=store)) as connection:
        assert await connection.call("basic") == 200
    async with world.connected(world.oauth(store=store)) as connection:
        assert await connection.call("write") == 200
        assert await connection.call("basic") == 200
    assert [each.body["scope"] for each in world.to("/register")] == ["basic", "basic write"]


async def test_a_scope_that_no_registration_may_ask_for_is_refused_at_once(world: World) -> None:
    world.redirect = {"code": "", "error": "invalid_scope"}
    async with world.connected(world.oauth()) as connection:
        with pytest.raises(ExchangeFailed, match="invalid_scope"):
            await connection.call("basic")
    assert len(world.to("/register")) == len(world.shown) == 1


async def test_it_is_of_what_was_asked_for_and_not_of_what_was_granted(world: World) -> None:
    async with world.connected(world.oauth(scopes=["extra"])) as connection:
        world.granted = "basic"
        await connection.call()
        world.granted = None
        assert await connection.call("write") == 200
    assert set(scopes(world)[-1].split()) == {"basic", "extra", "write"}


async def test_what_was_asked_for_already_is_not_asked_for_again(world: World) -> None:
    world.granted, world.gives_refresh = "basic", False
    async with world.connected(world.oauth()) as connection:
        assert await connection.call("write") == 403
        assert connection.statuses == [401, 403, 403]
        assert await connection.call("write") == 403
    assert scopes(world) == ["basic", "basic write"]


async def test_at_most_two_tries_for_the_same_scopes(world: World) -> None:
    async with world.connected(world.oauth()) as connection:
        await connection.call()
        world.redirect = {"code": "", "error": "access_denied"}
        for _ in range(2):
            with pytest.raises(ExchangeFailed, match="access_denied"):
                await connection.call("write")
        assert await connection.call("write") == 403
        assert len(world.shown) == 3
        world.redirect = {}
        assert await connection.call("other") == 200


async def test_scopes_of_a_server_that_always_wants_others_do_not_grow_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.granted, world.gives_refresh = "basic", False
    async with world.connected(world.oauth()) as connection:
        await connection.call()
        for number in range(20):
            await connection.call(f"s{number}-{'x' * 1000}")
        asked = [len(scope) for scope in scopes(world)]
        assert len(asked) == 17
        assert asked == sorted(asked)
        assert asked[-1] <= 16 * 1024

        def refuse(*_: object) -> tuple[int, str]:
            return 401, f'Bearer scope="{"y" * 1000}"'

        monkeypatch.setattr(World, "mcp", refuse)
        assert await connection.call() == 401
        assert scopes(world)[-1] == "y" * 1000


async def test_step_ups_of_many_scopes_that_fail_are_remembered_up_to_a_bound(world: World) -> None:
    async with world.connected(world.oauth()) as connection:
        await connection.call()
        world.redirect = {"code": "", "error": "access_denied"}
        for number in range(64):
            with pytest.raises(ExchangeFailed, match="access_denied"):
                await connection.call(f"s{number}")
        world.redirect = {}
        assert await connection.call("another") == 403
        assert await connection.call("s63") == 200


@pytest.mark.parametrize(
    "challenge",
    [
        None,
        "Bearer",
        'Bearer scope="write"',
        'Bearer error="invalid_token", scope="write"',
        'Basic realm="x"',
        'Bearer error="insufficient_scope"',
    ],
)
async def test_any_other_403_fails_at_once(
    world: World, challenge: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.connected(world.oauth()) as connection:
        await connection.call()
        monkeypatch.setattr(World, "mcp", lambda *_: (403, challenge))
        assert await connection.call("write") == 403
        assert connection.statuses == [401, 200, 403]
    assert len(world.shown) == 1


async def test_a_later_sign_in_does_not_lose_what_a_step_up_got(world: World) -> None:
    store = MemoryStore()
    async with world.connected(world.oauth(store=store)) as connection:
        await connection.call("write")
        world.access.clear()
        world.refresh.clear()
        assert await connection.call("write") == 200
        assert connection.statuses[-2:] == [401, 200]
    world.access.clear()
    world.refresh.clear()
    async with world.connected(world.oauth(store=store)) as connection:  # nor in another process
        assert await connection.call("write") == 200
    assert scopes(world) == ["basic", "basic write", "basic write", "basic write"]


async def test_parallel_403s_ask_once(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as first, world.connected(auth) as second:
        await first.call()
        async with trio.open_nursery() as nursery:
            for connection in (first, second) * 5:
                nursery.start_soon(connection.call, "write")
    assert len(world.shown) == 2
    assert {first.statuses[-1], second.statuses[-1]} == {200}


async def test_the_first_401_may_come_in_the_middle(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = World.mcp
    async with world.connected(world.oauth()) as connection:
        monkeypatch.setattr(World, "mcp", lambda *_: (200, None))
        assert await connection.call() == 200
        monkeypatch.setattr(World, "mcp", guarded)
        assert await connection.call() == 200
        assert connection.statuses == [200, 401, 200]
