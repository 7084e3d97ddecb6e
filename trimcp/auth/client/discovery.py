"""Finds out which authorization server protects an MCP server, and where its endpoints are.

Issuers and resources are kept as the strings that the documents have: they are compared and sent byte for byte.

basic/authorization of each revision since 2025-03-26; RFC 9728, RFC 8414, OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from trimcp.auth.client.http import RESOURCE_METADATA, AuthorizationHttp, Response
from trimcp.auth.client.urls import check_url, origin_of, shown
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.observability import events, log

PROTOCOL_VERSION: Final = "MCP-Protocol-Version"
_OAUTH: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"


@attrs.frozen(kw_only=True)
class ProtectedResource:
    """The metadata of an MCP server as a protected resource (RFC 9728)."""

    resource: str
    """The identifier of the server, as tokens are asked for it."""
    authorization_servers: tuple[str, ...]
    """The issuers of tokens for it; not empty."""
    scopes_supported: tuple[str, ...] | None
    """The scopes for basic use; None where the metadata names none."""


@attrs.frozen(kw_only=True)
class AuthorizationServer:
    """The metadata of an authorization server (RFC 8414), as far as a client uses it."""

    issuer: str
    authorization_endpoint: str | None
    token_endpoint: str
    registration_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    scopes_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods: tuple[str, ...] | None = None
    """None where the metadata names none, which means `client_secret_basic` (RFC 8414)."""
    takes_metadata_documents: bool = False
    """Whether a client may name itself by the URL of its metadata document."""
    sends_issuer: bool = False
    """Whether authorization responses have `iss` (RFC 9207)."""
    supports_s256: bool = False
    """Whether the metadata say that PKCE with S256 is supported. Sign-ins are refused without."""
    has_metadata: bool = True
    """False for the default endpoints of 2025-03-26."""


class Discovery:
    """The search for the metadata of one MCP server and of its authorization server."""

    def __init__(
        self, http: AuthorizationHttp, server_url: str, *, protocol_version: str, strict_resource: bool
    ) -> None:
        """Prepare the search.

        Args:
            http: sends the requests.
            server_url: of the MCP server.
            protocol_version: goes along in `MCP-Protocol-Version`.
            strict_resource: whether the resource must be the URL of the server, and not a prefix of it.
        """
        self._http = http
        self._url = server_url
        self._headers = {PROTOCOL_VERSION: protocol_version}
        self._strict_resource = strict_resource

    async def protected_resource(self, named: str | None) -> ProtectedResource | None:
        """Request the metadata of the protected resource: first where the challenge says, then at both known paths.

        Args:
            named: `resource_metadata` of the challenge; None where it has none.

        Returns:
            The metadata; None for a server of 2025-03-26, which has none.

        Raises:
            AuthorizationFailed: the metadata is for another server, or invalid.
            AuthorizationServerUnavailable: no place could be reached.
        """
        urls = dict.fromkeys([*_usable(named), *_well_known_of_resource(self._url)])
        document = await self._first_document(urls, "protected resource metadata")
        return None if document is None else self._resource_of(document)

    def _resource_of(self, document: dict[str, Any]) -> ProtectedResource:
        resource = document.get("resource")
        if not isinstance(resource, str) or not _covers(resource, self._url, strict=self._strict_resource):
            raise AuthorizationFailed(
                f"The protected resource metadata is for {shown(resource)!r}, not for {_without_query(self._url)!r}: "
                "connect to the URL that the server calls itself"
            )
        issuers = _strings(document.get("authorization_servers"))
        if not issuers:
            raise AuthorizationFailed(
                f"The protected resource metadata of {shown(resource)!r} names no authorization server"
            )
        return ProtectedResource(
            resource=resource,
            authorization_servers=issuers,
            scopes_supported=_strings(document.get("scopes_supported")),
        )

    async def authorization_server(self, issuer: str) -> AuthorizationServer:
        """Request the metadata of the authorization server with this issuer.

        Raises:
            AuthorizationFailed: it has none, or its issuer is another one.
            AuthorizationServerUnavailable: it could not be reached.
        """
        check_url(issuer, "authorization server")
        found = await self._first_document(metadata_urls(issuer), "authorization server metadata")
        if found is None:
            raise AuthorizationFailed(f"The authorization server {issuer!r} has no metadata at its well-known paths")
        named = found.get("issuer")
        if named != issuer:
            raise AuthorizationFailed(
                f"The authorization server calls itself {shown(named)!r}, not {shown(issuer)!r}: the two must be equal "
                f"byte for byte. If you trust it, pass issuer={shown(named)!r}"
            )
        return _server_of(found, issuer)

    async def server_of_2025_03_26(self) -> AuthorizationServer:
        """Find the authorization server of an MCP server without resource metadata: the origin itself.

        Raises:
            AuthorizationFailed: its metadata is invalid.
            AuthorizationServerUnavailable: it could not be reached.
        """
        origin = origin_of(self._url)
        found = await self._first_document([origin + _OAUTH], "authorization server metadata")
        if found is None:
            return AuthorizationServer(
                issuer=origin,
                authorization_endpoint=f"{origin}/authorize",
                token_endpoint=f"{origin}/token",
                registration_endpoint=f"{origin}/register",
                token_endpoint_auth_methods=("none", "client_secret_basic", "client_secret_post"),
                supports_s256=True,  # nothing says so, and nothing else is used
                has_metadata=False,
            )
        issuer = found.get("issuer")
        if not isinstance(issuer, str) or issuer.removesuffix("/") != origin:
            raise AuthorizationFailed(f"The authorization server at {origin} calls itself {shown(issuer)!r}")
        return _server_of(found, issuer)

    async def _first_document(self, urls: Iterable[str], purpose: str) -> dict[str, Any] | None:
        """The first of these documents that there is. Where there is none, a server that failed is no proof of that."""
        failed: AuthorizationServerUnavailable | None = None
        for url in urls:
            response = await self._http.get_metadata(url, purpose, self._headers)
            document = _document(response)
            if document is not None:
                return document
            if response.status >= 500 and failed is None:
                failed = AuthorizationServerUnavailable(
                    f"The {purpose} at {origin_of(url)} answers with {response.status}", status=response.status
                )
        if failed is not None:
            raise failed
        return None


def resource_without_metadata(server_url: str) -> str:
    """Return the canonical identifier of an MCP server that has no resource metadata: its URL, without query."""
    return _without_query(server_url)


def _document(response: Response) -> dict[str, Any] | None:
    return response.json_object() if response.status == 200 else None


def _usable(named: str | None) -> Iterator[str]:
    """The URL of a challenge, unless it may not be requested: behind some proxies, servers name one with http."""
    if named:
        try:
            yield check_url(named, "protected resource metadata")
        except AuthorizationFailed as exc:
            log.warning(events.AUTH_RESOURCE_METADATA_IGNORED, reason=str(exc))


def _well_known_of_resource(url: str) -> Iterator[str]:
    origin, path = origin_of(url), urlsplit(url).path
    if path.strip("/"):
        yield f"{origin}{RESOURCE_METADATA}{path.rstrip('/')}"
    yield origin + RESOURCE_METADATA


def metadata_urls(issuer: str) -> list[str]:
    """Return the well-known URLs of the metadata of an authorization server, in the order of the specification."""
    origin, path = origin_of(issuer), urlsplit(issuer).path.rstrip("/")
    if path:
        return [f"{origin}{_OAUTH}{path}", f"{origin}{_OPENID}{path}", f"{origin}{path}{_OPENID}"]
    return [origin + _OAUTH, origin + _OPENID]


def _covers(resource: str, url: str, *, strict: bool) -> bool:
    """Return whether a resource covers the server at a URL: the same origin, and a prefix of its path segments."""
    try:
        parts = urlsplit(resource)
        is_plain = resource.isprintable() and not any(char in resource for char in "?#\\") and "@" not in parts.netloc
        if not is_plain or origin_of(resource) != origin_of(url):
            return False
    except ValueError:
        return False
    of_resource, of_url = parts.path, urlsplit(url).path
    if strict:
        return (of_resource or "/") == (of_url or "/")
    of_resource, of_url = of_resource.rstrip("/"), of_url.rstrip("/")
    return of_url == of_resource or of_url.startswith(of_resource + "/")


def _without_query(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _strings(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(item for item in value if isinstance(item, str) and item)


def _server_of(document: dict[str, Any], issuer: str) -> AuthorizationServer:
    def endpoint(name: str) -> str | None:
        value = document.get(name)
        return check_url(value, name.replace("_", " ")) if isinstance(value, str) else None

    token_endpoint = endpoint("token_endpoint")
    if token_endpoint is None:
        raise AuthorizationFailed(f"The metadata of the authorization server {issuer!r} names no token endpoint")
    return AuthorizationServer(
        issuer=issuer,
        authorization_endpoint=endpoint("authorization_endpoint"),
        token_endpoint=token_endpoint,
        registration_endpoint=endpoint("registration_endpoint"),
        device_authorization_endpoint=endpoint("device_authorization_endpoint"),
        scopes_supported=_strings(document.get("scopes_supported")),
        token_endpoint_auth_methods=_strings(document.get("token_endpoint_auth_methods_supported")),
        takes_metadata_documents=document.get("client_id_metadata_document_supported") is True,
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        supports_s256="S256" in (_strings(document.get("code_challenge_methods_supported")) or ()),
    )
