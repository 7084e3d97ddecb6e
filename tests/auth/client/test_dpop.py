"""Tokens that are bound to a key (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from joserfc import jwk, jwt
from joserfc.jwk import ECKey

from tests.auth.client.world import World
from trimcp.auth import ClientCredentials, FileStore, MemoryStore
from trimcp.auth.client.dpop import DpopKey
from trimcp.errors import ExchangeFailed
from trimcp.http.client.auth import AuthChallenge, AuthRequest


def proof(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a proof, whose signature is checked with the key in it."""
    header = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    key = jwk.ECKey.import_key(header["jwk"])
    assert not key.is_private
    made = jwt.decode(text, key, algorithms=["ES256"])
    return made.header, made.claims


def binding(world: World, kind: str = "DPoP") -> Callable[[httpx2.Request], httpx2.Response]:
    """A token endpoint that binds tokens to the key of the proof."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        header, claims = proof(request.headers["dpop"])
        assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
        assert (claims["htm"], claims["htu"]) == ("POST", "https://as.example/token")
        assert "ath" not in claims
        made = world._tokens("client-0", "basic", "x").json()
        return httpx2.Response(200, json={**made, "token_type": kind})

    return answer


async def test_requests_have_proofs(world: World) -> None:
    world.answers["https://as.example/token"] = binding(world)
    async with world.connected(world.oauth(dpop=True)) as connection:
        assert await connection.call() == 200
        assert await connection.call() == 200
    (_, claims), (_, again) = (proof(fields["DPoP"]) for fields in connection.fields[1:])
    scheme, _, token = connection.fields[1]["Authorization"].partition(" ")
    assert scheme == "DPoP"
    digest = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    assert (claims["htm"], claims["htu"], claims["ath"]) == ("POST", world.url, digest)
    assert claims["jti"] != again["jti"]
    thumbprint = str(jwk.ECKey.import_key(proof(connection.fields[1]["DPoP"])[0]["jwk"]).thumbprint())
    assert f"dpop_jkt={thumbprint}" in world.shown[0]


async def test_a_token_of_the_wrong_type_is_refused(world: World) -> None:
    world.answers["https://as.example/token"] = binding(world, "Bearer")
    with pytest.raises(ExchangeFailed, match="where DPoP was asked for"):
        await world.call(world.oauth(dpop=True))


async def test_a_nonce_of_the_token_endpoint_is_used_once_more(world: World) -> None:
    inner = binding(world)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if proof(request.headers["dpop"])[1].get("nonce") != "n1":
            return httpx2.Response(400, json={"error": "use_dpop_nonce"}, headers={"DPoP-Nonce": "n1"})
        return inner(request)

    world.answers["https://as.example/token"] = answer
    hook = ClientCredentials("id", "canary", dpop=True)
    assert await world.call(hook) == 200
    assert len(world.to("/token")) == 2
    world.access.clear()
    assert await world.call(hook) == 200
    assert len(world.to("/token")) == 3  # the nonce is kept
    world.answers["https://as.example/token"] = lambda request: httpx2.Response(
        400, json={"error": "use_dpop_nonce"}, headers={"DPoP-Nonce": "n2"}
    )
    world.access.clear()
    with pytest.raises(ExchangeFailed, match="use_dpop_nonce"):
        await world.call(hook)
    assert len(world.to("/token")) == 5


async def test_a_nonce_of_the_mcp_server_is_no_failure_of_the_token(world: World) -> None:
    world.answers["https://as.example/token"] = binding(world)
    hook = world.oauth(dpop=True)
    assert await world.call(hook) == 200
    request = AuthRequest(method="POST", url=world.url)
    fields = await hook.headers(request)
    challenge = AuthChallenge(
        status=401,
        www_authenticate='DPoP error="use_dpop_nonce"',
        request=request,
        sent=fields,
        headers={"DPoP-Nonce": "m1"},
    )
    assert await hook.challenged(challenge)
    assert len(world.to("/token")) == 1
    again = await hook.headers(request)
    assert again["Authorization"] == fields["Authorization"]
    assert proof(again["DPoP"])[1]["nonce"] == "m1"
    hook.responded(request, {"dpop-nonce": "m2"})
    assert proof((await hook.headers(request))["DPoP"])[1]["nonce"] == "m2"
    socket = AuthRequest(method="GET", url="wss://mcp.example/mcp?key=1", server_url="wss://mcp.example/mcp")
    assert proof((await hook.headers(socket))["DPoP"])[1]["htu"] == world.url


async def test_the_key_is_stored_with_the_tokens(world: World, tmp_path: Any) -> None:
    world.answers["https://as.example/token"] = binding(world)
    first = world.oauth(dpop=True, store=FileStore(tmp_path / "auth"))
    assert await world.call(first) == 200
    second = world.oauth(dpop=True, store=FileStore(tmp_path / "auth"))
    request = AuthRequest(method="POST", url=world.url)
    before, after = [proof((await hook.headers(request))["DPoP"])[0]["jwk"] for hook in (first, second)]
    assert before == after
    # A client without DPoP does not use them, nor the other way round.
    assert await world.oauth(store=FileStore(tmp_path / "auth")).headers(request) == {}


async def test_a_damaged_key_is_as_no_tokens(world: World) -> None:
    store = MemoryStore()
    world.answers["https://as.example/token"] = binding(world)
    assert await world.call(world.oauth(dpop=True, store=store)) == 200
    key = next(key for key in store._entries if key.resource)
    for damaged in ({}, {"kty": "EC"}, {"kty": "RSA"}, "x", None, ECKey.generate_key("P-384").as_dict(private=True)):
        entry = store._entries[key]
        await store.replace(key, entry.generation, {**entry.value, "dpop_key": damaged})
        hook = world.oauth(dpop=True, store=store)
        assert await hook.headers(AuthRequest(method="POST", url=world.url)) == {}
        assert await world.call(hook) == 200


def test_nonces_are_bounded() -> None:
    key = DpopKey()
    for number in range(200):
        assert key.keep_nonce(f"https://a{number}.example/", {"DPoP-Nonce": "x"})
    assert len(key._nonces) == 64
    assert not key.keep_nonce("https://b.example/", {"dpop-nonce": "x" * 5000})
    assert not key.keep_nonce("https://b.example/", {})
    assert "d" not in proof(key.proof("GET", "https://x.example/"))[0]["jwk"]
    assert str(key.to_json()["d"]) not in repr(key)
