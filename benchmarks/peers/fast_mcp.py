"""The tool on FastMCP. Async, since a sync one would pay for a thread."""

from fastmcp import FastMCP  # type: ignore[import-not-found,unused-ignore]  # in an interpreter of its own

server = FastMCP("add")


@server.tool  # type: ignore[untyped-decorator,unused-ignore]
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    server.run("stdio", show_banner=False)
