"""A server as a user writes it, without a word of OpenTelemetry."""

import trimcp

server = trimcp.Server("exported")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool
async def refuse() -> None:
    """Refuse."""
    raise trimcp.ToolError("no")
