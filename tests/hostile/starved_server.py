"""A server with few file descriptors. Prints its address, as JSON; serves by the transport that is named.

python -m tests.hostile.starved_server TRANSPORT DIRECTORY
"""

from __future__ import annotations

import functools
import json
import resource
import sys
from pathlib import Path
from typing import Any, Final

import structlog  # noqa: F401 - needed to log
import trio

import trimcp

DESCRIPTORS: Final = 48


def made() -> trimcp.Server:
    """A server with a declaration of each kind."""
    server = trimcp.Server("starved")

    @server.tool
    def add(a: int, b: int = 1) -> int:
        """Adds, in a thread."""
        return a + b

    @server.tool
    async def shout(text: str, *, ctx: trimcp.Context) -> str:
        """Reports, logs, and answers."""
        await ctx.progress(1, 2)
        ctx.log("info", text)
        return text.upper()

    @server.resource("memo://{name}")
    async def memo(name: str) -> str:
        """Returns a memo."""
        return name

    @server.resource("memo://first")
    async def first() -> str:
        """Returns the first memo."""
        return "first"

    @server.prompt
    async def greet(name: str) -> str:
        """Greets."""
        return f"Hello {name}"

    return server


async def main(transport: str, directory: str) -> None:
    """Serve until killed."""
    server = made()
    serve: Any = getattr(server, f"serve_{transport.partition(' ')[0]}")
    path = Path(directory, "socket")
    options: dict[str, Any] = {"uds": path} if "unix" in transport else {"port": 0}
    if transport == "unix":
        options = {"path": path}
    async with trio.open_nursery() as nursery:
        address = await nursery.start(functools.partial(serve, **options))
        print(json.dumps(address), flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    trio.run(main, sys.argv[1], sys.argv[2])
