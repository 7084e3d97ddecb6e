"""Tools of providers that run as tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import MODERN, served
from tests.tasks.test_cluster import Node, cluster, store
from tests.tasks.workshop import CORE, Client, opened
from trimcp.stores import MemoryStore
from trimcp.types import Tool, ToolExecution

__all__ = ["store"]


class Shop(trimcp.Provider):
    """Tools that may, must, or cannot be tasks."""

    features = ("tools",)
    tasks = True

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.release = trio.Event()
        self.is_broken = False

    async def list_tools(self, ctx: trimcp.Context, cursor: str | None) -> Sequence[Tool]:
        supports: tuple[Any, ...] = ("optional", "required", "forbidden", None)
        return [
            Tool(
                name=f"{support}",
                input_schema={"type": "object"},
                execution=None if support is None else ToolExecution(task_support=support),
            )
            for support in supports
        ]

    async def find_tool(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedTool | None:
        if self.is_broken:
            raise RuntimeError("out of order")
        for tool in await self.list_tools(ctx, None):
            if tool.name == name:
                return trimcp.ProvidedTool(tool, self._call, on_lost="rerun")
        return None

    async def _call(self, ctx: trimcp.Context, arguments: Mapping[str, Any]) -> str:
        self.runs.append("call")
        await ctx.become_task()
        await self.release.wait()
        return "sold"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(params=[CORE, MODERN])
async def client(request: pytest.FixtureRequest, shop: Shop) -> AsyncIterator[Client]:
    server = trimcp.Server("shop")
    server.add_provider(shop)
    async with served(server, request.param, opened=False) as peer:
        yield await opened(peer)


@pytest.mark.parametrize("tool", ["optional", "required"])
async def test_a_provided_tool_runs_as_a_task(client: Client, shop: Shop, tool: str, autojump_clock: MockClock) -> None:
    id = await client.begin(tool)
    shop.release.set()
    assert (await client.outcome(id))["content"][0]["text"] == "sold"


@pytest.mark.parametrize("tool", ["forbidden", "None"])
async def test_a_provided_tool_that_is_no_task(client: Client, shop: Shop, tool: str) -> None:
    shop.release.set()
    if client.is_core:
        assert (await client.call(tool))["error"]["code"] == -32601
    else:
        assert (await client.call(tool))["result"]["content"][0]["text"] == "sold"


async def test_a_provided_tool_that_must_be_a_task_is_refused_without(client: Client, shop: Shop) -> None:
    peer = client.peer
    await peer.send(peer.request("plain", "tools/call", {"name": "required", "arguments": {}}))
    assert (await client.answer("plain"))["error"]["code"] == (-32601 if client.is_core else -32021)


async def test_an_unknown_tool_is_unknown_as_a_task_as_well(client: Client) -> None:
    assert "Unknown tool" in (await client.call("none"))["error"]["message"]


@asynccontextmanager
async def shops(store: MemoryStore) -> AsyncIterator[tuple[Node, Node, Shop, Shop]]:
    ours = Shop(), Shop()
    async with cluster(store, providers=ours) as (a, b):
        yield a, b, *ours


async def test_a_provided_task_runs_again_on_another_node(autojump_clock: MockClock, store: MemoryStore) -> None:
    async with shops(store) as (a, b, _, shop), b.client() as second:
        async with a.client() as first:
            id = await first.begin("optional")
            shop.is_broken = True  # so that this node does not know whether it may run the task
            await a.kill()
        await trio.sleep(60)
        assert (await second.get(id))["status"] == "working"
        shop.is_broken = False
        await trio.sleep(60)
        assert shop.runs == ["call"]
        shop.release.set()
        assert (await second.outcome(id))["content"][0]["text"] == "sold"


def test_a_provider_with_tasks_comes_before_the_server_runs(shop: Shop) -> None:
    plain = trimcp.Server("plain")
    assert plain._declarations.tasks is None
    plain.add_provider(shop)
    assert plain._declarations.tasks is not None
