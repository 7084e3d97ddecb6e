"""The development authorization server: what it grants, and what it refuses as a real one does."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx2
import pytest
import trio

from tests.auth.server.minting import Clock
from trimcp.auth.client.dpop import DpopKey
from trimcp.auth.testing import DevelopmentAuthorizationServer, DevelopmentClient
from trimcp.errors import UsageError

REDIRECT = "http://127.0.0.1:5555/callback"
RESOURCE = "https://notes.example/mcp"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CLIENTS = [
    DevelopmentClient(client_id="public", redirect_uris=[REDIRECT]),
    DevelopmentClient(client_id="other", redirect_uris=[REDIRECT]),
    DevelopmentClient(client_id="rs", client_secret="secret"),
]


@attrs.define
class Idp:
    """A server that runs, and a browser and a program at once."""

    server: DevelopmentAuthorizationServer
    http: httpx2.AsyncClient

    async def authorize(self, **changed: Any) -> httpx2.Response:
        query = {
            "response_type": "code",
            "client_id": "public",
            "redirect_uri": REDIRECT,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "s&=",
            "scope": "a b",
            "resource": RESOURCE,
        }
        params = {name: value for name, value in {**query, **changed}.items() if value is not None}
        return await self.http.get(f"{self.server.issuer}/authorize", params=params)

    async def code(self, **changed: Any) -> str:
        return redirected(await self.authorize(**changed))["code"]

    async def token(self, headers: dict[str, str] | None = None, **form: Any) -> httpx2.Response:
        given = {"client_id": "public", "redirect_uri": REDIRECT, **form}
        sent = {name: value for name, value in given.items() if value is not None}
        return await self.http.post(f"{self.server.issuer}/token", data=sent, headers=headers)

    async def redeem(self, code: str, **changed: Any) -> httpx2.Response:
        return await self.token(
            **{"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER, **changed}
        )

    async def introspect(self, token: str) -> dict[str, Any]:
        response = await self.http.post(
            f"{self.server.issuer}/introspect", data={"token": token}, auth=("rs", "secret")
        )
        return dict(response.json())


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Idp]:
    server = DevelopmentAuthorizationServer(**{"clients": CLIENTS, **options})
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, httpx2.AsyncClient() as http:
            await nursery.start(server.serve)
            yield Idp(server, http)
            nursery.cancel_scope.cancel()


def redirected(response: httpx2.Response) -> dict[str, str]:
    assert response.status_code == 302
    assert response.headers["cache-control"] == "no-store"
    target = response.headers["location"]
    assert target.split("?")[0] == REDIRECT
    return dict(parse_qsl(urlsplit(target).query))


def error(response: httpx2.Response, status: int = 400) -> str:
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-store"
    return str(response.json()["error"])


async def test_a_code_becomes_a_token_for_the_resource() -> None:
    async with running() as idp:
        answered = redirected(await idp.authorize())
        assert answered["state"] == "s&="
        assert answered["iss"] == idp.server.issuer
        response = (await idp.redeem(answered["code"], resource=RESOURCE)).json()
        assert response["token_type"] == "Bearer"
        assert response["scope"] == "a b"
        claims = await idp.introspect(response["access_token"])
        assert claims["active"] is True
        assert (claims["iss"], claims["aud"], claims["sub"]) == (idp.server.issuer, RESOURCE, "ada")


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"resource": "notes"}, "invalid_target"),
        ({"scope": "unknown"}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_is_redirected_with_an_error(changed: dict[str, Any], found: str) -> None:
    async with running(scopes_supported=["a", "b"]) as idp:
        answered = redirected(await idp.authorize(**changed))
        assert answered["error"] == found
        assert answered["iss"] == idp.server.issuer
        assert "code" not in answered


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1:5555/other"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
        {"redirect_uri": "http://user@127.0.0.1:5555/callback"},
        {"client_id": "unknown"},
        {"client_id": None},
    ],
)
async def test_nothing_is_redirected_to_a_place_that_is_not_the_clients(changed: dict[str, Any]) -> None:
    async with running() as idp:
        response = await idp.authorize(**changed)
        assert response.status_code in (400, 401)
        assert "location" not in response.headers


async def test_the_port_of_loopback_may_vary() -> None:
    async with running() as idp:
        other = "http://127.0.0.1:7777/callback"
        response = await idp.authorize(redirect_uri=other)
        assert response.headers["location"].startswith(other)


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": None},
        {"redirect_uri": "http://127.0.0.1:1/callback"},
        {"redirect_uri": None},
        {"client_id": "other"},
        {"code": "forged"},
    ],
)
async def test_a_code_needs_its_verifier_its_client_and_its_redirect(changed: dict[str, Any]) -> None:
    async with running() as idp:
        assert error(await idp.redeem(**{"code": await idp.code(), **changed})) == "invalid_grant"


async def test_a_code_is_good_for_once_and_a_replay_revokes_its_tokens() -> None:
    async with running() as idp:
        code = await idp.code()
        token = (await idp.redeem(code)).json()["access_token"]
        assert (await idp.introspect(token))["active"]
        assert error(await idp.redeem(code)) == "invalid_grant"
        assert not (await idp.introspect(token))["active"]


async def test_a_code_expires() -> None:
    clock = Clock()
    async with running(clock=clock) as idp:
        code = await idp.code()
        clock.now += 61
        assert error(await idp.redeem(code)) == "invalid_grant"


async def test_another_resource_than_the_one_agreed_to_is_refused() -> None:
    async with running() as idp:
        assert error(await idp.redeem(await idp.code(), resource="https://evil.example")) == "invalid_target"


async def test_a_refresh_token_rotates_and_its_replay_revokes_the_family() -> None:
    async with running() as idp:
        first = (await idp.redeem(await idp.code())).json()
        second = (await idp.token(grant_type="refresh_token", refresh_token=first["refresh_token"])).json()
        assert second["refresh_token"] != first["refresh_token"]
        narrow = {"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}
        assert error(await idp.token(**narrow, client_id="other")) == "invalid_grant"
        third = (await idp.token(**narrow, scope="a")).json()
        assert third["scope"] == "a"
        replay = await idp.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
        assert error(replay) == "invalid_grant"
        last = await idp.token(grant_type="refresh_token", refresh_token=third["refresh_token"])
        assert error(last) == "invalid_grant"
        assert not (await idp.introspect(third["access_token"]))["active"]


async def test_a_refresh_cannot_widen_the_scope() -> None:
    async with running() as idp:
        first = (await idp.redeem(await idp.code(scope="a"))).json()
        wider = await idp.token(grant_type="refresh_token", refresh_token=first["refresh_token"], scope="a b")
        assert error(wider) == "invalid_scope"


async def test_clients_authenticate_in_exactly_one_way() -> None:
    async with running() as idp:
        url, form = f"{idp.server.issuer}/token", {"grant_type": "client_credentials"}
        pair = ("rs", "secret")
        assert (await idp.http.post(url, data=form, auth=pair)).status_code == 200
        post = {**form, "client_id": "rs", "client_secret": "secret"}
        assert (await idp.http.post(url, data=post)).status_code == 200
        assert error(await idp.http.post(url, data=post, auth=pair)) == "invalid_request"
        assert (await idp.http.post(url, data={**form, "client_id": "rs"}, auth=pair)).status_code == 200
        assert error(await idp.http.post(url, data={**form, "client_id": "public"}, auth=pair)) == "invalid_request"
        wrong = await idp.http.post(url, data=form, auth=("rs", "wrong"))
        assert error(wrong, 401) == "invalid_client"
        assert wrong.headers["www-authenticate"] == "Basic"
        assert error(await idp.http.post(url, data={**form, "client_id": "rs"}), 401) == "invalid_client"
        assert error(await idp.http.post(url, data={**form, "client_id": "public"})) == "unauthorized_client"
        assert error(await idp.http.post(url, data={"grant_type": "password", "client_id": "public"})) == (
            "unsupported_grant_type"
        )


async def test_registration_gives_what_was_asked_for() -> None:
    async with running() as idp:
        url = f"{idp.server.issuer}/register"
        metadata = {"redirect_uris": [REDIRECT], "client_name": "x", "application_type": "native"}
        response = await idp.http.post(url, json={**metadata, "token_endpoint_auth_method": "none"})
        assert response.status_code == 201
        made = response.json()
        assert made["application_type"] == "native"
        assert "client_secret" not in made
        confidential = (await idp.http.post(url, json=metadata)).json()
        assert confidential["token_endpoint_auth_method"] == "client_secret_basic"
        assert confidential["client_secret"]
        code = await idp.code(client_id=made["client_id"])
        assert (await idp.redeem(code, client_id=made["client_id"])).status_code == 200
        for wrong in (
            {"redirect_uris": ["javascript:alert(1)"]},
            {"redirect_uris": ["http://evil.example"]},
            {"redirect_uris": "x"},
            {},
            {**metadata, "token_endpoint_auth_method": "magic"},
        ):
            assert error(await idp.http.post(url, json=wrong)).startswith("invalid_")
        assert error(await idp.http.post(url, content=b"[")) == "invalid_client_metadata"
    async with running(registration=False) as idp:
        assert error(await idp.http.post(f"{idp.server.issuer}/register", json=metadata), 403) == "access_denied"


async def test_a_page_asks_where_that_is_configured() -> None:
    evil = DevelopmentClient(client_id="<script>", redirect_uris=[REDIRECT])
    async with running(asks=True, clients=[*CLIENTS, evil]) as idp:
        for decision, key in (("allow", "code"), ("deny", "error")):
            page = await idp.authorize(client_id="<script>")
            assert "<script>" not in page.text
            assert "For tests only" in page.text
            assert page.headers["x-frame-options"] == "DENY"
            ticket = re.search(r'value="([^"]+)"', page.text)
            assert ticket is not None
            form = {"ticket": ticket[1], "decision": decision}
            url = f"{idp.server.issuer}/authorize"
            assert key in redirected(await idp.http.post(url, data=form))
            assert error(await idp.http.post(url, data=form)) == "invalid_request"


async def test_a_device_waits_for_its_user() -> None:
    clock = Clock()
    async with running(clock=clock) as idp:
        url = f"{idp.server.issuer}/device_authorization"
        begun = (await idp.http.post(url, data={"client_id": "public", "scope": "a", "resource": RESOURCE})).json()
        poll = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"]}
        assert error(await idp.token(**poll)) == "authorization_pending"
        assert error(await idp.token(**poll)) == "slow_down"
        clock.now += 5
        assert error(await idp.token(**poll)) == "authorization_pending"
        assert error(await idp.token(**poll, client_id="other")) == "invalid_grant"
        assert (await idp.http.get(begun["verification_uri_complete"])).status_code == 200
        clock.now += 5
        token = (await idp.token(**poll)).json()
        assert token["scope"] == "a"
        assert (await idp.introspect(token["access_token"]))["aud"] == RESOURCE
        assert error(await idp.token(**poll)) == "invalid_grant"


async def test_a_device_may_be_refused_or_expire() -> None:
    clock = Clock()
    async with running(clock=clock, asks=True) as idp:
        url = f"{idp.server.issuer}/device_authorization"
        for decision, found in (("deny", "access_denied"), (None, "expired_token")):
            begun = (await idp.http.post(url, data={"client_id": "public"})).json()
            if decision is None:
                clock.now += 700
            else:
                form = {"ticket": begun["user_code"], "decision": decision}
                await idp.http.post(begun["verification_uri"], data=form)
            poll = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}
            assert error(await idp.token(**poll, device_code=begun["device_code"])) == found


async def test_tokens_are_bound_to_the_key_of_the_proof() -> None:
    async with running(dpop_nonces=True) as idp:
        key, url = DpopKey(), f"{idp.server.issuer}/token"
        code = await idp.code()
        first = await idp.redeem(code, headers={"DPoP": key.proof("POST", url)})
        assert error(first) == "use_dpop_nonce"
        assert key.keep_nonce(url, first.headers)
        response = (await idp.redeem(code, headers={"DPoP": key.proof("POST", url)})).json()
        assert response["token_type"] == "DPoP"
        assert (await idp.introspect(response["access_token"]))["cnf"] == {"jkt": key.thumbprint}
        refresh = {"grant_type": "refresh_token", "refresh_token": response["refresh_token"]}
        assert error(await idp.token(**refresh)) == "invalid_dpop_proof"
        proof = key.proof("POST", url)
        assert (await idp.token(**refresh, headers={"DPoP": proof})).json()["token_type"] == "DPoP"
        assert error(await idp.token(**refresh, headers={"DPoP": proof})) == "invalid_dpop_proof"  # replayed


async def test_metadata_are_at_both_places_and_the_issuer_may_have_a_path() -> None:
    async with running(path="/tenant", scopes_supported=["a"]) as idp:
        origin = idp.server.issuer.removesuffix("/tenant")
        for name in ("oauth-authorization-server", "openid-configuration"):
            response = await idp.http.get(f"{origin}/.well-known/{name}/tenant")
            metadata = response.json()
            assert response.headers["access-control-allow-origin"] == "*"
            assert metadata["issuer"] == idp.server.issuer
            assert metadata["code_challenge_methods_supported"] == ["S256"]
            assert metadata["authorization_response_iss_parameter_supported"] is True
            assert metadata["scopes_supported"] == ["a"]
        keys = (await idp.http.get(metadata["jwks_uri"])).json()["keys"]
        assert all("d" not in key for key in keys)
        assert (await idp.http.get(f"{origin}/.well-known/oauth-authorization-server")).status_code == 404


async def test_a_doubled_parameter_is_refused() -> None:
    async with running() as idp:
        url = f"{idp.server.issuer}/token"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        body = b"grant_type=client_credentials&client_id=public&client_id=rs"
        assert error(await idp.http.post(url, content=body, headers=headers)) == "invalid_request"


async def test_introspection_needs_a_secret() -> None:
    async with running() as idp:
        url = f"{idp.server.issuer}/introspect"
        assert error(await idp.http.post(url, data={"token": "x", "client_id": "public"}), 401) == "invalid_client"
        assert await idp.introspect("unknown") == {"active": False}


@pytest.mark.parametrize("path", ["tenant", "/", "/a/"])
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        DevelopmentAuthorizationServer(path=path)
