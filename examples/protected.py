"""A protected server: a refused call, a sign-in, a step-up to a tool that needs more, and an expired token.

The authorization server is the one for development: it agrees to everything, for a made-up user. In place of it put
the issuer of a real one; in place of `agree` nothing, and the browser opens.
"""

import functools
import socket
import time

import httpx2
import trio

import trimcp
from trimcp import auth
from trimcp.auth.testing import DevelopmentAuthorizationServer

server = trimcp.Server("notes")
hours = 0


@server.tool
async def whoami(ctx: trimcp.Context) -> str:
    """Say who calls, and with which scopes."""
    assert ctx.principal is not None
    return f"{ctx.principal.subject} may {', '.join(sorted(ctx.principal.scopes))}"


@server.tool(scopes=["notes:write"])
async def write(text: str) -> str:
    """Write a note."""
    return f"written: {text}"


def clock() -> float:
    """Return the time of the two servers, which this program moves on."""
    return time.time() + 3600 * hours


async def agree(url: str) -> str:
    """Do what a browser and a person who agrees do: return where the authorization server redirects to."""
    async with httpx2.AsyncClient() as browser:
        print("a person signs in")
        return str((await browser.get(url)).headers["location"])


def free_port() -> int:
    """Return a port that nothing listens on: the resource must be known before the server is there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def main() -> None:
    """Serve, and be a client of it."""
    global hours
    async with trio.open_nursery() as nursery:
        development = DevelopmentAuthorizationServer(clock=clock)
        issuer = await nursery.start(development.serve)
        port = free_port()
        resource = f"http://127.0.0.1:{port}/mcp"
        guard = auth.ResourceServer(
            resource=resource,
            authorization_servers=[issuer],
            verifier=auth.JwtVerifier(issuer=issuer, audience=resource, clock=clock),
            required_scopes=["notes"],
        )
        await nursery.start(functools.partial(server.serve_http, port, auth=guard))

        async with httpx2.AsyncClient() as stranger:
            refused = await stranger.post(resource, json={})
            print(f"without a token: {refused.status_code} {refused.headers['www-authenticate'].split()[0]}")
        async with trimcp.connect(resource, auth=auth.OAuth(client_name="Notes", read_callback=agree)) as client:
            print((await client.call_tool("whoami")).text)
            print((await client.call_tool("write", {"text": "buy milk"})).text)
            hours = 1
            print(f"an hour later: {(await client.call_tool('whoami')).text}")
        print(f"sign-ins: {sum(asked.endswith('/authorize') for asked in development.requests)}")
        await server.drain()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
