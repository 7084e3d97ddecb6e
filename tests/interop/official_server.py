"""A server written with the official package, for trimcp's client to call. It knows nothing of trimcp."""

from __future__ import annotations

import anyio
from mcp.server.mcpserver import Audio, Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import EmbeddedResource, ResourceLink, TextResourceContents
from pydantic import BaseModel

server = MCPServer("official", version="9", instructions="By the book.")


class Weather(BaseModel):
    city: str
    degrees: float


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def weather(city: str) -> Weather:
    return Weather(city=city, degrees=21.5)


@server.tool()
def words() -> list[str]:
    return ["one", "two"]


@server.tool(structured_output=False)
def text() -> str:
    return "héllo"


@server.tool()
def picture() -> Image:
    return Image(data=b"\x89PNG\r\n\x1a\n", format="png")


@server.tool()
def sound() -> Audio:
    return Audio(data=b"RIFF0000WAVE", format="wav")


@server.tool(structured_output=False)
def resource() -> EmbeddedResource:
    return EmbeddedResource(
        type="resource", resource=TextResourceContents(uri="file:///some.txt", text="some", mime_type="text/plain")
    )


@server.tool(structured_output=False)
def link() -> ResourceLink:
    return ResourceLink(type="resource_link", uri="file:///some.txt", name="some")


@server.tool()
def nothing() -> None:
    return None


@server.tool()
async def steps(count: int, ctx: Context) -> str:
    for step in range(count):
        await ctx.report_progress(step + 1, count, f"step {step}")
    return "done"


@server.tool()
async def waits() -> str:
    await anyio.sleep_forever()
    return "never"


@server.tool()
def fails() -> str:
    raise ToolError("it cannot be done")


@server.tool()
def crashes() -> str:
    raise ValueError("a secret")


if __name__ == "__main__":
    server.run()
