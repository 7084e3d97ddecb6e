"""`Grant`: what a token is asked for. `TokenOptions`: the keyword arguments that all ways to get one share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

import attrs

from trimcp.auth.client.client_pin import ClientPin
from trimcp.auth.client.discovery import AuthorizationServer
from trimcp.auth.client.dpop import DpopKey
from trimcp.auth.client.http import AuthorizationHttp
from trimcp.auth.client.registration import Registration
from trimcp.auth.client.tokens import TokenEndpoint, Tokens
from trimcp.auth.stores import TokenStore


class TokenOptions(TypedDict, total=False):
    """The keyword arguments that all ways to get a token share."""

    issuer: str | None
    """The one authorization server to use. Default: the first that the MCP server names."""
    scopes: Iterable[str] | None
    """Asked for beside those of the server's challenge. Default: those that the server names."""
    store: TokenStore | None
    """Keeps tokens and registrations. Default: in memory, while the object lives."""
    dpop: bool
    """Whether tokens are bound to a key (RFC 9449). Default: False."""
    send_resource: bool
    """Whether requests have `resource`, as MCP demands; some providers refuse it. Default: True."""
    strict_resource: bool
    """Whether a server that calls itself a prefix of the URL that is connected to is refused. Default: False."""
    allow_private: bool | None
    """Whether metadata may lead to private addresses. Default: if the MCP server has one."""


@attrs.frozen(kw_only=True)
class Grant:
    """What a token is asked for: where, for which resource, with which scopes."""

    http: AuthorizationHttp
    server: AuthorizationServer
    resource: str | None
    """Sent as `resource`; None where it is left out."""
    scope: str | None
    dpop: DpopKey | None
    pin: ClientPin
    """Told of the issuer before credentials of the client go there."""

    def endpoint(self, registration: Registration | None) -> TokenEndpoint:
        """Return the token endpoint for a client; None where the form authenticates it.

        Raises:
            AuthorizationFailed: the client belongs to another authorization server.
        """
        self.pin.use(self.server.issuer)
        return TokenEndpoint(self.http, self.server.token_endpoint, self.server.issuer, registration)


@attrs.frozen
class Obtained:
    """Tokens, and the client that they were given to."""

    tokens: Tokens
    client_id: str
    """Empty where the client has no id."""
