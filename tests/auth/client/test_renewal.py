"""How tokens are renewed: before they end, one at a time, and without loss where a server or a network fails."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
import trio

from tests.auth.client.world import World
from trimcp.auth import FileStore, MemoryStore, TokenEntry, TokenKey, Tokens
from trimcp.auth.client import tokens as tokens_module
from trimcp.auth.client.finishing import GRACE
from trimcp.auth.client.http import open_authorization_http
from trimcp.auth.client.known_server import client_key, put, registration_key
from trimcp.auth.client.registration import Registration
from trimcp.auth.client.token_auth import RENEWAL_PAUSE
from trimcp.auth.client.tokens import TokenEndpoint
from trimcp.errors import ExchangeFailed


async def test_a_token_is_renewed_before_it_ends(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        await connection.call()
        world.advance(3600 - 31)
        await connection.call()
        assert world.grants == ["authorization_code"]
        world.advance(2)
        await connection.call()
        assert world.grants == ["authorization_code", "refresh_token"]
        assert connection.statuses == [401, 200, 200, 200]
    form = world.to("/token")[-1].body
    assert form.keys() == {"grant_type", "refresh_token", "client_id", "resource"}


@pytest.mark.parametrize("life", [1, 8, 20, 40])
async def test_a_short_life_is_used_as_well(world: World, life: float) -> None:
    world.life = life
    auth = world.oauth()
    async with world.connected(auth) as connection:
        for _ in range(3):
            await connection.call()
        assert world.grants == ["authorization_code"]
        world.advance(life * 0.8)
        assert await connection.call() == 200
        assert world.grants == ["authorization_code", "refresh_token"]


async def test_a_short_life_without_refresh_token(world: World) -> None:
    world.life, world.gives_refresh = 5, False
    auth = world.oauth()
    async with world.connected(auth) as connection:
        assert await connection.call() == 200
        world.advance(4.9)
        assert await connection.call() == 200
        world.advance(5)
        assert await connection.call() == 200
    assert len(world.shown) == 2


async def test_a_clock_that_jumps_does_not_lose_a_token(world: World) -> None:
    world.gives_refresh = False
    auth = world.oauth()
    async with world.connected(auth) as connection:
        assert await connection.call() == 200

        class Ahead:
            @staticmethod
            def time() -> float:
                return world.now + 100_000

        # A context, since the fixture `monkeypatch` is undone after `world`, and would put the clock of `world` back.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tokens_module, "time", Ahead)
            assert await connection.call() == 200  # the server decides
    assert len(world.shown) == 1


async def test_many_requests_refresh_once(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as first, world.connected(auth) as second:
        await first.call()
        for _ in range(2):  # before it ends, and after the server has refused it
            world.grants.clear()
            world.access.clear()
            world.advance(3600)
            async with trio.open_nursery() as nursery:
                for connection in (first, second) * 10:
                    nursery.start_soon(connection.call)
            assert world.grants == ["refresh_token"]
    assert len(world.shown) == 1
    assert first.statuses[-1] == second.statuses[-1] == 200


async def test_parallel_401s_refresh_once(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as first, world.connected(auth) as second:
        await first.call()
        world.grants.clear()
        world.access.clear()
        async with trio.open_nursery() as nursery:
            for connection in (first, second) * 10:
                nursery.start_soon(connection.call)
        assert world.grants == ["refresh_token"]


async def test_parallel_401s_sign_in_once(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as first, world.connected(auth) as second, trio.open_nursery() as nursery:
        for connection in (first, second) * 10:
            nursery.start_soon(connection.call)
    assert len(world.shown) == 1


async def test_an_old_refresh_token_stays_where_no_new_one_comes(world: World) -> None:
    world.rotates = False
    auth = world.oauth()
    async with world.connected(auth) as connection:
        await connection.call()
        before = await auth.tokens_for(world.url)
        for _ in range(2):
            world.advance(3600)
            assert await connection.call() == 200
        after = await auth.tokens_for(world.url)
    assert before is not None
    assert after is not None
    assert (before.refresh_token, before.scope, before.requested) == (after.refresh_token, after.scope, after.requested)
    assert world.grants == ["authorization_code", "refresh_token", "refresh_token"]


async def test_a_refused_refresh_token_is_forgotten_and_a_person_asked(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        await connection.call()
        world.refresh.clear()
        world.advance(3600)
        assert await connection.call() == 200
    assert len(world.shown) == 2
    assert len(world.clients) == 1
    assert sum(sent.body.get("grant_type") == "refresh_token" for sent in world.to("/token")) == 1


async def test_a_client_that_registered_anew_still_refreshes_older_tokens(world: World) -> None:
    """Two servers of one authorization server: the second sign-in registered another client."""
    store = MemoryStore()
    assert await world.call(world.oauth(store=store)) == 200
    other = World(url="https://other.example/mcp", access=world.access, refresh=world.refresh, clients=world.clients)
    world.answers["https://other.example/.well-known/oauth-protected-resource/mcp"] = lambda request: httpx2.Response(
        200, json=other.resource
    )
    redirect = "http://127.0.0.1:50001/callback"
    auth = world.oauth(store=store, redirect=redirect)
    async with world.connected(auth, other.url) as connection:
        world.url, first = other.url, world.url
        assert await connection.call() == 200
        world.url = first
    assert len(world.clients) == 2
    world.advance(3600)
    assert await world.call(world.oauth(store=store)) == 200
    assert world.grants == ["authorization_code", "authorization_code", "refresh_token"]
    assert [sent.body["client_id"] for sent in world.to("/token")] == ["client-0", "client-1", "client-0"]


async def test_a_dead_client_of_older_tokens_does_not_take_the_newer_client_along(world: World) -> None:
    store = MemoryStore()
    assert await world.call(world.oauth(store=store)) == 200
    key = registration_key(world.issuer, "")
    first = await store.read(key)
    assert first is not None
    newer = {**first.value, "client_id": "client-newer"}
    world.clients["client-newer"] = world.clients.pop("client-0")
    for each in (key, client_key(world.issuer, "client-newer")):
        await put(store, each, newer)
    world.advance(3600)
    assert await world.call(world.oauth(store=store)) == 200
    assert [sent.body["client_id"] for sent in world.to("/token")] == ["client-0", "client-0", "client-newer"]
    assert len(world.to("/register")) == 1
    assert await store.read(client_key(world.issuer, "client-0")) is None


async def test_a_newer_token_of_another_process_is_used(world: World, tmp_path: Any) -> None:
    first, second = (world.oauth(store=FileStore(tmp_path / "auth")) for _ in range(2))
    assert await world.call(first) == 200
    assert await world.call(second) == 200
    world.advance(3600)
    assert await world.call(first) == 200
    world.advance(1)
    assert await world.call(second) == 200
    world.access.clear()
    assert await world.call(second) == 200
    assert await world.call(first) == 200
    assert world.grants == ["authorization_code", "refresh_token", "refresh_token"]


async def test_only_the_token_that_failed_is_deleted(world: World) -> None:
    """A store without locks: another process has rotated the token between reading and refreshing."""

    class Slow(MemoryStore):
        newer: dict[str, Any] | None = None

    store = Slow()
    auth = world.oauth(store=store)
    assert await world.call(auth) == 200
    key = next(key for key in store._entries if key.client.startswith("client-") and key.resource)
    token_answer = world._token

    def rotate(request: httpx2.Request) -> httpx2.Response:
        entry = store._entries[key]
        world.access["canary-newer"] = {"scope": "basic", "end": None}
        newer = {**entry.value, "access_token": "canary-newer", "refresh_token": "r2", "expires_at": world.now + 3600}
        store._entries[key] = TokenEntry("newer", {**newer, "renew_at": world.now + 3500})
        return httpx2.Response(400, json={"error": "invalid_grant"})

    world.answers["https://as.example/token"] = rotate
    world.advance(3600)
    async with world.connected(auth) as connection:
        assert await connection.call() == 200
        assert connection.statuses == [200]
    assert store._entries[key].generation == "newer"
    assert len(world.shown) == 1
    assert token_answer is not None


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_server_that_fails_loses_nothing(world: World, status: int, autojump_clock: Any) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        await connection.call()
        world.answers["https://as.example/token"] = lambda request: httpx2.Response(status)
        world.advance(3590)
        assert await connection.call() == 200  # it has not ended yet
        asked = len(world.to("/token"))
        assert await connection.call() == 200
        assert len(world.to("/token")) == asked  # not with each request
        await trio.sleep(RENEWAL_PAUSE)
        assert await connection.call() == 200
        assert len(world.to("/token")) == asked + 1
        await trio.sleep(RENEWAL_PAUSE)
        world.advance(20)
        with pytest.raises(ExchangeFailed, match=f"answers with {status}"):
            await connection.call()
        del world.answers["https://as.example/token"]
        await trio.sleep(RENEWAL_PAUSE)
        assert await connection.call() == 200
    assert world.grants == ["authorization_code", "refresh_token"]
    assert len(world.shown) == 1


async def test_a_network_that_fails_loses_nothing(world: World, autojump_clock: Any) -> None:
    auth = world.oauth()

    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("down")

    async with world.connected(auth) as connection:
        await connection.call()
        world.answers["https://as.example/token"] = broken
        world.advance(3601)
        with pytest.raises(ExchangeFailed, match="cannot be reached: ConnectError"):
            await connection.call()
        del world.answers["https://as.example/token"]
        await trio.sleep(RENEWAL_PAUSE)
        assert await connection.call() == 200
    assert len(world.shown) == 1


async def test_a_cancelled_call_does_not_lose_a_token_that_rotates(world: World, autojump_clock: Any) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        await connection.call()
        world.advance(3600)
        world.delay = 2
        with trio.move_on_after(1) as scope:
            await connection.call()
        assert scope.cancelled_caught
        world.delay = 0
        assert await connection.call() == 200
    assert world.grants == ["authorization_code", "refresh_token"]
    assert len(world.shown) == 1


async def test_a_cancelled_call_does_not_wait_long(world: World, autojump_clock: Any) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        await connection.call()
        world.advance(3600)
        world.delay = 25
        before = trio.current_time()
        with trio.move_on_after(1):
            await connection.call()
        assert trio.current_time() - before == pytest.approx(1 + GRACE)
        server = auth._servers[world.url]
        assert not server.renewing.locked()


async def test_a_server_that_moved_away_is_found_again(world: World, autojump_clock: Any) -> None:
    """The old authorization server is gone when its token has ended, and in a process that has not met it."""
    store = MemoryStore()
    for gone in (404, None):
        assert await world.call(world.oauth(store=store)) == 200
        old = world.issuer
        world.advance(3601)

        def answer(request: httpx2.Request, status: int | None = gone) -> httpx2.Response:
            if status is None:
                raise httpx2.ConnectError("gone")
            return httpx2.Response(status)

        for path in ("oauth-authorization-server", "openid-configuration"):
            world.answers[f"{old}/.well-known/{path}"] = answer
        world.issuer = f"https://new-{len(world.shown)}.example"
        world.__attrs_post_init__()
        assert await world.call(world.oauth(store=store)) == 200
    assert len(world.shown) == 3


async def test_a_process_that_was_restarted_refreshes(world: World, tmp_path: Any) -> None:
    assert await world.call(world.oauth(store=FileStore(tmp_path / "auth"))) == 200
    world.advance(7200)
    async with world.connected(world.oauth(store=FileStore(tmp_path / "auth"))) as connection:
        assert await connection.call() == 200
        assert connection.statuses == [200]
    assert len(world.shown) == 1


async def test_a_session_that_expires_in_the_middle_goes_on(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        await connection.call()
        world.access.clear()  # the server has forgotten it, though it had an hour left
        assert await connection.call() == 200
        assert connection.statuses == [401, 200, 401, 200]
    assert world.grants == ["authorization_code", "refresh_token"]


async def test_a_token_that_just_came_and_is_refused_is_final(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        monkeypatch.setattr(World, "mcp", lambda *_: (401, 'Bearer scope="basic"'))
        assert await connection.call() == 401
        assert connection.statuses == [401, 401]
    assert len(world.shown) == 1


async def test_requests_go_on_while_a_person_signs_in(world: World, autojump_clock: Any) -> None:
    """More scopes are waited for; requests that need none go on, also of another client and to another server."""
    slow = False

    async def read(url: str) -> str:
        if slow:
            await trio.sleep(300)
        return await world.agree(url)

    auth = world.oauth(read_callback=read)
    async with world.connected(auth) as first, world.connected(auth) as second:
        await first.call()
        slow = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.call, "write")
            await trio.sleep(1)
            with trio.fail_after(5):
                assert await first.call() == 200
                assert await second.call() == 200
                world.advance(3600)
                assert await second.call() == 200  # and are refreshed meanwhile
                assert await first.call() == 200
            assert world.grants == ["authorization_code", "refresh_token"]
        assert await second.call("write") == 200
    assert world.grants == ["authorization_code", "refresh_token", "authorization_code"]


async def test_a_second_client_waits_for_the_person_as_long_as_the_first(world: World, autojump_clock: Any) -> None:
    async def read(url: str) -> str:
        await trio.sleep(500)
        return await world.agree(url)

    auth = world.oauth(read_callback=read)
    async with world.connected(auth) as first, world.connected(auth) as second, trio.open_nursery() as nursery:
        nursery.start_soon(first.call)
        await trio.sleep(1)
        assert await second.call() == 200
    assert len(world.shown) == 1


# --- responses ------------------------------------------------------------------------


async def response(world: World, answer: Any, status: int = 200, **options: Any) -> Tokens:
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    world.answers["https://as.example/token"] = lambda request: httpx2.Response(status, content=content)
    async with open_authorization_http() as http:
        endpoint = TokenEndpoint(http, "https://as.example/token", world.issuer, Registration(client_id="c"))
        return await endpoint.tokens({"grant_type": "x", "code": "canary-code"}, requested="a b", **options)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        b"no json",
        b"[1]",
        {"access_token": "x"},
        {"access_token": "", "token_type": "Bearer"},
        {"access_token": "a b", "token_type": "Bearer"},
        {"access_token": "a\r\nX: y", "token_type": "Bearer"},
        {"access_token": "\u00e9", "token_type": "Bearer"},
        {"access_token": 1, "token_type": "Bearer"},
        {"access_token": "x", "token_type": "mac"},
        {"access_token": "x", "token_type": "DPoP"},
        {"access_token": "x", "token_type": None},
    ],
)
async def test_responses_without_a_usable_token(world: World, answer: Any) -> None:
    with pytest.raises(Exception, match="token endpoint of") as raised:
        await response(world, answer)
    assert type(raised.value).__name__ == "AuthorizationFailed"


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [(60, 60), ("60", 60), (1.5, 1.5), (-5, 0), (1e30, 1e9), (None, None), (True, None), ("soon", None), ([], None)],
)
async def test_lives_of_tokens(world: World, expires_in: Any, life: float | None) -> None:
    tokens = await response(world, {"access_token": "x", "token_type": "bearer", "expires_in": expires_in})
    assert tokens.expires_at == (None if life is None else world.now + life)
    assert (tokens.scope, tokens.requested) == ("a b", "a b")
    assert Tokens.from_json(tokens.to_json()) == tokens


@pytest.mark.parametrize("value", [{}, {"access_token": ""}, {"access_token": "\u00e9"}, {"access_token": ["x"]}])
async def test_a_damaged_entry_is_no_token(world: World, value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no token"):
        Tokens.from_json(value)
    store = MemoryStore()
    assert await world.call(world.oauth(store=store)) == 200
    for key in list(store._entries):
        if key.resource:
            store._entries[key] = TokenEntry("damaged", value)
    assert await world.call(world.oauth(store=store)) == 200
    store._entries[TokenKey("", world.url, "")] = TokenEntry("damaged", {"issuer": 1})
    assert await world.call(world.oauth(store=store)) == 200


async def test_what_a_server_repeats_of_a_secret_is_not_shown(world: World) -> None:
    answer = {"error": "invalid_grant", "error_description": "code canary-code and canary-co are unknown: call 112"}
    with pytest.raises(Exception, match="call 112") as raised:
        await response(world, answer, 400)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("kind", ["memory", "files"])
async def test_two_programs_with_one_store_ask_the_person_once(world: World, tmp_path: Any, kind: str) -> None:
    kept = MemoryStore() if kind == "memory" else FileStore(tmp_path / "auth")
    statuses: list[int] = []

    async def run() -> None:
        statuses.append(await world.call(world.oauth(store=kept)))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(run)
    assert statuses == [200] * 3
    assert world.grants == ["authorization_code"]
    assert len(world.shown) == 1
