"""The Python SDK's client and server in one process, for `benchmarks.memory`. Needs `mcp`.

In the legacy era its in-memory transport passes message objects, without JSON text; in the
modern era the client calls the server's dispatcher directly. So it is spared work that trimcp does.
"""

from __future__ import annotations

import gc
import time
from contextlib import AsyncExitStack

import anyio
from anyio.abc import TaskStatus
from mcp.client.client import Client

from benchmarks.messages import ADD, VERSIONS, Era
from benchmarks.peers.python_sdk import server


async def load(era: Era, sessions: int, callers: int, seconds: float) -> dict[str, float]:
    """Calls a second over a number of sessions: `serial`, and `concurrent` with many callers."""
    clients: list[Client] = []
    over = anyio.Event()

    async def hold(*, task_status: TaskStatus[None]) -> None:
        async with Client(server, mode="legacy" if era == "legacy" else VERSIONS[era]) as client:
            clients.append(client)
            task_status.started()
            await over.wait()

    async with anyio.create_task_group() as group:
        for _ in range(sessions):
            await group.start(hold)
        for client in clients:
            await client.call_tool("add", ADD)
        gc.collect()
        rates = {
            "serial": await _calls(clients, 1, seconds),
            "concurrent": await _calls(clients, callers, seconds),
        }
        over.set()
    return rates


async def _calls(clients: list[Client], callers: int, seconds: float) -> float:
    count = 0
    began = time.process_time()
    end = time.perf_counter() + seconds

    async def keep_calling(first: int) -> None:
        nonlocal count
        number = first
        while time.perf_counter() < end:
            result = await clients[number % len(clients)].call_tool("add", ADD)
            assert not result.is_error
            number += callers
            count += 1

    async with anyio.create_task_group() as group:
        for first in range(callers):
            group.start_soon(keep_calling, first)
    return count / (time.process_time() - began)


async def open_pairs(era: Era, number: int, stack: AsyncExitStack) -> None:
    """Open idle sessions, in the stack's task."""
    for _ in range(number):
        await stack.enter_async_context(Client(server, mode="legacy" if era == "legacy" else VERSIONS[era]))
