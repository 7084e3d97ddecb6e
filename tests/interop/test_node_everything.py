"""trimcp's client uses what the reference server that has everything has beside plain tools, over stdio.

Its tools are called in `test_node_peers`; here are its resources, prompts, completions, subscriptions and
log messages, and the questions that it asks.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

import trimcp
from tests.interop.node_peers import everything
from trimcp.types import (
    CreateMessageRequestParams,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    EmbeddedResource,
    TextContent,
)
from trimcp.types.utilities import LOGGING_LEVELS

pytestmark = pytest.mark.interop

TEXT = "demo://resource/dynamic/text/"
BLOB = "demo://resource/dynamic/blob/"
ADA = {
    "name": "Ada",
    "check": True,
    "firstLine": "It was a dark and stormy night.",
    "email": "ada@example.com",
    "homepage": "https://example.com/ada",
    "birthdate": "1815-12-10",
    "integer": 42,
    "number": 3.14,
    "untitledSingleSelectEnum": "Ross",
    "untitledMultipleSelectEnum": ["Piano", "Drums"],
    "titledSingleSelectEnum": "hero-2",
    "titledMultipleSelectEnum": ["fish-1"],
    "legacyTitledEnum": "pet-5",
}
"""Something for every kind of field there is."""
VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


async def test_every_resource_and_template_is_read() -> None:
    async with everything() as client:
        listed = await client.list_resources()
        assert len(listed) == 7
        for resource in listed:
            read = await client.read_resource(resource.uri)
            assert read.mime_type == resource.mime_type == "text/markdown"
            assert read.text.startswith("# ")
        templates = {template.uri_template for template in await client.list_resource_templates()}
        assert templates == {TEXT + "{resourceId}", BLOB + "{resourceId}"}
        assert (await client.read_resource(TEXT + "7")).text.startswith("Resource 7: This is a plaintext resource")
        assert (await client.read_resource(BLOB + "8")).blob.startswith(b"Resource 8: This is a base64 blob")
        with pytest.raises(trimcp.RequestFailed):
            await client.read_resource(TEXT + "nought")


async def test_every_prompt_is_got() -> None:
    async with everything() as client:
        prompts = {prompt.name: prompt for prompt in await client.list_prompts()}
        assert prompts.keys() == {"simple-prompt", "args-prompt", "completable-prompt", "resource-prompt"}
        required = {argument.name: argument.required for argument in prompts["args-prompt"].arguments or ()}
        assert required == {"city": True, "state": False}

        async def texts(prompt: str, **arguments: str) -> list[str]:
            messages = (await client.get_prompt(prompt, arguments)).messages
            return [message.content.text for message in messages if isinstance(message.content, TextContent)]

        assert await texts("simple-prompt") == ["This is a simple prompt without arguments."]
        assert await texts("args-prompt", city="Ulm") == ["What's weather in Ulm?"]
        assert await texts("args-prompt", city="Ulm", state="BW") == ["What's weather in Ulm, BW?"]
        assert await texts("completable-prompt", department="Sales", name="Eve") == [
            "Please promote Eve to the head of the Sales team."
        ]
        for kind in ("Text", "Blob"):
            found = await client.get_prompt("resource-prompt", {"resourceType": kind, "resourceId": "3"})
            assert isinstance(found.messages[1].content, EmbeddedResource)
            assert found.messages[1].content.resource.uri == f"demo://resource/dynamic/{kind.lower()}/3"
        with pytest.raises(trimcp.RequestFailed):
            await client.get_prompt("args-prompt")


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_argument_is_completed(version: str) -> None:
    async with everything(version) as client:

        async def values(argument: str, begun: str, **where: Any) -> list[str]:
            return (await client.complete(argument, begun, **where)).values

        assert await values("department", "S", prompt="completable-prompt") == ["Sales", "Support"]
        # Before 2025-06-18 there is no way to tell what was given already.
        given = {"department": "Sales"}
        names = await values("name", "", prompt="completable-prompt", given=given)
        assert names == (["David", "Eve", "Frank"] if version >= "2025-06-18" else [])
        assert await values("resourceType", "B", prompt="resource-prompt") == ["Blob"]
        for template in (TEXT + "{resourceId}", BLOB + "{resourceId}"):
            assert await values("resourceId", "12", template=template) == ["12"]
            assert await values("resourceId", "x", template=template) == []


async def test_resources_are_subscribed_to_and_every_log_level_is_kept_to() -> None:
    async with everything(log_level="emergency") as client, client.notices() as notices:
        for level in LOGGING_LEVELS:  # from `debug` up; a subscription is logged at `info`
            await client.request("logging/setLevel", {"level": level})
            await client.subscribe(TEXT + level)
            if level in ("debug", "info"):
                message = await anext(notices)
                assert isinstance(message, trimcp.LogMessage)
                assert (message.level, TEXT + level in message.data) == ("info", True)
        await client.call_tool("toggle-subscriber-updates")
        for level in LOGGING_LEVELS:
            assert await anext(notices) == trimcp.ResourceUpdated(TEXT + level)
        for level in LOGGING_LEVELS:
            await client.unsubscribe(TEXT + level)
        await client.call_tool("toggle-subscriber-updates")
        await client.request("logging/setLevel", {"level": "debug"})
        await client.call_tool("toggle-simulated-logging")
        message = await anext(notices)  # at a level that is chosen by chance
        assert isinstance(message, trimcp.LogMessage)
        assert message.level in LOGGING_LEVELS
        await client.call_tool("toggle-simulated-logging")  # or its timer keeps it from leaving


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_samples_and_lists_roots(version: str) -> None:
    async def think(params: CreateMessageRequestParams) -> str:
        assert (params.max_tokens, params.temperature) == (12, 0.7)
        assert params.system_prompt == "You are a helpful test server."
        assert isinstance(params.messages[0].content, TextContent)
        return params.messages[0].content.text.upper()

    async with everything(version, sampling=think, roots=["file:///home/ada"], log_level="info") as client:
        await until_there(client, "trigger-sampling-request")
        result = await client.call_tool("trigger-sampling-request", {"prompt": "hello", "maxTokens": 12})
        assert json.loads(result.text.partition("\n")[2])["content"]["text"].endswith("CONTEXT: HELLO")
        async with client.notices() as notices:
            assert "file:///home/ada" in (await client.call_tool("get-roots-list")).text
            message = await anext(notices)
            assert isinstance(message, trimcp.LogMessage)
            assert message.data == "Roots updated: 1 root(s) received from client"


@pytest.mark.parametrize("action", ["accept", "decline", "cancel"])
async def test_it_has_a_form_of_every_kind_of_field_filled_in(action: Any) -> None:
    asked: list[ElicitRequestFormParams] = []

    async def fill_in(params: ElicitRequestFormParams) -> ElicitResult:
        asked.append(params)
        return ElicitResult(action, dict(ADA) if action == "accept" else None)

    async with everything(elicitation=fill_in) as client:
        await until_there(client, "trigger-elicitation-request")
        result = await client.call_tool("trigger-elicitation-request")
        raw = json.loads(result.text.partition("Raw result: ")[2])
        assert raw == {"action": action, **({"content": ADA} if action == "accept" else {})}
        (params,) = asked
        assert params.requested_schema["properties"].keys() == ADA.keys()


async def test_it_sends_the_user_to_a_page_by_a_question_and_by_an_error() -> None:
    visited: list[str] = []

    async def visit(params: ElicitRequestURLParams) -> bool:
        visited.append(params.url)
        return "evil" not in params.url

    async with everything(visit=visit) as client:
        await until_there(client, "trigger-url-elicitation")

        async def send_to(url: str, **more: Any) -> str:
            arguments = {"url": url, "message": "Please", "elicitationId": "one", **more}
            return (await client.call_tool("trigger-url-elicitation", arguments)).text

        assert "User completed" in await send_to("https://example.com/pay")
        assert "declined" in await send_to("https://evil.example.com/pay")
        with pytest.raises(trimcp.RequestFailed) as caught:
            await send_to("https://example.com/sign-in", errorPath=True)
        assert caught.value.code == -32042
        (first,) = caught.value.data["elicitations"]
        assert (first["mode"], first["url"]) == ("url", "https://modelcontextprotocol.io")
        assert "User completed" in await send_to("https://example.com/sign-in", errorPath=True)
    assert visited == ["https://example.com/pay", "https://evil.example.com/pay", "https://example.com/sign-in"]


async def test_a_user_who_refuses_is_a_failed_tool() -> None:
    async def think(params: CreateMessageRequestParams) -> str:
        raise AssertionError("nobody agreed to this")

    async def never(method: str, params: object) -> bool:
        return False

    async with everything(sampling=think, consent=never) as client:
        await until_there(client, "trigger-sampling-request")
        result = await client.call_tool("trigger-sampling-request", {"prompt": "hello"})
        assert result.is_error
        assert "User rejected sampling request" in result.text


async def until_there(client: trimcp.Client, tool: str) -> None:
    """Wait for a tool that the server declares only when it has been told that the client is ready."""
    while tool not in {known.name for known in await client.list_tools(fresh=True)}:
        await trio.sleep(0.005)
