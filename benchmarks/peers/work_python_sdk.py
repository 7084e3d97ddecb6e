"""The tools of `benchmarks.work` on the Python SDK (`mcp`): `work_python_sdk.py stdio`, or `… http PORT`."""

import sys

import anyio
import work_data
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("work", log_level="ERROR")


@server.tool()
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
async def wait() -> int:
    """Let other tasks run once, then answer."""
    await anyio.sleep(0)  # noqa: ASYNC115  # as users write it
    return 3


@server.tool(structured_output=False)
async def text() -> str:
    """Return a mebibyte of text, without structured content."""
    return work_data.TEXT


@server.resource("data://blob")
async def blob() -> bytes:
    """A mebibyte of bytes."""
    return work_data.BLOB


@server.tool()
async def progress(ctx: Context) -> int:
    """Report progress a hundred times."""
    for number in range(1, work_data.REPORTS + 1):
        await ctx.report_progress(number, work_data.REPORTS)
    return work_data.REPORTS


@server.tool()
async def objects() -> work_data.Listing:
    """Return a hundred objects."""
    return work_data.LISTING


@server.tool()
async def models() -> work_data.ListingModel:
    """Return a hundred models of pydantic."""
    return work_data.LISTING_MODEL


@server.tool()
async def nested(
    customer: str,
    street: str,
    city: str,
    number: int,
    floor: int,
    weight: float,
    discount: float,
    express: bool,
    notes: list[str],
    codes: list[int],
    lines: list[work_data.Line],
) -> int:
    """Count the lines of an order."""
    return len(lines)


if __name__ == "__main__":
    if sys.argv[1] == "http":
        server.run("streamable-http", port=int(sys.argv[2]), json_response=False)
    else:
        server.run("stdio")
