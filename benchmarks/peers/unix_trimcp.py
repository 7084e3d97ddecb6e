"""trimcp with the tool `add` on a Unix socket, for many sessions: `unix_trimcp.py PATH`."""

import sys

import trio

import trimcp

server = trimcp.Server("add", limits=trimcp.Limits(sessions=20_000, server_requests=20_000))


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    trio.run(server.serve_unix, sys.argv[1])
