"""Clients of trimcp at a server that is protected, with tokens of the development authorization server."""

from __future__ import annotations

import functools
import time
from typing import Any

import httpx2
import pytest
import trio
from starlette.applications import Starlette
from starlette.routing import Mount
from trio.testing import MockClock

import trimcp
from tests.auth.server.minting import Mint, notes
from tests.auth.server.signing import MACHINE, RS, agree, introspecting, protected
from tests.ports import free_port
from tests.session.peer import Logged
from trimcp import auth
from trimcp.auth.testing import DevelopmentAuthorizationServer, DevelopmentClient
from trimcp.http.asgi.hypercorn import serve_hypercorn

DOORS = pytest.mark.parametrize("kind", ["serve_http", "serve_hypercorn"])
DOCUMENT = "https://notes.example/client.json"


def signs(idp: DevelopmentAuthorizationServer, path: str) -> int:
    return sum(asked.endswith(path) for asked in idp.requests)


@DOORS
@pytest.mark.parametrize("dpop", [False, True], ids=["bearer", "dpop"])
@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25", "2025-06-18"])
async def test_a_person_signs_in_and_steps_up(kind: str, dpop: bool, revision: str) -> None:
    options: dict[str, Any] = {"dpop": dpop, "dpop_nonces": dpop, "scopes_supported": ["notes"]}
    server = notes(revisions=[revision])
    async with protected(kind, server=server, idp={"dpop_nonces": dpop}, **options) as at:
        hook = auth.OAuth(read_callback=agree, dpop=dpop)
        async with trimcp.connect(at.url, auth=hook) as client:
            assert (await client.call_tool("whoami")).text.endswith(" notes")
            assert (await client.call_tool("write")).text == "written"
            assert (await client.call_tool("erase")).text == "erased"
            assert (await client.call_tool("whoami")).text.endswith(" notes notes:admin notes:write")
            assert (await client.read_resource("plan://secret")).contents
        assert signs(at.idp, "/register") == 1
        assert signs(at.idp, "/authorize") == 3


@DOORS
async def test_opaque_tokens_are_introspected(kind: str) -> None:
    async with protected(kind, make_verifier=introspecting, idp={"opaque": True}) as at:
        async with trimcp.connect(at.url, auth=auth.OAuth(read_callback=agree)) as client:
            for _ in range(5):
                assert "ada" in (await client.call_tool("whoami")).text
        assert signs(at.idp, "/introspect") == 1  # kept for a minute


@pytest.mark.parametrize("path", ["", "/tenant", "/a/b"])
async def test_an_issuer_may_have_a_path(path: str) -> None:
    async with protected(idp={"path": path}) as at:
        async with trimcp.connect(at.url, auth=auth.OAuth(read_callback=agree)) as client:
            assert f"{at.idp.issuer} ada" in (await client.call_tool("whoami")).text
        assert at.idp.issuer.endswith(path)


async def test_a_client_metadata_document_stands_for_a_registration() -> None:
    document = {"client_id": DOCUMENT, "client_name": "Notes", "redirect_uris": ["http://127.0.0.1/callback"]}
    async with protected(idp={"metadata_documents": {DOCUMENT: document}, "registration": False}) as at:
        hook = auth.OAuth(client_metadata_url=DOCUMENT, read_callback=agree)
        async with trimcp.connect(at.url, auth=hook) as client:
            assert DOCUMENT in (await client.call_tool("whoami")).text
        assert signs(at.idp, "/register") == 0


async def test_a_client_with_a_secret_gets_tokens_for_itself() -> None:
    async with protected() as at:
        hook = auth.ClientCredentials(MACHINE.client_id, str(MACHINE.client_secret))
        async with trimcp.connect(at.url, auth=hook) as client:
            assert (await client.call_tool("whoami")).text == f"{at.idp.issuer} machine machine notes"


async def test_a_client_with_a_key_gets_tokens_for_itself() -> None:
    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-256")
    signer = DevelopmentClient(client_id="signer", jwks={"keys": [key.as_dict(private=False)]})
    async with protected(idp={"clients": [signer]}) as at:
        hook = auth.PrivateKeyJwt("signer", key.as_pem(private=True))
        async with trimcp.connect(at.url, auth=hook) as client:
            assert " signer signer " in (await client.call_tool("whoami")).text


async def test_a_device_signs_in(mock_clock: MockClock) -> None:
    async def show(asked: Any) -> None:
        async with httpx2.AsyncClient(timeout=None) as browser:
            assert (await browser.get(asked.verification_uri_complete)).status_code == 200

    mock_clock.rate = 20  # the client waits a second before it polls
    async with (
        protected(patience=1000, idp={"device_interval": 0}) as at,
        trimcp.connect(at.url, auth=auth.DeviceFlow(show=show)) as client,
    ):
        assert "ada" in (await client.call_tool("whoami")).text


class Clock:
    """The time of the server and of the authorization server; the client has the real one."""

    offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


async def test_an_expired_token_is_renewed_and_the_refresh_token_rotates() -> None:
    clock = Clock()

    def verifier(issuer: str, url: str) -> auth.JwtVerifier:
        return auth.JwtVerifier(issuer=issuer, audience=url, clock=clock)

    async with protected(make_verifier=verifier, idp={"clock": clock}) as at:
        async with trimcp.connect(at.url, auth=auth.OAuth(read_callback=agree)) as client:
            for _ in range(4):
                assert "ada" in (await client.call_tool("whoami")).text
                clock.offset += 400
        assert signs(at.idp, "/authorize") == 1
        assert signs(at.idp, "/token") == 4


async def test_when_the_key_of_the_issuer_changes_old_tokens_are_refused_and_new_ones_taken() -> None:
    clock = Clock()

    def verifier(issuer: str, url: str) -> auth.JwtVerifier:
        return auth.JwtVerifier(issuer=issuer, audience=url, clock=clock)

    async with protected(make_verifier=verifier) as at:
        async with trimcp.connect(at.url, auth=auth.OAuth(read_callback=agree)) as client:
            assert (await client.call_tool("whoami")).text
            at.idp.tokens.rotate_key()
            clock.offset = 61  # a set is asked for at most once a minute
            before = signs(at.idp, "/jwks")
            assert (await client.call_tool("whoami")).text  # with the old token, whose key is known
        async with trimcp.connect(at.url, auth=auth.OAuth(read_callback=agree)) as client:
            assert (await client.call_tool("whoami")).text
        assert signs(at.idp, "/jwks") == before + 1


async def test_a_websocket_is_opened_with_a_token() -> None:
    async with protected("serve_hypercorn") as at:
        url = at.url.replace("http://", "ws://")
        async with trimcp.connect(url, auth=auth.OAuth(read_callback=agree)) as client:
            assert "ada" in (await client.call_tool("whoami")).text


async def test_a_bound_token_opens_a_websocket() -> None:
    async with protected("serve_hypercorn", dpop=True) as at:
        url = at.url.replace("http://", "ws://")
        async with trimcp.connect(url, auth=auth.OAuth(read_callback=agree, dpop=True)) as client:
            assert "ada" in (await client.call_tool("whoami")).text


async def test_parallel_calls_share_one_sign_in() -> None:
    hook = auth.OAuth(read_callback=agree)
    async with protected() as at:
        async with trimcp.connect(at.url, auth=hook) as client, trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(client.call_tool, "write")
        assert signs(at.idp, "/authorize") == 2  # notes, then notes:write


async def test_a_token_of_another_resource_is_refused() -> None:
    async with protected() as at:
        async with httpx2.AsyncClient() as http:
            form = {"grant_type": "client_credentials", "resource": "https://other.example/mcp", "scope": "notes"}
            pair = (MACHINE.client_id, "s3cret+%25%2B%3A%2F")
            response = await http.post(f"{at.idp.issuer}/token", data=form, auth=pair)
            token = response.json()["access_token"]
            refused = await http.post(at.url, json={}, headers={"Authorization": f"Bearer {token}"})
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_a_flood_of_unknown_keys_asks_the_issuer_for_its_keys_once() -> None:
    forged = Mint()
    async with protected() as at, httpx2.AsyncClient() as http:
        for number in range(30):
            token = forged.token(iss=at.idp.issuer, aud=at.url, header={"kid": f"forged-{number}"})
            refused = await http.post(at.url, json={}, headers={"Authorization": f"Bearer {token}"})
            assert refused.status_code == 401
        assert signs(at.idp, "/jwks") == 1


async def test_a_client_signs_in_at_a_server_that_is_mounted() -> None:
    idp, port = DevelopmentAuthorizationServer(), free_port()
    url = f"http://127.0.0.1:{port}/apps/notes/mcp"
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            issuer = await nursery.start(idp.serve)
            verifier = auth.JwtVerifier(issuer=issuer, audience=url)
            guard = auth.ResourceServer(
                resource=url, authorization_servers=[issuer], verifier=verifier, required_scopes=["notes"], dpop=True
            )
            door = notes().asgi(auth=guard)
            routes = [Mount("/apps/notes", door), Mount("/", auth.protected_resource_app(guard))]
            app = Starlette(routes=routes, lifespan=door.lifespan)
            await nursery.start(functools.partial(serve_hypercorn, app, port=port))
            async with trimcp.connect(url, auth=auth.OAuth(read_callback=agree, dpop=True)) as client:
                assert (await client.call_tool("whoami")).text.startswith(f"{issuer} ada")
                assert (await client.call_tool("write")).text == "written"
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("kind", "scheme"), [("serve_http", "http"), ("serve_hypercorn", "http"), ("serve_hypercorn", "ws")]
)
@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_no_handler_can_pass_the_token_on(kind: str, scheme: str, revision: str) -> None:
    server, seen = trimcp.Server("curious"), set[str]()

    @server.tool
    async def look(ctx: trimcp.Context) -> str:
        seen.update(name.lower() for name in ctx.request_headers)
        return "looked"

    async with protected(kind, server=server) as at:
        hook = auth.OAuth(read_callback=agree, dpop=True)
        url = at.url.replace("http", scheme, 1)
        async with trimcp.connect(url, auth=hook, revision=revision) as client:
            assert (await client.call_tool("look")).text == "looked"
    assert "host" in seen
    assert not seen & {"authorization", "dpop"}


async def test_no_secret_is_in_a_log(logged: Logged) -> None:
    seen: list[str] = []

    async def watch(url: str) -> str:
        found = await agree(url)
        seen.append(found.split("code=")[1].split("&")[0])
        return found

    server = trimcp.Server("canary")

    @server.tool
    async def leak() -> str:
        raise RuntimeError("broken")

    class Watching(auth.IntrospectionVerifier):
        async def verify(self, token: str) -> trimcp.Principal | None:
            seen.append(token)
            return await super().verify(token)

    def watching(issuer: str, url: str) -> Watching:
        secret = str(RS.client_secret)
        return Watching(
            f"{issuer}/introspect", client_id=RS.client_id, client_secret=secret, issuer=issuer, audience=url
        )

    async with protected(server=server, make_verifier=watching, idp={"opaque": True}) as at:
        async with trimcp.connect(at.url, auth=auth.OAuth(read_callback=watch)) as client:
            assert (await client.call_tool("leak")).is_error
        shown = repr(at.guard) + repr(introspecting(at.idp.issuer, at.url)) + repr(at.idp) + repr(RS)
    assert len(seen) > 2
    for secret in (*seen, str(RS.client_secret)):
        assert secret[:10] not in str(logged) + shown
