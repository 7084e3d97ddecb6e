"""The client of trimcp against several nodes, over real sockets and a balancer that knows nothing of sessions."""

from __future__ import annotations

import functools
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import trimcp
from tests.cluster.stores import LinkedStore
from trimcp.stores.memory_store import MemoryStore

LEASE = 4.0  # a shorter one runs out on a machine that is busy


class TcpNode:
    """One node at a port of its own."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = LinkedStore(store)
        self.server = trimcp.Server("node", store=self.store, limits=trimcp.Limits(grace=5.0))
        self.address = ("", 0)
        self.is_alive = True
        self.calls = 0
        self.gate = trio.Event()
        self.scope = trio.CancelScope()
        self.server.add_resource("mem://motd", "Hello.")

        @self.server.tool
        async def add(a: int, b: int) -> int:
            self.calls += 1
            return a + b

        @self.server.tool
        async def wait(ctx: trimcp.Context) -> str:
            await ctx.progress(1, 2)
            self.calls += 1
            await self.gate.wait()
            return "done"

    async def serve(self, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                self.address = await nursery.start(functools.partial(self.server.serve_http, 0))
                task_status.started()

    async def kill(self) -> None:
        self.is_alive = False
        self.store.link.is_down = True
        self.scope.cancel()
        await trio.lowlevel.checkpoint()

    async def stop(self) -> None:
        self.is_alive = False
        await self.server.drain()


async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    """Copy bytes until the end, and then close."""
    try:
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(sink)
        await trio.aclose_forcefully(source)


@asynccontextmanager
async def balanced(nodes: list[TcpNode]) -> AsyncIterator[str]:
    """Run nodes behind a balancer that sends each connection to the next node that lives."""
    turns = itertools.count()

    async def forward(client: trio.SocketStream) -> None:
        living = [node for node in nodes if node.is_alive]
        node = living[next(turns) % len(living)]
        async with client, await trio.open_tcp_stream(*node.address) as upstream, trio.open_nursery() as nursery:
            nursery.start_soon(pump, client, upstream)
            nursery.start_soon(pump, upstream, client)

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            for node in nodes:
                await nursery.start(node.serve)
            (listener,) = await nursery.start(functools.partial(trio.serve_tcp, forward, 0, host="127.0.0.1"))
            yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/mcp"
            nursery.cancel_scope.cancel()


async def test_a_client_does_not_notice_that_its_node_stops() -> None:
    store = MemoryStore(shared=True)
    nodes = [TcpNode(store) for _ in range(3)]
    async with balanced(nodes) as url, trimcp.connect(url, revision="2025-11-25") as client:
        for n in range(6):
            assert (await client.call_tool("add", {"a": n, "b": 1})).text == str(n + 1)
        results: list[str] = []

        async def call() -> None:
            results.append((await client.call_tool("wait", on_progress=lambda *_: None)).text)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            while sum(node.calls for node in nodes) < 7:
                await trio.sleep(0.01)
            for node in nodes[:2]:  # the one that runs the call may be among them
                nursery.start_soon(node.stop)
            await trio.sleep(0.2)
            for node in nodes:
                node.gate.set()
        assert results == ["done"]
        assert (await client.call_tool("add", {"a": 1, "b": 1})).text == "2"


async def test_a_client_whose_node_is_killed_is_told_once_and_goes_on() -> None:
    store = MemoryStore(shared=True, lease=LEASE)
    nodes = [TcpNode(store) for _ in range(2)]
    async with balanced(nodes) as url, trimcp.connect(url, revision="2025-11-25") as client:
        problems: list[trimcp.RequestFailed] = []
        reported = trio.Event()

        async def call() -> None:
            try:
                await client.call_tool("wait", on_progress=lambda *_: reported.set())
            except trimcp.RequestFailed as exc:
                problems.append(exc)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await reported.wait()
            (runs,) = [node for node in nodes if node.calls]
            await runs.kill()
        assert [problem.data for problem in problems] == [{"reason": "node_lost"}]
        assert (await client.call_tool("add", {"a": 1, "b": 1})).text == "2"
