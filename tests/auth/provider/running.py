"""A real identity provider, a server of MCP that takes its tokens, and a person who signs in there.

The provider is `oidc-provider` on loopback. Where node or the package cannot be had, the tests are skipped.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import attrs
import httpx2
import pytest
import trio
from joserfc import jwk, jwt
from joserfc.errors import JoseError

import trimcp
from tests import node
from trimcp.auth.challenges import format_challenge

PACKAGE: Final = ("oidc-provider", "9.13.3")
PATIENCE: Final = 60.0


@asynccontextmanager
async def provider(**settings: Any) -> AsyncIterator[str]:
    """Run the provider; its issuer."""
    try:
        program, _ = node.node_and_npm()
        folder = await trio.to_thread.run_sync(node.installed, *PACKAGE)
    except node.Unavailable as why:
        pytest.skip(f"the identity provider is not to be had: {why}")
    command = [program, str(Path(__file__).with_name("provider.mjs")), str(folder), json.dumps(settings)]
    async with trio.open_nursery() as nursery:
        run = functools.partial(
            trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        process = await nursery.start(run)
        with trio.fail_after(PATIENCE):
            line = b""
            while not line.endswith(b"\n"):
                piece = await process.stdout.receive_some()
                assert piece, "the provider has ended"
                line += piece
        yield line.decode().strip()
        nursery.cancel_scope.cancel()


class Person:
    """A person with a browser, who agrees to everything."""

    def __init__(self) -> None:
        self.sign_ins = 0
        self.scopes: list[str | None] = []

    async def agree(self, url: str) -> str:
        """Sign in at an authorization URL; return where the browser is sent in the end."""
        self.sign_ins += 1
        self.scopes.append(httpx2.URL(url).params.get("scope"))
        async with httpx2.AsyncClient(trust_env=False) as browser:
            back = await self._walk(browser, url)
        assert isinstance(back, str)
        return back

    async def open(self, url: str) -> None:
        """Do the same in a browser, which ends at the listener of the program."""
        back = await self.agree(url)
        async with httpx2.AsyncClient(trust_env=False) as browser:
            assert (await browser.get(back)).status_code == 200

    async def enter_code(self, prompt: trimcp.auth.DevicePrompt) -> None:
        """Sign in on another device."""
        self.sign_ins += 1
        async with httpx2.AsyncClient(trust_env=False) as browser:
            await self._walk(browser, str(prompt.verification_uri_complete))

    async def _walk(self, browser: httpx2.AsyncClient, url: str) -> str | httpx2.Response:
        origin = str(httpx2.URL(url).copy_with(raw_path=b"/"))
        answer = await browser.get(url)
        for _ in range(20):
            if answer.status_code in (302, 303):
                url = urljoin(str(answer.url), answer.headers["location"])
                if not url.startswith(origin):
                    return url
                answer = await browser.get(url)
                continue
            form = re.search(r'action="([^"]+)"', answer.text)
            if form is None:
                return answer
            fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer.text))
            if fields.get("prompt") == "login":
                fields |= {"login": "ada", "password": "any"}
            answer = await browser.post(urljoin(str(answer.url), form[1]), data=fields)
        raise AssertionError("the pages have no end")


@attrs.define(eq=False)
class Protected:
    """A server of MCP that takes tokens of the provider."""

    issuer: str
    url: str = ""
    metadata_url: str = ""
    opaque: bool = False
    statuses: list[int] = attrs.field(factory=list)
    """Of the requests that were refused."""
    tokens: set[str] = attrs.field(factory=set)
    """All that were taken."""
    revoked: set[str] = attrs.field(factory=set)
    keys: Any = None

    async def authenticate(self, request: trimcp.HttpRequest) -> trimcp.Principal:
        """See `HttpOptions.authenticate`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        claims = await self._claims(token) if token else None
        if claims is None or token in self.revoked or not self._is_bound(claims, scheme, token, request):
            raise self._refusal(401, "invalid_token" if token else None, "mcp:basic")
        self.tokens.add(token)
        return trimcp.Principal(claims.get("sub") or claims["client_id"], scopes=set(str(claims["scope"]).split()))

    def _refusal(self, status: int, error: str | None, scope: str) -> trimcp.Unauthenticated:
        self.statuses.append(status)
        fields = {"error": error, "resource_metadata": self.metadata_url, "scope": scope}
        return trimcp.Unauthenticated(challenge=format_challenge("Bearer", fields), status=status)

    async def _claims(self, token: str) -> dict[str, Any] | None:
        async with httpx2.AsyncClient(trust_env=False) as http:
            if self.opaque:
                # By the only client with a secret; a real server has an id of its own.
                secret = ("program", "canary-program-secret-of-32-characters")
                answer = await http.post(f"{self.issuer}/token/introspection", data={"token": token}, auth=secret)
                found: dict[str, Any] = answer.json()
                return found if found["active"] and found["aud"] == self.url else None
            if self.keys is None:
                self.keys = jwk.KeySet.import_key_set((await http.get(f"{self.issuer}/jwks")).json())
        try:
            made = jwt.decode(token, self.keys, algorithms=["RS256"])
            jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self.url},
                exp={"essential": True},
                leeway=0,
            ).validate(made.claims)
        except (JoseError, ValueError):
            return None
        return made.claims

    def _is_bound(self, claims: dict[str, Any], scheme: str, token: str, request: trimcp.HttpRequest) -> bool:
        thumbprint = claims.get("cnf", {}).get("jkt")
        if thumbprint is None:
            return scheme == "Bearer"
        text = request.headers.get("dpop", "")
        header = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
        key = jwk.ECKey.import_key(header["jwk"])
        made = jwt.decode(text, key, algorithms=["ES256"])
        return scheme == "DPoP" and key.thumbprint() == thumbprint and made.claims["htu"] == self.url


@asynccontextmanager
async def protected(issuer: str, *, opaque: bool = False) -> AsyncIterator[Protected]:
    """Serve MCP for tokens of an issuer. A tool writes down who calls it."""
    guard = Protected(issuer, opaque=opaque)
    server = trimcp.Server("protected")

    @server.tool
    async def whoami(ctx: trimcp.Context) -> str:
        assert ctx.principal is not None
        return f"{ctx.principal} {' '.join(sorted(ctx.principal.scopes))}"

    async def metadata(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            body = json.dumps({"resource": guard.url, "authorization_servers": [issuer]}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            await stream.send_all(head.encode() + body)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, metadata, [listener])
            guard.metadata_url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/metadata"

            async def serve(task_status: Any) -> None:
                await server.serve_http(0, authenticate=guard.authenticate, task_status=task_status)

            host, port = await nursery.start(serve)
            guard.url = f"http://{host}:{port}/mcp"
            yield guard
            await server.drain(0)
            nursery.cancel_scope.cancel()
