"""`IntrospectionVerifier`: asks the authorization server about each token (RFC 7662)."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import trio

from trimcp.auth.client.http import basic_authorization, open_authorization_http
from trimcp.auth.client.urls import check_url
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable
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
from trimcp.observability import events, log
from trimcp.protocol.principal import Principal

KEPT_SECONDS: Final = 60.0
"""Seconds that a response is kept, or until the token expires: so long a withdrawn token is accepted."""
KEPT: Final = 4096
"""Tokens whose responses are kept; the oldest goes."""
AT_ONCE: Final = 16
"""Requests to the endpoint at once; further ones wait."""


class IntrospectionVerifier:
    """Verifies access tokens of any form by the introspection endpoint of their authorization server."""

    def __init__(
        self,
        endpoint: str,
        *,
        client_id: str,
        client_secret: str,
        issuer: str | Sequence[str],
        audience: str | Sequence[str],
        authentication: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic",
        kept_seconds: float = KEPT_SECONDS,
        leeway: float = LEEWAY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare the verifier. Nothing is requested before a token comes.

        Args:
            endpoint: the URL of the introspection endpoint: https, or http on loopback. Redirects are not followed.
            client_id: of the resource server, at the authorization server.
            client_secret: of that id.
            issuer: `iss` of accepted tokens, byte for byte; or several.
            audience: a value that `aud` must have, usually the resource; or several, of which one suffices.
            authentication: how the id and the secret are sent.
            kept_seconds: seconds that a response is kept; 0 for none.
            leeway: seconds that the clock of the authorization server may differ.
            clock: seconds since the epoch.

        Raises:
            UsageError: an argument is invalid.
        """
        try:
            self._endpoint = check_url(endpoint, "introspection endpoint")
        except AuthorizationFailed as exc:
            raise UsageError(str(exc)) from None
        self._client_id = client_id
        self._client_secret = client_secret
        self._issuers = strings(issuer, "issuer")
        self._audiences = strings(audience, "audience")
        self._authentication = authentication
        self._kept_seconds = min(kept_seconds, KEPT_SECONDS)
        self._leeway = leeway
        self._clock = clock
        self._kept: OrderedDict[bytes, tuple[dict[str, Any], float]] = OrderedDict()
        self._places = trio.Semaphore(AT_ONCE)

    async def verify(self, token: str) -> Principal | None:
        """See `TokenVerifier`."""
        if len(token) > TOKEN_BYTES:
            return None
        key = hashlib.sha256(token.encode()).digest()
        claims = self._find(key)
        if claims is None:
            async with self._places:
                claims = self._find(key)
                if claims is None:
                    claims = await self._ask(token)
                    self._keep(key, claims)
        return self._principal(claims)

    def _principal(self, claims: dict[str, Any]) -> Principal | None:
        if claims.get("active") is not True:
            return None
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise InvalidToken("The access token has another issuer")
        check_audience(claims.get("aud"), self._audiences)
        check_times(claims, self._clock(), self._leeway)
        return principal_of_claims(claims, issuer)

    def _find(self, key: bytes) -> dict[str, Any] | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        claims, until = kept
        if 0 <= until - self._clock() <= self._kept_seconds:
            return claims
        del self._kept[key]
        return None

    def _keep(self, key: bytes, claims: dict[str, Any]) -> None:
        until = self._clock() + self._kept_seconds
        exp = claims.get("exp")
        if claims.get("active") is True and isinstance(exp, int | float) and not isinstance(exp, bool):
            until = min(until, exp)
        if until <= self._clock():
            return
        self._kept[key] = claims, until
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    async def _ask(self, token: str) -> dict[str, Any]:
        form = {"token": token, "token_type_hint": "access_token"}
        headers: dict[str, str] = {}
        if self._authentication == "client_secret_basic":
            headers = basic_authorization(self._client_id, self._client_secret)
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        try:
            async with open_authorization_http(allow_private=True) as http:
                response = await http.post_form(self._endpoint, "introspection endpoint", form, headers)
        except AuthorizationServerUnavailable:
            raise
        except AuthorizationFailed as exc:
            raise AuthorizationServerUnavailable(str(exc)) from None
        claims = response.json_object() if response.status == 200 else None
        if claims is None or not isinstance(claims.get("active"), bool):
            log.error(events.AUTH_INTROSPECTION_FAILED, status=response.status)
            raise AuthorizationServerUnavailable(
                f"The introspection endpoint answers with {response.status}", status=response.status
            )
        return claims
