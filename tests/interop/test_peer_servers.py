"""trimcp's client uses every feature of servers that are written with other libraries, in the eras that they speak.

The two rich servers have the same; what they ask is answered here. What neither has, the official
package's lower half does. They take more than a second to start, so each test does several things.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
import trio

import trimcp
from tests.process.children import PATIENCE
from trimcp.client.notifications.notices import Notice
from trimcp.types import (
    CreateMessageRequestParams,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    TextContent,
)

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
VERSIONS = ("2024-11-05", "2025-11-25", "2026-07-28")
WITH_FORMS = VERSIONS[1:]
FASTMCP_DATA = {"extra": None}
"""FastMCP packs what is logged into an object of its own."""


@pytest.fixture(params=["official", "fastmcp"])
def peer(request: pytest.FixtureRequest) -> str:
    """The library that the server is written with."""
    library: str = request.param
    pytest.importorskip({"official": "mcp", "fastmcp": "fastmcp"}[library])
    return {"official": "official_rich_server.py", "fastmcp": "fastmcp_server.py"}[library]


class Person:
    """Whoever sits in front of trimcp's client."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.does: Literal["accept", "decline", "cancel"] = "accept"
        self.consents = True

    async def sample(self, params: CreateMessageRequestParams) -> str:
        (message,) = params.messages
        assert isinstance(message.content, TextContent)
        self.asked.append(f"{message.content.text} in {params.max_tokens}")
        return "well"

    async def elicit(self, params: ElicitRequestFormParams) -> ElicitResult:
        self.asked.append(params.message)
        assert params.requested_schema["required"] == ["name"]
        return ElicitResult(self.does, {"name": "Ada"} if self.does == "accept" else None)

    async def visit(self, params: ElicitRequestURLParams) -> bool:
        self.asked.append(params.url)
        return True

    async def consent(self, method: str, params: object) -> bool:
        return self.consents

    def options(self) -> dict[str, Any]:
        return {
            "consent": self.consent,
            "sampling": self.sample,
            "elicitation": self.elicit,
            "visit": self.visit,
            "roots": ["file:///home/ada"],
        }


@asynccontextmanager
async def client(program: str, version: str, **options: Any) -> AsyncIterator[trimcp.Client]:
    command = [sys.executable, str(HERE / program)]
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(command, revision=version, on_stderr=lambda line: None, **options) as connected:
            assert connected.protocol_version == version
            yield connected


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_it_has_is_listed_and_read_and_completed(peer: str, version: str) -> None:
    async with client(peer, version) as connected:
        await resources_and_templates(connected)
        await prompts_and_completion(connected, version)


async def resources_and_templates(connected: trimcp.Client) -> None:
    listed = {resource.uri: resource for resource in await connected.list_resources()}
    assert listed.keys() == {"mem://text", "mem://bytes"}
    assert (listed["mem://text"].name, listed["mem://text"].description) == ("text", "A text.")
    text = await connected.read_resource("mem://text")
    assert (text.text, text.mime_type) == ("Hello.", "text/plain")
    binary = await connected.read_resource("mem://bytes")
    assert (binary.blob, binary.mime_type) == (b"\x00\x01", "application/octet-stream")
    (template,) = await connected.list_resource_templates()
    assert (template.uri_template, template.mime_type) == ("mem://items/{number}", "application/json")
    assert json.loads((await connected.read_resource("mem://items/7")).text) == {"number": "7"}
    # Both answer with the code of the newest revision in all of them, and with the URI.
    with pytest.raises(trimcp.ResourceNotFound) as caught:
        await connected.read_resource("mem://none")
    assert (caught.value.code, caught.value.data) == (-32602, {"uri": "mem://none"})


async def prompts_and_completion(connected: trimcp.Client, version: str) -> None:
    prompts = {prompt.name: prompt for prompt in await connected.list_prompts()}
    assert prompts.keys() == {"greet", "talk"}
    assert [(argument.name, argument.required) for argument in prompts["greet"].arguments or ()] == [
        ("name", True),
        ("manner", False),
    ]
    assert prompts["greet"].title == ("Greet somebody" if version > "2025-06-18" else None)
    (message,) = (await connected.get_prompt("greet", {"name": "Ada"})).messages
    assert (message.role, getattr(message.content, "text", None)) == ("user", "Greet Ada, plain.")
    talk = (await connected.get_prompt("talk")).messages
    assert [(message.role, message.content.type) for message in talk] == [
        ("user", "text"),
        ("assistant", "text"),
        ("user", "image"),
        ("user", "resource"),
    ]
    for name in ("greet", "none"):
        with pytest.raises(trimcp.RequestFailed):
            await connected.get_prompt(name)
    completed = await connected.complete("manner", "p", prompt="greet", given={"name": "Ada"})
    # What 2024-11-05 has no room for is left out there.
    assert completed.values == ["pa", "pb", "" if version == "2024-11-05" else "Ada"]
    assert (completed.total, completed.has_more) == (30, True)
    assert (await connected.complete("number", "7", template="mem://items/{number}")).values == ["70"]


@pytest.mark.parametrize("version", WITH_FORMS)
async def test_what_it_asks_is_answered_or_refused(peer: str, version: str) -> None:
    person = Person()
    async with client(peer, version, **person.options()) as connected:
        assert (await connected.call_tool("who")).text == "Ada is 7"
        assert (await connected.call_tool("think")).text == "unknown: well"
        assert (await connected.call_tool("where")).text == "file:///home/ada"
        assert (await connected.call_tool("several")).text == "Ada well 1"
        assert sorted(person.asked) == ["Say something in 10"] * 2 + ["Who are you?"] * 2

        for action in ("decline", "cancel"):
            person.does = action
            assert (await connected.call_tool("who")).text == action

        person.consents = False
        person.asked.clear()
        assert (await connected.call_tool("who")).text == "decline"
        if version == "2026-07-28":  # a server cannot be told of it, so this client's caller is
            with pytest.raises(trimcp.RequestFailed, match="User rejected"):
                await connected.call_tool("think")
        elif peer.startswith("fastmcp"):
            assert (await connected.call_tool("think")).is_error
        else:
            with pytest.raises(trimcp.RequestFailed):
                await connected.call_tool("think")
        assert person.asked == []


async def test_what_2024_11_05_has_is_asked_there_and_the_rest_is_refused(peer: str) -> None:
    person = Person()
    async with client(peer, "2024-11-05", **person.options()) as connected:
        assert (await connected.call_tool("think")).text == "unknown: well"
        assert (await connected.call_tool("where")).text == "file:///home/ada"
        # One looks at the capabilities before it asks, the other at the refusal.
        if peer.startswith("fastmcp"):
            assert (await connected.call_tool("who")).is_error
        else:
            with pytest.raises(trimcp.RequestFailed):
                await connected.call_tool("who")
    assert person.asked == ["Say something in 10"]


async def test_the_end_of_a_visit_is_told() -> None:
    pytest.importorskip("mcp")
    person = Person()
    async with (
        client("official_rich_server.py", "2025-11-25", **person.options()) as connected,
        connected.notices() as notices,
    ):
        assert (await connected.call_tool("visit")).text == "accept"
        assert await anext(notices) == trimcp.ElicitationCompleted("visit-1")
    assert person.asked == ["https://bank.example/pay"]


@pytest.mark.parametrize("version", WITH_FORMS)
async def test_what_it_logs_and_what_has_changed_is_told(peer: str, version: str) -> None:
    async with client(peer, version, log_level="info") as connected:
        async with connected.notices() as notices:
            await connected.call_tool("chatty")
            levels = ["info", "error"]
            if peer.startswith("official") and version != "2026-07-28":
                # The official server declares no logging here, takes no level, and sends it all.
                levels.insert(0, "debug")
            for level in levels:
                message = await anext(notices)
                assert isinstance(message, trimcp.LogMessage)
                assert (message.level, message.logger) == (level, "chat")
                said = {"at": level}
                assert message.data == (said if peer.startswith("official") else FASTMCP_DATA | {"msg": said})
        await changes(connected, listens=peer.startswith("official") and version == "2026-07-28")


async def changes(connected: trimcp.Client, *, listens: bool) -> None:
    everything: list[Notice] = [
        trimcp.ToolsChanged(),
        trimcp.PromptsChanged(),
        trimcp.ResourcesChanged(),
        trimcp.ResourceUpdated("mem://text"),
    ]
    async with connected.notices() as notices:
        if listens:
            async with connected.listen(tools=True, prompts=True, resources=True, uris=["mem://text"]) as listening:
                assert listening.acknowledged == listening.asked
                await connected.call_tool("grow")
                assert [await anext(listening) for _ in everything] == everything
        else:
            # FastMCP has no subscriptions: in 2026-07-28 it sends what nobody asked for on the
            # stream of the call, and this client takes it for what it says.
            with pytest.raises(trimcp.UsageError, match="did not declare"):
                await connected.subscribe("mem://text")
            await connected.call_tool("grow")
        assert [await anext(notices) for _ in everything] == everything


@pytest.mark.parametrize("version", WITH_FORMS)
async def test_structured_results_progress_and_content_of_fastmcp(version: str) -> None:
    pytest.importorskip("fastmcp")
    reports: list[tuple[float, float | None]] = []
    async with client("fastmcp_server.py", version) as connected:
        await connected.call_tool("steps", {"count": 5}, on_progress=lambda p, t, m: reports.append((p, t)))
        assert reports == [(step, 5) for step in range(1, 6)]
        assert [block.type for block in (await connected.call_tool("mixed")).content] == ["text", "image"]
        weather = await connected.call_tool("weather", {"city": "Ulm"})
        words = await connected.call_tool("words")
        assert json.loads(weather.text) == {"city": "Ulm", "degrees": 21.5}
        assert weather.structured == {"city": "Ulm", "degrees": 21.5}
        assert words.structured == {"result": ["one", "two"]}
        assert await connected.call_tool("words", returns=list[str]) == ["one", "two"]
        assert (await connected.call_tool("weather", {"city": 7})).is_error


# --- the official package's lower half ------------------------------------------------------


@pytest.mark.parametrize("version", WITH_FORMS)
async def test_lists_are_read_to_their_last_page(version: str) -> None:
    pytest.importorskip("mcp")
    async with client("official_lowlevel_server.py", version) as connected:
        tools = [tool.name for tool in await connected.list_tools()]
        assert tools == ["touch", "subscribed", "levels", "roots", "tool-1", "tool-2"]
        assert [resource.uri async for resource in connected.iter_resources()] == ["mem://a", "mem://b", "mem://c"]
        page = await connected.resources_page("2")
        assert ([resource.uri for resource in page.resources], page.next_cursor) == (["mem://c"], None)
        contents = (await connected.read_resource("mem://a")).contents
        assert [part.uri for part in contents] == ["mem://a/one", "mem://a/two"]
        result = await connected.call_tool("tool-2")
        assert (result.text, (result.meta or {})["example.org/by"]) == ("tool-2 was called", "hand")


@pytest.mark.parametrize("version", VERSIONS[:2])
async def test_a_legacy_server_is_subscribed_to_once_and_told_of_new_roots(version: str) -> None:
    pytest.importorskip("mcp")
    roots = ["file:///home/ada"]

    async def where() -> list[str]:
        return roots

    async with client("official_lowlevel_server.py", version, log_level="info", roots=where) as connected:

        async def says(tool: str) -> str:
            return (await connected.call_tool(tool)).text

        assert await says("levels") == "info"
        await connected.subscribe("mem://a")
        async with (
            connected.listen(tools=True, uris=["mem://a"]) as one,
            connected.listen(uris=["mem://a", "mem://b"]) as other,
        ):
            assert await says("subscribed") == "mem://a,mem://b"
            await connected.call_tool("touch")
            assert await anext(one) == trimcp.ResourceUpdated("mem://a")
            assert await anext(one) == trimcp.ToolsChanged()
            assert await anext(other) == trimcp.ResourceUpdated("mem://a")
        assert await says("subscribed") == "mem://a"
        await connected.unsubscribe("mem://a")
        assert await says("subscribed") == ""

        roots.append("file:///home/eve")
        async with connected.notices() as notices:
            connected.notify("notifications/roots/list_changed")
            message = await anext(notices)
            assert isinstance(message, trimcp.LogMessage)
            assert message.data == "the roots are known"
        assert await says("roots") == "file:///home/ada,file:///home/eve"
