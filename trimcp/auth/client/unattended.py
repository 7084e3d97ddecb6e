"""Tokens for programs that act without a person: client credentials, enterprise sign-on, workload identity.

The authorization extensions of MCP; RFC 6749 section 4.4, RFC 7521, RFC 7523, RFC 8693.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Unpack

import attrs

from trimcp.auth.client.discovery import AuthorizationServer
from trimcp.auth.client.grant import Grant, Obtained, TokenOptions
from trimcp.auth.client.http import AuthorizationHttp, open_authorization_http
from trimcp.auth.client.registration import ClientIdentity, Registration, known_registration
from trimcp.auth.client.token_auth import TokenAuth
from trimcp.auth.client.tokens import TokenEndpoint
from trimcp.auth.client.urls import check_url, origin_of
from trimcp.auth.errors import AuthorizationFailed
from trimcp.errors import UsageError

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
CLIENT_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ID_JAG: Final = "urn:ietf:params:oauth:token-type:id-jag"
_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:"
_ASSERTION_LIFE: Final = 120
_ALGORITHMS: Final = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "Ed25519")


class _Unattended(TokenAuth):
    """Tokens that no person is asked for."""

    unattended = True


class ClientCredentials(_Unattended):
    """Gets tokens with the id and the secret of a client (extension `oauth-client-credentials`)."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        **options: Unpack[TokenOptions],
    ) -> None:
        """Prepare the grant.

        Args:
            client_id: as registered at the authorization server.
            client_secret: of the client.
            options: see `TokenOptions`.
        """
        super().__init__(client_id=client_id, **options)
        self._identity = ClientIdentity(client_name="trimcp", client_id=client_id, client_secret=client_secret)

    async def _registration(self, server: AuthorizationServer, client_id: str | None = None) -> Registration | None:
        return known_registration(self._identity, server)

    async def _obtain(self, grant: Grant) -> Obtained:
        endpoint = grant.endpoint(await self._registration(grant.server))
        form = {"grant_type": "client_credentials", "resource": grant.resource, "scope": grant.scope}
        tokens = await endpoint.tokens(form, grant.dpop, requested=grant.scope)
        return Obtained(tokens, str(self._client_id))


class PrivateKeyJwt(_Unattended):
    """Gets tokens with the id and a private key of a client (extension `oauth-client-credentials`)."""

    def __init__(
        self,
        client_id: str,
        private_key: str | bytes,
        *,
        algorithm: str = "ES256",
        key_id: str | None = None,
        **options: Unpack[TokenOptions],
    ) -> None:
        """Prepare the grant.

        Args:
            client_id: as registered at the authorization server.
            private_key: in PEM.
            algorithm: of the signature: one of the asymmetric ones.
            key_id: `kid` of the key, if the authorization server wants it.
            options: see `TokenOptions`.

        Raises:
            UsageError: the key or the algorithm is invalid.
        """
        super().__init__(client_id=client_id, **options)
        if algorithm not in _ALGORITHMS:
            raise UsageError(f"Invalid algorithm {algorithm!r}: give one of {', '.join(_ALGORITHMS)}")
        self._algorithm = algorithm
        self._key_id = key_id
        self._key = _private_key(private_key, algorithm)

    async def _obtain(self, grant: Grant) -> Obtained:
        form = {
            "grant_type": "client_credentials",
            "resource": grant.resource,
            "scope": grant.scope,
            "client_assertion_type": CLIENT_ASSERTION,
            "client_assertion": self._assertion(grant.server.issuer),
        }
        tokens = await grant.endpoint(None).tokens(form, grant.dpop, requested=grant.scope)
        return Obtained(tokens, str(self._client_id))

    def _assertion(self, audience: str) -> str:
        from joserfc import jwt

        now = int(time.time())
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": audience,
            "iat": now,
            "exp": now + _ASSERTION_LIFE,
            "jti": secrets.token_urlsafe(16),
        }
        header = {"alg": self._algorithm, "typ": "JWT", **({} if self._key_id is None else {"kid": self._key_id})}
        return jwt.encode(header, claims, self._key, algorithms=[self._algorithm])


class WorkloadIdentity(_Unattended):
    """Exchanges an assertion of the workload's platform for tokens (the draft extension `wif`)."""

    def __init__(
        self,
        assertion: Callable[[str], Awaitable[str]],
        *,
        client_id: str | None = None,
        **options: Unpack[TokenOptions],
    ) -> None:
        """Prepare the grant.

        Args:
            assertion: an async function that is given the audience, which is the issuer of the authorization server,
                and returns a JWT for it.
            client_id: as registered at the authorization server, if it wants one.
            options: see `TokenOptions`.
        """
        super().__init__(client_id=client_id, **options)
        self._assertion = assertion

    async def _obtain(self, grant: Grant) -> Obtained:
        form = {
            "grant_type": JWT_BEARER,
            "assertion": await self._assertion(grant.server.issuer),
            "resource": grant.resource,
            "scope": grant.scope,
            "client_id": self._client_id,
        }
        tokens = await grant.endpoint(None).tokens(form, grant.dpop, requested=grant.scope)
        return Obtained(tokens, self._client_id or "")


@attrs.frozen(kw_only=True)
class IdentityProvider:
    """The enterprise's identity provider, as a client of it needs to know it."""

    token_endpoint: str
    client_id: str
    client_secret: str | None = attrs.field(default=None, repr=False)


class EnterpriseManaged(_Unattended):
    """Gets tokens by the enterprise's sign-on (extension `enterprise-managed-authorization`): no page is opened."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        *,
        identity_provider: IdentityProvider,
        subject_token: Callable[[], Awaitable[str]],
        subject_token_type: str = "id_token",
        **options: Unpack[TokenOptions],
    ) -> None:
        """Prepare the two exchanges.

        Args:
            client_id: as registered at the authorization server of the MCP server.
            client_secret: of the client there.
            identity_provider: where the person has signed in.
            subject_token: an async function that returns the person's ID token or SAML assertion; it is called again
                after the identity provider refused one.
            subject_token_type: `id_token` or `saml2`.
            options: see `TokenOptions`.

        Raises:
            UsageError: the type of the subject token is another one.
        """
        super().__init__(client_id=client_id, **options)
        if subject_token_type not in ("id_token", "saml2"):
            raise UsageError("Invalid subject_token_type: give 'id_token' or 'saml2'")
        self._identity = ClientIdentity(client_name="trimcp", client_id=client_id, client_secret=client_secret)
        self._provider = identity_provider
        self._subject_token = subject_token
        self._subject_type = _TOKEN_TYPE + subject_token_type

    async def _registration(self, server: AuthorizationServer, client_id: str | None = None) -> Registration | None:
        return known_registration(self._identity, server)

    async def _obtain(self, grant: Grant) -> Obtained:
        endpoint = grant.endpoint(await self._registration(grant.server))
        for again in (True, False):
            form = {
                "grant_type": JWT_BEARER,
                "assertion": await self._grant_of_provider(grant),
                "scope": grant.scope,
            }
            try:
                tokens = await endpoint.tokens(form, grant.dpop, requested=grant.scope)
                return Obtained(tokens, str(self._client_id))
            except AuthorizationFailed as exc:
                if exc.error != "invalid_grant" or not again:
                    raise
        raise AssertionError

    async def _grant_of_provider(self, grant: Grant) -> str:
        """Exchange the person's assertion for one that the authorization server of the MCP server takes."""
        # The application names the provider, not the MCP server, so it may have any address.
        async with open_authorization_http(allow_private=True) as http:
            return await self._exchange(http, grant)

    async def _exchange(self, http: AuthorizationHttp, grant: Grant) -> str:
        provider = self._provider
        client = Registration(
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            auth_method="none" if provider.client_secret is None else "client_secret_basic",
        )
        url = check_url(provider.token_endpoint, "identity provider")
        endpoint = TokenEndpoint(http, url, origin_of(url), client, purpose="token endpoint of the identity provider")
        for again in (True, False):
            form = {
                "grant_type": TOKEN_EXCHANGE,
                "requested_token_type": ID_JAG,
                "subject_token": await self._subject_token(),
                "subject_token_type": self._subject_type,
                "audience": grant.server.issuer,
                "resource": grant.resource,
                "scope": grant.scope,
            }
            try:
                document = await endpoint.request(form)
            except AuthorizationFailed as exc:
                if exc.error != "invalid_grant" or not again:
                    raise
                continue  # the application is asked for a newer assertion
            assertion, kind = document.get("access_token"), document.get("token_type")
            if document.get("issued_token_type") != ID_JAG or not isinstance(assertion, str):
                raise AuthorizationFailed("The identity provider gives another token than an identity assertion grant")
            if not isinstance(kind, str) or kind.lower() != "n_a":
                raise AuthorizationFailed("The identity provider gives a token of another type than N_A")
            return assertion
        raise AssertionError


def _private_key(value: str | bytes, algorithm: str) -> Any:
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    kinds: dict[str, Any] = {"ES": ECKey, "RS": RSAKey, "PS": RSAKey, "Ed": OKPKey}
    try:
        key = kinds[algorithm[:2]].import_key(value)
    except (ValueError, TypeError, JoseError):
        key = None
    if key is None or not key.is_private:
        raise UsageError(f"Invalid private_key: give a private key for {algorithm} in PEM")
    return key
