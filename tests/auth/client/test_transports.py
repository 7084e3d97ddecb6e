"""Sign-ins by `trimcp.connect`, over sockets: both eras, HTTP+SSE, and the upgrade to a WebSocket."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
import trio

import trimcp
from tests.auth.client.world import World
from tests.http.client.guarded import call_all
from tests.http.client.test_auth_served import served
from trimcp.auth.challenges import format_challenge

METADATA = "https://as.example/metadata-of-mcp"
HTTP = ["built-in", "hypercorn"]
EACH = [*HTTP, "websocket", "websocket under hypercorn"]


class Gate:
    """Lets in who has a token of that world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.refused: list[str] = []
        self.verbs: set[str] = set()
        self.needs = ""

    async def authenticate(self, request: trimcp.HttpRequest) -> trimcp.Principal:
        """See `HttpOptions.authenticate`."""
        fields = {"Authorization": request.headers.get("authorization", "")}
        assert "canary" not in str(getattr(request, "query", "")), "a token in a query"
        status, challenge = self.world.mcp(fields, self.needs)
        if status != 200:
            self.refused.append(request.method)
            fields = {"error": None, "scope": "basic", "resource_metadata": METADATA}
            if status == 403:
                fields |= {"error": "insufficient_scope", "scope": self.needs}
            raise trimcp.Unauthenticated(challenge=format_challenge("Bearer", fields), status=status)
        assert challenge is None
        self.verbs.add(request.method)
        token = fields["Authorization"].partition(" ")[2]
        return trimcp.Principal("ada", scopes=set(self.world.access[token]["scope"].split()))


def serve_metadata(world: World, url: str) -> None:
    """Have the metadata of the server be found by its challenge."""
    world.url = url.replace("ws://", "http://")
    resource = {"resource": world.url, "authorization_servers": [world.issuer]}
    world.answers[METADATA] = lambda request: httpx2.Response(200, json=resource)


@pytest.mark.parametrize("kind", EACH)
@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_a_sign_in_by_connect(world: World, kind: str, revision: str) -> None:
    gate = Gate(world)
    auth = world.oauth()
    async with served(kind, gate) as url:  # type: ignore[arg-type]
        serve_metadata(world, url)
        async with trimcp.connect(url, auth=auth, revision=revision) as client:
            assert await call_all(client, 5) == ["ada ['basic']"] * 5
        async with trimcp.connect(url, auth=auth, revision=revision) as client:
            assert await call_all(client, 1) == ["ada ['basic']"]
    assert len(gate.refused) == len(world.shown) == 1
    assert world.to("/token")[0].body["resource"] == world.url


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_a_session_goes_on_with_new_tokens(world: World, kind: str, revision: str) -> None:
    gate = Gate(world)
    auth = world.oauth()
    async with served(kind, gate) as url:  # type: ignore[arg-type]
        serve_metadata(world, url)
        async with trimcp.connect(url, auth=auth, revision=revision) as client:
            await call_all(client, 1)
            world.access.clear()  # refused: refreshed
            assert await call_all(client, 5) == ["ada ['basic']"] * 5
            world.advance(3600)  # ended: refreshed before the request
            gate.refused.clear()
            assert await call_all(client, 5) == ["ada ['basic']"] * 5
            assert not gate.refused
            gate.needs = "write"
            assert await call_all(client, 5) == ["ada ['basic', 'write']"] * 5
    assert world.grants == ["authorization_code", "refresh_token", "refresh_token", "authorization_code"]
    if revision == "2025-11-25":
        assert gate.verbs == {"POST", "GET", "DELETE"}


@pytest.mark.parametrize("kind", HTTP)
async def test_by_http_and_sse(world: World, kind: str) -> None:
    gate = Gate(world)
    auth = world.oauth()
    async with served(kind, gate, sse=True) as url:  # type: ignore[arg-type]
        url = url.replace("/mcp", "/sse")
        serve_metadata(world, url)
        async with trimcp.connect(url, auth=auth, transport="sse") as client:
            assert await call_all(client, 3) == ["ada ['basic']"] * 3
            world.access.clear()
            assert await call_all(client, 3) == ["ada ['basic']"] * 3
    assert world.grants == ["authorization_code", "refresh_token"]
    assert world.to("/token")[1].body["resource"] == url  # of the server, not of its endpoint for messages


async def test_a_call_that_is_cancelled_does_not_cancel_the_sign_in(world: World) -> None:
    gate, waits, agreed = Gate(world), trio.Event(), trio.Event()

    async def read(url: str) -> str:
        if world.grants:
            waits.set()
            await agreed.wait()
        return await world.agree(url)

    async with served("built-in", gate) as url:  # type: ignore[arg-type]
        serve_metadata(world, url)
        async with trimcp.connect(url, auth=world.oauth(read_callback=read), revision="2025-11-25") as client:
            await call_all(client, 1)
            gate.needs = "write"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.call_tool, "x")
                await waits.wait()
                nursery.cancel_scope.cancel()
            agreed.set()
            answers: list[Any] = await call_all(client, 1)
            assert answers == ["ada ['basic', 'write']"]
    assert len(world.shown) == 2
