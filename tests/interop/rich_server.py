"""A trimcp server that returns everything a tool may return, for released clients to call."""

from __future__ import annotations

import attrs
import trio

import trimcp
from trimcp.server.invocation.media import File
from trimcp.types import EmbeddedResource, ResourceLink, TextContent, TextResourceContents

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
WAV = b"RIFF\x00\x00\x00\x00WAVE" + bytes(16)

server = trimcp.Server("rich", version="1.2", title="A rich server", instructions="Call everything.")


@attrs.define
class Place:
    """A place on a map."""

    name: str
    at: tuple[float, float]
    tags: list[str] = attrs.Factory(list)


@server.tool
async def text() -> TextContent:
    """Plain text, in every revision."""
    return TextContent("héllo")


@server.tool
async def picture() -> trimcp.Image:
    return trimcp.Image(PNG)


@server.tool
async def sound() -> trimcp.Audio:
    """Not in 2024-11-05."""
    return trimcp.Audio(WAV)


@server.tool
async def binary() -> File:
    return File(b"\x00\x01", "file:///some.bin", "application/octet-stream")


@server.tool
async def resource() -> EmbeddedResource:
    return EmbeddedResource(TextResourceContents(uri="file:///some.txt", text="some", mime_type="text/plain"))


@server.tool
async def link() -> ResourceLink:
    """From 2025-06-18 on."""
    return ResourceLink(uri="file:///some.txt", name="some")


@server.tool
async def mixed() -> list[TextContent | trimcp.Image]:
    return [TextContent("first"), trimcp.Image(PNG)]


@server.tool
async def nothing() -> None:
    return None


@server.tool(title="Find a place")
async def place(name: str, tags: list[str] | None = None) -> Place:
    """Find a place.

    Args:
        name: what it is called.
        tags: what it must be.
    """
    return Place(name, (48.1, 11.6), tags or [])


@server.tool
async def number() -> int:
    return 7


@server.tool
def in_a_thread(a: int, b: int) -> list[int]:
    return [a, b]


@server.tool
async def steps(count: int, ctx: trimcp.Context) -> str:
    async for _ in ctx.track(range(count), message="step {}"):
        await trio.lowlevel.checkpoint()
    return "done"


@server.tool
async def fails() -> str:
    raise trimcp.ToolError("it cannot be done")


@server.tool
async def crashes() -> str:
    raise ValueError("a secret")


@server.tool
async def refuses() -> str:
    raise trimcp.RequestFailed(-31999, "refused", {"because": "so"})


@server.tool
async def waits() -> str:
    await trio.sleep_forever()
    raise AssertionError


@server.tool
async def grows() -> str:
    """The list of tools changes by it."""

    @server.tool
    async def grown() -> str:
        return "new"

    return "grown"


@server.tool
async def pings(ctx: trimcp.Context) -> str:
    """Asks the client back, in the revisions that have it."""
    await ctx.ping()
    return "pinged"


if __name__ == "__main__":
    server.run()
