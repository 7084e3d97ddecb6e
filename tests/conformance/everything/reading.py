"""Resources, prompts, and the completion of their arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from everything.app import PNG, server

import trimcp
from trimcp.types import EmbeddedResource, PromptMessage, TextResourceContents

server.add_resource(
    "test://static-text",
    "This is the content of the static text resource.",
    name="static-text",
    description="A text that stays as it is",
)
server.add_resource(
    "test://static-binary",
    PNG,
    name="static-binary",
    description="An image that stays as it is",
    mime_type="image/png",
)


@server.resource("test://watched-resource", mime_type="text/plain")
async def watched() -> str:
    """A resource to subscribe to."""
    return "This is the content of the watched resource."


@server.resource("test://template/{id}/data", mime_type="application/json")
async def template_data(id: str) -> dict[str, Any]:
    """Data for an id."""
    return {"id": id, "templateTest": True, "data": f"Data for ID: {id}"}


@server.completion("test://template/{id}/data", "id")
async def ids(begun: str) -> list[str]:
    """Some of the ids there are."""
    return [known for known in ("123", "124", "200") if known.startswith(begun)]


@server.prompt
async def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


@server.prompt
async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with arguments.

    Args:
        arg1: the first
        arg2: the second
    """
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@server.completion("test_prompt_with_arguments", "arg1")
async def arg1s(begun: str) -> list[str]:
    """How the first argument may go on."""
    return [value for value in ("testValue1", "testing", "paris") if value.startswith(begun)]


@server.completion("test_prompt_with_arguments", "arg2")
async def arg2s(begun: str, arg1: str) -> list[str]:
    """How the second argument may go on depends on the first."""
    return [value for value in (f"{arg1}-a", f"{arg1}-b") if value.startswith(begun)]


@server.prompt
async def test_prompt_with_embedded_resource(resourceUri: str) -> list[str | EmbeddedResource]:
    """A prompt that has a resource in it.

    Args:
        resourceUri: of the resource
    """
    text = "Embedded resource content for testing."
    contents = TextResourceContents(resourceUri, text=text, mime_type="text/plain")
    return [EmbeddedResource(contents), "Please process the embedded resource above."]


@server.prompt
async def test_prompt_with_image() -> list[trimcp.Image | str]:
    """A prompt that has an image in it."""
    return [trimcp.Image(PNG), "Please analyze the image above."]


@dataclass
class Purpose:
    context: str


@server.prompt
async def test_input_required_result_prompt(ctx: trimcp.Context) -> list[PromptMessage | str]:
    """A prompt that has to ask first."""
    answer = await ctx.elicit("What context should the prompt use?", Purpose, key="user_context")
    return [f"Use this context: {answer.data.context if answer.data else 'none'}"]
