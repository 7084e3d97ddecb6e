"""FastMCP's client uses all that the server of tests/conformance has, over stdio, in both eras.

It runs on asyncio alone, so each test is a function that runs an event loop of its own.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.interop.everything import (
    ASKING,
    CONTENT,
    ENVIRONMENT,
    FAILING,
    LOGGED,
    PLAIN,
    PROMPTS,
    RESOURCES,
    SERVER,
    TEMPLATE,
    TOOLS,
    filled_in,
    kinds_or_texts,
)
from tests.process.children import PATIENCE

mcp = pytest.importorskip("mcp")
fastmcp = pytest.importorskip("fastmcp")
fastmcp_elicitation = pytest.importorskip("fastmcp.client.elicitation")
fastmcp_errors = pytest.importorskip("fastmcp.exceptions")
fastmcp_transports = pytest.importorskip("fastmcp.client.transports")
subscriptions = pytest.importorskip("mcp.client.subscriptions")
types = pytest.importorskip("mcp_types")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("mode", ["auto", "legacy"]),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]
LOG_LEVEL = "io.modelcontextprotocol/logLevel"


class Person:
    """Whoever sits in front of FastMCP's client: the handlers that it takes, and what they heard."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.logged: list[tuple[str, Any]] = []
        self.heard: list[Any] = []

    async def sample(self, messages: Any, params: Any, context: Any) -> str:
        self.asked.append("sampling")
        return f"heard {messages[0].content.text}"

    async def elicit(self, message: str, form: Any, params: Any, context: Any) -> Any:
        self.asked.append(message)
        if form is None:
            return fastmcp_elicitation.ElicitResult(action="accept")
        return filled_in(params.requested_schema)

    async def log(self, message: Any) -> None:
        self.logged.append((message.level, message.data))

    async def hear(self, message: Any) -> None:
        self.heard.append(message)

    def options(self) -> dict[str, Any]:
        return {
            "sampling_handler": self.sample,
            "elicitation_handler": self.elicit,
            "roots": [types.Root(uri="file:///home/ada", name="home")],
            "log_handler": self.log,
            "message_handler": self.hear,
        }


@asynccontextmanager
async def client(mode: str, **options: Any) -> AsyncIterator[Any]:
    transport = fastmcp_transports.PythonStdioTransport(SERVER, env=ENVIRONMENT, keep_alive=False)
    async with asyncio.timeout(PATIENCE), fastmcp.Client(transport, mode=mode, **options) as connected:
        assert connected.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode]
        yield connected


def on_asyncio(test: Callable[[str], Awaitable[None]]) -> Callable[[str], None]:
    """The test as a function that pytest calls."""

    def run(mode: str) -> None:
        async def main() -> None:
            await test(mode)

        asyncio.run(main())

    run.__doc__ = test.__doc__
    return run


async def until(ready: Callable[[], bool]) -> None:
    """Wait for callbacks, which may come after the result that they precede on the wire."""
    while not ready():
        await asyncio.sleep(0.005)


@on_asyncio
async def test_it_calls_every_tool_that_asks_nothing(mode: str) -> None:
    async with client(mode) as connected:
        assert {tool.name for tool in await connected.list_tools()} == set(TOOLS)
        for name, (arguments, expected) in PLAIN.items():
            result = await connected.call_tool(name, arguments)
            assert [block.text for block in result.content] == [expected]
        result = await connected.call_tool("test_structured_content", {"city": "Ulm"})
        assert result.data == {"city": "Ulm", "unit": "celsius"}
        for name, kinds in CONTENT.items():
            assert [block.type for block in (await connected.call_tool(name)).content] == kinds
        for name, expected in FAILING.items():
            with pytest.raises(fastmcp_errors.ToolError, match=expected):
                await connected.call_tool(name)


@on_asyncio
async def test_it_is_asked_everything_and_each_tool_gets_its_answers(mode: str) -> None:
    person = Person()
    async with client(mode, **person.options()) as connected:
        for name, (arguments, expected) in ASKING.items():
            result = await connected.call_tool(name, arguments)
            assert [block.text for block in result.content] == [expected], name
    # Three tools ask more than once, and one nothing; for roots there is no handler here.
    assert len(person.asked) == 16


@on_asyncio
async def test_it_is_not_asked_what_it_did_not_declare(mode: str) -> None:
    async with client(mode) as connected:
        for name in ("test_missing_capability", "test_streaming_elicitation", "test_roots"):
            with pytest.raises(mcp.MCPError) as caught:
                await connected.call_tool(name)
            assert caught.value.error.code == {"auto": -32021, "legacy": -32600}[mode]


@on_asyncio
async def test_a_refusal_reaches_the_tool(mode: str) -> None:
    async def decline(message: str, form: Any, params: Any, context: Any) -> Any:
        return fastmcp_elicitation.ElicitResult(action="decline")

    async with client(mode, elicitation_handler=decline) as connected:
        result = await connected.call_tool("test_elicitation", {"message": "Who?"})
        assert result.content[0].text == "User response: action=decline, content=null"


@on_asyncio
async def test_it_reads_every_resource(mode: str) -> None:
    async with client(mode) as connected:
        listed = await connected.list_resources()
        assert {str(resource.uri): resource.mime_type for resource in listed} == RESOURCES
        for uri, mime_type in RESOURCES.items():
            (contents,) = await connected.read_resource(uri)
            assert (str(contents.uri), contents.mime_type) == (uri, mime_type)
        (binary,) = await connected.read_resource("test://static-binary")
        assert base64.b64decode(binary.blob).startswith(b"\x89PNG")
        (template,) = await connected.list_resource_templates()
        assert template.uri_template == TEMPLATE
        (contents,) = await connected.read_resource(TEMPLATE.replace("{id}", "123"))
        assert contents.text == '{"id":"123","templateTest":true,"data":"Data for ID: 123"}'
        with pytest.raises(mcp.MCPError) as caught:
            await connected.read_resource("test://none")
        assert caught.value.error.code == {"auto": -32602, "legacy": -32002}[mode]


@on_asyncio
async def test_it_gets_every_prompt_and_completes_their_arguments(mode: str) -> None:
    async with client(mode, **Person().options()) as connected:
        assert {prompt.name for prompt in await connected.list_prompts()} == PROMPTS.keys()
        for name, (arguments, expected) in PROMPTS.items():
            messages = (await connected.get_prompt(name, arguments)).messages
            assert kinds_or_texts([message.content for message in messages]) == expected
        prompt = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
        template = types.ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)
        found = await connected.complete(prompt, {"name": "arg1", "value": "test"})
        assert found.values == ["testValue1", "testing"]
        found = await connected.complete(prompt, {"name": "arg2", "value": "x"}, {"arg1": "x"})
        assert found.values == ["x-a", "x-b"]
        assert (await connected.complete(template, {"name": "id", "value": "12"})).values == ["123", "124"]


@on_asyncio
async def test_it_hears_log_messages_and_progress(mode: str) -> None:
    person = Person()
    reports: list[tuple[float, float | None]] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total))

    async with client(mode, **person.options()) as connected:
        if mode == "legacy":
            await connected.set_logging_level("debug")
        await connected.call_tool("test_tool_with_logging", meta={LOG_LEVEL: "debug"} if mode == "auto" else None)
        await connected.call_tool("test_tool_with_progress", progress_handler=report)
        await until(lambda: len(person.logged) == 3 and len(reports) == 3)
    assert person.logged == [("info", text) for text in LOGGED]
    assert reports == [(0, 100), (50, 100), (100, 100)]


@on_asyncio
async def test_it_is_told_of_what_changes(mode: str) -> None:
    person = Person()
    changes = ("test_trigger_tool_change", "test_trigger_prompt_change", "test_trigger_resource_update")
    watched = "test://watched-resource"
    async with client(mode, message_handler=person.hear) as connected:
        # FastMCP's own client has no words for subscriptions; the session below it has.
        if mode == "legacy":
            await connected.session.subscribe_resource(watched)
            for tool in changes:
                await connected.call_tool(tool)
            await until(lambda: len(person.heard) == 3)
            await connected.session.unsubscribe_resource(watched)
            assert [type(message).__name__ for message in person.heard] == [
                "ToolListChangedNotification",
                "PromptListChangedNotification",
                "ResourceUpdatedNotification",
            ]
            return
        async with subscriptions.listen(
            connected.session, tools_list_changed=True, prompts_list_changed=True, resource_subscriptions=[watched]
        ) as listening:
            for tool in changes:
                await connected.call_tool(tool)
            assert [await anext(listening) for _ in changes] == [
                subscriptions.ToolsListChanged(),
                subscriptions.PromptsListChanged(),
                subscriptions.ResourceUpdated(uri=watched),
            ]
