"""Tools: the registry that a program declares into, its snapshots, and the answers to `tools/list` and `tools/call`.

The handlers run in the workers of the session's, or the endpoint's, handler actor for tools. Each reads the
catalog once, so a tool that is added or removed meanwhile changes nothing for it. server/tools of every revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs
import trio

from trimcp.errors import InvalidParams, UsageError
from trimcp.server.dependencies import Providers
from trimcp.server.features.pagination import Pages
from trimcp.server.function import MakeContext
from trimcp.server.signature import inspect_function
from trimcp.server.tool import ToolFunction, ToolOptions
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
        self, providers: Providers, threads: trio.CapacityLimiter, show: Callable[[Any], None], *, show_errors: bool
    ) -> None:
        """`show` is called with each definition before it is entered, and may change or refuse it."""
        self._providers = providers
        self._threads = threads
        self._show = show
        self._show_errors = show_errors
        self.catalog = ToolCatalog()
        """The newest snapshot."""

    def add(self, function: Callable[..., Any], options: ToolOptions) -> None:
        """Declare a tool.

        Raises:
            UsageError: the name is taken or invalid, or the function cannot be a tool.
        """
        signature = inspect_function(function, injected=self._providers.injects, name=options.name)
        name = signature.name
        if name in self.catalog.tools:
            raise UsageError(f"there is a tool named {name!r} already: give this one a name=…")
        if not 0 < len(name) <= NAME_LENGTH or not NAME_CHARACTERS.issuperset(name):
            raise UsageError(f"invalid tool name {name!r}: use 1 to {NAME_LENGTH} of A-Z a-z 0-9 _ - .")
        tool = ToolFunction(
            signature,
            options,
            self._providers.injection(dict(signature.injected)),
            threads=self._threads,
            show_errors=self._show_errors,
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


class ToolRequests:
    """The handlers of `tools/list` and `tools/call`, in one run of a server."""

    def __init__(self, registry: ToolRegistry, pages: Pages, context: MakeContext) -> None:
        self._registry = registry
        self._pages = pages
        self._context = context

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListToolsResult:
        """Answer `tools/list`: in the order of declaration."""
        page = self._pages.page(self._registry.catalog.definitions, params.cursor, kind="tools")
        return ListToolsResult(tools=[*page.items], next_cursor=page.next_cursor)

    def call(self, request: InboundRequest, params: CallToolRequestParams) -> Awaitable[Any]:
        """Answer `tools/call`."""
        tool = self._registry.catalog.tools.get(params.name)
        if tool is None:
            raise InvalidParams(f"Unknown tool: {params.name}")
        return tool.call(request, params.arguments, self._context)


def _without(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return MappingProxyType({key: value for key, value in mapping.items() if key != name})
