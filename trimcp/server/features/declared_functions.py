"""The functions that a program declares, as the first provider of its server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trimcp.server.features.kinds import KINDS
from trimcp.server.features.provider import ProvidedPrompt, ProvidedResource, ProvidedTool, Provider

if TYPE_CHECKING:
    from trimcp.server.context import Context
    from trimcp.server.features.prompts import PromptRegistry
    from trimcp.server.features.resources import ResourceRegistry
    from trimcp.server.features.tools import ToolRegistry
    from trimcp.types.prompts import Prompt
    from trimcp.types.resources import Resource, ResourceTemplate
    from trimcp.types.tools import Tool


class DeclaredFunctions(Provider):
    """Lists and finds the tools, resources and prompts that were declared with decorators."""

    features = KINDS

    def __init__(
        self,
        tools: ToolRegistry,
        resources: Callable[[], ResourceRegistry],
        prompts: Callable[[], PromptRegistry],
    ) -> None:
        """The last two are made when they are first used."""
        self._tools = tools
        self._resources = resources
        self._prompts = prompts

    async def list_tools(self, ctx: Context, cursor: str | None) -> Sequence[Tool]:
        return tuple(self._tools.catalog.definitions.values())

    async def list_resources(self, ctx: Context, cursor: str | None) -> Sequence[Resource]:
        return tuple(self._resources().catalog.definitions.values())

    async def list_resource_templates(self, ctx: Context, cursor: str | None) -> Sequence[ResourceTemplate]:
        return tuple(self._resources().catalog.template_definitions.values())

    async def list_prompts(self, ctx: Context, cursor: str | None) -> Sequence[Prompt]:
        return tuple(self._prompts().catalog.definitions.values())

    async def find_tool(self, ctx: Context, name: str) -> ProvidedTool | None:
        tool = self._tools.catalog.tools.get(name)
        if tool is None:
            return None

        async def call(ctx: Context, arguments: Mapping[str, Any]) -> Any:
            return await tool.call(ctx.request, arguments, lambda request: ctx)

        return ProvidedTool(tool.definition, call)

    async def find_resource(self, ctx: Context, uri: str) -> ProvidedResource | None:
        found = self._resources().catalog.find(uri)
        if found is None:
            return None
        from trimcp.server.resource import FunctionResource
        from trimcp.types.resources import ReadResourceRequestParams

        resource, kwargs = found

        async def read(ctx: Context, uri: str) -> Any:
            return await resource.read(ctx.request, ReadResourceRequestParams(uri=uri), kwargs, lambda request: ctx)

        if isinstance(resource, FunctionResource) and resource.template is not None:
            return ProvidedResource(resource.template_definition, read)
        return ProvidedResource(resource.definition, read)

    async def find_prompt(self, ctx: Context, name: str) -> ProvidedPrompt | None:
        prompt = self._prompts().catalog.prompts.get(name)
        if prompt is None:
            return None

        async def get(ctx: Context, arguments: Mapping[str, str]) -> Any:
            return await prompt.get(ctx.request, arguments, lambda request: ctx)

        return ProvidedPrompt(prompt.definition, get)
