"""What the tests of providers share: providers over plain mappings, and servers that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trimcp
from trimcp.types import (
    CompleteRequestParams,
    Prompt,
    PromptReference,
    Resource,
    ResourceTemplate,
    Tool,
)


def tool(name: str, **fields: Any) -> Tool:
    """The definition of a tool without arguments."""
    return Tool(name=name, input_schema={"type": "object"}, **fields)


class Shelf(trimcp.Provider):
    """Tools by name, whole or in pages of its own; each says which shelf it is on."""

    features = frozenset({"tools"})

    def __init__(self, *names: str, name: str = "shelf", size: int | None = None) -> None:
        self.names = list(names)
        self.name = name
        self.size = size
        self.cursors: list[str | None] = []
        """Those that it was asked with."""

    async def list_tools(self, ctx: trimcp.Context, cursor: str | None) -> Sequence[Tool] | trimcp.ProvidedPage[Tool]:
        self.cursors.append(cursor)
        tools = [tool(name) for name in self.names]
        if self.size is None:
            assert cursor is None
            return tools
        start = 0 if cursor is None else int(cursor.removeprefix("from "))
        end = start + self.size
        return trimcp.ProvidedPage(tools[start:end], f"from {end}" if end < len(tools) else None)

    async def find_tool(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedTool | None:
        if name not in self.names:
            return None

        async def call(ctx: trimcp.Context, arguments: Mapping[str, Any]) -> str:
            return f"{name} on {self.name} {sorted(arguments.items())}"

        return trimcp.ProvidedTool(tool(name), call)


class Library(trimcp.Provider):
    """Something of every feature."""

    features = ("tools", "resources", "prompts", "completions")

    async def list_tools(self, ctx: trimcp.Context, cursor: str | None) -> Sequence[Tool]:
        return [tool("lend")]

    async def find_tool(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedTool | None:
        return trimcp.ProvidedTool(tool("lend"), self._lend) if name == "lend" else None

    async def _lend(self, ctx: trimcp.Context, arguments: Mapping[str, Any]) -> str:
        if arguments.get("book") == "gone":
            raise trimcp.ToolError("that one is lent already")
        return f"lent to {ctx.client_info.name if ctx.client_info else '?'}"

    async def list_resources(self, ctx: trimcp.Context, cursor: str | None) -> Sequence[Resource]:
        return [Resource(uri="book://1", name="one")]

    async def list_resource_templates(self, ctx: trimcp.Context, cursor: str | None) -> Sequence[ResourceTemplate]:
        return [ResourceTemplate(uri_template="book://{number}", name="book", mime_type="text/markdown")]

    async def find_resource(self, ctx: trimcp.Context, uri: str) -> trimcp.ProvidedResource | None:
        if not uri.startswith("book://"):
            return None
        (template,) = await self.list_resource_templates(ctx, None)

        async def read(ctx: trimcp.Context, uri: str) -> str | None:
            return None if uri == "book://0" else f"the text of {uri}"

        return trimcp.ProvidedResource(template, read)

    async def list_prompts(self, ctx: trimcp.Context, cursor: str | None) -> Sequence[Prompt]:
        return [Prompt(name="review", description="Review a book.")]

    async def find_prompt(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedPrompt | None:
        async def get(ctx: trimcp.Context, arguments: Mapping[str, str]) -> str:
            return f"Review {arguments['book']}."

        (prompt,) = await self.list_prompts(ctx, None)
        return trimcp.ProvidedPrompt(prompt, get) if name == "review" else None

    async def complete(self, ctx: trimcp.Context, params: CompleteRequestParams) -> Sequence[str] | None:
        if isinstance(params.ref, PromptReference) and params.ref.name == "review":
            return [f"{params.argument.value}-{n}" for n in range(3)]
        return None


def with_functions(*names: str, **limits: Any) -> trimcp.Server:
    """A server that declares tools of these names."""
    server = trimcp.Server("library", limits=trimcp.Limits(**limits))
    for name in names:
        server.tool(name=name)(_declared)
    return server


async def _declared() -> str:
    return "declared"
