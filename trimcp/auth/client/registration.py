"""Gets a client id at an authorization server: pre-registered, by a metadata document, or by dynamic registration.

basic/authorization/client-registration of 2026-07-28; RFC 7591.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from trimcp.auth.client.discovery import AuthorizationServer
from trimcp.auth.client.http import AuthorizationHttp
from trimcp.auth.client.urls import shown
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]
_BEGINNING: Final = 6
"""Characters by which a secret is recognized."""
METHODS: Final[tuple[AuthMethod, ...]] = ("none", "client_secret_basic", "client_secret_post")
_WANTED: Final = ("none", "client_secret_post", "client_secret_basic")
"""What a registration asks for, best first. Servers of the official package find no client without `client_id`."""


@attrs.frozen(kw_only=True)
class Registration:
    """A client as one authorization server knows it."""

    client_id: str
    client_secret: str | None = attrs.field(default=None, repr=False)
    auth_method: AuthMethod = "none"
    """How the client authenticates at the token endpoint."""
    redirect_uri: str | None = None
    """The redirect URI that was registered; None for a registration without one, or by hand."""
    is_dynamic: bool = False
    scope: str | None = None
    """The scopes that a dynamic registration asked for."""

    def to_json(self) -> dict[str, Any]:
        """Return what a store keeps."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Registration:
        """Read what a store kept.

        Raises:
            ValueError: it is no registration.
        """
        client_id, secret, method = value.get("client_id"), value.get("client_secret"), value.get("auth_method")
        redirect, scope = value.get("redirect_uri"), value.get("scope")
        if not isinstance(client_id, str) or method not in METHODS or not isinstance(secret, str | None):
            raise ValueError("no registration")
        return cls(
            client_id=client_id,
            client_secret=secret,
            auth_method=method,
            redirect_uri=redirect if isinstance(redirect, str) else None,
            is_dynamic=value.get("is_dynamic") is True,
            scope=scope if isinstance(scope, str) else None,
        )


@attrs.frozen(kw_only=True)
class ClientIdentity:
    """How a program names itself to authorization servers."""

    client_name: str
    client_id: str | None = None
    """Registered beforehand at the authorization server."""
    client_secret: str | None = attrs.field(default=None, repr=False)
    metadata_url: str | None = None
    """The https URL of the client's metadata document, which is its id where the server takes one."""


def auth_method_of(server: AuthorizationServer, *, has_secret: bool, registered: object = None) -> AuthMethod:
    """Return how to authenticate at the token endpoint: exactly one method.

    Args:
        server: names the methods that it supports.
        has_secret: whether the client has a secret.
        registered: `token_endpoint_auth_method` of a registration's response.

    Raises:
        AuthorizationFailed: the response of a registration wants another method than the three of MCP.
    """
    if registered is not None:
        for method in METHODS:
            if method == registered and (has_secret or method == "none"):
                return method
        raise AuthorizationFailed(
            f"The authorization server {server.issuer!r} registered the client for {shown(registered)!r} "
            f"{'with' if has_secret else 'without'} a secret: register one by hand, and pass client_id=…"
        )
    if not has_secret:
        return "none"
    offered = server.token_endpoint_auth_methods
    if offered is not None and "client_secret_basic" not in offered and "client_secret_post" in offered:
        return "client_secret_post"
    return "client_secret_basic"


def known_registration(identity: ClientIdentity, server: AuthorizationServer) -> Registration | None:
    """Return the registration that needs no request: a pre-registered id, or a metadata document; None for neither."""
    if identity.client_id is not None:
        secret = identity.client_secret
        return Registration(
            client_id=identity.client_id,
            client_secret=secret,
            auth_method=auth_method_of(server, has_secret=secret is not None),
        )
    if identity.metadata_url is not None and server.takes_metadata_documents:
        return Registration(client_id=identity.metadata_url)
    return None


async def register(
    http: AuthorizationHttp,
    server: AuthorizationServer,
    identity: ClientIdentity,
    *,
    redirect_uris: Sequence[str],
    grant_types: Sequence[str],
    scope: str | None,
) -> Registration:
    """Register the client dynamically (RFC 7591).

    Raises:
        AuthorizationFailed: the server has no registration endpoint, or refuses.
        AuthorizationServerUnavailable: it could not be reached.
    """
    if server.registration_endpoint is None:
        raise AuthorizationFailed(
            f"The authorization server {server.issuer!r} registers no clients by itself: register one there by hand, "
            "and pass client_id=… (with client_secret=… if it gives one)"
        )
    offered = server.token_endpoint_auth_methods
    wanted = next((method for method in _WANTED if offered is None or method in offered), "none")
    metadata: dict[str, Any] = {
        "client_name": identity.client_name,
        "redirect_uris": list(redirect_uris),
        "grant_types": list(grant_types),
        "response_types": ["code"] if redirect_uris else [],
        "token_endpoint_auth_method": wanted,
        "application_type": "native",
    }
    if scope is not None:
        metadata["scope"] = scope
    response = await http.post_json(server.registration_endpoint, "registration endpoint", metadata)
    document = response.json_object() or {}
    if response.status >= 500:
        raise AuthorizationServerUnavailable(
            f"The registration endpoint of {server.issuer!r} answers with {response.status}", status=response.status
        )
    client_id, secret = document.get("client_id"), document.get("client_secret")
    if response.status not in (200, 201) or not isinstance(client_id, str) or not client_id:
        raise AuthorizationFailed(
            f"The authorization server {server.issuer!r} refuses to register this client"
            f"{describe(document)} (HTTP {response.status})",
            error_code(document),
            response.status,
        )
    secret = secret if isinstance(secret, str) and secret else None
    return Registration(
        client_id=client_id,
        client_secret=secret,
        auth_method=auth_method_of(
            server, has_secret=secret is not None, registered=document.get("token_endpoint_auth_method")
        ),
        redirect_uri=redirect_uris[0] if redirect_uris else None,
        is_dynamic=True,
        scope=scope,
    )


def error_code(document: Mapping[str, Any]) -> str | None:
    """Return the error code of an OAuth error response, if it is one."""
    error = document.get("error")
    return error[:100] if isinstance(error, str) and error.isascii() and error.isprintable() else None


def describe(document: Mapping[str, Any], secret: Iterable[str] = ()) -> str:
    """Return the error of a response as text for a person: the code and the description, printable and cut.

    Args:
        document: the response.
        secret: what was sent; servers that repeat it, or its beginning, are not repeated.
    """
    parts = []
    for name, most in (("error", 100), ("error_description", 300)):
        value = document.get(name)
        if isinstance(value, str) and value:
            for each in secret:
                if len(each) >= _BEGINNING:
                    value = re.sub(re.escape(each[:_BEGINNING]) + r"\S*", "…", value)
            parts.append("".join(char if char.isprintable() else "?" for char in value[:most]))
    return f": {', '.join(parts)}" if parts else ""
