"""Connections that carry many requests: WebSocket, and HTTP+SSE of 2024-11-05."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import trimcp
from tests.auth.server.minting import METADATA, Mint, notes
from tests.http.clients import request
from tests.http.raw import serving
from tests.http.test_http_sse import Old
from trimcp.auth.challenges import token_challenge

PATIENCE = 60
INSUFFICIENT = -31006
SERVERS: dict[str, Callable[[trimcp.Server], Any]] = {
    "server of its own": lambda server: server.serve_websocket,
    "hypercorn": lambda server: server.serve_hypercorn,
}
EACH = pytest.mark.parametrize("kind", SERVERS)


@asynccontextmanager
async def websocket(kind: str, mint: Mint, **options: Any) -> AsyncIterator[str]:
    """A protected server; its URL."""
    server = notes()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(functools.partial(SERVERS[kind](server), 0, auth=mint.guard(**options)))
            yield f"ws://{host}:{port}/mcp"
            await server.drain(0)


@EACH
async def test_an_upgrade_without_a_good_token_is_refused(kind: str) -> None:
    mint = Mint()
    async with websocket(kind, mint) as url:
        for headers, status in (({}, 401), (mint.bearer(exp=1), 401), (mint.bearer("other"), 403)):
            with pytest.raises(trimcp.ExchangeFailed) as caught:
                async with trimcp.connect(url, headers=headers):
                    raise AssertionError
            assert caught.value.status == status
            challenge = token_challenge(caught.value.challenge)
            assert challenge is not None
            assert challenge.parameters["resource_metadata"] == METADATA
            assert challenge.parameters["scope"] == "notes"


@EACH
async def test_on_an_open_connection_a_missing_scope_is_a_typed_error(kind: str) -> None:
    mint = Mint()
    async with websocket(kind, mint) as url, trimcp.connect(url, headers=mint.bearer()) as client:
        assert (await client.call_tool("whoami")).text == "https://login.example ada editor notes"
        for ask in (
            lambda: client.call_tool("erase"),
            lambda: client.read_resource("plan://secret"),
            lambda: client.get_prompt("rewrite", {"style": "x"}),
        ):
            with pytest.raises(trimcp.RequestFailed) as caught:
                await ask()
            assert caught.value.code == INSUFFICIENT
            assert caught.value.data["reason"] == "insufficient_scope"
            assert set(caught.value.data["scopes"]) <= {"notes:write", "notes:admin"}
        assert [tool.name for tool in await client.list_tools()] == ["whoami", "write", "erase"]


@EACH
async def test_a_listen_on_an_open_connection_is_judged_too(kind: str) -> None:
    mint = Mint()
    async with websocket(kind, mint) as url, trimcp.connect(url, headers=mint.bearer()) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            async with client.listen(uris=["plan://secret"]):
                raise AssertionError
        assert caught.value.code == INSUFFICIENT
        async with client.listen(uris=["motd://today"]):
            pass


@EACH
async def test_hidden_features_are_hidden_on_a_connection(kind: str) -> None:
    mint = Mint()
    async with websocket(kind, mint, hides=True) as url, trimcp.connect(url, headers=mint.bearer()) as client:
        assert [tool.name for tool in await client.list_tools()] == ["whoami"]
        with pytest.raises(trimcp.RequestFailed, match="Unknown tool: erase"):
            await client.call_tool("erase")


# --- HTTP+SSE -------------------------------------------------------------------------


async def test_each_post_of_the_old_transport_is_judged(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard(), sse=True) as http:
        assert (await http.ask("GET", "/sse")).status == 401
        client = await Old.open(http, principal=mint.bearer()["authorization"])
        refused = await client.http.ask("POST", client.path, body=request(1, "tools/call", {"name": "write"}))
        assert refused.status == 401
        fields = {"authorization": client.principal}
        call = request(1, "tools/call", {"name": "write", "arguments": {}})
        refused = await http.ask("POST", client.path, body=call, fields=fields)
        assert refused.status == 403
        assert 'scope="notes notes:write"' in refused.fields["www-authenticate"]
        # A step-up: a token of the same principal with more scopes.
        fields = mint.bearer("notes notes:write")
        assert (await http.ask("POST", client.path, body=call, fields=fields)).status == 202
        assert (await client.stream.message())["result"]["content"][0]["text"] == "written"
        # An older token changes nothing, and may not do more than it could.
        fields = mint.bearer()
        assert (await http.ask("POST", client.path, body=call, fields=fields)).status == 403
        thief = mint.bearer("notes notes:write", sub="eve")
        assert (await http.ask("POST", client.path, body=call, fields=thief)).status == 404


async def test_a_batch_line_cannot_hide_a_call_from_the_judge(door: str) -> None:
    """What is fed to the session is read once more there, and judged there too."""
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard(), sse=True) as http:
        client = await Old.open(http, principal=mint.bearer()["authorization"])
        fields = {"authorization": client.principal, "content-type": "application/json"}
        for gap in (b"\n", b"\r\n", b'"x": "a\nb",'):  # the last is no JSON before its lines are joined
            body = b'{"jsonrpc": "2.0", "id": 5, "method": "tools/call",%s "params": {"name": "write"}}' % gap
            assert (await http.ask("POST", client.path, body=body, fields=fields)).status == 403
