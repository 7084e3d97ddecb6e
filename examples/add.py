"""A server with one tool. Run it with `trimcp run examples/add.py`, or as a program of its own."""

import trimcp

server = trimcp.Server("add")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    server.run()
