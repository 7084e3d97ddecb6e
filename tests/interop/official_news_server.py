"""A server written with the official package that tells what changes. It knows nothing of trimcp."""

from __future__ import annotations

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("official news")


@server.resource("mem://motd")
def motd() -> str:
    return "Hello."


@server.tool()
async def touch(uri: str, ctx: Context) -> str:
    await ctx.notify_resource_updated(uri)
    return "touched"


@server.tool()
async def grow(ctx: Context) -> str:
    def another() -> None:
        """Do nothing."""

    server.add_tool(another)
    await ctx.notify_tools_changed()
    return "grown"


if __name__ == "__main__":
    server.run()
