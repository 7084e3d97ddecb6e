"""10,000 sessions on one machine: each is a client with a handshake, and stays open while others come.

    python examples/sessions.py [SESSIONS]

Server and clients are in one process and speak over memory, so the number of open files is no limit. The memory is that
of both sides together.
"""

import resource
import sys

import trio

import trimcp

SESSIONS = 10_000
AT_ONCE = 100
"""Clients that connect at the same time."""


def megabytes() -> float:
    """Return the most memory that this process had so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**20 if sys.platform == "darwin" else size / 2**10


class Crowd:
    """Clients that stay connected."""

    def __init__(self, size: int) -> None:
        self._server = trimcp.Server("counter", limits=trimcp.Limits(sessions=size, server_requests=size))
        self._size = size
        self._turns = trio.Semaphore(AT_ONCE)
        self._arrived = 0
        self._all_here = trio.Event()
        self._sum = 0

        @self._server.tool
        async def double(number: int) -> int:
            """Double a number."""
            return 2 * number

    async def gather(self) -> int:
        """Connect all, have all call at once, and return the sum of the answers."""
        async with self._server.running(), trio.open_nursery() as nursery:
            for number in range(self._size):
                nursery.start_soon(self._visit, number)
            await self._all_here.wait()
            print(f"{self._size} sessions are open")
        return self._sum

    async def _visit(self, number: int) -> None:
        await self._turns.acquire()
        async with trimcp.connect(self._server, revision="2025-11-25", cache=False) as client:
            self._turns.release()
            self._arrived += 1
            if self._arrived == self._size:
                self._all_here.set()
            await self._all_here.wait()
            answer = await client.call_tool("double", {"number": number}, returns=int)
            self._sum += answer


async def main(size: int) -> None:
    """Open the sessions, and check the answers."""
    before = megabytes()
    total = await Crowd(size).gather()
    print(f"all answers are right: {total == size * (size - 1)}")
    print(f"{(megabytes() - before) * 1024 / size:.0f} KiB for a session and its client")


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else SESSIONS)
