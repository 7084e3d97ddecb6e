"""Tokens without a person: client credentials, keys, workload identity, and the enterprise's sign-on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import trio
import trio.testing
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.auth.client.world import World, basic_credentials
from trimcp import auth
from trimcp.errors import ExchangeFailed, UsageError
from trimcp.http.client.auth import ClientAuth

KEY = ECKey.generate_key("P-256", private=True)
PEM = KEY.as_pem(private=True)
PROVIDER = "https://idp.example/token"
EVIL = ("https://evil.example/.well-known/oauth-authorization-server", "https://evil.example/token")
JAG = {
    "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
    "token_type": "N_A",
    "access_token": "canary-jag",
}


def refuse(error: str, status: int = 400) -> Callable[[httpx2.Request], httpx2.Response]:
    return lambda request: httpx2.Response(status, json={"error": error})


async def test_a_secret(world: World) -> None:
    hook = auth.ClientCredentials("id", "canary")
    assert await world.call(hook) == 200
    (token,) = world.to("/token")
    assert token.body == {"grant_type": "client_credentials", "resource": world.url, "scope": "basic"}
    assert basic_credentials(token.headers["authorization"]) == ("id", "canary")
    assert not world.to("/register")


async def test_a_secret_in_the_body_where_nothing_else_is_offered(world: World) -> None:
    assert world.metadata is not None
    world.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert await world.call(auth.ClientCredentials("id", "canary")) == 200
    (token,) = world.to("/token")
    assert (token.body["client_id"], token.body["client_secret"]) == ("id", "canary")


async def test_pkce_is_of_no_matter_without_a_person(world: World) -> None:
    assert world.metadata is not None
    del world.metadata["code_challenge_methods_supported"]
    assert await world.call(auth.ClientCredentials("id", "canary")) == 200


async def test_a_new_token_is_obtained_and_never_refreshed(world: World) -> None:
    async with world.connected(auth.ClientCredentials("id", "canary")) as connection:
        await connection.call()
        world.advance(3600)  # before it ends
        assert await connection.call() == 200
        world.access.clear()  # and once the server refuses it
        assert await connection.call() == 200
        assert connection.statuses == [401, 200, 200, 401, 200]
    assert world.grants == ["client_credentials"] * 3


async def test_a_dead_id_is_an_error(world: World) -> None:
    world.answers["https://as.example/token"] = refuse("invalid_client", 401)
    with pytest.raises(ExchangeFailed, match="invalid_client"):
        await world.call(auth.ClientCredentials("id", "canary"))
    assert len(world.to("/token")) == 1


async def test_a_secret_stays_at_its_issuer(world: World) -> None:
    hook = auth.ClientCredentials("id", "canary")
    assert await world.call(hook) == 200
    world.issuer = "https://evil.example"
    world.__attrs_post_init__()
    world.access.clear()
    with pytest.raises(ExchangeFailed, match="is registered at"):
        await world.call(hook)
    assert not world.to("https://evil.example/token")


@pytest.mark.parametrize("kind", ["secret", "key", "person"])
async def test_of_two_first_sign_ins_at_once_one_issuer_gets_the_client(
    world: World, kind: str, autojump_clock: trio.testing.MockClock
) -> None:
    other = World(url="https://other.example/mcp", issuer="https://evil.example")
    for url in ("https://other.example/.well-known/oauth-protected-resource/mcp", *EVIL):
        world.answers[url] = other.answer
    world.delay = 1  # so that each has found its authorization server before either sends the client's secret
    hooks: dict[str, Callable[[], ClientAuth]] = {
        "secret": lambda: auth.ClientCredentials("id", "canary"),
        "key": lambda: auth.PrivateKeyJwt("id", PEM),
        "person": lambda: auth.OAuth(client_id="id", client_secret="canary", read_callback=agree),
    }
    ends: list[object] = []

    async def agree(url: str) -> str:
        return await (other if url.startswith("https://evil.example/") else world).agree(url)

    async def call(each: World) -> None:
        try:
            ends.append(await each.call(hook))
        except ExchangeFailed as exc:
            ends.append(str(exc))

    hook = hooks[kind]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, world)
        nursery.start_soon(call, other)
    assert 200 in ends
    (refusal,) = [end for end in ends if end != 200]
    assert "is registered at" in str(refusal)
    assert len(world.to("/token")) == 1


async def test_the_tokens_of_a_person_and_of_programs_stay_apart_in_one_store(world: World) -> None:
    store = auth.MemoryStore()
    hooks = [
        world.oauth(store=store),
        auth.ClientCredentials("one", "canary", store=store),
        auth.ClientCredentials("two", "canary", store=store),
    ]
    for hook in hooks:
        assert await world.call(hook) == 200
    assert world.grants == ["authorization_code", "client_credentials", "client_credentials"]
    tokens = [await hook.tokens_for(world.url) for hook in hooks]
    assert len({each.access_token for each in tokens if each is not None}) == 3
    # The next process of the person is not the program.
    assert await world.oauth(store=store).tokens_for(world.url) == tokens[0]
    assert await auth.ClientCredentials("one", "canary", store=store).tokens_for(world.url) is None


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", KEY),
        ("ES384", ECKey.generate_key("P-384", private=True)),
        ("RS256", RSAKey.generate_key(2048, private=True)),
        ("PS256", RSAKey.generate_key(2048, private=True)),
        ("Ed25519", OKPKey.generate_key("Ed25519", private=True)),
    ],
)
async def test_a_key(world: World, algorithm: str, key: Any) -> None:
    hook = auth.PrivateKeyJwt("id", key.as_pem(private=True), algorithm=algorithm, key_id="k1")
    assert await world.call(hook) == 200
    (token,) = world.to("/token")
    assert token.body.keys() == {"grant_type", "resource", "scope", "client_assertion", "client_assertion_type"}
    assert "authorization" not in token.headers
    made = jwt.decode(token.body["client_assertion"], key, algorithms=[algorithm])
    assert made.header["kid"] == "k1"
    claims = made.claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("id", "id", world.issuer)  # one string
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert claims["jti"]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (b"canary", "ES256"),
        (PEM, "RS256"),
        (KEY.as_pem(private=False), "ES256"),
        (PEM, "HS256"),
        (PEM, "none"),
    ],
)
def test_a_key_that_is_none(key: bytes, algorithm: str) -> None:
    with pytest.raises(UsageError) as raised:
        auth.PrivateKeyJwt("id", key, algorithm=algorithm)
    assert "canary" not in str(raised.value)


async def test_workload_identity(world: World) -> None:
    audiences: list[str] = []

    async def assertion(audience: str) -> str:
        audiences.append(audience)
        return "canary-jwt"

    assert await world.call(auth.WorkloadIdentity(assertion, client_id="id")) == 200
    assert audiences == [world.issuer]
    (token,) = world.to("/token")
    assert token.body == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "canary-jwt",
        "resource": world.url,
        "scope": "basic",
        "client_id": "id",
    }


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_scope", "unauthorized_client"])
async def test_workload_identity_is_not_tried_again(world: World, error: str) -> None:
    async def assertion(audience: str) -> str:
        return "canary-jwt"

    world.answers["https://as.example/token"] = refuse(error)
    with pytest.raises(ExchangeFailed, match=error) as raised:
        await world.call(auth.WorkloadIdentity(assertion))
    assert "canary" not in str(raised.value)
    assert len(world.to("/token")) == 1


def enterprise(tokens: list[str], **options: Any) -> auth.EnterpriseManaged:
    left = iter(tokens)

    async def subject_token() -> str:
        return next(left)

    provider = auth.IdentityProvider(token_endpoint=PROVIDER, client_id="at-idp", client_secret="canary-idp")
    return auth.EnterpriseManaged("id", "canary", identity_provider=provider, subject_token=subject_token, **options)


async def test_the_enterprises_sign_on(world: World) -> None:
    world.addresses["idp.example"] = "10.0.0.1"  # which the application has named, so it may be private
    world.answers[PROVIDER] = lambda request: httpx2.Response(200, json=JAG)
    assert await world.call(enterprise(["canary-id-token"])) == 200
    exchange, token = world.to(PROVIDER)[0], world.to("https://as.example/token")[0]
    kind = "urn:ietf:params:oauth:token-type:"
    assert exchange.body == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": f"{kind}id-jag",
        "subject_token": "canary-id-token",
        "subject_token_type": f"{kind}id_token",
        "audience": world.issuer,
        "resource": world.url,
        "scope": "basic",
    }
    assert basic_credentials(exchange.headers["authorization"]) == ("at-idp", "canary-idp")
    assert basic_credentials(token.headers["authorization"]) == ("id", "canary")
    assert token.body["assertion"] == "canary-jag"
    assert token.body["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def test_a_refused_assertion_is_asked_for_anew_once(world: World) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        is_new = "subject_token=new" in request.content.decode()
        return httpx2.Response(200, json=JAG) if is_new else httpx2.Response(400, json={"error": "invalid_grant"})

    world.answers[PROVIDER] = answer
    assert await world.call(enterprise(["old", "new"], subject_token_type="saml2")) == 200
    with pytest.raises(ExchangeFailed, match=r"identity provider of .* refuses: invalid_grant"):
        await world.call(enterprise(["old", "old", "new"]))
    assert not world.shown


async def test_a_refused_grant_is_exchanged_for_anew_once(world: World) -> None:
    world.answers[PROVIDER] = lambda request: httpx2.Response(200, json=JAG)
    world.answers["https://as.example/token"] = refuse("invalid_grant")
    with pytest.raises(ExchangeFailed, match="invalid_grant"):
        await world.call(enterprise(["a", "b", "c"]))
    assert len(world.to(PROVIDER)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"},
        {"token_type": "Bearer"},
        {"access_token": 1},
        {"issued_token_type": None},
    ],
)
async def test_another_token_of_the_provider_is_refused(world: World, change: dict[str, Any]) -> None:
    world.answers[PROVIDER] = lambda request: httpx2.Response(200, content=json.dumps({**JAG, **change}).encode())
    with pytest.raises(ExchangeFailed, match="The identity provider gives"):
        await world.call(enterprise(["a"]))
    assert not world.to("https://as.example/token")


def test_a_subject_token_of_another_type() -> None:
    with pytest.raises(UsageError, match="id_token"):
        enterprise([], subject_token_type="jwt")
