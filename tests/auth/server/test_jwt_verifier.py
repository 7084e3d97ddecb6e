"""Access tokens that are JWTs: rule 3 of the resource server, and the attacks on them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey

from tests.auth.server.minting import ISSUER, RESOURCE, Mint, encoded, symmetric
from trimcp import auth
from trimcp.errors import UsageError


async def refused(verifier: auth.JwtVerifier, token: str) -> str:
    with pytest.raises(auth.InvalidToken) as caught:
        await verifier.verify(token)
    text = str(caught.value)
    assert not token or token[:12] not in text
    return text


@pytest.mark.parametrize("kind", ["EC", "RSA"])
async def test_its_principal_has_issuer_subject_client_scopes_claims_and_expiry(kind: str) -> None:
    mint = Mint(kind=kind)
    principal = await mint.verifier().verify(mint.token("a b", tenant="t"))
    assert principal is not None
    assert (principal.issuer, principal.subject, principal.client) == (ISSUER, "ada", "editor")
    assert principal.scopes == {"a", "b"}
    assert principal.claims["tenant"] == "t"
    assert principal.expires_at == principal.claims["exp"]


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a b"}, {"a", "b"}),
        ({"scope": ["a", "b"]}, {"a", "b"}),
        ({"scp": "a b"}, {"a", "b"}),
        ({"scp": ["a", "b", 3]}, {"a", "b"}),
        ({"scope": 3}, set()),
        ({}, set()),
    ],
)
async def test_scopes_are_strings_or_lists_under_either_name(claims: dict[str, Any], scopes: set[str]) -> None:
    mint = Mint()
    principal = await mint.verifier().verify(mint.token(**{"scope": None, **claims}))
    assert principal is not None
    assert principal.scopes == scopes


@pytest.mark.parametrize("name", ["azp", "cid", "appid"])
async def test_other_names_of_the_client_are_read(name: str) -> None:
    mint = Mint()
    principal = await mint.verifier().verify(mint.token(client_id=None, **{name: "cli"}))
    assert principal is not None
    assert principal.client == "cli"


async def test_a_client_that_acts_for_itself_is_the_subject() -> None:
    mint = Mint()
    principal = await mint.verifier().verify(mint.token(sub=None))
    assert principal is not None
    assert principal.subject == "editor"
    assert "neither a subject" in await refused(mint.verifier(), mint.token(sub=None, client_id=None))


@pytest.mark.parametrize("sub", [5, "", ["ada"], {}, True])
async def test_a_subject_that_is_no_text_is_not_taken_for_the_client(sub: Any) -> None:
    mint = Mint()
    assert "no text" in await refused(mint.verifier(), mint.token(sub=sub))


# --- audience, issuer, times ----------------------------------------------------------


@pytest.mark.parametrize("aud", [[RESOURCE], ["https://other.example", RESOURCE], "second"])
async def test_one_accepted_audience_suffices(aud: Any) -> None:
    mint = Mint()
    assert await mint.verifier(audience=[RESOURCE, "second"]).verify(mint.token(aud=aud))


@pytest.mark.parametrize("aud", [None, "https://other.example", [], ["x"], RESOURCE + "/", RESOURCE[:-1], {"a": 1}, 3])
async def test_a_token_of_another_audience_or_of_none_is_refused(aud: Any) -> None:
    mint = Mint()
    assert "another resource" in await refused(mint.verifier(), mint.token(aud=aud))


@pytest.mark.parametrize("iss", [None, ISSUER + "/", ISSUER.upper(), "https://evil.example", 3, [ISSUER]])
async def test_the_issuer_is_compared_byte_for_byte(iss: Any) -> None:
    mint = Mint()
    assert "another issuer" in await refused(mint.verifier(), mint.token(iss=iss))


@pytest.mark.parametrize(
    ("claim", "offset", "is_valid"),
    [("exp", -59, True), ("exp", -61, False), ("nbf", 59, True), ("nbf", 62, False), ("exp", 1, True)],
)
async def test_times_have_a_leeway_of_60_seconds(claim: str, offset: int, is_valid: bool) -> None:
    mint = Mint()
    mint.clock.now = float(int(mint.clock.now))
    token = mint.token(**{claim: int(mint.clock.now) + offset})
    if is_valid:
        assert await mint.verifier().verify(token)
    else:
        await refused(mint.verifier(), token)


@pytest.mark.parametrize("exp", [None, True, "2999-01-01", "99999999999", [], 2**70])
async def test_a_token_without_a_readable_expiry_is_refused(exp: Any) -> None:
    mint = Mint()
    await refused(mint.verifier(), mint.token(exp=exp))


# --- kinds of tokens ------------------------------------------------------------------


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", None])
async def test_access_tokens_and_jwts_without_a_better_type_are_accepted(typ: str | None) -> None:
    mint = Mint()
    assert await mint.verifier().verify(mint.token(header={"typ": typ}))


@pytest.mark.parametrize("typ", ["dpop+jwt", "oauth-id-jag+jwt", "logout+jwt", "id+jwt"])
async def test_other_kinds_of_jwts_are_refused(typ: str) -> None:
    mint = Mint()
    assert "not an access token" in await refused(mint.verifier(), mint.token(header={"typ": typ}))


@pytest.mark.parametrize("claims", [{"at_hash": "x"}, {"c_hash": "x"}, {"nonce": "n"}, {"typ": "ID"}, {"events": {}}])
async def test_an_id_token_is_refused(claims: dict[str, Any]) -> None:
    mint = Mint()
    token = mint.token(None, header={"typ": "JWT"}, **claims)
    assert "not an access token" in await refused(mint.verifier(), token)


async def test_only_rfc_9068_can_be_demanded() -> None:
    mint = Mint()
    verifier = mint.verifier(only_access_token_type=True)
    assert await verifier.verify(mint.token())
    await refused(verifier, mint.token(header={"typ": "JWT"}))


# --- attacks on the signature ---------------------------------------------------------


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 3, ["ES256"]])
async def test_an_unsigned_token_is_refused(alg: Any) -> None:
    mint = Mint()
    token = f"{encoded({'alg': alg, 'typ': 'at+jwt', 'kid': 'one'})}.{encoded(mint.claims())}."
    await refused(mint.verifier(), token)


@pytest.mark.parametrize("kid", ["one", None])
async def test_a_public_key_is_no_shared_secret(kid: str | None) -> None:
    mint = Mint(kind="RSA")
    for secret in (mint.key.as_pem(private=False), mint.key.as_der(private=False)):
        await refused(mint.verifier(), symmetric(secret, mint.claims(), kid))


@pytest.mark.parametrize("alg", ["none", "HS256", "HS512", "dir", "RSA1_5"])
def test_only_asymmetric_algorithms_can_be_configured(alg: str) -> None:
    with pytest.raises(UsageError, match="Invalid algorithms"):
        Mint().verifier(algorithms=["ES256", alg])


async def test_an_algorithm_outside_of_the_list_is_refused() -> None:
    mint = Mint()
    await refused(mint.verifier(algorithms=["RS256"]), mint.token())


async def test_a_symmetric_key_in_the_set_is_never_used() -> None:
    mint = Mint()
    jwks = {"keys": [{"kty": "oct", "k": encoded(b"s" * 32), "kid": "one"}, *mint.jwks["keys"]]}
    verifier = mint.verifier(jwks=jwks)
    await refused(verifier, symmetric(b"s" * 32, mint.claims(), "one"))
    assert await verifier.verify(mint.token())


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
async def test_a_key_that_comes_with_the_token_is_not_used(name: str) -> None:
    mint, thief = Mint(), Mint()
    value = {
        "jwk": thief.jwks["keys"][0],
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "x5c": ["MIIB"],
    }[name]
    for kid in ("one", None):
        await refused(mint.verifier(), thief.token(header={name: value, "kid": kid}))


async def test_a_token_of_another_key_with_the_same_kid_is_refused() -> None:
    await refused(Mint().verifier(), Mint().token())


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
async def test_edwards_curves_are_taken(algorithm: str) -> None:
    mint = Mint()
    mint.key, mint.algorithm = OKPKey.generate_key("Ed25519", {"kid": "one"}), algorithm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = mint.token()
    assert await mint.verifier().verify(token)


async def test_a_changed_payload_is_refused() -> None:
    mint = Mint()
    head, _, signature = mint.token().split(".")
    await refused(mint.verifier(), f"{head}.{encoded(mint.claims(sub='eve'))}.{signature}")


async def test_a_critical_header_that_nothing_understands_is_refused() -> None:
    mint = Mint()
    head = encoded({"alg": "ES256", "typ": "at+jwt", "kid": "one", "crit": ["exp"], "exp": 1})
    _, payload, signature = mint.token().split(".")
    await refused(mint.verifier(), f"{head}.{payload}.{signature}")


async def test_a_key_for_encryption_verifies_nothing() -> None:
    mint = Mint()
    await refused(mint.verifier(jwks={"keys": [{**mint.jwks["keys"][0], "use": "enc"}]}), mint.token())


async def test_without_kid_each_key_that_fits_is_tried() -> None:
    mint = Mint(kid=None)
    others = [Mint(kid=None), Mint(kid=None, kind="RSA")]
    jwks = {"keys": [key for each in (*others, mint) for key in each.jwks["keys"]]}
    assert await mint.verifier(jwks=jwks).verify(mint.token())
    await refused(mint.verifier(jwks={"keys": others[0].jwks["keys"]}), mint.token())


async def test_the_curve_must_be_that_of_the_algorithm() -> None:
    mint = Mint()
    other = ECKey.generate_key("P-384", {"kid": "one"})
    await refused(mint.verifier(jwks={"keys": [other.as_dict(private=False)]}), mint.token())


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b",
        "a.b.c",
        "....",
        "a" * 20000,
        "é.é.é",
        f"{encoded([])}.{encoded({})}.x",
        f"{encoded({})}.{encoded(3)}.x",
    ],
)
async def test_garbage_is_refused_and_nothing_else_happens(token: str) -> None:
    await refused(Mint().verifier(), token)


async def test_deeply_nested_claims_are_refused() -> None:
    mint = Mint()
    deep = encoded(b'{"iss":' + b"[" * 5000 + b"]" * 5000 + b"}")
    await refused(mint.verifier(), f"{encoded({'alg': 'ES256', 'kid': 'one'})}.{deep}.{encoded(b'x' * 64)}")


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": []},
        {"audience": ""},
        {"jwks_url": "https://login.example/jwks"},
        {"jwks": None, "jwks_url": "http://login.example/jwks"},
        {"jwks": None, "issuer": "login"},
        {"jwks": None, "jwks_url": {"https://other.example": "https://other.example/jwks"}},
    ],
)
def test_an_invalid_configuration_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Mint().verifier(**options)


def test_no_secret_is_in_its_repr() -> None:
    assert "keys" not in repr(Mint().verifier())
