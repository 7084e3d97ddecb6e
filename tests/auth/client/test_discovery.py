"""Where a client finds the authorization server of an MCP server, and what it does not believe."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.auth.client.world import World
from trimcp.auth import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.auth.challenges import parse_challenges
from trimcp.auth.client.discovery import Discovery
from trimcp.auth.client.http import open_authorization_http
from trimcp.errors import ExchangeFailed

ROOT = "https://mcp.example/.well-known/oauth-protected-resource"


async def found(world: World, named: str | None = None, *, strict: bool = False) -> Any:
    async with open_authorization_http() as http:
        discovery = Discovery(http, world.url, protocol_version="2026-07-28", strict_resource=strict)
        return await discovery.protected_resource(named)


async def authorization_server(world: World) -> Any:
    async with open_authorization_http() as http:
        discovery = Discovery(http, world.url, protocol_version="2026-07-28", strict_resource=False)
        return await discovery.authorization_server(world.issuer)


def document(value: Any, status: int = 200) -> Any:
    return lambda request: httpx2.Response(status, json=value)


async def test_the_url_of_the_challenge_comes_first(world: World) -> None:
    named = "https://elsewhere.example/metadata"
    world.answers[named] = document(world.resource)
    assert (await found(world, named)).resource == world.url
    assert world.urls == [named]
    assert world.sent[0].headers["mcp-protocol-version"] == "2026-07-28"


async def test_then_the_inserted_path_and_only_then_the_root(world: World) -> None:
    assert (await found(world, "https://elsewhere.example/none")).resource == world.url
    assert world.urls == ["https://elsewhere.example/none", f"{ROOT}/mcp"]
    world.sent.clear()
    world.answers[f"{ROOT}/mcp"] = document({}, 404)
    world.answers[ROOT] = document({**(world.resource or {}), "resource": "https://mcp.example"})
    assert (await found(world)).resource == "https://mcp.example"
    assert world.urls == [f"{ROOT}/mcp", ROOT]


async def test_pages_of_html_are_no_metadata(world: World) -> None:
    world.resource = None
    for url in (f"{ROOT}/mcp", ROOT):
        world.answers[url] = lambda request: httpx2.Response(200, html="<p>an application</p>")
    assert await found(world) is None


async def test_a_proxy_that_says_http_is_passed_over(world: World) -> None:
    assert (await found(world, "http://mcp.example/.well-known/oauth-protected-resource")).resource == world.url
    assert world.urls == [f"{ROOT}/mcp"]


async def test_a_server_that_fails_is_not_one_of_2025_03_26(world: World) -> None:
    world.answers[f"{ROOT}/mcp"] = document({}, 503)
    with pytest.raises(AuthorizationServerUnavailable) as raised:
        await found(world)
    assert raised.value.status == 503
    world.answers[ROOT] = document(world.resource)  # one place that answers is enough
    assert (await found(world)).resource == world.url


@pytest.mark.parametrize(
    ("resource", "url", "is_covered", "is_strict"),
    [
        ("https://mcp.example/mcp", "https://mcp.example/mcp", True, True),
        ("https://mcp.example", "https://mcp.example/mcp", True, False),
        ("https://mcp.example/", "https://mcp.example/mcp", True, False),
        ("https://mcp.example/a", "https://mcp.example/a/b", True, False),
        ("https://mcp.example/a/", "https://mcp.example/a", True, False),
        ("https://mcp.example", "https://mcp.example", True, True),
        ("https://mcp.example", "https://mcp.example/", True, True),
        ("https://MCP.example:443/mcp", "https://mcp.example/mcp", True, True),
        ("https://mcp.example/a", "https://mcp.example/ab", False, False),
        ("https://mcp.example/mcp/x", "https://mcp.example/mcp", False, False),
        ("https://evil.example/mcp", "https://mcp.example/mcp", False, False),
        ("https://mcp.example.evil.example/mcp", "https://mcp.example/mcp", False, False),
        ("https://mcp.example@evil.example/mcp", "https://mcp.example/mcp", False, False),
        ("http://mcp.example/mcp", "https://mcp.example/mcp", False, False),
        ("https://mcp.example:444/mcp", "https://mcp.example/mcp", False, False),
        ("https://[", "https://mcp.example/mcp", False, False),
        ("https://mcp.example:x/mcp", "https://mcp.example/mcp", False, False),
        ("https://other.example@mcp.example/mcp", "https://mcp.example/mcp", False, False),
        ("https://mcp.example\\@other.example/mcp", "https://mcp.example/mcp", False, False),
        ("https://mcp.exa\nmple/mcp", "https://mcp.example/mcp", False, False),
        ("https://mcp.example/mcp#", "https://mcp.example/mcp", False, False),
        (None, "https://mcp.example/mcp", False, False),
        (["https://mcp.example/mcp"], "https://mcp.example/mcp", False, False),
    ],
)
async def test_which_resources_are_the_server(
    world: World, resource: Any, url: str, is_covered: bool, is_strict: bool
) -> None:
    world.url = url
    metadata = {**(world.resource or {}), "resource": resource}
    world.answers["https://x.example/"] = document(metadata)
    for strict, expected in ((False, is_covered), (True, is_strict)):
        if expected:
            assert (await found(world, "https://x.example/", strict=strict)).resource == resource  # byte for byte
        else:
            with pytest.raises(AuthorizationFailed, match="connect to the URL"):
                await found(world, "https://x.example/", strict=strict)


@pytest.mark.parametrize("named", [None, [], "https://as.example", [1]])
async def test_metadata_name_an_authorization_server(world: World, named: Any) -> None:
    world.resource = {**(world.resource or {}), "authorization_servers": named}
    with pytest.raises(AuthorizationFailed, match="names no authorization server"):
        await found(world)


async def test_places_of_the_metadata_of_an_issuer_with_a_path(world: World) -> None:
    world.issuer, world.metadata = "https://as.example/tenant", None
    with pytest.raises(AuthorizationFailed, match="has no metadata"):
        await authorization_server(world)
    assert world.urls == [
        "https://as.example/.well-known/oauth-authorization-server/tenant",
        "https://as.example/.well-known/openid-configuration/tenant",
        "https://as.example/tenant/.well-known/openid-configuration",
    ]


async def test_places_of_the_metadata_of_an_issuer_without_path(world: World) -> None:
    world.metadata = None
    with pytest.raises(AuthorizationFailed, match="has no metadata"):
        await authorization_server(world)
    assert [url.removeprefix(world.issuer) for url in world.urls] == [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize("other", ["https://as.example/", "https://AS.example", "https://evil.example", None, 1])
async def test_another_issuer_is_refused_before_anything_else(world: World, other: Any) -> None:
    assert world.metadata is not None
    world.metadata["issuer"] = other
    with pytest.raises(ExchangeFailed, match="byte for byte") as raised:
        await world.call(world.oauth())
    assert "'https://as.example'" in str(raised.value)
    if isinstance(other, str):
        assert repr(other) in str(raised.value)
    assert not world.to("/register")
    assert not world.to("/token")


async def test_an_issuer_that_differs_by_a_slash_is_accepted_where_it_is_pinned(world: World) -> None:
    assert world.metadata is not None
    world.metadata["issuer"] = "https://as.example/"
    world.redirect = {"iss": "https://as.example/"}
    assert await world.call(world.oauth(issuer="https://as.example/")) == 200


async def test_a_pinned_issuer_is_the_only_one(world: World) -> None:
    with pytest.raises(ExchangeFailed, match=r"takes tokens of https://as.example, not of https://other.example"):
        await world.call(world.oauth(issuer="https://other.example"))
    assert world.resource is not None
    world.resource["authorization_servers"] = ["https://first.example", world.issuer]
    assert await world.call(world.oauth(issuer=world.issuer)) == 200
    assert not any("first.example" in url for url in world.urls)


@pytest.mark.parametrize("methods", [None, [], ["plain"], "S256"])
async def test_a_server_without_pkce_is_refused(world: World, methods: Any) -> None:
    assert world.metadata is not None
    world.metadata["code_challenge_methods_supported"] = methods
    with pytest.raises(ExchangeFailed, match="PKCE"):
        await world.call(world.oauth())
    assert not world.to("/register")
    assert not world.shown


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://as.example/authorize",
        "ftp://as.example/",
        "javascript:alert(1)",
        "https://as.example/a;$(reboot) b",
        "https://as.example/`x`",
        "https://as.example/'",
        "https://user:pass@as.example/",
        "https:///x",
        "https://[x",
    ],
)
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "registration_endpoint"])
async def test_endpoints_that_may_not_be_requested(world: World, name: str, endpoint: str) -> None:
    assert world.metadata is not None
    world.metadata[name] = endpoint
    with pytest.raises(ExchangeFailed, match="Invalid URL of the"):
        await world.call(world.oauth())
    assert not world.shown


async def test_a_server_of_2025_03_26_has_its_endpoints_at_the_origin(world: World) -> None:
    world.resource, world.issuer, world.metadata = None, "https://mcp.example", None
    world.redirect = {"iss": ""}
    assert await world.call(world.oauth()) == 200
    assert world.urls == [
        f"{ROOT}/mcp",
        ROOT,
        "https://mcp.example/.well-known/oauth-authorization-server",
        "https://mcp.example/register",
        "https://mcp.example/token",
    ]
    assert all(each.headers.get("mcp-protocol-version") for each in world.sent[:3])
    assert "code_challenge_method=S256" in world.shown[0]


async def test_a_server_of_2025_03_26_may_have_metadata(world: World) -> None:
    world.resource, world.issuer = None, "https://mcp.example"
    world.__attrs_post_init__()
    world.resource = None
    assert world.metadata is not None
    world.metadata["token_endpoint"] = "https://mcp.example/oauth/token"
    world.answers["https://mcp.example/oauth/token"] = lambda request: httpx2.Response(400, json={"error": "x"})
    with pytest.raises(ExchangeFailed, match="refuses: x"):
        await world.call(world.oauth())
    world.metadata["issuer"] = "https://evil.example"
    with pytest.raises(ExchangeFailed, match=r"calls itself .https://evil.example"):
        await world.call(world.oauth())


async def test_a_server_may_move_to_another_issuer(world: World) -> None:
    auth = world.oauth()
    assert await world.call(auth) == 200
    world.access.clear()
    world.issuer = "https://new.example"
    world.__attrs_post_init__()
    world.sent.clear()
    assert await world.call(auth) == 200
    assert [url for url in world.urls if "as.example" in url] == []
    assert world.to("https://new.example/register")
    tokens = await auth.tokens_for(world.url)
    assert tokens is not None
    assert tokens.access_token in world.access


async def test_other_schemes_than_those_of_tokens_are_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "mcp", lambda *_: (401, "Negotiate"))
    assert parse_challenges("Negotiate")
    assert await world.call(world.oauth()) == 401
    assert not world.sent
