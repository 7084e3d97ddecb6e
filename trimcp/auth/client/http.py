"""The HTTP requests of a client to authorization servers: bounded, checked, and apart from requests to the MCP server.

No header field, cookie or token of the MCP server goes along. A body is read up to 64 KiB. A URL that another party
names must be https, or http on loopback, and must not lead to a private address unless the MCP server has one, which
its certificate proves there.

RFC 8414, RFC 9728; basic/authorization/security-considerations of 2026-07-28.
"""

from __future__ import annotations

import base64
import socket
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import attrs
import httpx2
import orjson
import trio

from trimcp.auth.client.urls import address_kind, check_url, is_address, is_loopback, origin_of
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.observability import events, log

BODY_BYTES: Final = 64 * 1024
"""The longest body that is read; a longer one fails the request."""
REQUEST_TIME: Final = 30.0
"""Seconds that one request may take."""
REDIRECTS: Final = 3
"""Redirects that a request for metadata follows, within its origin. Other requests follow none."""
ADDRESSES: Final = 4
"""Addresses of one host that are tried."""
RESOURCE_METADATA: Final = "/.well-known/oauth-protected-resource"
"""The path at which an MCP server describes itself (RFC 9728)."""


@attrs.frozen(repr=False)
class Response:
    """A response of an authorization server. Its body may hold secrets, so the repr shows the status alone."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Response {self.status}>"

    def json_object(self) -> dict[str, Any] | None:
        """Return the body as a JSON object; None if it is another value or no JSON."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None


@attrs.frozen
class _Target:
    """Where a request goes: the address that was checked, so that a second resolution cannot lead elsewhere."""

    url: str
    headers: Mapping[str, str] = {}
    extensions: Mapping[str, Any] = {}
    proxy: str | None = None
    is_private: bool = False


class AuthorizationHttp:
    """Sends the requests of one client to authorization servers. Made by `open_authorization_http`."""

    def __init__(self, stack: AsyncExitStack, *, allow_private: bool, server_url: str | None) -> None:
        """
        Args:
            stack: closes the connections.
            allow_private: whether all addresses may be requested.
            server_url: of the MCP server; None where there is none.
        """
        host = urlsplit(server_url or "").hostname or ""
        self._stack = stack
        self._is_unchecked = allow_private or is_loopback(host)
        self._own = None if server_url is None else origin_of(server_url)
        self._is_own_private = _is_private(host)
        """Whether the MCP server is known to have a private address."""
        self._clients: dict[str | None, httpx2.AsyncClient] = {}

    async def get_metadata(self, url: str, purpose: str, headers: Mapping[str, str] = {}) -> Response:
        """Request a metadata document, following redirects within its origin.

        Raises:
            AuthorizationFailed: the URL may not be requested, the body is too long, or a redirect leads elsewhere.
            AuthorizationServerUnavailable: there is no response.
        """
        for _ in range(REDIRECTS + 1):
            response = await self._request("GET", url, purpose, {"Accept": "application/json", **headers})
            location = response.headers.get("location")
            if response.status not in (301, 302, 303, 307, 308) or location is None:
                return response
            try:
                target = check_url(urljoin(url, location), purpose)
            except ValueError:
                target = ""
            if not target or origin_of(target) != origin_of(url):
                raise AuthorizationFailed(
                    f"The {purpose} at {origin_of(url)} redirects to another origin: it must answer where it is"
                )
            url = target
        raise AuthorizationFailed(f"The {purpose} at {origin_of(url)} redirects more than {REDIRECTS} times")

    async def post_form(
        self,
        url: str,
        purpose: str,
        form: Mapping[str, str],
        headers: Mapping[str, str] = {},
    ) -> Response:
        """Post a form. No redirect is followed.

        Raises:
            AuthorizationFailed, AuthorizationServerUnavailable: as `get_metadata`.
        """
        return await self._request("POST", url, purpose, {"Accept": "application/json", **headers}, form=form)

    async def post_json(self, url: str, purpose: str, value: Mapping[str, Any]) -> Response:
        """Post a JSON object. No redirect is followed.

        Raises:
            AuthorizationFailed, AuthorizationServerUnavailable: as `get_metadata`.
        """
        return await self._request("POST", url, purpose, {"Accept": "application/json"}, json=value)

    async def check_reach(self, url: str, purpose: str) -> str:
        """Return a URL that a person's browser may be sent to: as `check_url`, and no private address.

        Raises:
            AuthorizationFailed, AuthorizationServerUnavailable: it may not, or its host cannot be resolved.
        """
        check_url(url, purpose)
        await self._targets(url, purpose)
        return url

    async def _request(
        self,
        method: str,
        url: str,
        purpose: str,
        headers: Mapping[str, str],
        *,
        form: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> Response:
        check_url(url, purpose)
        where = origin_of(url)
        log.debug(events.AUTH_REQUESTED, method=method, purpose=purpose, origin=where)
        fields = {"Accept-Encoding": "identity", **headers}  # so that a short body stays short
        try:
            with trio.fail_after(REQUEST_TIME):
                targets = await self._targets(url, purpose)
                for target in targets:
                    try:
                        response = await self._send(target, method, purpose, fields, form, json)
                        self._is_own_private |= target.is_private and where == self._own
                        return response
                    except (httpx2.ConnectError, httpx2.ConnectTimeout):
                        if target is targets[-1]:
                            raise
        except trio.TooSlowError:
            raise AuthorizationServerUnavailable(
                f"No answer of the {purpose} at {where} in {REQUEST_TIME:g} s"
            ) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
            # The exception may show the URL, and with it a code: its type is enough.
            raise AuthorizationServerUnavailable(
                f"The {purpose} at {where} cannot be reached: {type(exc).__name__}"
            ) from None
        raise AssertionError

    async def _send(
        self,
        target: _Target,
        method: str,
        purpose: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
        json: Mapping[str, Any] | None,
    ) -> Response:
        client = await self._client(target.proxy)
        request = client.build_request(
            method,
            target.url,
            headers={**headers, **target.headers},
            data=form,
            json=json,
            extensions=dict(target.extensions),
        )
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async with aclosing(response.aiter_raw()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > BODY_BYTES:
                        raise AuthorizationFailed(f"The {purpose} answers with more than {BODY_BYTES // 1024} KiB")
        finally:
            with trio.move_on_after(1, shield=True):
                await response.aclose()
        fields = {name.lower(): value for name, value in response.headers.items()}
        if fields.get("content-encoding", "identity").lower() != "identity":
            raise AuthorizationFailed(f"The {purpose} answers with an encoding that was not asked for")
        return Response(response.status_code, fields, bytes(body))

    async def _client(self, proxy: str | None) -> httpx2.AsyncClient:
        client = self._clients.get(proxy)
        if client is None:
            try:
                made = new_client(proxy)
            except (ValueError, ImportError) as exc:  # the text may show a password of the proxy
                raise AuthorizationFailed(
                    f"The proxy of the environment cannot be used ({type(exc).__name__}): see HTTPS_PROXY and ALL_PROXY"
                ) from None
            client = self._clients[proxy] = await self._stack.enter_async_context(made)
        return client

    async def _targets(self, url: str, purpose: str) -> list[_Target]:
        """The addresses to try, each of them checked."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = _proxy_for(parts.scheme, host)
        if self._is_unchecked or (proxy is not None and not is_address(host) and not is_loopback(host)):
            return [_Target(url, proxy=proxy)]
        addresses = await _addresses_of(host)
        if not addresses:
            raise AuthorizationServerUnavailable(f"The host {host} of the {purpose} cannot be resolved")
        kinds = {address_kind(address) for address in addresses}
        if "loopback" in kinds or ("private" in kinds and not await self._may_be_private(url)):
            raise AuthorizationFailed(
                f"The host {host} of the {purpose} has a private address, and the MCP server has not: "
                "pass allow_private=True if that is meant"
            )
        if proxy is not None:
            return [_Target(url, proxy=proxy)]
        port = "" if parts.port is None else f":{parts.port}"
        return [
            _Target(
                parts._replace(netloc=(f"[{address}]" if ":" in address else address) + port).geturl(),
                {"Host": parts.netloc},
                {"sni_hostname": host},
                is_private=address_kind(address) == "private",
            )
            for address in addresses[:ADDRESSES]
        ]

    async def _may_be_private(self, url: str) -> bool:
        """Whether a URL may lead to a private address: the MCP server has one, or is what is requested.

        Its name resolving to one proves nothing, since the owner of a name may have it resolve to the address of
        another host. The certificate proves it: a response from a private address.
        """
        if origin_of(url) == self._own:
            return True
        if not self._is_own_private and self._own is not None and self._own.startswith("https:"):
            await self._request("GET", self._own + RESOURCE_METADATA, "MCP server", {"Accept": "application/json"})
        return self._is_own_private


def basic_authorization(client_id: str, client_secret: str) -> dict[str, str]:
    """Return the header field that authenticates a client by its secret.

    Both are encoded as in a form (RFC 6749, section 2.3.1), with %20 and not +, which some servers do not decode.
    """
    pair = ":".join(quote(part, safe="") for part in (client_id, client_secret))
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def new_client(proxy: str | None) -> httpx2.AsyncClient:
    """Return an HTTP client without cookies, credentials and redirects of its own.

    A transport is given, since the client would choose a proxy by itself, and by the pinned address. No connection is
    used twice: two names may have one address, and a certificate of the first would do for the second.
    """
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(proxy=proxy, limits=httpx2.Limits(max_keepalive_connections=0)),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        timeout=REQUEST_TIME,
    )


@asynccontextmanager
async def open_authorization_http(
    *, allow_private: bool = False, server_url: str | None = None
) -> AsyncIterator[AuthorizationHttp]:
    """Open the HTTP client for authorization servers.

    Args:
        allow_private: whether hosts with private addresses may be requested.
        server_url: of the MCP server whose documents name the hosts. They may have addresses of the kinds that it has
            itself; but a name that resolves to loopback opens nothing on this machine.
    """
    async with AsyncExitStack() as stack:
        yield AuthorizationHttp(stack, allow_private=allow_private, server_url=server_url)


def _is_private(host: str) -> bool:
    """Whether a host is written as a private address."""
    try:
        return address_kind(host) == "private"
    except ValueError:
        return False


async def _addresses_of(host: str) -> list[str]:
    try:
        found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def _proxy_for(scheme: str, host: str) -> str | None:
    """The proxy of the environment for a host, if one is set and the host is not excepted."""
    if is_loopback(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return None if not proxy or urllib.request.proxy_bypass(host) else proxy
