"""Released programs that run on node: the reference server that has everything, and the Inspector."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import pytest
import trio

import trimcp
from tests.interop.node_peers import INSPECTOR, everything, package
from tests.process.children import PATIENCE, ROOT
from trimcp.types import (
    BlobResourceContents,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

pytestmark = pytest.mark.interop

ADD = ROOT / "examples" / "add.py"


# --- server-everything ----------------------------------------------------------------


async def echo(client: trimcp.Client) -> None:
    assert (await client.call_tool("echo", {"message": "hello"})).text == "Echo: hello"


async def get_sum(client: trimcp.Client) -> None:
    assert "The sum of 1 and 2 is 3" in (await client.call_tool("get-sum", {"a": 1, "b": 2})).text


async def get_annotated_message(client: trimcp.Client) -> None:
    result = await client.call_tool("get-annotated-message", {"messageType": "error", "includeImage": True})
    text, picture = result.content
    assert isinstance(text, TextContent)
    assert isinstance(picture, ImageContent)
    assert text.annotations is not None
    assert (text.annotations.priority, text.annotations.audience) == (1, ["user", "assistant"])


async def get_env(client: trimcp.Client) -> None:
    assert "PATH" in json.loads((await client.call_tool("get-env")).text)


async def get_resource_links(client: trimcp.Client) -> None:
    first, *links = (await client.call_tool("get-resource-links", {"count": 4})).content
    assert isinstance(first, TextContent)
    assert [type(link) for link in links] == [ResourceLink] * 4


async def get_resource_reference(client: trimcp.Client) -> None:
    for kind, contents in (("Text", TextResourceContents), ("Blob", BlobResourceContents)):
        result = await client.call_tool("get-resource-reference", {"resourceType": kind, "resourceId": 1})
        (found,) = [block for block in result.content if isinstance(block, EmbeddedResource)]
        assert isinstance(found.resource, contents)


async def get_structured_content(client: trimcp.Client) -> None:
    result = await client.call_tool("get-structured-content", {"location": "Chicago"})
    assert {"temperature", "conditions", "humidity"} <= set(result.structured)
    assert json.loads(result.text) == result.structured


async def get_tiny_image(client: trimcp.Client) -> None:
    content = (await client.call_tool("get-tiny-image")).content
    (picture,) = [block for block in content if isinstance(block, ImageContent)]
    assert base64.b64decode(picture.data).startswith(b"\x89PNG")


async def gzip_file_as_resource(client: trimcp.Client) -> None:
    source = "data:text/plain;base64," + base64.b64encode(b"hello").decode()
    result = await client.call_tool("gzip-file-as-resource", {"name": "a.gz", "data": source, "outputType": "resource"})
    (found,) = result.content
    assert isinstance(found, EmbeddedResource)
    assert isinstance(found.resource, BlobResourceContents)
    assert base64.b64decode(found.resource.blob).startswith(b"\x1f\x8b")


async def trigger_long_running_operation(client: trimcp.Client) -> None:
    reports: list[tuple[float, float | None]] = []
    result = await client.call_tool(
        "trigger-long-running-operation",
        {"duration": 0.5, "steps": 5},
        on_progress=lambda progress, total, message: reports.append((progress, total)),
    )
    assert "completed" in result.text
    assert reports == [(step, 5) for step in range(1, 6)]


async def toggles(client: trimcp.Client) -> None:
    for tool in ("toggle-simulated-logging", "toggle-subscriber-updates"):
        for _ in range(2):  # on, and off
            result = await client.call_tool(tool)
            assert not result.is_error, result.text


CALLS = {
    "echo": echo,
    "get-sum": get_sum,
    "get-annotated-message": get_annotated_message,
    "get-env": get_env,
    "get-resource-links": get_resource_links,
    "get-resource-reference": get_resource_reference,
    "get-structured-content": get_structured_content,
    "get-tiny-image": get_tiny_image,
    "gzip-file-as-resource": gzip_file_as_resource,
    "trigger-long-running-operation": trigger_long_running_operation,
    "toggle-simulated-logging": toggles,
    "toggle-subscriber-updates": toggles,
}
AS_TASKS = {"simulate-research-query"}
"""Tools that can only be called as tasks."""


async def test_every_tool_of_the_server_that_has_everything_is_called() -> None:
    async with everything() as client:
        tools = {tool.name for tool in await client.list_tools()}
        assert tools - AS_TASKS == set(CALLS)
        for call in dict.fromkeys(CALLS.values()):
            await call(client)
        await client.ping()


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_the_server_that_has_everything_is_spoken_to_in_every_revision_it_knows(version: str) -> None:
    async with everything(version) as client:
        assert client.protocol_version == version
        assert client.server_info is not None
        await echo(client)
        await trigger_long_running_operation(client)


async def test_what_the_server_refuses_is_told() -> None:
    async with everything() as client:
        result = await client.call_tool("get-sum", {"a": "x"})
        assert result.is_error
        with pytest.raises(trimcp.RequestFailed):
            await client.request("no/such/method")
        with trio.move_on_after(0.2) as scope:
            await client.call_tool("trigger-long-running-operation", {"duration": 1, "steps": 5})
        assert scope.cancelled_caught
        await echo(client)


# --- the Inspector --------------------------------------------------------------------


def inspect(*arguments: str) -> Any:
    """What the Inspector's command line prints of the server of the examples."""
    program, folder = package(*INSPECTOR)
    command = [sys.executable, "-m", "trimcp", "run", str(ADD)]
    done = subprocess.run(
        [program, str(folder / "cli" / "build" / "cli.js"), "--cli", *command, *arguments],
        capture_output=True,
        cwd=ROOT,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_inspector_lists_the_tools() -> None:
    (tool,) = inspect("--method", "tools/list")["tools"]
    assert tool["name"] == "add"
    assert tool["inputSchema"]["type"] == "object"


def test_the_inspector_calls_a_tool() -> None:
    found = inspect("--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=1", "--tool-arg", "b=2")
    assert found["structuredContent"] == {"result": 3}
    assert found["content"] == [{"type": "text", "text": "3"}]
