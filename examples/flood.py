"""Limits at work: a client with too many calls, a client with few calls, and the tree of the server."""

from collections import Counter

import trio

import trimcp

LIMITS = trimcp.Limits(sessions=8, server_requests=6, session_requests=4, session_waiting=4)

server = trimcp.Server("mill", limits=LIMITS)


@server.tool
async def grind(seconds: float = 0.8) -> str:
    """Work for a while."""
    await trio.sleep(seconds)
    return "flour"


async def call(client: trimcp.Client, outcomes: Counter[str]) -> None:
    """Make a call, and count its outcome."""
    try:
        await client.call_tool("grind")
    except trimcp.RequestFailed as exc:
        assert exc.data["reason"] == "busy"
        outcomes[f"refused, try again in {exc.data['retryAfterMs']} ms"] += 1
    else:
        outcomes["answered"] += 1


async def main() -> None:
    """Flood the server from one session, and use it from another."""
    print(f"buffers hold at most {server.memory_bound() // 2**20} MiB, with every session at its worst")
    flood: Counter[str] = Counter()
    calm: Counter[str] = Counter()
    async with (
        server.running(),
        trimcp.connect(server) as greedy,
        trimcp.connect(server) as modest,
        trio.open_nursery() as nursery,
    ):
        for _ in range(3):
            nursery.start_soon(call, modest, calm)
        await trio.sleep(0.1)
        for _ in range(12):
            nursery.start_soon(call, greedy, flood)
        await trio.sleep(0.1)
        await modest.ping()  # needs no place, and does not wait
        print(server.tree()[0])
    print("the flood:  ", dict(flood))
    print("the other:  ", dict(calm))


if __name__ == "__main__":
    trio.run(main)
