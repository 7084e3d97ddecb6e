"""A server on stdio with a tool that raises KeyboardInterrupt: `python interrupted_server.py`."""

import trimcp

server = trimcp.Server("interrupted")


@server.tool
async def interrupts() -> None:
    """Raises KeyboardInterrupt, as Ctrl-C does where it comes at a bad moment."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    server.run()
