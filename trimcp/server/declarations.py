"""What a program declares on a server: tools, middleware and providers here, the rest in files of its own.

The decorators are `Server`'s own; what they register is owned by the actor of each feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import TYPE_CHECKING, Any, overload

from trimcp.errors import UsageError
from trimcp.server.keys import Keys
from trimcp.server.middleware import Middleware
from trimcp.server.prompt_declarations import PromptDeclarations
from trimcp.server.registering import F, Kind
from trimcp.server.requirements import Requirement
from trimcp.server.resource_declarations import ResourceDeclarations
from trimcp.server.tool import ToolOptions
from trimcp.server.tools import Tools
from trimcp.types.metadata import Icon

if TYPE_CHECKING:
    from trimcp.session.limits import Limits
    from trimcp.types.tools import ToolAnnotations


class Declarations(ResourceDeclarations, PromptDeclarations):
    """The declaring side of `Server`."""

    def __init__(self, limits: Limits, keys: Keys, *, show_errors: bool) -> None:
        super().__init__(limits, keys)
        self.tools = Tools(self._providers, self._threads, self._pages, show_errors=show_errors)
        self.layers: list[Middleware] = []
        """The middleware, outermost first."""

    @property
    def has_tools(self) -> bool:
        """Whether the `tools` capability is declared."""
        return self.has("tools")

    def _count(self, kind: Kind) -> int:
        if kind == "completions" and self.__dict__.keys() & {"prompts", "resources"}:
            return len(self.completions)  # what is declared there may have choices of its own
        # An actor that nobody has declared anything with is not there yet.
        actor: Sized = self.__dict__.get(kind, ())
        return len(actor)

    @overload
    def tool(self, function: F, /) -> F: ...

    @overload
    def tool(
        self,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        input_schema: dict[str, Any] | None = None,
        requires: Sequence[Requirement] = (),
        timeout: float | None = None,
        limit: int | None = None,
    ) -> Callable[[F], F]: ...

    def tool(
        self,
        function: F | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        input_schema: dict[str, Any] | None = None,
        requires: Sequence[Requirement] = (),
        timeout: float | None = None,
        limit: int | None = None,
    ) -> F | Callable[[F], F]:
        """Declare a tool: `@server.tool`, or `@server.tool(title=…, timeout=…)`.

        The function's name is the tool's, its docstring the description, its type hints the
        schemas of input and output. An async function runs in Trio; a sync one in a thread.
        Parameters annotated `Context`, or with a type that has a provider, are not arguments.
        The function itself is returned unchanged.

        Args:
            function: the function, where the decorator is used without arguments.
            name: instead of the function's.
            title: what the tool is called to people.
            description: instead of the docstring.
            annotations: hints on what it does, such as that it only reads.
            icons: pictures for it.
            meta: its `_meta`.
            input_schema: a JSON Schema instead of the one from the type hints.
            requires: what the client must have declared, such as `["elicitation"]`, for the tool to
                run at all; one that did not gets an error that says so.
            timeout: seconds that a call may take, waiting for its turn included; then it is
                cancelled and answered with an error.
            limit: calls that run at once, of all sessions; further ones wait.

        Raises:
            UsageError: the function cannot be a tool; the message says what to do.

        See server/tools of the specification.
        """
        options = ToolOptions(
            name=name,
            title=title,
            description=description,
            annotations=annotations,
            icons=icons,
            meta=meta,
            input_schema=input_schema,
            requires=requires,
            timeout=timeout,
            limit=limit,
        )
        if function is None:
            return lambda function: self.tool_from(function, options)
        return self.tool_from(function, options)

    def tool_from(self, function: F, options: ToolOptions) -> F:
        """Declare a tool with its options as one object; see `tool`."""
        self._check_may_declare("tools", "tool")
        self.tools.add(function, options)
        self._changed("tools")
        return function

    def remove_tool(self, name: str) -> None:
        """Take a tool back; clients are told. Calls of it that run go on.

        Raises:
            UsageError: there is none of that name.
        """
        self.tools.remove(name)
        self._changed("tools")

    def middleware(self, function: Middleware) -> Middleware:
        """Declare an async function around the answering of every request that takes work.

        It is called as `function(ctx, params, proceed)` and returns `await proceed(params)`,
        or another result. The first declared is the outermost.

        Raises:
            UsageError: the server runs already.
        """
        if self._runs:
            raise UsageError("declare middleware before the server runs")
        self.layers.append(function)
        return function

    def provider(self, function: F) -> F:
        """Declare where objects of a type come from: handlers ask for one by annotating a parameter.

        The type is the function's return annotation. It may be async, may take the `Context`,
        and may be an async generator that yields once, to clean up after the call. Declare it
        before the tools that use it.

        Raises:
            UsageError: the type has a provider, or the function's shape is another.
        """
        self._providers.add(function)
        return function
