"""Tools that ask nothing: each kind of content and of failure, progress, log messages, schemas, changed lists."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import trio
from everything.app import PAUSE, PNG, WAV, server

import trimcp
from trimcp.types import EmbeddedResource, TextResourceContents


@server.tool
async def test_simple_text() -> Any:
    """Return a text. It stands first, since one scenario calls whatever does."""
    return "This is a simple text response for testing."


@server.tool
async def test_image_content() -> trimcp.Image:
    """Return an image."""
    return trimcp.Image(PNG)


@server.tool
async def test_audio_content() -> trimcp.Audio:
    """Return a sound."""
    return trimcp.Audio(WAV)


@server.tool
async def test_embedded_resource() -> EmbeddedResource:
    """Return the contents of a resource."""
    text = "This is an embedded resource content."
    return EmbeddedResource(TextResourceContents("test://embedded-resource", text=text, mime_type="text/plain"))


@server.tool
async def test_multiple_content_types() -> list[str | trimcp.Image | EmbeddedResource]:
    """Return three kinds of content."""
    text = '{"test":"data","value":123}'
    contents = TextResourceContents("test://mixed-content-resource", text=text, mime_type="application/json")
    return ["Multiple content types test:", trimcp.Image(PNG), EmbeddedResource(contents)]


@server.tool
async def test_error_handling() -> Any:
    """Fail, for the model to see."""
    raise trimcp.ToolError("This tool intentionally returns an error for testing")


@server.tool
async def test_tool_with_logging(ctx: trimcp.Context) -> Any:
    """Send three log messages."""
    ctx.log("info", "Tool execution started")
    await trio.sleep(PAUSE)
    ctx.log("info", "Tool processing data")
    await trio.sleep(PAUSE)
    ctx.log("info", "Tool execution completed")
    return "Tool with logging executed"


@server.tool
async def test_logging_tool(ctx: trimcp.Context) -> Any:
    """Send one log message, where log messages are wanted."""
    ctx.log("info", "Logged once")
    return "Logged, if that was wanted"


@server.tool
async def test_tool_with_progress(ctx: trimcp.Context) -> Any:
    """Report progress three times."""
    await ctx.progress(0, 100, "started")
    await trio.sleep(PAUSE)
    await ctx.progress(50, 100, "half of it")
    await trio.sleep(PAUSE)
    await ctx.progress(100, 100, "done")
    return "Tool with progress executed"


CONTACT: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@server.tool(input_schema=CONTACT)
async def json_schema_2020_12_tool(
    name: str = "",
    address: dict[str, str] | None = None,
    contactMethod: Literal["phone", "email"] = "email",
    phone: str = "",
    email: str = "",
) -> Any:
    """Take arguments by a schema that was written by hand."""
    where = ", ".join((address or {}).values()) or "nowhere"
    return f"{name or 'Somebody'} of {where}, by {contactMethod}: {phone or email}"


@server.tool
async def test_x_mcp_header(
    region: Annotated[str, trimcp.Header("Region")] = "",  # noqa: PT028 - a tool, no test
) -> Any:
    """Take an argument that HTTP clients repeat in a header."""
    return f"Region: {region or 'none'}"


@server.tool
async def test_structured_content(
    city: Annotated[str, "Any name"],
    degrees: Literal["celsius", "fahrenheit"] = "celsius",  # noqa: PT028 - a tool, no test
) -> dict[str, str]:
    """Return structured content."""
    return {"city": city, "unit": degrees}


async def _short_lived() -> None:
    """Do nothing."""


@server.tool
async def test_trigger_tool_change() -> Any:
    """Change the list of tools, twice: afterwards it is as it was."""
    server.tool(name="test_short_lived_tool")(_short_lived)
    server.remove_tool("test_short_lived_tool")
    return "The list of tools has changed"


async def _short_lived_prompt() -> str:
    """Say nothing much."""
    return "Nothing much."


@server.tool
async def test_trigger_prompt_change() -> Any:
    """Change the list of prompts, twice: afterwards it is as it was."""
    server.prompt(name="test_short_lived_prompt")(_short_lived_prompt)
    server.remove_prompt("test_short_lived_prompt")
    return "The list of prompts has changed"


@server.tool
async def test_trigger_resource_update(uri: str = "test://watched-resource") -> Any:  # noqa: PT028 - a tool, no test
    """Say that a resource has changed."""
    server.notify_resource_updated(uri)
    return f"{uri} has changed"


@server.tool
async def test_reconnection(*, ctx: trimcp.Context) -> Any:
    """Let go of the connection of the call, then answer."""
    await ctx.close_stream(retry=0.5)
    await trio.sleep(PAUSE)
    return "Reconnection test completed"
