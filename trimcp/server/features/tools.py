"""Tools: the registry that a program declares into, its snapshots, and the answers to `tools/list` and `tools/call`.

The handlers run in the workers of the session's, or the endpoint's, handler actor for tools. Each reads the
catalog once, so a tool that is added or removed meanwhile changes nothing for it. server/tools of every revision.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs
import trio

from trimcp.codec.jsontext import dumps, loads
from trimcp.errors import InvalidParams, RequestFailed, UsageError
from trimcp.server.dependencies import Dependencies
from trimcp.server.features.pagination import Pages
from trimcp.server.features.provider import ProvidedTool
from trimcp.server.features.provider_lists import Listed, ProviderLists
from trimcp.server.function import MakeContext
from trimcp.server.results import ResultShaper
from trimcp.server.signature import MISSING, inspect_function
from trimcp.server.tool import ToolFunction, ToolOptions, failed_result
from trimcp.session.request import InboundRequest
from trimcp.types.pagination import PaginatedRequestParams
from trimcp.types.tools import CallToolRequestParams, ListToolsResult, Tool

NAME_LENGTH: Final = 128
"""The longest name of a tool (server/tools of 2025-11-25)."""
NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


@attrs.frozen(eq=False)
class ToolCatalog:
    """The declared tools at one moment, in the order of declaration. A change makes another catalog."""

    tools: Mapping[str, ToolFunction] = MappingProxyType({})
    """By name."""
    definitions: Mapping[str, Tool] = MappingProxyType({})
    """As they are listed, by name."""

    def with_tool(self, tool: ToolFunction) -> ToolCatalog:
        """Return a catalog with one tool more."""
        return ToolCatalog(
            MappingProxyType({**self.tools, tool.name: tool}),
            MappingProxyType({**self.definitions, tool.name: tool.definition}),
        )

    def without(self, name: str) -> ToolCatalog:
        """Return a catalog without a tool."""
        return ToolCatalog(_without(self.tools, name), _without(self.definitions, name))


class ToolRegistry:
    """The tools that a program has declared on one server."""

    def __init__(
        self,
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
        show: Callable[[Any], None],
        *,
        show_errors: bool,
    ) -> None:
        """`show` is called with each definition before it is entered, and may change or refuse it."""
        self._dependencies = dependencies
        self._threads = threads
        self._show = show
        self.show_errors = show_errors
        self.catalog = ToolCatalog()
        """The newest snapshot."""

    def add(self, function: Callable[..., Any], options: ToolOptions) -> None:
        """Declare a tool.

        Raises:
            UsageError: the name is taken or invalid, or the function cannot be a tool.
        """
        signature = inspect_function(function, injected=self._dependencies.injects, name=options.name)
        name = signature.name
        if name in self.catalog.tools:
            raise UsageError(f"there is a tool named {name!r} already: give this one a name=…")
        if not 0 < len(name) <= NAME_LENGTH or not NAME_CHARACTERS.issuperset(name):
            raise UsageError(f"invalid tool name {name!r}: use 1 to {NAME_LENGTH} of A-Z a-z 0-9 _ - .")
        tool = ToolFunction(
            signature,
            options,
            self._dependencies.injection(dict(signature.injected)),
            threads=self._threads,
            show_errors=self.show_errors,
        )
        self._show(tool.definition)
        self.catalog = self.catalog.with_tool(tool)

    def remove(self, name: str) -> None:
        """Remove a tool. Calls of it that run go on.

        Raises:
            UsageError: there is none of that name.
        """
        if name not in self.catalog.tools:
            raise UsageError(f"there is no tool named {name!r}")
        self.catalog = self.catalog.without(name)

    def __len__(self) -> int:
        return len(self.catalog.tools)

    @property
    def threads_in_use(self) -> int:
        """Threads that run sync functions now, abandoned ones included."""
        return self._threads.borrowed_tokens


TOOLS: Final = Listed("tools", "tools", Tool, lambda tool: tool.name, "list_tools", "find_tool", ProvidedTool)


class ToolRequests:
    """The handlers of `tools/list` and `tools/call`, in one run of a server."""

    def __init__(self, registry: ToolRegistry, providers: ProviderLists, pages: Pages, context: MakeContext) -> None:
        self._registry = registry
        self._providers = providers
        self._pages = pages
        self._context = context

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListToolsResult:
        """Answer `tools/list`: in the order of declaration, then of the providers."""
        if self._providers.is_needed:
            page = await self._providers.page(TOOLS, self._context(request), params.cursor)
        else:
            page = self._pages.page(self._registry.catalog.definitions, params.cursor, kind=TOOLS.label)
        return ListToolsResult(tools=[*page.items], next_cursor=page.next_cursor)

    def call(self, request: InboundRequest, params: CallToolRequestParams) -> Awaitable[Any]:
        """Answer `tools/call`."""
        tool = self._registry.catalog.tools.get(params.name)
        if tool is not None:
            return tool.call(request, params.arguments, self._context)
        if not self._providers.is_needed:
            raise InvalidParams(f"Unknown tool: {params.name}")
        return self._call_provided(request, params)

    async def _call_provided(self, request: InboundRequest, params: CallToolRequestParams) -> Any:
        ctx, name = self._context(request), params.name
        tool = await self._providers.find("tools", "find_tool", ProvidedTool, ctx, name)
        if tool is None:
            raise InvalidParams(f"Unknown tool: {name}")
        try:
            value = await tool.call(ctx, {} if params.arguments is None else params.arguments)
            return _shaper(name, tool.definition.output_schema).shape(value)
        except RequestFailed:
            raise
        except Exception as exc:  # noqa: BLE001 - the exception of a tool is its result
            return failed_result(exc, name, request, show_errors=self._registry.show_errors)


def _shaper(name: str, output_schema: Mapping[str, Any] | None) -> ResultShaper:
    """The shaper of a provided tool. Those with a schema are kept: to compile one takes long."""
    return _shaper_with(name, None if output_schema is None else dumps(output_schema))


@functools.lru_cache(maxsize=256)
def _shaper_with(name: str, output_schema: bytes | None) -> ResultShaper:
    owner = f"the tool {name}"
    if output_schema is None:
        return ResultShaper(MISSING, owner=owner)
    return ResultShaper(Any, owner=owner, structured=True, schema=loads(output_schema))


def _without(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return MappingProxyType({key: value for key, value in mapping.items() if key != name})
