"""Tokens, and the requests at the token endpoint that get them.

RFC 6749 sections 4 to 6, RFC 8707; basic/authorization of each revision.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.auth.client.http import AuthorizationHttp, Response, basic_authorization
from trimcp.auth.client.registration import Registration, describe, error_code
from trimcp.auth.client.urls import shown
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable

if TYPE_CHECKING:
    from trimcp.auth.client.dpop import DpopKey

SKEW: Final = 30.0
"""Seconds before its end at which a token is renewed; a quarter of its life where that is shorter."""
_SECRET: Final = (
    "code",
    "code_verifier",
    "refresh_token",
    "client_secret",
    "client_assertion",
    "assertion",
    "subject_token",
    "device_code",
)
"""The parameters of token requests that no error may show."""


@attrs.frozen(kw_only=True)
class Tokens:
    """An access token and what came with it. Its repr shows no secret."""

    access_token: str = attrs.field(repr=False)
    token_type: str = "Bearer"
    """`Bearer` or `DPoP`."""
    refresh_token: str | None = attrs.field(default=None, repr=False)
    expires_at: float | None = None
    """Seconds since the epoch; None where the server did not say."""
    renew_at: float | None = None
    """When it is renewed: somewhat before it ends."""
    scope: str | None = None
    """Granted scopes, separated by spaces; None where the server did not say."""
    requested: str | None = None
    """Scopes that were asked for."""

    @property
    def is_due(self) -> bool:
        """Whether the token should be renewed: it ends within the next 30 seconds, or has ended."""
        return self.renew_at is not None and time.time() >= self.renew_at

    @property
    def is_expired(self) -> bool:
        """Whether the token has ended, by the clock of this machine."""
        return self.expires_at is not None and time.time() >= self.expires_at

    @property
    def authorization(self) -> str:
        """The value of `Authorization`."""
        return f"{self.token_type} {self.access_token}"

    def covers(self, scope: str | None) -> bool:
        """Whether all of these scopes were asked for, or granted."""
        return set((scope or "").split()) <= {*(self.requested or "").split(), *(self.scope or "").split()}

    def to_json(self) -> dict[str, Any]:
        """Return what a store keeps."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tokens:
        """Read what a store kept.

        Raises:
            ValueError: it is no token.
        """
        token = value.get("access_token")
        if not _is_token(token):
            raise ValueError("no token")

        def text(name: str) -> str | None:
            found = value.get(name)
            return found if isinstance(found, str) else None

        def moment(name: str) -> float | None:
            found = value.get(name)
            return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

        return cls(
            access_token=str(token),
            token_type="DPoP" if text("token_type") == "DPoP" else "Bearer",
            refresh_token=text("refresh_token"),
            expires_at=moment("expires_at"),
            renew_at=moment("renew_at"),
            scope=text("scope"),
            requested=text("requested"),
        )


def _is_token(value: object) -> bool:
    """Whether this can stand in a header field."""
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable() and " " not in value


class TokenEndpoint:
    """The token endpoint of one authorization server, for one registered client; or another that takes such forms."""

    def __init__(
        self,
        http: AuthorizationHttp,
        url: str,
        issuer: str,
        registration: Registration | None,
        *,
        purpose: str = "token endpoint",
    ) -> None:
        """
        Args:
            http: sends the requests.
            url: of the endpoint.
            issuer: of the authorization server, for errors.
            registration: authenticates the client; None where the form does it, as an assertion.
            purpose: what the endpoint is, for errors.
        """
        self._http = http
        self._url = url
        self._issuer = issuer
        self._registration = registration
        self._purpose = purpose

    async def request(self, form: Mapping[str, str | None], dpop: DpopKey | None = None) -> dict[str, Any]:
        """Send a token request and return the response.

        Args:
            form: the parameters of the grant; those that are None are left out.
            dpop: makes a proof for the request.

        Raises:
            AuthorizationFailed: the server refuses; `error` has its code.
            AuthorizationServerUnavailable: no response, or 5xx.
        """
        fields = {name: value for name, value in form.items() if value is not None}
        headers = self._authenticate(fields)
        for last in (False, True):
            proof = {} if dpop is None else {"DPoP": dpop.proof("POST", self._url)}
            response = await self._http.post_form(self._url, self._purpose, fields, {**headers, **proof})
            document = response.json_object() or {}
            is_nonce = dpop is not None and dpop.keep_nonce(self._url, response.headers)
            if not (is_nonce and not last and document.get("error") == "use_dpop_nonce"):
                break
        if response.status != 200:
            secret = [fields[name] for name in _SECRET if name in fields]
            if self._registration is not None and self._registration.client_secret is not None:
                secret.append(self._registration.client_secret)
            raise self._refused(response, document, secret)
        return document

    async def tokens(
        self,
        form: Mapping[str, str | None],
        dpop: DpopKey | None = None,
        *,
        requested: str | None = None,
        old: Tokens | None = None,
    ) -> Tokens:
        """Send a token request and return the tokens.

        Args:
            form: the parameters of the grant; those that are None are left out.
            dpop: makes a proof for the request; the token must be bound to it.
            requested: the scopes that the flow asked for.
            old: the tokens that are refreshed, whose refresh token stays where no new one comes.

        Raises:
            AuthorizationFailed, AuthorizationServerUnavailable: as `request`; also for an invalid response.
        """
        before = time.time()
        document = await self.request(form, dpop)
        token, kind = document.get("access_token"), document.get("token_type")
        if not isinstance(token, str) or not _is_token(token):
            raise AuthorizationFailed(f"The token endpoint of {self._issuer!r} answers without a valid access token")
        scheme = {"bearer": "Bearer", "dpop": "DPoP"}.get(kind.lower()) if isinstance(kind, str) else None
        if scheme is None or (dpop is not None) != (scheme == "DPoP"):
            raise AuthorizationFailed(
                f"The token endpoint of {self._issuer!r} gives a token of type {shown(kind)[:40]!r}, "
                f"where {'DPoP' if dpop is not None else 'Bearer'} was asked for"
            )
        refresh, scope = document.get("refresh_token"), document.get("scope")
        life = seconds_of(document.get("expires_in"))
        return Tokens(
            access_token=token,
            token_type=scheme,
            refresh_token=refresh if isinstance(refresh, str) and refresh else (old.refresh_token if old else None),
            expires_at=None if life is None else before + life,
            renew_at=None if life is None else before + life - min(SKEW, life / 4),
            scope=scope if isinstance(scope, str) else (old.scope if old else requested),
            requested=old.requested if old else requested,
        )

    def _authenticate(self, fields: dict[str, str]) -> dict[str, str]:
        client = self._registration
        if client is None:
            return {}
        if client.auth_method == "client_secret_basic":
            return basic_authorization(client.client_id, client.client_secret or "")
        fields["client_id"] = client.client_id
        if client.auth_method == "client_secret_post":
            fields["client_secret"] = client.client_secret or ""
        return {}

    def _refused(self, response: Response, document: Mapping[str, Any], secret: Iterable[str]) -> AuthorizationFailed:
        if response.status >= 500 or response.status == 429:
            return AuthorizationServerUnavailable(
                f"The {self._purpose} of {self._issuer!r} answers with {response.status}", status=response.status
            )
        why = describe(document, secret)
        text = f"The {self._purpose} of {self._issuer!r} refuses{why} (HTTP {response.status})"
        return AuthorizationFailed(text, error_code(document), response.status)


def seconds_of(value: object) -> float | None:
    """Return the seconds of `expires_in` or `interval`, which some servers write as a string; None for other values.

    They are from 0 to 10⁹, whatever the server writes.
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = float(value[:12])
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return min(max(float(value), 0.0), 1e9)
