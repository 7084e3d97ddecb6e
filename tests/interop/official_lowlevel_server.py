"""A server on the lower half of the official package: what its upper half leaves out. It knows nothing of trimcp.

Lists in pages, resources that are subscribed to, a log level, and a client that tells of its roots.
"""

from __future__ import annotations

import warnings
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server

PAGES = 3
subscribed: list[str] = []
levels: list[str] = []
roots: list[str] = []


async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
    page = int(params.cursor or 0) if params is not None else 0
    names = ["touch", "subscribed", "levels", "roots"] if page == 0 else [f"tool-{page}"]
    tools = [types.Tool(name=name, input_schema={"type": "object"}) for name in names]
    return types.ListToolsResult(tools=tools, next_cursor=str(page + 1) if page + 1 < PAGES else None)


async def call_tool(context: Any, params: Any) -> types.CallToolResult:
    text = {"subscribed": ",".join(subscribed), "levels": ",".join(levels), "roots": ",".join(roots)}.get(params.name)
    if params.name == "touch":
        await context.session.send_resource_updated("mem://a")
        await context.session.send_tool_list_changed()
        text = "touched"
    if text is None:
        text = f"{params.name} was called"
    content = types.TextContent(type="text", text=text)
    return types.CallToolResult(content=[content], _meta={"example.org/by": "hand"})


async def list_resources(context: Any, params: Any) -> types.ListResourcesResult:
    page = int(params.cursor or 0) if params is not None else 0
    found = types.Resource(uri=f"mem://{'abc'[page]}", name="abc"[page])
    return types.ListResourcesResult(resources=[found], next_cursor=str(page + 1) if page + 1 < PAGES else None)


async def read_resource(context: Any, params: Any) -> types.ReadResourceResult:
    parts = [types.TextResourceContents(uri=f"{params.uri}/{part}", text=part) for part in ("one", "two")]
    return types.ReadResourceResult(contents=parts)


async def subscribe(context: Any, params: Any) -> types.EmptyResult:
    subscribed.append(params.uri)
    return types.EmptyResult()


async def unsubscribe(context: Any, params: Any) -> types.EmptyResult:
    subscribed.remove(params.uri)
    return types.EmptyResult()


async def set_level(context: Any, params: Any) -> types.EmptyResult:
    levels.append(params.level)
    return types.EmptyResult()


async def roots_changed(context: Any, params: Any) -> None:
    roots[:] = [str(root.uri) for root in (await context.session.list_roots()).roots]
    await context.session.send_log_message("info", "the roots are known")


async def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 2026-07-28 deprecates some of it
        server: Any = Server(
            "lower",
            on_list_tools=list_tools,
            on_call_tool=call_tool,
            on_list_resources=list_resources,
            on_read_resource=read_resource,
            on_subscribe_resource=subscribe,
            on_unsubscribe_resource=unsubscribe,
            on_set_logging_level=set_level,
            on_roots_list_changed=roots_changed,
        )
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, options)


if __name__ == "__main__":
    anyio.run(main)
