"""A server with one tool. Run it with `trimcp run examples/add.py`, or with `python examples/add.py`."""

import trimcp

server = trimcp.Server("add")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    server.run()
