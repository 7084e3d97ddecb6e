"""Tools: the actor that owns what tools there are, for all sessions.

It has nothing to wait for, so it has no task: its functions are called from the request's task.
server/tools of every revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import trio

from trimcp.errors import InvalidParams, UsageError
from trimcp.framing.header_params import HeaderParams
from trimcp.server.context import Context
from trimcp.server.dependencies import Providers
from trimcp.server.pagination import Pages
from trimcp.server.signature import inspect_function
from trimcp.server.tool import ToolFunction, ToolOptions
from trimcp.session.request import InboundRequest
from trimcp.types.pagination import PaginatedRequestParams
from trimcp.types.tools import CallToolRequestParams, ListToolsResult, Tool

NAME_LENGTH = 128
"""The longest name of a tool (server/tools of 2025-11-25)."""
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


class Tools:
    """The tools of one server."""

    def __init__(
        self,
        providers: Providers,
        threads: trio.CapacityLimiter,
        pages: Pages,
        show: Callable[[Any], None],
        *,
        show_errors: bool,
    ) -> None:
        """`show` is called with each definition before it is one, and may change or refuse it."""
        self._show = show
        self._providers = providers
        self._show_errors = show_errors
        self._threads = threads
        self._pages = pages
        self._tools: dict[str, ToolFunction] = {}
        self._definitions: dict[str, Tool] = {}

    def add(self, function: Callable[..., Any], options: ToolOptions) -> ToolFunction:
        """Declare a tool.

        Raises:
            UsageError: the name is taken or not a name, or the function cannot be a tool.
        """
        signature = inspect_function(function, injected=self._providers.injects, name=options.name)
        name = signature.name
        if name in self._tools:
            raise UsageError(f"there is a tool named {name!r} already: give this one a name=…")
        if not 0 < len(name) <= NAME_LENGTH or not NAME_CHARACTERS.issuperset(name):
            raise UsageError(f"{name!r} is no name for a tool: 1 to {NAME_LENGTH} of A-Z a-z 0-9 _ - .")
        tool = ToolFunction(
            signature,
            options,
            self._providers.injection(dict(signature.injected)),
            threads=self._threads,
            show_errors=self._show_errors,
        )
        self._show(tool.definition)
        self._tools[name] = tool
        self._definitions[name] = tool.definition
        return tool

    def remove(self, name: str) -> None:
        """Take a tool back; calls of it that run go on.

        Raises:
            UsageError: there is none of that name.
        """
        if self._tools.pop(name, None) is None:
            raise UsageError(f"there is no tool named {name!r}")
        del self._definitions[name]

    def header_params(self, name: str) -> HeaderParams | None:
        """Which parameters of the tool of that name are mirrored into header fields over HTTP, if any are."""
        tool = self._tools.get(name)
        return None if tool is None else tool.header_params

    def __len__(self) -> int:
        return len(self._tools)

    def definitions(self) -> Iterable[Tool]:
        """What is listed of each."""
        return self._definitions.values()

    @property
    def threads_in_use(self) -> int:
        """Threads that run sync functions now, abandoned ones included."""
        return self._threads.borrowed_tokens

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListToolsResult:
        """Answer `tools/list`: in the order of declaration."""
        page = self._pages.page(self._definitions, params.cursor, kind="tools")
        return ListToolsResult(tools=list(page.items), next_cursor=page.next_cursor)

    def caller(
        self, context: Callable[[InboundRequest], Context]
    ) -> Callable[[InboundRequest, CallToolRequestParams], Awaitable[Any]]:
        """What answers `tools/call`, with that way of making a context."""
        tools = self._tools

        def call(request: InboundRequest, params: CallToolRequestParams) -> Awaitable[Any]:
            tool = tools.get(params.name)
            if tool is None:
                raise InvalidParams(f"Unknown tool: {params.name}")
            return tool.call(request, params.arguments, context)

        return call
