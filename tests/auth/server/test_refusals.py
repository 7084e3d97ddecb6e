"""What is refused, and how: rule 2 of the resource server (RFC 6750), and DPoP on each request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import trimcp
from tests.auth.server.minting import METADATA, RESOURCE, Mint, notes
from tests.http.clients import Legacy, Modern
from tests.http.raw import Http, serving
from tests.http.wires import Answer
from tests.session.peer import Logged
from trimcp import auth
from trimcp.auth.challenges import Challenge, parse_challenges
from trimcp.auth.client.dpop import DpopKey

PAGE = "https://page.example"


async def ask(http: Http, fields: dict[str, str], method: str = "tools/list") -> Answer:
    return await (await Modern(http).ask(method, fields=fields)).begun()


def challenge(answer: Answer) -> Challenge:
    (found,) = parse_challenges(answer.fields["www-authenticate"])
    assert found.parameters["resource_metadata"] == METADATA
    assert answer.fields["cache-control"] == "no-store"
    return found


async def test_without_a_token_the_challenge_says_where_to_get_one_and_no_error(door: str) -> None:
    async with serving(door, notes(), auth=Mint().guard()) as http:
        for fields in ({}, {"authorization": "Basic YTpi"}, {"authorization": ""}):
            answer = await ask(http, fields)
            assert answer.status == 401
            assert challenge(answer).scheme == "bearer"
            assert dict(challenge(answer).parameters) == {"resource_metadata": METADATA, "scope": "notes"}


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_every_method_of_the_endpoint_is_protected(door: str, method: str) -> None:
    async with serving(door, notes(), auth=Mint().guard(), sse=True, health=True) as http:
        assert (await http.ask(method, body={} if method == "POST" else b"")).status == 401
        assert (await http.ask("GET", "/sse")).status == 401
        assert (await http.ask("POST", "/messages?session_id=x", body={})).status == 401
        assert (await http.ask("GET", "/health/live")).status == 200


async def test_options_never_get_401(door: str) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, dpop"}
    async with serving(door, notes(), auth=Mint().guard(), cors=trimcp.Cors(origins=[PAGE])) as http:
        answer = await http.ask("OPTIONS", fields={"origin": PAGE, **asked})
        assert answer.status == 204
        taken = answer.fields["access-control-allow-headers"]
        assert "authorization" in taken
        assert "dpop" in taken
        assert (await http.ask("OPTIONS")).status == 405


async def test_pages_may_read_challenges_and_nonces(door: str) -> None:
    async with serving(door, notes(), auth=Mint().guard(), cors=trimcp.Cors(origins=[PAGE])) as http:
        answer = await ask(http, {"origin": PAGE})
        assert answer.status == 401
        exposed = answer.fields["access-control-expose-headers"]
        assert "www-authenticate" in exposed
        assert "dpop-nonce" in exposed


async def test_a_token_that_is_not_valid_is_said_to_be_so(door: str) -> None:
    mint = Mint()
    wrong = [mint.token(exp=1), mint.token(aud="https://other.example"), Mint().token(), "opaque"]
    async with serving(door, notes(), auth=mint.guard()) as http:
        for token in wrong:
            answer = await ask(http, {"authorization": f"Bearer {token}"})
            assert answer.status == 401
            parameters = challenge(answer).parameters
            assert parameters["error"] == "invalid_token"
            assert parameters["error_description"]
            assert token not in str(parameters) + answer.body.decode()


@pytest.mark.parametrize("field", ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b", "Bearer ä", 'Bearer "a"'])
async def test_a_malformed_field_is_400(door: str, field: str) -> None:
    async with serving(door, notes(), auth=Mint().guard()) as http:
        answer = await ask(http, {"authorization": field})
        assert answer.status == 400
        assert challenge(answer).parameters["error"] == "invalid_request"


async def test_a_token_in_the_query_is_not_looked_at(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        message = Modern(http).request(1, "tools/list")
        answer = await http.ask("POST", f"/mcp?access_token={mint.token()}", body=message)
        assert answer.status == 401


async def test_a_token_without_the_servers_scopes_is_403(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard(required_scopes=["notes", "more"])) as http:
        answer = await ask(http, mint.bearer("notes"))
        assert answer.status == 403
        assert challenge(answer).parameters["error"] == "insufficient_scope"
        assert challenge(answer).parameters["scope"] == "more notes"


async def test_the_scheme_is_of_any_case_and_a_good_token_is_served(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = await Modern(http).call("whoami", fields={"authorization": f"{scheme} {mint.token()}"})
            assert await answer.text() == "https://login.example ada editor notes"


async def test_where_the_authorization_server_is_down_it_is_503(door: str, logged: Logged) -> None:
    async def verify(token: str) -> trimcp.Principal | None:
        raise auth.AuthorizationServerUnavailable("down")

    async with serving(door, notes(), auth=Mint().guard(verifier=verify)) as http:
        answer = await ask(http, {"authorization": "Bearer canary"})
        assert answer.status == 503
        assert answer.fields["retry-after"] == "5"
        assert "www-authenticate" not in answer.fields
    assert "canary" not in str(logged)


async def test_a_function_verifies_tokens_of_any_kind(door: str) -> None:
    async def verify(token: str) -> trimcp.Principal | None:
        return trimcp.Principal("eve", scopes={"notes"}) if token == "good" else None

    async with serving(door, notes(), auth=Mint().guard(verifier=verify)) as http:
        assert (
            await (await Modern(http).call("whoami", fields={"authorization": "Bearer good"})).text()
            == "None eve None notes"
        )
        assert challenge(await ask(http, {"authorization": "Bearer bad"})).parameters["error"] == "invalid_token"


async def test_a_verifier_that_fails_lets_no_one_in_and_says_nothing(door: str, logged: Logged) -> None:
    async def verify(token: str) -> Any:
        raise RuntimeError("broken")

    async with serving(door, notes(), auth=Mint().guard(verifier=verify)) as http:
        answer = await ask(http, {"authorization": "Bearer canary"})
        assert answer.status == 500
        assert b"broken" not in answer.body


@pytest.mark.parametrize("text", ['a"b', "a\r\nset-cookie: x=1", "a\\", "ä€", "x" * 5000])
async def test_an_error_description_adds_no_header_field(door: str, text: str) -> None:
    async def verify(token: str) -> trimcp.Principal | None:
        raise auth.InvalidToken(text)

    async with serving(door, notes(), auth=Mint().guard(verifier=verify)) as http:
        answer = await ask(http, {"authorization": "Bearer x"})
        assert answer.status == 401
        assert "set-cookie" not in answer.fields
        assert set(challenge(answer).parameters) == {"resource_metadata", "scope", "error", "error_description"}


async def test_every_request_is_verified(door: str) -> None:
    """A session, a connection, a token that was good a moment ago: none of them stands for the next request."""
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        token = mint.bearer()["authorization"]
        client = await Legacy.open(http, principal=token)
        assert await (await client.call("whoami")).text()
        mint.clock.now += 700
        answer = await (await client.call("whoami")).begun()
        assert answer.status == 401
        client.principal = None
        assert (await (await client.call("whoami")).begun()).status == 401


async def test_a_hierarchy_of_scopes_is_followed(door: str) -> None:
    mint = Mint()
    narrower = {"admin": ["notes:write"], "notes:write": ["notes"], "notes": ["admin"]}

    def implies(scope: str) -> list[str]:
        return narrower.get(scope, [])

    async with serving(door, notes(), auth=mint.guard(implies=implies)) as http:
        assert await (await Modern(http).call("write", fields=mint.bearer("admin"))).text() == "written"
        assert (await ask(http, mint.bearer("other"))).status == 403


async def test_an_endless_hierarchy_ends(door: str) -> None:
    mint = Mint()

    def implies(scope: str) -> list[str]:
        return [scope + "x", scope + "y"]

    async with serving(door, notes(), auth=mint.guard(implies=implies)) as http:
        assert await (await Modern(http).call("write", fields=mint.bearer("notes notes:write"))).text()


# --- DPoP -----------------------------------------------------------------------------


@pytest.mark.parametrize("dpop", [True, False])
async def test_a_bound_token_with_its_proof_is_served(door: str, dpop: bool) -> None:
    mint, key = Mint(), DpopKey()
    async with serving(door, notes(), auth=mint.guard(dpop=dpop)) as http:
        assert await (await Modern(http).call("whoami", fields=mint.bound(key))).text()


WRONG: dict[str, Callable[[Mint, DpopKey], tuple[dict[str, str], str]]] = {
    "a bound token as Bearer": lambda mint, key: (
        {"authorization": mint.bound(key)["authorization"].replace("DPoP", "Bearer")},
        "invalid_token",
    ),
    "a bound token as Bearer beside a proof": lambda mint, key: (
        {**mint.bound(key), "authorization": mint.bound(key)["authorization"].replace("DPoP", "Bearer")},
        "invalid_token",
    ),
    "a token of mTLS as Bearer": lambda mint, key: (mint.bearer(cnf={"x5t#S256": "x"}), "invalid_token"),
    "no proof": lambda mint, key: ({"authorization": mint.bound(key)["authorization"]}, "invalid_dpop_proof"),
    "two proofs": lambda mint, key: (
        {**mint.bound(key), "dpop": f"{mint.bound(key)['dpop']}, {mint.bound(key)['dpop']}"},
        "invalid_dpop_proof",
    ),
    "an unbound token": lambda mint, key: (
        {**mint.bound(key), "authorization": f"DPoP {mint.token()}"},
        "invalid_token",
    ),
    "a proof of another method": lambda mint, key: (mint.bound(key, method="GET"), "invalid_dpop_proof"),
    "a proof for another server": lambda mint, key: (
        mint.bound(key, url="http://evil.example/mcp"),
        "invalid_dpop_proof",
    ),
    "a proof of another token": lambda mint, key: (
        {**mint.bound(key), "dpop": key.proof("POST", RESOURCE, "other")},
        "invalid_dpop_proof",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_proof_is_refused(door: str, what: str) -> None:
    mint, key = Mint(), DpopKey()
    fields, error = WRONG[what](mint, key)
    async with serving(door, notes(), auth=mint.guard()) as http:
        answer = await ask(http, fields)
        assert answer.status == 401
        assert challenge(answer).scheme == "dpop"
        assert challenge(answer).parameters["error"] == error
        assert "ES256" in challenge(answer).parameters["algs"]


async def test_a_proof_of_another_key_is_refused(door: str) -> None:
    mint, key, thief = Mint(), DpopKey(), DpopKey()
    token = mint.token(cnf={"jkt": key.thumbprint})
    fields = {"authorization": f"DPoP {token}", "dpop": thief.proof("POST", RESOURCE, token)}
    async with serving(door, notes(), auth=mint.guard()) as http:
        assert challenge(await ask(http, fields)).parameters["error"] == "invalid_token"


async def test_a_replayed_proof_is_refused(door: str) -> None:
    mint, key = Mint(), DpopKey()
    fields = mint.bound(key)
    async with serving(door, notes(), auth=mint.guard()) as http:
        assert (await ask(http, fields)).status == 200
        answer = await ask(http, fields)
        assert answer.status == 401
        assert challenge(answer).parameters["error"] == "invalid_dpop_proof"


async def test_only_bound_tokens_where_that_is_configured(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard(dpop=True)) as http:
        assert challenge(await ask(http, {})).scheme == "dpop"
        answer = await ask(http, mint.bearer())
        assert answer.status == 401
        assert challenge(answer).scheme == "dpop"
        assert challenge(answer).parameters["error"] == "invalid_token"


async def test_a_nonce_is_asked_for_and_then_taken(door: str) -> None:
    mint, key = Mint(), DpopKey()
    async with serving(door, notes(), auth=mint.guard(dpop_nonces=True)) as http:
        answer = await ask(http, mint.bound(key))
        assert answer.status == 401
        assert challenge(answer).parameters["error"] == "use_dpop_nonce"
        assert key.keep_nonce(RESOURCE, answer.fields)
        assert (await ask(http, mint.bound(key))).status == 200


async def test_the_url_of_a_proof_is_the_configured_one_behind_a_proxy(door: str) -> None:
    mint, key = Mint(), DpopKey()
    public = "https://notes.example/v1/mcp"
    guard = mint.guard(resource=public, verifier=mint.verifier(audience=RESOURCE))
    async with serving(door, notes(), auth=guard, hosts=["*"]) as http:
        for host in ("localhost", "evil.example"):
            assert (await ask(http, {"host": host, **mint.bound(key, url=public)})).status == 200
            evil = mint.bound(key, url="https://evil.example/mcp")
            assert (await ask(http, {"host": host, "x-forwarded-host": "evil.example", **evil})).status == 401
