"""A trimcp server whose tools change what it has, for released clients to be told."""

from __future__ import annotations

import trimcp

server = trimcp.Server("news")
server.add_resource("mem://motd", "Hello.")


@server.prompt
async def greet(name: str) -> str:
    """Greet somebody."""
    return f"Greet {name}."


@server.tool
async def touch(uri: str) -> str:
    """Say that a resource has changed."""
    server.notify_resource_updated(uri)
    return "touched"


@server.tool
async def grow() -> str:
    """Add a tool."""
    server.tool(name="another")(grow_more)
    return "grown"


async def grow_more() -> None:
    """Do nothing."""


@server.tool
async def leave(ctx: trimcp.Context) -> str:
    """Stop in good order."""
    ctx.start_job(server.drain)
    return "leaving"
