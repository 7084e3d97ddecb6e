"""A server written with the official package that has every feature. It knows nothing of trimcp.

What it asks is resolved before a tool runs, which is how that package speaks both eras.
"""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import (
    AssistantMessage,
    Context,
    Elicit,
    ElicitationResult,
    Image,
    ListRoots,
    MCPServer,
    Resolve,
    Sample,
    UserMessage,
)
from mcp_types import (
    Completion,
    CreateMessageResult,
    EmbeddedResource,
    ListRootsResult,
    PromptReference,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel

server = MCPServer("rich", version="9", instructions="By the book.", log_level="ERROR")


class Person(BaseModel):
    name: str
    age: int = 7


def ask_who() -> Elicit[Person]:
    return Elicit("Who are you?", Person)


def ask_model() -> Sample:
    text = TextContent(type="text", text="Say something")
    return Sample([SamplingMessage(role="user", content=text)], max_tokens=10)


def ask_where() -> ListRoots:
    return ListRoots()


@server.tool(structured_output=False)
async def who(person: Annotated[ElicitationResult[Person], Resolve(ask_who)]) -> str:
    if person.action != "accept":
        return person.action
    return f"{person.data.name} is {person.data.age}"


@server.tool(structured_output=False)
async def think(said: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
    return f"{said.model}: {said.content.text}"


@server.tool(structured_output=False)
async def where(roots: Annotated[ListRootsResult, Resolve(ask_where)]) -> str:
    return ", ".join(str(root.uri) for root in roots.roots)


@server.tool(structured_output=False)
async def several(
    person: Annotated[Person, Resolve(ask_who)],
    said: Annotated[CreateMessageResult, Resolve(ask_model)],
    roots: Annotated[ListRootsResult, Resolve(ask_where)],
) -> str:
    return f"{person.name} {said.content.text} {len(roots.roots)}"


@server.tool(structured_output=False)
async def visit(ctx: Context) -> str:
    answer = await ctx.elicit_url("Please pay", "https://bank.example/pay", "visit-1")
    await ctx.session.send_elicit_complete("visit-1")
    return answer.action


@server.tool(structured_output=False)
async def chatty(ctx: Context) -> str:
    for level in ("debug", "info", "error"):
        await ctx.log(level, {"at": level}, logger_name="chat")
    return "logged"


@server.tool(structured_output=False)
async def grow(ctx: Context) -> str:
    """Everything changes, and whoever wants to know is told."""
    await ctx.notify_tools_changed()
    await ctx.notify_prompts_changed()
    await ctx.notify_resources_changed()
    await ctx.notify_resource_updated("mem://text")
    if ctx.protocol_version != "2026-07-28":
        await ctx.session.send_tool_list_changed()
        await ctx.session.send_prompt_list_changed()
        await ctx.session.send_resource_list_changed()
        await ctx.session.send_resource_updated("mem://text")
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
def item(number: str) -> dict[str, Any]:
    """One of many."""
    return {"number": number}


@server.prompt(title="Greet somebody")
def greet(name: str, manner: str = "plain") -> str:
    """A greeting."""
    return f"Greet {name}, {manner}."


@server.prompt()
def talk() -> list[Any]:
    """Several messages of several kinds."""
    contents = TextResourceContents(uri="mem://text", text="Hello.", mime_type="text/plain")
    return [
        UserMessage("Look at this."),
        AssistantMessage("At what?"),
        UserMessage(Image(data=b"\x89PNG\r\n\x1a\n", format="png")),
        UserMessage(EmbeddedResource(type="resource", resource=contents)),
    ]


@server.completion()
async def complete(ref: Any, argument: Any, context: Any) -> Completion | None:
    if isinstance(ref, PromptReference):
        given = "" if context is None else (context.arguments or {}).get("name", "")
        values = [f"{argument.value}a", f"{argument.value}b", given]
        return Completion(values=values, total=30, has_more=True)
    return Completion(values=[f"{argument.value}0"])


if __name__ == "__main__":
    server.run()
