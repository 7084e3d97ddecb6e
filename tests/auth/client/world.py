"""An MCP server and an authorization server in memory, which check what a client sends them.

`World.open` has every HTTP client for authorization servers get here, and names resolved here, so that Trio's test
clock can run. A test changes what the two say before it makes requests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import types
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import attrs
import httpx2
import pytest
import trio

from trimcp.auth import OAuth
from trimcp.auth.challenges import format_challenge
from trimcp.auth.client import http, tokens
from trimcp.http.client.auth import ClientAuth
from trimcp.http.client.authorization import Authorization, AuthorizedRequest, open_authorization

PUBLIC = "93.184.216.34"
Answer = Callable[[httpx2.Request], httpx2.Response]


def basic_credentials(field: str) -> tuple[str, str]:
    """The id and the secret of a Basic `Authorization`."""
    name, _, secret = base64.b64decode(field.removeprefix("Basic ")).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)


@attrs.frozen
class Sent:
    """A request to one of the two servers."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    """A form or a JSON object; {} for neither."""
    address: str
    """The host that was connected to."""


@attrs.define(eq=False)
class World:
    """Both servers."""

    url: str = "https://mcp.example/mcp"
    issuer: str = "https://as.example"
    resource: dict[str, Any] | None = None
    """The protected resource metadata; None for a server of 2025-03-26."""
    metadata: dict[str, Any] | None = None
    addresses: dict[str, str] = attrs.field(factory=dict)
    """Of hosts that are not at a public address."""
    answers: dict[str, Answer] = attrs.field(factory=dict)
    """Other answers than the usual ones, by URL."""
    sent: list[Sent] = attrs.field(factory=list)
    clients: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    codes: dict[str, dict[str, str]] = attrs.field(factory=dict)
    access: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """Tokens that the MCP server takes, with scope and expiry."""
    refresh: dict[str, dict[str, str]] = attrs.field(factory=dict)
    challenge_scope: str | None = "basic"
    life: float | None = 3600
    gives_refresh: bool = True
    rotates: bool = True
    holds_to_registration: bool = False
    """Whether a client may ask only for the scopes of its registration."""
    granted: str | None = None
    """The scope that token responses have, in place of what was asked."""
    delay: float = 0
    """Seconds between a request and its response, in which the server has done what it was asked."""
    now: float = 1_800_000_000.0
    grants: list[str] = attrs.field(factory=list)
    """The grant types of the token requests that were met."""
    shown: list[str] = attrs.field(factory=list)
    """The authorization URLs that a person has opened."""
    redirect: dict[str, str] = attrs.field(factory=dict)
    """Parameters of redirects that are other than they should be; an empty one is left out."""

    def __attrs_post_init__(self) -> None:
        self.resource = {"resource": self.url, "authorization_servers": [self.issuer], "scopes_supported": ["basic"]}
        self.metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "device_authorization_endpoint": f"{self.issuer}/device",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        }

    # --- what tests look at -----------------------------------------------------------

    def to(self, path: str) -> list[Sent]:
        """The requests whose URL ends so."""
        return [each for each in self.sent if urlsplit(each.url).path.endswith(path) or each.url == path]

    @property
    def urls(self) -> list[str]:
        """All URLs that were requested."""
        return [each.url for each in self.sent]

    def advance(self, seconds: float) -> None:
        """Let time pass, for tokens."""
        self.now += seconds

    def oauth(self, **options: Any) -> OAuth:
        """A client with a person who agrees at once."""
        return OAuth(**{"read_callback": self.agree, **options})

    # --- the authorization server -----------------------------------------------------

    async def agree(self, url: str) -> str:
        """Do what a browser and a person do: return where the authorization server redirects to."""
        await trio.lowlevel.checkpoint()
        self.shown.append(url)
        given = dict(parse_qsl(urlsplit(url).query))
        assert given["response_type"] == "code"
        assert given["code_challenge_method"] == "S256"
        allowed = self.clients.get(given["client_id"], {}).get("scope", "").split()
        if self.holds_to_registration and not set(given.get("scope", "").split()) <= set(allowed):
            refusal = {"error": "invalid_scope", "state": given["state"], "iss": self.issuer}
            return f"{given['redirect_uri']}?{urlencode(refusal)}"
        code = secrets.token_urlsafe(16)
        self.codes[code] = given
        back = {"code": code, "state": given["state"], "iss": self.issuer, **self.redirect}
        return f"{given['redirect_uri']}?{urlencode({name: value for name, value in back.items() if value})}"

    def _register(self, body: dict[str, Any]) -> httpx2.Response:
        assert "redirect_uris" in body
        client_id = f"client-{len(self.clients)}"
        self.clients[client_id] = body
        return httpx2.Response(201, json={**body, "client_id": client_id})

    def _token(self, request: httpx2.Request, form: dict[str, str]) -> httpx2.Response:
        kind, field = form.get("grant_type", ""), request.headers.get("authorization")
        assert field is None or ("client_id" not in form and "client_secret" not in form), "one method exactly"
        client = form.get("client_id", "") if field is None else basic_credentials(field)[0]
        if client.startswith("client-") and client not in self.clients:
            return httpx2.Response(401, json={"error": "invalid_client"})
        if kind == "authorization_code":
            flow = self.codes.pop(form["code"], None)
            if flow is None:
                return httpx2.Response(400, json={"error": "invalid_grant"})
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == flow["code_challenge"]
            assert (form["redirect_uri"], client) == (flow["redirect_uri"], flow["client_id"])
            assert form.get("resource") == flow.get("resource")
            scope = flow.get("scope", "")
        elif kind == "refresh_token":
            held = self.refresh.get(form["refresh_token"])
            if held is None or held["client"] != client:
                return httpx2.Response(400, json={"error": "invalid_grant"})
            if self.rotates:
                del self.refresh[form["refresh_token"]]
            scope = held["scope"]
        else:
            scope = form.get("scope", "")
        self.grants.append(kind)
        return self._tokens(client, scope, kind)

    def _tokens(self, client: str, scope: str, kind: str) -> httpx2.Response:
        token = f"canary-access-{secrets.token_hex(8)}"
        scope = scope if self.granted is None else self.granted
        self.access[token] = {"scope": scope, "end": None if self.life is None else self.now + self.life}
        answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if self.life is not None:
            answer["expires_in"] = self.life
        if scope:
            answer["scope"] = scope
        if self.gives_refresh and (kind != "refresh_token" or self.rotates):
            answer["refresh_token"] = f"canary-refresh-{secrets.token_hex(8)}"
            self.refresh[answer["refresh_token"]] = {"scope": scope, "client": client}
        return httpx2.Response(200, json=answer)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request to either server."""
        host = request.headers["host"]
        url = str(request.url.copy_with(host=host.partition(":")[0]))
        kind = request.headers.get("content-type", "")
        body = (
            dict(parse_qsl(request.content.decode(), keep_blank_values=True))
            if kind.startswith("application/x-www-form-urlencoded")
            else json.loads(request.content or b"{}")
        )
        self.sent.append(Sent(request.method, url, dict(request.headers), body, request.url.host))
        if url in self.answers:
            return self.answers[url](request)
        if url in self._documents() and request.method == "GET":
            document = self._documents()[url]
            return httpx2.Response(404) if document is None else httpx2.Response(200, json=document)
        if url == f"{self.issuer}/register":
            return self._register(body)
        if url == f"{self.issuer}/token":
            return self._token(request, body)
        return httpx2.Response(404, text="<p>nothing</p>")

    def _documents(self) -> dict[str, Any]:
        server, issuer = urlsplit(self.url), urlsplit(self.issuer)
        return {
            f"https://{server.netloc}/.well-known/oauth-protected-resource{server.path.rstrip('/')}": self.resource,
            f"https://{issuer.netloc}/.well-known/oauth-authorization-server{issuer.path.rstrip('/')}": self.metadata,
        }

    # --- the MCP server ---------------------------------------------------------------

    def mcp(self, fields: Mapping[str, str], needs: str = "") -> tuple[int, str | None]:
        """Answer a request to the MCP server by a status and a challenge."""
        scheme, _, token = fields.get("Authorization", "").partition(" ")
        held = self.access.get(token)
        known = None if self.resource is None else urlsplit(self.url)
        where = None if known is None else f"https://{known.netloc}/.well-known/oauth-protected-resource{known.path}"
        if not scheme or held is None or (held["end"] is not None and self.now >= held["end"]):
            error = "invalid_token" if token else None
            challenge = {"error": error, "resource_metadata": where, "scope": self.challenge_scope}
            return 401, format_challenge("Bearer", challenge)
        if not set(needs.split()) <= set(held["scope"].split()):
            challenge = {"error": "insufficient_scope", "resource_metadata": where, "scope": needs}
            return 403, format_challenge("Bearer", challenge)
        return 200, None

    @asynccontextmanager
    async def connected(self, auth: ClientAuth, url: str | None = None) -> AsyncIterator[Connection]:
        """A client's connection to the MCP server."""
        async with open_authorization(auth) as authorization:
            assert authorization is not None
            yield Connection(self, authorization, url or self.url)

    async def call(self, auth: ClientAuth, needs: str = "") -> int:
        """Make one request on a connection of its own; return its status."""
        async with self.connected(auth) as connection:
            return await connection.call(needs)


@attrs.define(eq=False)
class Connection:
    """A client's connection: its requests are repeated as trimcp's client repeats them."""

    world: World
    authorization: Authorization
    url: str
    statuses: list[int] = attrs.field(factory=list)
    """Of all requests, repeated ones too."""
    fields: list[Mapping[str, str]] = attrs.field(factory=list)
    """Their header fields."""

    async def call(self, needs: str = "") -> int:
        """Make a request that needs these scopes; return the status that is final."""
        request = AuthorizedRequest(self.authorization, "POST", self.url)
        while True:
            fields = await request.headers(self.url, {})
            self.fields.append(fields)
            await trio.lowlevel.checkpoint()
            status, challenge = self.world.mcp(fields, needs)
            self.statuses.append(status)
            if not request.is_challenge(status, challenge):
                request.responded({})
                return status
            if not await request.challenged(status, challenge, {}):
                return status


class _Transport(httpx2.AsyncBaseTransport):
    """Brings requests to a world, and answers back as a stream of bytes."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        await trio.lowlevel.checkpoint()
        answer = self._world.answer(request)
        await trio.sleep(self._world.delay)
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=httpx2.ByteStream(answer.content))


class Names(trio.abc.HostnameResolver):
    def __init__(self, world: World) -> None:
        self._world = world

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, type: int = 0, *_: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        found = self._world.addresses.get(name, PUBLIC)
        return [(2, 1, 6, "", (address, port or 0)) for address in found.split()]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise AssertionError


@contextmanager
def opened(world: World) -> Iterator[World]:
    """Have HTTP clients for authorization servers, names and the clock of tokens be those of this world."""

    def new_client(proxy: str | None) -> httpx2.AsyncClient:
        assert proxy is None
        return httpx2.AsyncClient(transport=_Transport(world), follow_redirects=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "new_client", new_client)
        patch.setattr(http.urllib.request, "getproxies", dict)
        patch.setattr(tokens, "time", types.SimpleNamespace(time=lambda: world.now))
        yield world


@asynccontextmanager
async def names_of(world: World) -> AsyncIterator[None]:
    """Have names resolved in this world, in the run of this test."""
    trio.socket.set_custom_hostname_resolver(Names(world))
    try:
        yield
    finally:
        trio.socket.set_custom_hostname_resolver(None)
