"""A server inside a program that does other things: two sockets, a client on each, a drain.

Everything runs in a nursery of the program's own; no signal is taken and nothing global touched.
"""

import tempfile
from pathlib import Path

import trio

import trimcp

server = trimcp.Server("counter")
counted: dict[str, int] = {}


@server.tool
async def count(what: str) -> int:
    """Count one more item, and return the number of items."""
    counted[what] = counted.get(what, 0) + 1
    return counted[what]


@server.tool
async def audit(seconds: float) -> str:
    """Check the numbers, which takes some time."""
    await trio.sleep(seconds)
    return f"{sum(counted.values())} in the books"


async def main() -> None:
    """Serve, do other work, and stop in good order."""
    socket_path = str(Path(tempfile.mkdtemp()) / "counter.sock")
    # One run of the server for both sockets: they share its lifespan and its limits.
    async with server.running(), trio.open_nursery() as nursery:
        host, port = await nursery.start(server.serve_tcp)
        await nursery.start(server.serve_unix, socket_path)
        print(f"listening on {host}, and on a Unix socket")

        async with trimcp.connect(f"tcp://{host}:{port}") as one, trimcp.connect(f"unix:{socket_path}") as other:
            await one.call_tool("count", {"what": "sheep"})
            print("sheep:", await other.call_tool("count", {"what": "sheep"}, returns=int))
            # The decorator returned the function unchanged, so the program can call it.
            print("sheep:", await count("sheep"))

            async with trio.open_nursery() as calls:
                calls.start_soon(audited, one)
                await trio.sleep(0.1)
                # The call in flight is answered; then each serve_… returns.
                print(await server.drain(deadline=5))
    print("stopped")


async def audited(client: trimcp.Client) -> None:
    """Call the slow tool."""
    print((await client.call_tool("audit", {"seconds": 0.3})).text)


if __name__ == "__main__":
    trio.run(main)
