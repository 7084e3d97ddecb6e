"""A client's auth hook and a server's `authenticate`, over sockets: HTTP by either door, WebSocket by either server."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trio

import trimcp
from tests.http.client.guarded import Hook, call_all
from tests.session.peer import Logged

PATIENCE = 60
SERVERS: dict[str, tuple[str, Callable[[trimcp.Server], Any]]] = {
    "built-in": ("http", lambda server: server.serve_http),
    "hypercorn": ("http", lambda server: server.serve_hypercorn),
    "websocket": ("ws", lambda server: server.serve_websocket),
    "websocket under hypercorn": ("ws", lambda server: server.serve_hypercorn),
}
EACH = pytest.mark.parametrize("kind", SERVERS)


class Door:
    """What lets clients in: tokens, and the scopes that they carry."""

    def __init__(self) -> None:
        self.tokens: dict[str, set[str]] = {"good": set()}
        self.wanted: set[str] = set()
        """Scopes that a request needs."""
        self.refused: list[int] = []

    async def authenticate(self, request: trimcp.HttpRequest) -> trimcp.Principal:
        """See `HttpOptions.authenticate`."""
        scopes = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if scopes is None:
            self.refused.append(401)
            raise trimcp.Unauthenticated(challenge='Bearer realm="door", error="invalid_token"')
        if not self.wanted <= scopes:
            self.refused.append(403)
            scope = " ".join(sorted(self.wanted))
            raise trimcp.Unauthenticated(challenge=f'Bearer error="insufficient_scope", scope="{scope}"', status=403)
        return trimcp.Principal("ada", scopes=scopes)


@asynccontextmanager
async def served(kind: str, door: Door, **options: Any) -> AsyncIterator[str]:
    """A server behind that door; its URL."""
    server = trimcp.Server("s")

    @server.tool
    async def x(ctx: trimcp.Context) -> str:
        assert ctx.principal is not None
        return f"{ctx.principal} {sorted(ctx.principal.scopes)}"

    scheme, serve = SERVERS[kind]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            call = functools.partial(serve(server), 0, authenticate=door.authenticate, **options)
            host, port = await nursery.start(call)
            yield f"{scheme}://{host}:{port}/mcp"
            await server.drain(0)


@EACH
@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_a_hook_is_challenged_and_then_let_in(kind: str, revision: str) -> None:
    door, hook = Door(), Hook()
    async with served(kind, door) as url, trimcp.connect(url, auth=hook, revision=revision) as client:
        assert await call_all(client, 5) == ["ada []"] * 5
    assert door.refused == [401]
    (challenge,) = hook.challenges
    assert (challenge.status, challenge.www_authenticate) == (401, 'Bearer realm="door", error="invalid_token"')
    assert challenge.headers["WWW-Authenticate"] == challenge.www_authenticate
    assert challenge.sent == {}
    assert challenge.request.url == url


@EACH
async def test_a_403_asks_for_more_scopes(kind: str) -> None:
    door = Door()
    door.tokens["better"] = {"write"}
    door.wanted = {"write"}
    hook = Hook("good", next_token="better")
    async with served(kind, door) as url, trimcp.connect(url, auth=hook) as client:
        assert await call_all(client, 1) == ["ada ['write']"]
    assert door.refused == [403]
    assert hook.challenges[0].www_authenticate == 'Bearer error="insufficient_scope", scope="write"'


@EACH
async def test_without_a_hook_the_error_has_the_challenge(kind: str, logged: Logged) -> None:
    door = Door()
    async with served(kind, door) as url:
        for auth in ("s3cret", Hook("s3cret", is_met=False)):
            with pytest.raises(trimcp.ExchangeFailed, match="status 401") as caught:
                async with trimcp.connect(url, auth=auth):
                    raise AssertionError
            assert (caught.value.status, caught.value.challenge) == (401, 'Bearer realm="door", error="invalid_token"')
            assert "s3cret" not in str(caught.value)
        async with trimcp.connect(url, auth="good") as client:
            assert await call_all(client, 1) == ["ada []"]
    assert "s3cret" not in str(logged)


@EACH
async def test_one_that_stays_refused_is_repeated_once(kind: str) -> None:
    door = Door()
    async with served(kind, door) as url:
        with pytest.raises(trimcp.ExchangeFailed, match="status 401"):
            async with trimcp.connect(url, auth=Hook("old", next_token="older")):
                raise AssertionError
    assert door.refused == [401, 401]


@pytest.mark.parametrize("kind", ["built-in", "hypercorn"])
async def test_many_calls_whose_token_has_run_out_ask_once(kind: str) -> None:
    door = Door()
    hook = Hook("good", next_token="newer")
    async with served(kind, door) as url, trimcp.connect(url, auth=hook, revision="2025-11-25") as client:
        assert await call_all(client, 20) == ["ada []"] * 20
        del door.tokens["good"]
        door.tokens["newer"] = {"write"}
        assert await call_all(client, 20) == ["ada ['write']"] * 20
    assert len(hook.challenges) == 1
    assert 1 <= len(door.refused) <= 20


@pytest.mark.parametrize("kind", ["built-in", "hypercorn"])
async def test_with_a_client_of_httpx2(kind: str) -> None:
    door, hook = Door(), Hook()
    async with (
        served(kind, door) as url,
        httpx2.AsyncClient() as http,
        trimcp.connect(url, auth=hook, http_client=http) as client,
    ):
        assert await call_all(client, 3) == ["ada []"] * 3
    assert door.refused == [401]
    assert len(hook.challenges) == 1


@pytest.mark.parametrize("kind", ["built-in", "hypercorn"])
async def test_by_http_sse(kind: str) -> None:
    door, hook = Door(), Hook()
    async with (
        served(kind, door, sse=True) as url,
        trimcp.connect(url.replace("/mcp", "/sse"), auth=hook, transport="sse") as client,
    ):
        assert await call_all(client, 3) == ["ada []"] * 3
        del door.tokens["good"]
        door.tokens["newer"] = set()
        hook.next_token = "newer"
        assert await call_all(client, 3) == ["ada []"] * 3
    assert door.refused == [401, 401]
    assert [each.request.method for each in hook.challenges] == ["GET", "POST"]
