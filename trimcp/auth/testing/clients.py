"""The clients of the development authorization server: registered by hand, dynamically, or by a metadata document."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote_plus, urlsplit

import attrs

from trimcp.auth.client.http import open_authorization_http
from trimcp.auth.client.urls import is_loopback
from trimcp.auth.errors import AuthorizationFailed
from trimcp.auth.server.key_sets import read_keys
from trimcp.auth.server.signatures import ASYMMETRIC, InvalidSignature, read_part, verified_claims
from trimcp.auth.server.verifiers import InvalidToken, check_audience, check_times
from trimcp.http.binding import HttpRequest

KEPT: Final = 1024
"""Entries of each kind that are kept; the oldest goes."""
ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHODS: Final = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
V = TypeVar("V")


class Kept(Generic[V]):
    """Entries by a key, at most `KEPT`."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, V] = OrderedDict()

    def put(self, key: str, value: V) -> V:
        """Keep an entry."""
        self._entries[key] = value
        if len(self._entries) > KEPT:
            self._entries.popitem(last=False)
        return value

    def get(self, key: str | None) -> V | None:
        """Return an entry; None if there is none."""
        return None if key is None else self._entries.get(key)

    def pop(self, key: str | None) -> V | None:
        """Remove an entry and return it; None if there is none."""
        return None if key is None else self._entries.pop(key, None)

    def values(self) -> list[V]:
        """Return all entries."""
        return list(self._entries.values())


class OAuthError(Exception):
    """An error of OAuth, as an endpoint answers it."""

    def __init__(self, error: str, text: str = "", status: int = 400, headers: Mapping[str, str] = {}) -> None:
        super().__init__(error)
        self.error: str = error
        self.text: str = text
        self.status: int = status
        self.headers: dict[str, str] = dict(headers)


@attrs.frozen(kw_only=True)
class DevelopmentClient:
    """A client that the development authorization server knows."""

    client_id: str
    client_secret: str | None = attrs.field(default=None, repr=False)
    redirect_uris: Sequence[str] = ()
    """Accepted as they are; those on loopback at any port."""
    auth_method: str | None = None
    """One of `token_endpoint_auth_methods_supported`; None for any that fits."""
    jwks: Mapping[str, Any] | None = None
    """The public keys of the client, for `private_key_jwt`."""

    def takes_redirect(self, uri: str) -> bool:
        """Whether a redirect URI is the client's."""
        return uri in self.redirect_uris or any(_same_but_port(uri, own) for own in self.redirect_uris)


class Clients:
    """All clients of one server."""

    def __init__(
        self, clients: Iterable[DevelopmentClient], documents: Mapping[str, Mapping[str, Any]], *, takes_new: bool
    ) -> None:
        """`documents`: client metadata documents by their URLs, which then are not fetched."""
        self._clients: Kept[DevelopmentClient] = Kept()
        for client in clients:
            self._clients.put(client.client_id, client)
        self._documents = documents
        self._takes_new = takes_new
        self._assertions: Kept[bool] = Kept()

    def register(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Register a client dynamically (RFC 7591); return the response.

        Raises:
            OAuthError: it cannot be registered.
        """
        if not self._takes_new:
            raise OAuthError("access_denied", "There is no dynamic registration", 403)
        redirects = metadata.get("redirect_uris", [])
        grant_types = metadata.get("grant_types", ["authorization_code"])
        if not isinstance(redirects, list) or not all(isinstance(uri, str) and _may_redirect(uri) for uri in redirects):
            raise OAuthError("invalid_redirect_uri", "Redirect URIs are https, or http on loopback")
        if not isinstance(grant_types, list) or ("authorization_code" in grant_types and not redirects):
            raise OAuthError("invalid_redirect_uri", "A redirect URI is needed")
        method = metadata.get("token_endpoint_auth_method", "client_secret_basic")
        if method not in METHODS:
            raise OAuthError("invalid_client_metadata", "Unknown token_endpoint_auth_method")
        jwks = metadata.get("jwks")
        client = DevelopmentClient(
            client_id=f"dynamic-{secrets.token_urlsafe(9)}",
            client_secret=secrets.token_urlsafe(24) if method.startswith("client_secret") else None,
            redirect_uris=tuple(redirects),
            auth_method=method,
            jwks=jwks if isinstance(jwks, dict) else None,
        )
        self._clients.put(client.client_id, client)
        response = {**metadata, "client_id": client.client_id, "token_endpoint_auth_method": method}
        response["client_id_issued_at"] = int(time.time())
        if client.client_secret is not None:
            response |= {"client_secret": client.client_secret, "client_secret_expires_at": 0}
        return response

    async def find(self, client_id: str | None) -> DevelopmentClient:
        """Return a client by its id, which may be the URL of its metadata document.

        Raises:
            OAuthError: there is none.
        """
        known = self._clients.get(client_id)
        if known is not None:
            return known
        if client_id is None or not client_id.startswith("https://"):
            raise OAuthError("invalid_client", "Unknown client", 401)
        document = self._documents.get(client_id)
        if document is None:
            document = await _fetch(client_id)
        redirects = document.get("redirect_uris")
        if document.get("client_id") != client_id or not isinstance(redirects, list):
            raise OAuthError("invalid_client", "The metadata document is not that of the client", 401)
        jwks = document.get("jwks")
        return DevelopmentClient(
            client_id=client_id,
            redirect_uris=tuple(uri for uri in redirects if isinstance(uri, str)),
            auth_method="private_key_jwt" if isinstance(jwks, dict) else "none",
            jwks=jwks if isinstance(jwks, dict) else None,
        )

    async def authenticated(self, request: HttpRequest, form: Mapping[str, str], audience: str) -> DevelopmentClient:
        """Return the client that sends a request to the token endpoint, once it has proved who it is.

        Raises:
            OAuthError: it is unknown, or has not proved it, or in two ways.
        """
        field = request.field("authorization")
        ways = [field is not None, "client_secret" in form, "client_assertion" in form]
        if sum(ways) > 1:
            raise OAuthError("invalid_request", "One way of client authentication at a time")
        if field is not None:
            client_id, secret = _basic(field)
            if form.get("client_id", client_id) != client_id:
                raise OAuthError("invalid_request", "The client ids of the field and of the body differ")
            client, method = await self.find(client_id), "client_secret_basic"
        elif "client_assertion" in form:
            client, method, secret = await self._asserted(form, audience), "private_key_jwt", None
        else:
            client, secret = await self.find(form.get("client_id")), form.get("client_secret")
            method = "none" if secret is None else "client_secret_post"
        if method != "private_key_jwt" and not hmac.compare_digest(
            (client.client_secret or "").encode(), (secret or "").encode()
        ):
            raise OAuthError("invalid_client", "Wrong client secret", 401)
        if client.auth_method not in (None, method) or (client.jwks is not None and method != "private_key_jwt"):
            raise OAuthError("invalid_client", f"The client has not registered {method}", 401)
        return client

    async def _asserted(self, form: Mapping[str, str], audience: str) -> DevelopmentClient:
        refusal = OAuthError("invalid_client", "The client assertion is not valid", 401)
        if form.get("client_assertion_type") != ASSERTION:
            raise refusal
        try:
            unverified = read_part(form["client_assertion"], 1)
            client = await self.find(str(unverified.get("sub")))
            claims = verified_by(form["client_assertion"], client.jwks or {})
            check_audience(claims.get("aud"), [audience])
            expires_at = check_times(claims, time.time(), 10)
        except (InvalidSignature, InvalidToken):
            raise refusal from None
        jti = f"{client.client_id}:{claims.get('jti')}"
        if expires_at is None or expires_at > time.time() + 600 or self._assertions.get(jti):
            raise refusal
        if claims.get("iss") != client.client_id or form.get("client_id", client.client_id) != client.client_id:
            raise refusal
        self._assertions.put(jti, True)
        return client


def verified_by(token: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """Verify a JWT by any key of a set; return its claims.

    Raises:
        InvalidSignature: no key fits.
    """
    algorithm = read_part(token, 0).get("alg")
    if algorithm in ASYMMETRIC:
        for key in read_keys(jwks):
            try:
                return verified_claims(token, key, algorithm)
            except InvalidSignature:
                continue
    raise InvalidSignature


async def _fetch(url: str) -> Mapping[str, Any]:
    try:
        async with open_authorization_http(allow_private=False) as http:
            response = await http.get_metadata(url, "client metadata document")
    except AuthorizationFailed:
        raise OAuthError("invalid_client", "The metadata document cannot be fetched", 401) from None
    document = response.json_object() if response.status == 200 else None
    if document is None:
        raise OAuthError("invalid_client", "The metadata document cannot be read", 401)
    return document


def _basic(field: str) -> tuple[str, str]:
    scheme, _, encoded = field.partition(" ")
    try:
        pair = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        pair = ""
    name, colon, secret = pair.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "Malformed Authorization field", 401)
    return unquote_plus(name), unquote_plus(secret)


def _may_redirect(uri: str) -> bool:
    parts = urlsplit(uri)
    return not parts.fragment and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    )


def _same_but_port(uri: str, own: str) -> bool:
    try:
        one, other = urlsplit(uri), urlsplit(own)
        same = all(getattr(one, part) == getattr(other, part) for part in ("scheme", "hostname", "path", "query"))
    except ValueError:
        return False
    return same and one.scheme == "http" and is_loopback(one.hostname or "") and not (one.fragment or one.username)
