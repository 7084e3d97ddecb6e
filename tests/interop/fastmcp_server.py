"""A server written with FastMCP that has every feature. It knows nothing of trimcp.

What it asks it asks in two ways, since FastMCP leaves that difference between the eras to its users.
"""

from __future__ import annotations

from typing import Any

import mcp_types as types
from fastmcp import Context, FastMCP
from fastmcp.prompts import Message
from fastmcp.utilities.types import Image
from pydantic import BaseModel

server = FastMCP("rich", version="9", instructions="By the book.")
MODERN = "2026-07-28"


class Person(BaseModel):
    name: str
    age: int = 7


class Weather(BaseModel):
    city: str
    degrees: float


FORM = types.ElicitRequest(
    params=types.ElicitRequestFormParams(message="Who are you?", requested_schema=Person.model_json_schema())
)
SAID = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="Say something"))
SAMPLE = types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[SAID], max_tokens=10))
ROOTS = types.ListRootsRequest()


def is_modern(ctx: Context) -> bool:
    return ctx.session.protocol_version == MODERN


def asked(ctx: Context, **requests: Any) -> Any:
    """The answers by name; or, while there are none, what is to be returned instead."""
    if ctx.input_responses is None:
        return types.InputRequiredResult(input_requests=requests, request_state="once")
    assert ctx.request_state == "once"
    return ctx.input_responses


@server.tool(output_schema=None)
async def who(ctx: Context) -> Any:
    if is_modern(ctx):
        answers = asked(ctx, who=FORM)
        if isinstance(answers, types.InputRequiredResult):
            return answers
        action, data = answers["who"].action, answers["who"].content
    else:
        answer = await ctx.elicit("Who are you?", Person)
        action, data = answer.action, answer.data.model_dump() if answer.action == "accept" else None
    return action if data is None else f"{data['name']} is {Person(**data).age}"


@server.tool(output_schema=None)
async def think(ctx: Context) -> Any:
    if is_modern(ctx):
        answers = asked(ctx, said=SAMPLE)
        if isinstance(answers, types.InputRequiredResult):
            return answers
        said = answers["said"]
    else:
        said = await ctx.session.create_message([SAID], max_tokens=10, related_request_id=ctx.request_id)
    return f"{said.model}: {said.content.text}"


@server.tool(output_schema=None)
async def where(ctx: Context) -> Any:
    if is_modern(ctx):
        answers = asked(ctx, roots=ROOTS)
        if isinstance(answers, types.InputRequiredResult):
            return answers
        roots = answers["roots"]
    else:
        roots = await ctx.session.list_roots()
    return ", ".join(str(root.uri) for root in roots.roots)


@server.tool(output_schema=None)
async def several(ctx: Context) -> Any:
    """All at once, where that is possible."""
    if not is_modern(ctx):
        name = (await ctx.elicit("Who are you?", Person)).data.name
        said = await ctx.session.create_message([SAID], max_tokens=10, related_request_id=ctx.request_id)
        return f"{name} {said.content.text} {len((await ctx.session.list_roots()).roots)}"
    answers = asked(ctx, who=FORM, said=SAMPLE, roots=ROOTS)
    if isinstance(answers, types.InputRequiredResult):
        return answers
    roots = answers["roots"].roots
    return f"{answers['who'].content['name']} {answers['said'].content.text} {len(roots)}"


@server.tool
async def weather(city: str) -> Weather:
    return Weather(city=city, degrees=21.5)


@server.tool
async def words() -> list[str]:
    return ["one", "two"]


@server.tool(output_schema=None)
async def mixed() -> list[Any]:
    return ["a text", Image(data=b"\x89PNG\r\n\x1a\n", format="png")]


@server.tool(output_schema=None)
async def steps(count: int, ctx: Context) -> str:
    for step in range(count):
        await ctx.report_progress(step + 1, count)
    return "done"


@server.tool(output_schema=None)
async def chatty(ctx: Context) -> str:
    for level in ("debug", "info", "error"):
        await ctx.log({"at": level}, level=level, logger_name="chat")
    return "logged"


@server.tool(output_schema=None)
async def grow(ctx: Context) -> str:
    """Everything changes, and whoever wants to know is told."""
    await ctx.send_notification(types.ToolListChangedNotification())
    await ctx.send_notification(types.PromptListChangedNotification())
    await ctx.send_notification(types.ResourceListChangedNotification())
    params = types.ResourceUpdatedNotificationParams(uri="mem://text")
    await ctx.send_notification(types.ResourceUpdatedNotification(params=params))
    return "grown"


@server.resource("mem://text", name="text", mime_type="text/plain")
def some_text() -> str:
    """A text."""
    return "Hello."


@server.resource("mem://bytes", name="bytes", mime_type="application/octet-stream")
def some_bytes() -> bytes:
    """Not a text."""
    return b"\x00\x01"


@server.resource("mem://items/{number}", name="item", mime_type="application/json")
def item(number: str) -> str:
    """One of many."""
    return '{"number": "' + number + '"}'


@server.prompt(title="Greet somebody")
def greet(name: str, manner: str = "plain") -> str:
    """A greeting."""
    return f"Greet {name}, {manner}."


@server.prompt
def talk() -> list[Message]:
    """Several messages of several kinds."""
    contents = types.TextResourceContents(uri="mem://text", text="Hello.", mime_type="text/plain")
    picture = types.ImageContent(type="image", data="iVBORw0KGgo=", mime_type="image/png")
    return [
        Message("Look at this."),
        Message("At what?", role="assistant"),
        Message(picture),
        Message(types.EmbeddedResource(type="resource", resource=contents)),
    ]


@server.completion
async def complete(ref: Any, argument: Any, context: Any) -> types.Completion:
    if isinstance(ref, types.PromptReference):
        given = "" if context is None else (context.arguments or {}).get("name", "")
        values = [f"{argument.value}a", f"{argument.value}b", given]
        return types.Completion(values=values, total=30, has_more=True)
    return types.Completion(values=[f"{argument.value}0"])


if __name__ == "__main__":
    server.run(show_banner=False)
