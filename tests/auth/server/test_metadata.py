"""The metadata of a protected resource: rule 1 of the resource server (RFC 9728)."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.auth.server.minting import ISSUER, METADATA, RESOURCE, Mint, notes
from tests.http.raw import serving
from trimcp import auth
from trimcp.errors import UsageError

ROOT = "/.well-known/oauth-protected-resource"


async def test_it_is_at_the_inserted_path_and_at_the_root(door: str) -> None:
    async with serving(door, notes(), auth=Mint().guard(resource_name="Notes")) as http:
        for path in (f"{ROOT}/mcp", ROOT):
            answer = await http.ask("GET", path)
            document = await answer.json()
            assert answer.status == 200
            assert answer.fields["access-control-allow-origin"] == "*"
            assert "max-age" in answer.fields["cache-control"]
            assert document == {
                "resource": RESOURCE,
                "authorization_servers": [ISSUER],
                "bearer_methods_supported": ["header"],
                "dpop_signing_alg_values_supported": document["dpop_signing_alg_values_supported"],
                "scopes_supported": ["notes"],
                "resource_name": "Notes",
            }


async def test_it_never_follows_what_a_request_says(door: str) -> None:
    forged = {"host": "evil.example", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}
    forged |= {"forwarded": "host=evil.example", "origin": "https://page.example"}
    async with serving(door, notes(), auth=Mint().guard()) as http:
        answer = await http.ask("GET", ROOT, fields=forged)
        assert (await answer.json())["resource"] == RESOURCE
        assert answer.fields["access-control-allow-origin"] == "*"
        challenge = (await http.ask("POST", body={}, fields={**forged, "host": "localhost", "origin": None})).fields
        assert f'resource_metadata="{METADATA}"' in challenge["www-authenticate"]


async def test_browsers_may_ask_first_and_other_methods_are_refused(door: str) -> None:
    async with serving(door, notes(), auth=Mint().guard()) as http:
        fields = {"origin": "https://page.example", "access-control-request-method": "GET"}
        answer = await http.ask("OPTIONS", f"{ROOT}/mcp", fields=fields)
        assert answer.status == 204
        assert "mcp-protocol-version" in answer.fields["access-control-allow-headers"]
        assert (await http.ask("POST", ROOT, body={})).status == 405
        assert (await http.ask("HEAD", ROOT)).status == 200
        assert (await http.ask("GET", f"{ROOT}/other")).status == 404


async def test_it_can_be_left_out_at_the_root(door: str) -> None:
    async with serving(door, notes(), auth=Mint().guard(metadata_at_root=False)) as http:
        assert (await http.ask("GET", ROOT)).status == 404
        assert (await http.ask("GET", f"{ROOT}/mcp")).status == 200


async def test_a_resource_without_a_path_has_one_place(door: str) -> None:
    guard = Mint().guard(resource="http://localhost:8000")
    assert guard.metadata.paths == (ROOT,)
    async with serving(door, notes(), auth=guard) as http:
        assert (await (await http.ask("GET", ROOT)).json())["resource"] == "http://localhost:8000"


async def test_advertised_and_required_scopes_are_separate(door: str) -> None:
    guard = Mint().guard(required_scopes=["deep"], scopes_supported=["basic", "more"])
    async with serving(door, notes(), auth=guard) as http:
        document = await (await http.ask("GET", ROOT)).json()
        assert document["scopes_supported"] == ["basic", "more"]
        assert 'scope="deep"' in (await http.ask("POST", body={})).fields["www-authenticate"]
    assert "scopes_supported" not in json.loads(Mint().guard(required_scopes=[]).metadata.body)


async def test_bound_tokens_are_announced() -> None:
    assert json.loads(Mint().guard(dpop=True).metadata.body)["dpop_bound_access_tokens_required"] is True


@pytest.mark.parametrize(
    "options",
    [
        {"authorization_servers": []},
        {"authorization_servers": ISSUER},
        {"authorization_servers": ["http://login.example"]},
        {"resource": "http://notes.example/mcp"},
        {"resource": "https://notes.example/mcp#x"},
        {"resource": "https://notes.example/mcp?x"},
        {"resource": "notes.example"},
        {"required_scopes": ["offline_access"]},
        {"scopes_supported": ["offline_access"]},
        {"required_scopes": "notes"},
        {"required_scopes": ["a b"]},
        {"required_scopes": ['a"']},
        {"required_scopes": ["a\r\nx: y"]},
        {"required_scopes": [""]},
        {"verifier": object()},
    ],
)
def test_an_invalid_configuration_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Mint().guard(**options)


async def test_a_route_of_the_user_at_its_path_is_refused() -> None:
    server = notes()

    @server.route(ROOT)
    async def mine(request: Any) -> str:
        return ""

    with pytest.raises(UsageError, match="metadata of the protected resource"):
        await server.serve_http(0, auth=Mint().guard())
    with pytest.raises(UsageError, match="metadata of the protected resource"):
        server.asgi(auth=Mint().guard())


async def test_two_ways_to_authenticate_are_refused() -> None:
    async def authenticate(request: Any) -> str:
        return "ada"

    with pytest.raises(UsageError, match="Two ways"):
        notes().asgi(auth=Mint().guard(), authenticate=authenticate)


# --- mounted in another application ---------------------------------------------------


async def test_mounted_the_well_known_paths_have_an_application_of_their_own() -> None:
    guard = Mint().guard(resource="http://localhost:8000/api/mcp")
    server = notes()
    door = server.asgi(auth=guard)
    app = Starlette(routes=[Mount("/api", door), Mount("/", auth.protected_resource_app(guard))])
    async with door.lifespan(), httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
        for path in (f"{ROOT}/api/mcp", ROOT, f"{ROOT}/api/mcp/"):
            response = await client.get(f"http://localhost:8000{path}")
            assert response.status_code == 200
            assert response.json()["resource"] == "http://localhost:8000/api/mcp"
            assert response.headers["access-control-allow-origin"] == "*"
        refused = await client.post("http://localhost:8000/api/mcp", json={})
        assert refused.status_code == 401
        assert f"http://localhost:8000{ROOT}/api/mcp" in refused.headers["www-authenticate"]
        assert (await client.get("http://localhost:8000/other")).status_code == 404
        assert (await client.post(f"http://localhost:8000{ROOT}", json={})).status_code == 405
        assert (await client.options(f"http://localhost:8000{ROOT}")).status_code == 204
        head = await client.head(f"http://localhost:8000{ROOT}")
        assert (head.status_code, head.content) == (200, b"")


async def test_the_application_may_be_mounted_at_the_well_known_path() -> None:
    guard = Mint().guard()
    app = Starlette(routes=[Mount("/.well-known", auth.protected_resource_app(guard))])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
        assert (await client.get(METADATA)).json()["resource"] == RESOURCE
