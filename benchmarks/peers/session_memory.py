"""KiB of Python objects that one session of trimcp's server holds, as JSON: `session_memory.py NUMBER ERA < REQUESTS`.

The requests are three lines: one opens a session, then a list and a call. The sessions are on memory pairs, at whose
other ends is nothing but the end of a pipe. `tracemalloc` counts, so this is no program to take rates of.
"""

import gc
import json
import sys
import tracemalloc
from typing import Any

import trio
import trio.testing

import trimcp
from trimcp.transports.memory import memory_pair

INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'

server = trimcp.Server("add", limits=trimcp.Limits(sessions=20_000, server_requests=20_000))


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def ask(duplex: Any, request: bytes) -> None:
    """Send a request and take its answer."""
    await duplex.send_all(request)
    answer = b"".join(await duplex.receive())
    assert b'"result":' in answer, answer


async def main(number: int, era: str, opening: bytes, *requests: bytes) -> None:
    """Measure and print."""
    nursery: trio.Nursery

    async def open_some(number: int) -> list[Any]:
        found = []
        for _ in range(number):
            ours, theirs = memory_pair()
            nursery.start_soon(running.serve, theirs)
            await ask(ours, opening)
            if era == "legacy":
                await ours.send_all(INITIALIZED)
            found.append(ours)
        await trio.testing.wait_all_tasks_blocked()
        return found

    async def use(sessions: list[Any]) -> None:
        for session in sessions:
            for request in requests:
                await ask(session, request)
        await trio.testing.wait_all_tasks_blocked()

    def traced() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async with server.running() as running, trio.open_nursery() as nursery:
        await use(await open_some(3))  # what is made once is not counted
        tracemalloc.start()
        before = traced()
        sessions = await open_some(number)
        opened = traced()
        await use(sessions)
        used = traced()
        nursery.cancel_scope.cancel()
    print(json.dumps({name: (size - before) / number / 1024 for name, size in (("opened", opened), ("used", used))}))


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), sys.argv[2], *sys.stdin.buffer.readlines())
