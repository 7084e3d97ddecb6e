"""Being told of changes, with the official Python package at the other end, over pipes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
from tests.process.children import PATIENCE, ROOT

mcp = pytest.importorskip("mcp")
types = pytest.importorskip("mcp_types")
events = pytest.importorskip("mcp.client.subscriptions")
pytestmark = pytest.mark.interop

OURS = Path(__file__).with_name("news_server.py")
THEIRS = Path(__file__).with_name("official_news_server.py")


@asynccontextmanager
async def official_client(mode: str, **options: Any) -> AsyncIterator[Any]:
    parameters = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "trimcp", "run", str(OURS)], env={"PYTHONPATH": str(ROOT)}
    )
    with trio.fail_after(PATIENCE):
        async with mcp.Client(parameters, mode=mode, **options) as connected:
            yield connected


async def test_the_official_client_listens_to_a_server_of_ours() -> None:
    async with official_client("auto") as client:
        async with (
            client.listen(tools_list_changed=True, resource_subscriptions=["mem://motd"]) as one,
            client.listen(prompts_list_changed=True, resource_subscriptions=["mem://b"]) as other,
        ):
            assert one.honored.tools_list_changed is True
            assert one.honored.resource_subscriptions == ["mem://motd"]
            for uri in ("mem://b", "mem://motd"):
                await client.call_tool("touch", {"uri": uri})
            assert await anext(one) == events.ResourceUpdated(uri="mem://motd")
            assert await anext(other) == events.ResourceUpdated(uri="mem://b")
            await client.call_tool("grow")
            assert await anext(one) == events.ToolsListChanged()
        assert "another" in [tool.name for tool in (await client.list_tools()).tools]


async def test_the_official_client_sees_that_a_server_of_ours_ends_a_listen_in_good_order() -> None:
    async with official_client("auto") as client, client.listen(tools_list_changed=True) as subscription:
        await client.list_tools()  # or it asks for them when the answer of a tool is there, and finds nobody
        await client.call_tool("leave")
        assert [event async for event in subscription] == []


@pytest.mark.filterwarnings(
    "ignore:resources/:DeprecationWarning", "ignore::mcp.shared.exceptions.MCPDeprecationWarning"
)
async def test_the_official_client_subscribes_in_a_legacy_session_of_a_server_of_ours() -> None:
    heard: list[Any] = []

    async def hear(message: Any) -> None:
        heard.append(message)

    async with official_client("legacy", message_handler=hear) as client:
        await client.session.subscribe_resource("mem://motd")
        await client.call_tool("touch", {"uri": "mem://motd"})
        await client.call_tool("grow")
        while len(heard) < 2:
            await trio.sleep(0.01)
        assert [type(message).__name__ for message in heard] == [
            "ResourceUpdatedNotification",
            "ToolListChangedNotification",
        ]
        await client.session.unsubscribe_resource("mem://motd")


async def test_our_client_listens_to_an_official_server() -> None:
    with trio.fail_after(PATIENCE):
        async with trimcp.connect([sys.executable, str(THEIRS)], on_stderr=lambda line: None) as client:
            assert client.protocol_version == "2026-07-28"
            async with client.notices() as everything:
                async with client.listen(tools=True, uris=["mem://motd"]) as notices:
                    assert notices.acknowledged == notices.asked
                    await client.call_tool("touch", {"uri": "mem://motd"})
                    assert await anext(notices) == trimcp.ResourceUpdated("mem://motd")
                    await client.call_tool("grow")
                    assert await anext(notices) == trimcp.ToolsChanged()
                assert await anext(everything) == trimcp.ResourceUpdated("mem://motd")
                assert await anext(everything) == trimcp.ToolsChanged()
                await client.ping()
