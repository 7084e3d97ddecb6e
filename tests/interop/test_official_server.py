"""trimcp's client against a server of the official Python package, in a process of its own, in every revision."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

import trimcp
from tests.process.children import PATIENCE
from trimcp.types import (
    AudioContent,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

pytest.importorskip("mcp")
pytestmark = [pytest.mark.interop, pytest.mark.parametrize("version", ["2024-11-05", "2025-11-25", "2026-07-28"])]

SERVER = Path(__file__).with_name("official_server.py")


@asynccontextmanager
async def client(version: str | None) -> AsyncIterator[trimcp.Client]:
    with trio.fail_after(PATIENCE):
        async with trimcp.connect([sys.executable, str(SERVER)], revision=version, on_stderr=lambda line: None) as it:
            yield it


@attrs.define
class Weather:
    city: str
    degrees: float


async def test_it_finds_out_who_the_server_is_and_what_it_has(version: str) -> None:
    async with client(version) as connected:
        assert connected.protocol_version == version
        assert connected.server_info is not None
        assert (connected.server_info.name, connected.server_info.version) == ("official", "9")
        assert connected.instructions == "By the book."
        tools = {tool.name: tool for tool in await connected.list_tools()}
        assert tools["add"].description == "Add two numbers."
        assert set(tools["add"].input_schema["required"]) == {"a", "b"}
        await connected.ping()


async def test_it_reads_every_kind_of_content(version: str) -> None:
    async with client(version) as connected:
        (text,) = (await connected.call_tool("text")).content
        assert text == TextContent("héllo")
        (picture,) = (await connected.call_tool("picture")).content
        assert isinstance(picture, ImageContent)
        assert base64.b64decode(picture.data).startswith(b"\x89PNG")
        (resource,) = (await connected.call_tool("resource")).content
        assert isinstance(resource, EmbeddedResource)
        assert isinstance(resource.resource, TextResourceContents)
        assert resource.resource.text == "some"
        assert (await connected.call_tool("nothing")).content == []


async def test_it_reads_the_content_that_came_later(version: str) -> None:
    async with client(version) as connected:
        if version == "2024-11-05":
            # The official server sends blocks that this revision does not have.
            for tool in ("sound", "link"):
                with pytest.raises((trimcp.InvalidResult, trimcp.RequestFailed)):
                    await connected.call_tool(tool)
            return
        (sound,) = (await connected.call_tool("sound")).content
        assert isinstance(sound, AudioContent)
        assert base64.b64decode(sound.data) == b"RIFF0000WAVE"
        (link,) = (await connected.call_tool("link")).content
        assert isinstance(link, ResourceLink)
        assert (link.name, str(link.uri)) == ("some", "file:///some.txt")


async def test_it_makes_objects_of_structured_content(version: str) -> None:
    async with client(version) as connected:
        if version == "2024-11-05":
            assert (await connected.call_tool("weather", {"city": "Ulm"})).text  # structured content came later
            return
        assert await connected.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3
        assert await connected.call_tool("weather", {"city": "Ulm"}, returns=Weather) == Weather("Ulm", 21.5)
        assert await connected.call_tool("words", returns=list[str]) == ["one", "two"]


async def test_it_hears_of_progress_in_order_and_before_the_result(version: str) -> None:
    reports: list[tuple[float, float | None]] = []
    async with client(version) as connected:
        result = await connected.call_tool("steps", {"count": 20}, on_progress=lambda p, t, m: reports.append((p, t)))
        assert result.text == "done"
        assert reports == [(step + 1, 20) for step in range(20)]


async def test_it_is_told_of_every_kind_of_failure(version: str) -> None:
    async with client(version) as connected:
        failed = await connected.call_tool("fails")
        assert failed.is_error
        assert "it cannot be done" in failed.text
        assert (await connected.call_tool("crashes")).is_error
        assert (await connected.call_tool("add", {"a": "x", "b": 1})).is_error
        with pytest.raises(trimcp.ToolFailed, match="cannot be done"):
            await connected.call_tool("fails", returns=str)
        with pytest.raises(trimcp.RequestFailed) as caught:
            await connected.request("no/such/method")
        assert caught.value.code == -32601


async def test_a_call_that_it_gives_up_ends_and_the_next_one_works(version: str) -> None:
    async with client(version) as connected:
        with trio.move_on_after(0.2) as scope:
            await connected.call_tool("waits")
        assert scope.cancelled_caught
        with pytest.raises(trimcp.RequestTimedOut):
            await connected.call_tool("waits", timeout=0.1)
        assert (await connected.call_tool("add", {"a": 1, "b": 2})).text == "3"


async def test_many_calls_at_once_each_get_their_own_answer(version: str) -> None:
    found: dict[int, str] = {}
    async with client(version) as connected:

        async def add(a: int) -> None:
            found[a] = (await connected.call_tool("add", {"a": a, "b": 1})).text

        async with trio.open_nursery() as nursery:
            for a in range(50):
                nursery.start_soon(add, a)
    assert found == {a: str(a + 1) for a in range(50)}
