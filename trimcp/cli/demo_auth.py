"""`trimcp demo --auth`: a refused call, a sign-in, a step-up and an expired token, on this terminal.

Two servers run in this process, on loopback: a protected MCP server, and the authorization server for development,
which agrees to everything. The clock of both is moved on for the expired token. The person who signs in is made up.
"""

from __future__ import annotations

import functools
import importlib.util
import socket
import time
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import trio

import trimcp
from trimcp.cli.demo_screens import Screen
from trimcp.errors import UsageError

_NEEDED: Final = ("httpx2", "joserfc")

server: trimcp.Server = trimcp.Server("recipes", version=trimcp.__version__)


@server.tool
async def read(ctx: trimcp.Context) -> str:
    """Read the recipe: every token with the scope `recipes` may."""
    principal = ctx.principal
    assert principal is not None
    return f"flour, water, salt, for {principal.subject} with the scopes {', '.join(sorted(principal.scopes))}"


@server.tool(scopes=["recipes:write"])
async def change(salt: int) -> str:
    """Change the recipe: this needs one scope more."""
    return f"{salt} grams of salt"


async def show_authorization(screen: Screen) -> None:
    """Run the demonstration.

    Raises:
        UsageError: a package is missing.
    """
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise UsageError.not_installed("the extra auth", "auth")
    await _Demonstration(screen).run()


class _Demonstration:
    """The two servers, the client, and the person who signs in."""

    def __init__(self, screen: Screen) -> None:
        from trimcp.auth.testing import DevelopmentAuthorizationServer

        self._screen = screen
        self._hours = 0
        self._development = DevelopmentAuthorizationServer(clock=self._clock)
        self._shown = 0

    def _clock(self) -> float:
        """Return the time of the two servers."""
        return time.time() + 3600 * self._hours

    async def run(self) -> None:
        """Serve, and be a client."""
        from trimcp import auth

        screen = self._screen
        screen.heading("A protected server, and an authorization server for development (it agrees to everything)")
        async with trio.open_nursery() as nursery:
            issuer = await nursery.start(self._development.serve)
            port = _free_port()
            url = f"http://127.0.0.1:{port}/mcp"
            guard = auth.ResourceServer(
                resource=url,
                authorization_servers=[issuer],
                verifier=auth.JwtVerifier(issuer=issuer, audience=url, clock=self._clock),
                required_scopes=["recipes"],
            )
            await nursery.start(functools.partial(server.serve_http, port, auth=guard))
            screen.say(f"MCP server            {url}\nauthorization server  {issuer}")
            await self._refused(url)
            hook = auth.OAuth(client_name="trimcp demo", read_callback=self._sign_in)
            screen.heading("The same call with auth=trimcp.auth.OAuth(): the client signs in, and calls again")
            async with trimcp.connect(url, auth=hook) as client:
                await self._call(client, "read")
                screen.heading("A call that needs one scope more: the server answers 403, and the client steps up")
                await self._call(client, "change", salt=12)
                screen.heading("An hour later the token has expired: the client renews it, without a person")
                self._hours = 1
                await self._call(client, "read")
            screen.heading("The end")
            sign_ins = sum(asked.endswith("/authorize") for asked in self._development.requests)
            screen.say(f"{sign_ins} sign-ins of a person, one of them for the step-up")
            await server.drain()
            nursery.cancel_scope.cancel()

    async def _refused(self, url: str) -> None:
        self._screen.heading("A call without a token: refused, and told where to sign in")
        try:
            async with trimcp.connect(url) as client:
                await client.call_tool("read")
        except trimcp.ExchangeFailed as exc:
            self._screen.say(f"HTTP {exc.status}\nWWW-Authenticate: {exc.challenge}")

    async def _call(self, client: trimcp.Client, name: str, **arguments: int) -> None:
        result = await client.call_tool(name, arguments)
        self._show_requests(self._development.requests[self._shown :])
        self._shown = len(self._development.requests)
        given = ", ".join(f"{key}={value}" for key, value in arguments.items())
        self._screen.say(f"{name}({given}) -> {result.text}")

    def _show_requests(self, requests: Iterable[str]) -> None:
        for request in requests:
            self._screen.say(f"the authorization server got: {request}")

    async def _sign_in(self, url: str) -> str:
        """Do what a browser and a person who agrees do: return where the authorization server redirects to."""
        import httpx2

        asked = dict(parse_qsl(urlsplit(url).query))
        self._screen.say(f"a person signs in, and agrees to: {asked.get('scope')}")
        async with httpx2.AsyncClient() as browser:
            return str((await browser.get(url)).headers["location"])


def _free_port() -> int:
    """Return a port that nothing listens on: the resource must be known before the server is there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
