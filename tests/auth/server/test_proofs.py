"""Proofs of possession: the server's side of DPoP (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from tests.auth.server.minting import RESOURCE, Clock
from trimcp.auth.client.dpop import DpopKey
from trimcp.auth.server import proofs
from trimcp.auth.server.proofs import InvalidProof, NonceWanted, ProofChecker, TooManyProofs

TOKEN = "token"


class Prover:
    """Makes proofs, and wrong ones."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256")
        self.clock = Clock()
        self.checker = ProofChecker(clock=self.clock)

    def proof(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        digest = hashlib.sha256(TOKEN.encode()).digest()
        claims = {"jti": "1", "htm": "POST", "htu": RESOURCE, "iat": int(self.clock())}
        claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        head = {"alg": "ES256", "typ": "dpop+jwt", "jwk": self.key.as_dict(private=False), **(header or {})}
        return jwt.encode(
            {name: value for name, value in head.items() if value is not None},
            {name: value for name, value in {**claims, **changed}.items() if value is not None},
            self.key,
            algorithms=[head["alg"]],
        )

    def check(self, proof: str, token: str | None = TOKEN) -> str:
        return self.checker.check(proof, "POST", [RESOURCE], token)

    def refused(self, proof: str) -> str:
        with pytest.raises(InvalidProof) as caught:
            self.check(proof)
        return str(caught.value)


def test_a_proof_shows_the_thumbprint_of_its_key() -> None:
    prover = Prover()
    assert prover.check(prover.proof()) == prover.key.thumbprint()


def test_the_proofs_of_trimcps_own_client_are_accepted() -> None:
    key, prover = DpopKey(), Prover()
    assert prover.check(key.proof("POST", RESOURCE + "?a=b", TOKEN)) == key.thumbprint


@pytest.mark.parametrize(
    "changed",
    [
        {"htm": "GET"},
        {"htm": "post"},
        {"htm": None},
        {"htu": "http://localhost:8000/other"},
        {"htu": "http://evil.example/mcp"},
        {"htu": "https://localhost:8000/mcp"},
        {"htu": "http://localhost:8001/mcp"},
        {"htu": None},
        {"htu": 3},
        {"htu": "http://["},
        {"iat": None},
        {"iat": "now"},
        {"iat": True},
        {"iat": 0},
        {"ath": None},
        {"ath": "x"},
        {"ath": 3},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 300},
        {"jti": 3},
    ],
)
def test_every_claim_counts(changed: dict[str, Any]) -> None:
    prover = Prover()
    prover.refused(prover.proof(**changed))


@pytest.mark.parametrize("url", ["HTTP://LOCALHOST:8000/mcp", RESOURCE + "?x=1", RESOURCE + "#f"])
def test_urls_are_compared_as_urls(url: str) -> None:
    prover = Prover()
    assert prover.check(prover.proof(htu=url))


@pytest.mark.parametrize(("offset", "is_fresh"), [(-299, True), (-301, False), (299, True), (302, False)])
def test_it_is_fresh_for_five_minutes(offset: int, is_fresh: bool) -> None:
    prover = Prover()
    prover.clock.now = float(int(prover.clock.now))
    proof = prover.proof(iat=int(prover.clock()) + offset)
    if is_fresh:
        prover.check(proof)
    else:
        prover.refused(proof)


@pytest.mark.parametrize(
    "header",
    [{"typ": "JWT"}, {"typ": None}, {"jwk": None}, {"jwk": {"kty": "EC"}}, {"jwk": "x"}, {"jwk": {"kty": ["EC"]}}],
)
def test_the_header_must_be_that_of_a_proof(header: dict[str, Any]) -> None:
    prover = Prover()
    proof = prover.proof(header) if isinstance(header.get("jwk", {}), dict | None) else "a.b.c"
    prover.refused(proof)


def test_a_private_key_in_the_header_is_refused() -> None:
    prover = Prover()
    prover.refused(prover.proof({"jwk": prover.key.as_dict(private=True)}))


def test_a_proof_by_another_key_than_it_names_is_refused() -> None:
    prover, other = Prover(), Prover()
    prover.refused(prover.proof({"jwk": other.key.as_dict(private=False)}))


def test_a_shared_secret_is_no_key() -> None:
    prover = Prover()
    key = OctKey.generate_key(256)
    header = {"alg": "HS256", "typ": "dpop+jwt", "jwk": key.as_dict()}
    claims = {"jti": "1", "htm": "POST", "htu": RESOURCE, "iat": int(prover.clock())}
    prover.refused(jwt.encode(header, claims, key, algorithms=["HS256"]))


@pytest.mark.parametrize("proof", ["", "x", "a.b.c", "é", "a" * 9000])
def test_garbage_is_refused(proof: str) -> None:
    Prover().refused(proof)


# --- replays --------------------------------------------------------------------------


def test_a_proof_is_good_for_once() -> None:
    prover = Prover()
    proof = prover.proof()
    prover.check(proof)
    assert "used before" in prover.refused(proof)
    prover.refused(prover.proof(htu=RESOURCE + "?"))  # the same jti by the same key
    assert prover.check(prover.proof(jti="2"))


def test_a_refused_proof_uses_nothing_up() -> None:
    prover = Prover()
    prover.refused(prover.proof(htm="GET"))
    assert prover.check(prover.proof())


def test_two_keys_may_use_the_same_jti() -> None:
    one, other = Prover(), Prover()
    one.check(one.proof())
    other.checker = one.checker
    other.check(other.proof())


def test_it_is_remembered_for_as_long_as_it_could_be_valid() -> None:
    prover = Prover()
    proof = prover.proof(iat=int(prover.clock()) + 299)
    prover.check(proof)
    prover.clock.now += 598
    assert "used before" in prover.refused(proof)
    prover.clock.now += 10
    assert "too old" in prover.refused(proof)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "USED", 3)
    prover = Prover()
    for number in range(3):
        prover.check(prover.proof(jti=f"a{number}"))
    with pytest.raises(TooManyProofs):
        prover.check(prover.proof(jti="b"))
    prover.clock.now += 601
    prover.check(prover.proof(jti="b"))


# --- nonces ---------------------------------------------------------------------------


def test_a_nonce_is_wanted_where_it_is_configured() -> None:
    prover = Prover()
    prover.checker = ProofChecker(nonces=True, clock=prover.clock)
    for nonce in (None, "x", 3):
        with pytest.raises(NonceWanted):
            prover.check(prover.proof(nonce=nonce))
    first = prover.checker.nonce
    prover.check(prover.proof(nonce=first))
    prover.clock.now += 300
    assert prover.checker.nonce != first
    prover.check(prover.proof(nonce=first, jti="2"))
    prover.clock.now += 300
    with pytest.raises(NonceWanted):
        prover.check(prover.proof(nonce=first, jti="3"))


def test_two_servers_have_different_nonces() -> None:
    clock = Clock()
    assert ProofChecker(nonces=True, clock=clock).nonce != ProofChecker(nonces=True, clock=clock).nonce
    assert ProofChecker(clock=clock).nonce is None
