"""`JwtVerifier`: verifies access tokens that are JWTs (RFC 9068, RFC 7519)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from trimcp.auth.client.discovery import metadata_urls
from trimcp.auth.client.http import open_authorization_http
from trimcp.auth.client.urls import check_url
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.auth.server.key_sets import KeySet
from trimcp.auth.server.signatures import ASYMMETRIC, InvalidSignature, check_algorithms, read_part, verified_claims
from trimcp.auth.server.verifiers import (
    LEEWAY,
    TOKEN_BYTES,
    InvalidToken,
    check_audience,
    check_times,
    principal_of_claims,
    strings,
)
from trimcp.errors import UsageError
from trimcp.protocol.principal import Principal

if TYPE_CHECKING:
    from trimcp.auth.client.http import AuthorizationHttp

ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
OTHER_TYPES: Final = frozenset({"jwt", ""})
"""Of authorization servers that do not follow RFC 9068: such tokens are looked at more closely."""
_OF_ID_TOKENS: Final = ("at_hash", "c_hash", "s_hash")
_OTHER_TOKENS: Final = frozenset({"id", "refresh", "offline", "logout"})
"""The claim `typ` of tokens of Keycloak that are no access tokens."""
_NOT_VALID: Final = "The access token is not valid"


class JwtVerifier:
    """Verifies access tokens by the public keys of their issuer.

        JwtVerifier(issuer="https://login.example", audience="https://notes.example/mcp")

    Keys are fetched when a token needs them, and at most once a minute for tokens with an unknown key.
    """

    def __init__(
        self,
        *,
        issuer: str | Sequence[str],
        audience: str | Sequence[str],
        jwks_url: str | Mapping[str, str] | None = None,
        jwks: Mapping[str, Any] | None = None,
        algorithms: Sequence[str] = ASYMMETRIC,
        leeway: float = LEEWAY,
        only_access_token_type: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare the verifier. Nothing is requested before a token comes.

        Args:
            issuer: `iss` of accepted tokens, byte for byte; or several.
            audience: a value that `aud` must have, usually the resource; or several, of which one suffices.
            jwks_url: where the keys are; by issuer where there are several. By default the issuer's metadata say it.
            jwks: the keys themselves, as a JWK Set, if they never change.
            algorithms: of signatures, asymmetric ones alone.
            leeway: seconds that the clock of the issuer may differ.
            only_access_token_type: whether the header must have `typ` `at+jwt`, as RFC 9068 demands; by default
                tokens of type `JWT`, or without a type, are accepted if they are no ID tokens.
            clock: seconds since the epoch.

        Raises:
            UsageError: an argument is invalid, or both `jwks_url` and `jwks` are given.
        """
        self._issuers = strings(issuer, "issuer")
        self._audiences = strings(audience, "audience")
        self._algorithms = check_algorithms(algorithms)
        if jwks is not None and jwks_url is not None:
            raise UsageError("Two sources of keys: give jwks_url or jwks")
        if isinstance(jwks_url, Mapping) and set(jwks_url) != set(self._issuers):
            raise UsageError("Invalid jwks_url: give one for each issuer")
        self._leeway = leeway
        self._only_access_token_type = only_access_token_type
        self._clock = clock
        self._key_sets: dict[str, KeySet] = {}
        for each in self._issuers:
            url = jwks_url.get(each) if isinstance(jwks_url, Mapping) else jwks_url
            if jwks is None:
                _check(url or each)
            fetch = None if jwks is not None else functools.partial(_fetch, each, url)
            self._key_sets[each] = KeySet(fetch, clock, jwks)

    async def verify(self, token: str) -> Principal | None:
        """See `TokenVerifier`."""
        if len(token) > TOKEN_BYTES:
            raise InvalidToken(_NOT_VALID)
        try:
            header, unverified = read_part(token, 0), read_part(token, 1)
        except InvalidSignature:
            raise InvalidToken("The access token is not a JWT") from None
        algorithm, kid, issuer = header.get("alg"), header.get("kid"), unverified.get("iss")
        if algorithm not in self._algorithms or (kid is not None and not isinstance(kid, str)):
            raise InvalidToken(_NOT_VALID)
        is_typed = self._check_type(header.get("typ", ""))
        key_set = self._key_sets.get(issuer) if isinstance(issuer, str) else None
        if key_set is None:
            raise InvalidToken("The access token has another issuer")
        for key in await key_set.find(kid, algorithm):
            try:
                claims = verified_claims(token, key, algorithm)
            except InvalidSignature:
                continue
            return self._principal(claims, is_typed=is_typed)
        raise InvalidToken(_NOT_VALID)

    def _check_type(self, value: object) -> bool:
        """Whether the header says that it is an access token; other kinds of tokens are refused."""
        name = value.lower() if isinstance(value, str) else None
        if name in ACCESS_TOKEN_TYPES:
            return True
        if name not in OTHER_TYPES or self._only_access_token_type:
            raise InvalidToken("The token is not an access token")
        return False

    def _principal(self, claims: dict[str, Any], *, is_typed: bool) -> Principal:
        issuer = claims.get("iss")
        if issuer not in self._issuers:
            raise InvalidToken("The access token has another issuer")
        check_audience(claims.get("aud"), self._audiences)
        if check_times(claims, self._clock(), self._leeway) is None:
            raise InvalidToken("The access token never expires")
        if not is_typed and _is_other_token(claims):
            raise InvalidToken("The token is not an access token")
        return principal_of_claims(claims, issuer)


def _is_other_token(claims: Mapping[str, Any]) -> bool:
    """Whether a JWT without a type is an ID token, or another one that is no access token."""
    if any(name in claims for name in _OF_ID_TOKENS):
        return True
    kind = claims.get("typ")
    if isinstance(kind, str) and kind.lower() in _OTHER_TOKENS:
        return True
    return "events" in claims or ("nonce" in claims and "scope" not in claims and "scp" not in claims)


def _check(url: str) -> None:
    try:
        check_url(url, "key set")
    except AuthorizationFailed as exc:
        raise UsageError(str(exc)) from None


async def _fetch(issuer: str, url: str | None) -> Mapping[str, Any]:
    """Request the key set of an issuer. The URL is the operator's, so it may lead to a private address."""
    async with open_authorization_http(allow_private=True) as http:
        response = await http.get_metadata(url or await _jwks_url(http, issuer), "key set")
    document = response.json_object() if response.status == 200 else None
    if document is None or not isinstance(document.get("keys"), list):
        raise AuthorizationServerUnavailable(f"The key set of {issuer!r} is not a JWK Set", status=response.status)
    return document


async def _jwks_url(http: AuthorizationHttp, issuer: str) -> str:
    for place in metadata_urls(issuer):
        response = await http.get_metadata(place, "authorization server metadata")
        document = response.json_object() if response.status == 200 else None
        if document is not None and document.get("issuer") == issuer and isinstance(document.get("jwks_uri"), str):
            return check_url(document["jwks_uri"], "key set")
    raise AuthorizationServerUnavailable(f"The metadata of {issuer!r} name no key set: pass jwks_url=…")
