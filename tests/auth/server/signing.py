"""A protected server and the development authorization server, on loopback, for clients that sign in."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx2
import trio

import trimcp
from tests.auth.server.minting import notes
from tests.ports import free_port
from trimcp import auth
from trimcp.auth.testing import DevelopmentAuthorizationServer, DevelopmentClient

PATIENCE = 60.0
MACHINE = DevelopmentClient(client_id="machine", client_secret="s3cret %+:/")
RS = DevelopmentClient(client_id="rs", client_secret="of the resource server")


async def agree(url: str) -> str:
    """Do what a browser and a person who agrees do."""
    async with httpx2.AsyncClient() as browser:
        return str((await browser.get(url)).headers["location"])


@attrs.define
class Protected:
    """What runs."""

    url: str
    idp: DevelopmentAuthorizationServer
    server: trimcp.Server
    guard: auth.ResourceServer


@asynccontextmanager
async def protected(
    kind: str = "serve_http",
    *,
    server: trimcp.Server | None = None,
    make_verifier: Callable[[str, str], Any] | None = None,
    idp: dict[str, Any] | None = None,
    patience: float = PATIENCE,
    **options: Any,
) -> AsyncIterator[Protected]:
    """Serve both; at the end the server drains."""
    served = notes() if server is None else server
    development = DevelopmentAuthorizationServer(**{"clients": [MACHINE, RS], **(idp or {})})
    with trio.fail_after(patience):
        async with trio.open_nursery() as nursery:
            issuer = await nursery.start(development.serve)
            port = free_port()
            url = f"http://127.0.0.1:{port}/mcp"
            verifier = (
                auth.JwtVerifier(issuer=issuer, audience=url) if make_verifier is None else make_verifier(issuer, url)
            )
            given = {"required_scopes": ["notes"], **options}
            guard = auth.ResourceServer(resource=url, authorization_servers=[issuer], verifier=verifier, **given)
            await nursery.start(functools.partial(getattr(served, kind), port, auth=guard))
            yield Protected(url, development, served, guard)
            await served.drain(0)
            nursery.cancel_scope.cancel()


def introspecting(issuer: str, url: str) -> auth.IntrospectionVerifier:
    """A verifier for opaque tokens."""
    return auth.IntrospectionVerifier(
        f"{issuer}/introspect", client_id=RS.client_id, client_secret=str(RS.client_secret), issuer=issuer, audience=url
    )
