"""The official Python client against servers of trimcp's, in processes of their own, in both eras."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.interop.rich_server import PNG, WAV
from tests.process.children import PATIENCE, ROOT

mcp = pytest.importorskip("mcp")
types = pytest.importorskip("mcp_types")
pytestmark = [pytest.mark.interop, pytest.mark.parametrize("mode", ["auto", "legacy"])]

ADD = ROOT / "examples" / "add.py"
RICH = Path(__file__).with_name("rich_server.py")


@asynccontextmanager
async def client(file: Path, mode: str, **options: Any) -> AsyncIterator[Any]:
    parameters = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "trimcp", "run", str(file)], env={"PYTHONPATH": str(ROOT)}
    )
    with trio.fail_after(PATIENCE):
        async with mcp.Client(parameters, mode=mode, **options) as connected:
            yield connected


async def test_it_adds(mode: str) -> None:
    async with client(ADD, mode) as connected:
        assert connected.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode]
        (tool,) = (await connected.list_tools()).tools
        assert (tool.name, tool.description) == ("add", "Add two numbers.")
        assert tool.input_schema["required"] == ["a", "b"]
        result = await connected.call_tool("add", {"a": 1, "b": 2})
        assert result.structured_content == {"result": 3}
        assert [block.text for block in result.content] == ["3"]
        assert not result.is_error


async def test_it_learns_who_the_server_is(mode: str) -> None:
    async with client(RICH, mode) as connected:
        assert (connected.server_info.name, connected.server_info.version) == ("rich", "1.2")
        assert connected.server_info.title == "A rich server"
        assert connected.instructions == "Call everything."
        assert connected.server_capabilities.tools is not None


async def test_it_reads_every_kind_of_content(mode: str) -> None:
    async with client(RICH, mode) as connected:

        async def content(tool: str) -> list[Any]:
            result = await connected.call_tool(tool)
            assert not result.is_error, result
            found: list[Any] = result.content
            return found

        (text,) = await content("text")
        assert isinstance(text, types.TextContent)
        assert text.text == "héllo"
        (picture,) = await content("picture")
        assert isinstance(picture, types.ImageContent)
        assert (base64.b64decode(picture.data), picture.mime_type) == (PNG, "image/png")
        (sound,) = await content("sound")
        assert isinstance(sound, types.AudioContent)
        assert (base64.b64decode(sound.data), sound.mime_type) == (WAV, "audio/wav")
        (binary,) = await content("binary")
        assert isinstance(binary.resource, types.BlobResourceContents)
        assert base64.b64decode(binary.resource.blob) == b"\x00\x01"
        (resource,) = await content("resource")
        assert isinstance(resource.resource, types.TextResourceContents)
        assert resource.resource.text == "some"
        (link,) = await content("link")
        assert isinstance(link, types.ResourceLink)
        assert [type(block).__name__ for block in await content("mixed")] == ["TextContent", "ImageContent"]
        assert await content("nothing") == []


async def test_it_validates_structured_output_against_the_schema_of_the_tool(mode: str) -> None:
    async with client(RICH, mode) as connected:
        tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
        assert tools["place"].title == "Find a place"
        assert tools["place"].input_schema["properties"]["name"]["description"] == "what it is called."
        assert tools["place"].output_schema["type"] == "object"
        # The official client checks the result against the schema by itself.
        result = await connected.call_tool("place", {"name": "here", "tags": ["quiet"]})
        assert result.structured_content == {"name": "here", "at": [48.1, 11.6], "tags": ["quiet"]}
        result = await connected.call_tool("in_a_thread", {"a": 1, "b": 2})
        assert result.structured_content == {"result": [1, 2]}
        assert (await connected.call_tool("number")).structured_content == {"result": 7}


async def test_it_hears_of_progress(mode: str) -> None:
    reports: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    async with client(RICH, mode) as connected:
        result = await connected.call_tool("steps", {"count": 5}, progress_callback=on_progress)
        assert result.content[0].text == "done"
        with trio.fail_after(PATIENCE):
            while len(reports) < 5:  # its callbacks may come after the result
                await trio.sleep(0.005)
    assert sorted(reports) == [(step + 1, 5, f"step {step}") for step in range(5)]


async def test_it_is_told_of_every_kind_of_failure(mode: str) -> None:
    async with client(RICH, mode) as connected:
        failed = await connected.call_tool("fails")
        assert failed.is_error
        assert failed.content[0].text == "it cannot be done"
        crashed = await connected.call_tool("crashes")
        assert crashed.is_error
        assert "a secret" not in crashed.content[0].text
        wrong = await connected.call_tool("place", {"name": 7})
        assert wrong.is_error
        with pytest.raises(mcp.MCPError) as refused:
            await connected.call_tool("refuses")
        assert (refused.value.error.code, refused.value.error.data) == (-31999, {"because": "so"})
        with pytest.raises(mcp.MCPError) as unknown:
            await connected.call_tool("there is none")
        assert unknown.value.error.code == -32602


async def test_many_calls_at_once_each_get_their_own_answer(mode: str) -> None:
    found: dict[int, Any] = {}

    async with client(ADD, mode) as connected:

        async def add(a: int) -> None:
            found[a] = (await connected.call_tool("add", {"a": a, "b": 1})).structured_content

        async with trio.open_nursery() as nursery:
            for a in range(100):
                nursery.start_soon(add, a)
    assert found == {a: {"result": a + 1} for a in range(100)}


async def test_a_call_that_it_cancels_ends_and_the_next_one_works(mode: str) -> None:
    async with client(RICH, mode) as connected:
        with trio.move_on_after(0.2) as scope:
            await connected.call_tool("waits")
        assert scope.cancelled_caught
        assert (await connected.call_tool("number")).structured_content == {"result": 7}


async def test_the_client_and_the_server_ping_each_other_where_the_revision_lets_them(mode: str) -> None:
    async with client(RICH, mode) as connected:
        if mode == "legacy":
            with pytest.warns(match="ping is removed"):  # in the revision after this one
                await connected.send_ping()
            assert (await connected.call_tool("pings")).content[0].text == "pinged"
        else:
            assert (await connected.call_tool("pings")).is_error


async def test_it_hears_that_the_tools_have_changed(mode: str) -> None:
    heard = trio.Event()

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            heard.set()

    async with client(RICH, mode, message_handler=on_message) as connected:
        if mode == "legacy":
            await connected.call_tool("grows")
            await heard.wait()
        else:
            async with connected.listen(tools_list_changed=True) as changes:
                await connected.call_tool("grows")
                assert type(await anext(aiter(changes))).__name__ == "ToolsListChanged"
        assert "grown" in {tool.name for tool in (await connected.list_tools()).tools}
        assert (await connected.call_tool("grown")).content[0].text == "new"
