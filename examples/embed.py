"""A server inside of a program that does other things: two doors to it, clients of both, a drain.

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
    """Count one more of something; return how many that makes."""
    counted[what] = counted.get(what, 0) + 1
    return counted[what]


@server.tool
async def audit(seconds: float) -> str:
    """Take some time over the books."""
    await trio.sleep(seconds)
    return f"{sum(counted.values())} in the books"


async def main() -> None:
    """The program: it serves, does its own work, and stops serving in good order."""
    socket_path = str(Path(tempfile.mkdtemp()) / "counter.sock")
    # One run of the server behind both doors: they share its lifespan and its places.
    async with server.running(), trio.open_nursery() as nursery:
        host, port = await nursery.start(server.serve_tcp)
        await nursery.start(server.serve_unix, socket_path)
        print(f"listening on {host}, and on a Unix socket")

        async with trimcp.connect(f"tcp://{host}:{port}") as one, trimcp.connect(f"unix:{socket_path}") as other:
            await one.call_tool("count", {"what": "sheep"})
            print("sheep:", await other.call_tool("count", {"what": "sheep"}, returns=int))
            # And by calling the function: the decorator has returned it unchanged.
            print("sheep:", await count("sheep"))

            async with trio.open_nursery() as calls:
                calls.start_soon(audited, one)
                await trio.sleep(0.1)
                # The call in flight is answered; then every serve_… returns.
                print(await server.drain(deadline=5))
    print("stopped")


async def audited(client: trimcp.Client) -> None:
    """Have the books checked."""
    print((await client.call_tool("audit", {"seconds": 0.3})).text)


if __name__ == "__main__":
    trio.run(main)
