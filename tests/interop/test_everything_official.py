"""The official Python client uses all that the server of tests/conformance has, over stdio, in both eras."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

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
types = pytest.importorskip("mcp_types")
events = pytest.importorskip("mcp.client.subscriptions")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("mode", ["auto", "legacy"]),
    # What 2026-07-28 deprecates is what is tested here, too.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


class Person:
    """Whoever sits in front of the official client: the callbacks that it takes, and what they heard."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.logged: list[tuple[str, Any]] = []
        self.heard: list[Any] = []

    async def sample(self, context: Any, params: Any) -> Any:
        self.asked.append("sampling")
        text = f"heard {params.messages[0].content.text}"
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(type="text", text=text), model="m", stop_reason="endTurn"
        )

    async def elicit(self, context: Any, params: Any) -> Any:
        self.asked.append(params.message)
        if isinstance(params, types.ElicitRequestURLParams):
            return types.ElicitResult(action="accept")
        return types.ElicitResult(action="accept", content=filled_in(params.requested_schema))

    async def roots(self, context: Any) -> Any:
        self.asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada", name="home")])

    async def log(self, params: Any) -> None:
        self.logged.append((params.level, params.data))

    async def hear(self, message: Any) -> None:
        self.heard.append(message)

    def options(self) -> dict[str, Any]:
        return {
            "sampling_callback": self.sample,
            "elicitation_callback": self.elicit,
            "list_roots_callback": self.roots,
            "logging_callback": self.log,
            "message_handler": self.hear,
        }


@asynccontextmanager
async def client(mode: str, **options: Any) -> AsyncIterator[Any]:
    parameters = mcp.StdioServerParameters(command=sys.executable, args=[str(SERVER)], env=ENVIRONMENT)
    with trio.fail_after(PATIENCE):
        async with mcp.Client(parameters, mode=mode, **options) as connected:
            assert connected.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode]
            yield connected


async def test_it_calls_every_tool_that_asks_nothing(mode: str) -> None:
    async with client(mode) as connected:
        assert {tool.name for tool in (await connected.list_tools()).tools} == set(TOOLS)
        for name, (arguments, expected) in PLAIN.items():
            result = await connected.call_tool(name, arguments)
            assert [block.text for block in result.content] == [expected]
        assert result.structured_content is None
        result = await connected.call_tool("test_structured_content", {"city": "Ulm"})
        assert result.structured_content == {"city": "Ulm", "unit": "celsius"}
        for name, kinds in CONTENT.items():
            assert [block.type for block in (await connected.call_tool(name)).content] == kinds
        for name, expected in FAILING.items():
            result = await connected.call_tool(name)
            assert result.is_error
            assert result.content[0].text == expected


async def test_it_is_asked_everything_and_each_tool_gets_its_answers(mode: str) -> None:
    person = Person()
    async with client(mode, **person.options()) as connected:
        for name, (arguments, expected) in ASKING.items():
            result = await connected.call_tool(name, arguments)
            assert [block.text for block in result.content] == [expected], name
    assert len(person.asked) == 20  # three tools ask more than once, and one nothing


async def test_it_is_not_asked_what_it_did_not_declare(mode: str) -> None:
    async with client(mode) as connected:
        for name in ("test_missing_capability", "test_elicitation", "test_roots"):
            with pytest.raises(mcp.MCPError) as caught:
                await connected.call_tool(name, ASKING["test_elicitation"][0] if name == "test_elicitation" else {})
            assert caught.value.error.code == {"auto": -32021, "legacy": -32600}[mode]
            assert len(caught.value.error.data["requiredCapabilities"]) == 1


async def test_a_refusal_reaches_the_tool_or_the_caller(mode: str) -> None:
    person = Person()

    async def decline(context: Any, params: Any) -> Any:
        return types.ElicitResult(action="decline")

    async def fail(context: Any, params: Any) -> Any:
        return types.ErrorData(code=-1, message="User rejected sampling request")

    options = {**person.options(), "elicitation_callback": decline, "sampling_callback": fail}
    async with client(mode, **options) as connected:
        result = await connected.call_tool("test_elicitation", {"message": "Who?"})
        assert result.content[0].text == "User response: action=decline, content=null"
        # Legacy: the tool does not catch it, so it is what the call is answered with. In 2026-07-28 a
        # client has no way to tell a server, and this one tells its caller.
        with pytest.raises(mcp.MCPError, match="User rejected sampling request") as caught:
            await connected.call_tool("test_sampling", {"prompt": "Hello"})
        assert caught.value.error.code == -1


async def test_it_reads_every_resource(mode: str) -> None:
    async with client(mode) as connected:
        listed = (await connected.list_resources()).resources
        assert {str(resource.uri): resource.mime_type for resource in listed} == RESOURCES
        for uri, mime_type in RESOURCES.items():
            (contents,) = (await connected.read_resource(uri)).contents
            assert (str(contents.uri), contents.mime_type) == (uri, mime_type)
        (binary,) = (await connected.read_resource("test://static-binary")).contents
        assert base64.b64decode(binary.blob).startswith(b"\x89PNG")
        (template,) = (await connected.list_resource_templates()).resource_templates
        assert template.uri_template == TEMPLATE
        (contents,) = (await connected.read_resource(TEMPLATE.replace("{id}", "123"))).contents
        assert contents.text == '{"id":"123","templateTest":true,"data":"Data for ID: 123"}'
        with pytest.raises(mcp.MCPError) as caught:
            await connected.read_resource("test://none")
        assert caught.value.error.code == {"auto": -32602, "legacy": -32002}[mode]
        assert caught.value.error.data == {"uri": "test://none"}


async def test_it_gets_every_prompt(mode: str) -> None:
    async with client(mode, **Person().options()) as connected:
        prompts = {prompt.name: prompt for prompt in (await connected.list_prompts()).prompts}
        assert prompts.keys() == PROMPTS.keys()
        for name, (arguments, expected) in PROMPTS.items():
            assert {argument.name for argument in prompts[name].arguments or ()} == arguments.keys()
            messages = (await connected.get_prompt(name, arguments)).messages
            assert kinds_or_texts([message.content for message in messages]) == expected
        with pytest.raises(mcp.MCPError) as caught:
            await connected.get_prompt("test_prompt_with_arguments", {"arg1": "a"})
        assert caught.value.error.code == -32602


async def test_it_completes_arguments_of_prompts_and_templates(mode: str) -> None:
    async with client(mode) as connected:
        prompt = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
        template = types.ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)

        async def values(ref: Any, name: str, value: str, given: dict[str, str] | None = None) -> Any:
            completed = await connected.complete(ref, {"name": name, "value": value}, context_arguments=given)
            return completed.completion.values

        assert await values(prompt, "arg1", "test") == ["testValue1", "testing"]
        assert await values(prompt, "arg2", "x", {"arg1": "x"}) == ["x-a", "x-b"]
        assert await values(prompt, "arg2", "x") == []
        assert await values(template, "id", "12") == ["123", "124"]


async def test_log_messages_come_from_the_level_on_that_it_asked_for(mode: str) -> None:
    for level, count in (("error", 0), ("debug", 3)):
        person = Person()
        async with client(mode, log_level=level, **person.options()) as connected:
            if mode == "legacy":
                await connected.set_logging_level(level)
            await connected.call_tool("test_tool_with_logging")
            while len(person.logged) < count:  # its callbacks may come after the result
                await trio.sleep(0.005)
            assert person.logged == [("info", text) for text in LOGGED[:count]]


async def test_progress_comes_in_order(mode: str) -> None:
    reports: list[tuple[float, float | None]] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total))

    async with client(mode) as connected:
        await connected.call_tool("test_tool_with_progress", progress_callback=report)
        while len(reports) < 3:  # its callbacks may come after the result
            await trio.sleep(0.005)
    assert reports == [(0, 100), (50, 100), (100, 100)]


async def test_it_is_told_of_what_changes(mode: str) -> None:
    person = Person()
    changes = ("test_trigger_tool_change", "test_trigger_prompt_change", "test_trigger_resource_update")
    async with client(mode, **person.options()) as connected:
        if mode == "legacy":
            await connected.subscribe_resource("test://watched-resource")
            for tool in changes:
                await connected.call_tool(tool)
            while len(person.heard) < 3:
                await trio.sleep(0.005)
            await connected.unsubscribe_resource("test://watched-resource")
            await connected.call_tool("test_trigger_resource_update")
            await connected.call_tool("test_trigger_tool_change")
            while len(person.heard) < 4:
                await trio.sleep(0.005)
            assert [type(message).__name__ for message in person.heard] == [
                "ToolListChangedNotification",
                "PromptListChangedNotification",
                "ResourceUpdatedNotification",
                "ToolListChangedNotification",
            ]
            return
        async with (
            connected.listen(tools_list_changed=True, resource_subscriptions=["test://watched-resource"]) as one,
            connected.listen(prompts_list_changed=True) as other,
        ):
            for tool in changes:
                await connected.call_tool(tool)
            assert await anext(one) == events.ToolsListChanged()
            assert await anext(one) == events.ResourceUpdated(uri="test://watched-resource")
            assert await anext(other) == events.PromptsListChanged()
