"""The tokens of the development authorization server: signed or opaque, with refresh tokens that rotate."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

import attrs

from trimcp.auth.testing.clients import Kept, OAuthError

ALGORITHM: Final = "ES256"


@attrs.define(kw_only=True)
class Consent:
    """What a user has agreed to, or what a client got for itself. Its refresh tokens end with it."""

    client_id: str
    subject: str
    resource: str | None
    scopes: tuple[str, ...]
    thumbprint: str | None = None
    """Of the key that tokens are bound to."""
    is_revoked: bool = False


class Tokens:
    """Issues tokens, and knows those that it has issued."""

    def __init__(self, *, seconds: int, opaque: bool, refreshes: bool, clock: Callable[[], float]) -> None:
        from joserfc.jwk import ECKey

        self._key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig", "alg": ALGORITHM})
        self.seconds: int = seconds
        self._opaque = opaque
        self._refreshes = refreshes
        self._clock = clock
        self._issued: Kept[tuple[dict[str, Any], Consent]] = Kept()
        self._refresh: Kept[Consent] = Kept()
        self._used: Kept[Consent] = Kept()

    @property
    def jwks(self) -> dict[str, Any]:
        """The public key, as a set."""
        return {"keys": [dict(self._key.as_dict(private=False))]}

    def sign(self, claims: dict[str, Any], *, typ: str = "at+jwt", **header: Any) -> str:
        """Sign claims with the server's key. For tests: nothing is checked."""
        from joserfc import jwt

        return jwt.encode({"alg": ALGORITHM, "typ": typ, "kid": self._key.kid, **header}, claims, self._key)

    def rotate_key(self) -> None:
        """Sign with another key from now on; the old one is no longer in the set."""
        from joserfc.jwk import ECKey

        self._key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig", "alg": ALGORITHM})

    def issue(
        self, issuer: str, consent: Consent, scopes: tuple[str, ...], *, refreshes: bool = True
    ) -> dict[str, Any]:
        """Return a token response."""
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": consent.subject,
            "client_id": consent.client_id,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + self.seconds,
            "jti": secrets.token_urlsafe(12),
        }
        if consent.resource is not None:
            claims["aud"] = consent.resource
        if consent.thumbprint is not None:
            claims["cnf"] = {"jkt": consent.thumbprint}
        token = secrets.token_urlsafe(32) if self._opaque else self.sign(claims)
        self._issued.put(token, (claims, consent))
        response: dict[str, Any] = {
            "access_token": token,
            "token_type": "Bearer" if consent.thumbprint is None else "DPoP",
            "expires_in": self.seconds,
            "scope": claims["scope"],
        }
        if self._refreshes and refreshes:
            response["refresh_token"] = secrets.token_urlsafe(32)
            self._refresh.put(response["refresh_token"], consent)
        return response

    def take_refresh_token(self, token: str | None, client_id: str, thumbprint: str | None) -> Consent:
        """Return the consent of a refresh token, which is good for once. A second use revokes the consent.

        Raises:
            OAuthError: the token is unknown, was used, or is another client's.
        """
        replayed = self._used.get(token)
        if replayed is not None:
            replayed.is_revoked = True
        consent = self._refresh.get(token)
        if consent is None or token is None or consent.client_id != client_id or consent.is_revoked:
            raise OAuthError("invalid_grant", "The refresh token is not valid")
        if consent.thumbprint != thumbprint:
            raise OAuthError("invalid_dpop_proof", "The refresh token is bound to another key")
        self._refresh.pop(token)
        return self._used.put(token, consent)

    def introspect(self, token: str | None) -> dict[str, Any]:
        """Return what is known of an access token (RFC 7662)."""
        found = self._issued.get(token)
        if found is None or found[1].is_revoked or found[0]["exp"] <= self._clock():
            return {"active": False}
        claims, consent = found
        return {"active": True, "token_type": "Bearer" if consent.thumbprint is None else "DPoP", **claims}

    def revoke_all(self) -> None:
        """Make every token that was issued inactive."""
        for _, consent in self._issued.values():
            consent.is_revoked = True
        for consent in self._refresh.values():
            consent.is_revoked = True
