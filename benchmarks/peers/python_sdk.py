"""The tool on the Python SDK (`mcp`). Async, since a sync one would pay for a thread."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("add", log_level="ERROR")


@server.tool()
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    server.run("stdio")
