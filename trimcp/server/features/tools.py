"""Tools: the declarations of a program, and the handlers of `tools/list` and `tools/call`.

A call runs in a worker of the handler actor for tools. A call reads the catalog once, so a tool that is added or
removed in the meantime does not change the call. server/tools of every revision.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, get_args

import attrs
import trio

from trimcp.codec.jsontext import dumps, loads
from trimcp.errors import InvalidParams, RequestFailed, ToolError, UsageError
from trimcp.observability import events, log
from trimcp.protocol.scopes import check_scopes
from trimcp.schema.header_params import HeaderParams, header_params
from trimcp.server.context.client_view import ContextRun
from trimcp.server.context.context import Context
from trimcp.server.context.requirements import NEEDS, Requirement, check
from trimcp.server.features.provider import ProvidedTool
from trimcp.server.features.provider_lists import DefinitionList, ProviderLists
from trimcp.server.features.task_support import OnLost, TaskMode, TaskTool
from trimcp.server.invocation.dependencies import Dependencies
from trimcp.server.invocation.function import PreparedFunction
from trimcp.server.invocation.signature import MISSING, FunctionSignature, inspect_function
from trimcp.server.invocation.tool_arguments import ArgumentBinder, InvalidArguments
from trimcp.server.invocation.tool_results import ToolResultConverter
from trimcp.server.options import DefinitionOptions, check_option, typed
from trimcp.session.request import InboundRequest
from trimcp.types.content import TextContent
from trimcp.types.payload import PaginatedRequestParams
from trimcp.types.tools import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    Tool,
    ToolAnnotations,
    ToolExecution,
)

NAME_LENGTH: Final = 128
"""The most characters in the name of a tool (server/tools of 2025-11-25)."""
NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def _one_of(words: Any) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """Make the attrs validator of an option that is one of the words of a `Literal`."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in get_args(words):
            raise UsageError(f"Invalid {attribute.name}={value!r}: use {' or '.join(map(repr, get_args(words)))}")

    return check


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ToolOptions(DefinitionOptions):
    """The options of `@server.tool`."""

    annotations: ToolAnnotations | None = attrs.field(
        default=None, validator=typed(ToolAnnotations, "a trimcp.types.ToolAnnotations")
    )
    input_schema: dict[str, Any] | None = attrs.field(default=None, validator=typed(dict, "a JSON Schema, as a dict"))
    output_schema: dict[str, Any] | None = attrs.field(default=None, validator=typed(dict, "a JSON Schema, as a dict"))
    requires: Sequence[Requirement] = ()
    """Capabilities that the client must have declared. They are checked before the function runs."""
    timeout: float | None = attrs.field(default=None, validator=typed((int, float), "a number of seconds"))
    """Seconds for one call, from its start, waiting for its turn included."""
    limit: int | None = attrs.field(default=None, validator=typed(int, "an integer from 1 on"))
    """Calls that run at once, over all sessions. Further calls wait."""
    task: TaskMode = attrs.field(default="forbidden", validator=_one_of(TaskMode))
    on_lost: OnLost = attrs.field(default="fail", validator=_one_of(OnLost))


class FunctionTool:
    """A tool that a function implements, prepared when it is declared, so that a call costs little more."""

    def __init__(
        self,
        signature: FunctionSignature,
        options: ToolOptions,
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
        *,
        show_errors: bool,
    ) -> None:
        """
        Raises:
            UsageError: an option is invalid, or the function has no JSON Schema.
        """
        self.name: str = signature.name
        _check_options(self.name, options)
        self.scopes: frozenset[str] = frozenset(check_scopes(options.scopes, f"scopes of the tool {self.name}"))
        self._binder = ArgumentBinder(signature, schema=options.input_schema)
        self.header_params: HeaderParams | None = _header_params(self.name, self._binder.schema)
        """The parameters that clients copy into HTTP header fields; None if there are none."""
        self._converter = ToolResultConverter(signature.returns, owner=f"{self.name}()", schema=options.output_schema)
        self._convert = self._converter.convert
        self._function = signature.function
        self._prepared = PreparedFunction(signature, dependencies, threads)
        self._is_plain = signature.is_async and not signature.injected and options.limit is None
        self._show_errors = show_errors
        self._requires = tuple(options.requires)
        self._timeout = options.timeout
        self.task: TaskMode = options.task
        self.on_lost: OnLost = options.on_lost
        self._places = None if options.limit is None else trio.Semaphore(options.limit)
        self.definition: Tool = Tool(
            name=self.name,
            title=options.title,
            description=options.description or signature.description,
            input_schema=self._binder.schema,
            output_schema=self._converter.output_schema,
            annotations=options.annotations,
            execution=None if options.task == "forbidden" else ToolExecution(task_support=options.task),
            icons=None if options.icons is None else list(options.icons),
            meta=options.meta,
        )

    async def call(self, request: InboundRequest, arguments: Mapping[str, Any] | None, run: ContextRun) -> Any:
        """Call the function for a request, and convert its value to a result.

        Raises:
            RequestFailed: the function raised it; it becomes a protocol error.
        """
        for requirement in self._requires:
            check(request, requirement)
        try:
            kwargs = self._binder.bind(arguments)
        except InvalidArguments as exc:
            # A result rather than a protocol error: the model sees it and can correct its call.
            return _error(f"Invalid arguments for {self.name}: {exc}")
        if self._timeout is not None:
            request.limit_time(self._timeout)
        try:
            if self._is_plain:
                value = await self._function(**kwargs)
            elif self._places is None:
                value = await self._prepared.call(request, kwargs, run)
            else:
                async with self._places:
                    value = await self._prepared.call(request, kwargs, run)
            convert = self._convert
            return convert(value)
        except RequestFailed:
            raise
        except Exception as exc:  # noqa: BLE001 - the exception of a tool is its result
            return _failed_result(exc, self.name, request, show_errors=self._show_errors)


def _check_options(name: str, options: ToolOptions) -> None:
    if options.timeout is not None and not options.timeout > 0:
        raise UsageError(f"Invalid timeout of the tool {name}: use more than 0 seconds")
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"Invalid limit of the tool {name}: use 1 or more")
    check_option(options.requires, "requires", (list, tuple, set, frozenset), f"a list of {', '.join(NEEDS)}")
    unknown = [requirement for requirement in options.requires if requirement not in NEEDS]
    if unknown:
        raise UsageError(f"Unknown requirement {unknown[0]!r} of the tool {name}: use {', '.join(NEEDS)}")


def _header_params(name: str, schema: dict[str, Any]) -> HeaderParams | None:
    try:
        return header_params(schema)
    except UsageError as exc:
        raise UsageError(f"{name}(): {exc}") from None


class ToolRegistry:
    """Holds the tools that a program has declared on one server."""

    def __init__(
        self,
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
        *,
        show_errors: bool,
        ignored_arguments: frozenset[str],
    ) -> None:
        self._dependencies = dependencies
        self._threads = threads
        self.ignored_arguments: frozenset[str] = ignored_arguments
        """Names of arguments that are dropped before the arguments are checked."""
        self.show_errors: bool = show_errors
        self.catalog: Mapping[str, FunctionTool] = MappingProxyType({})
        """The declared tools by name, in the order of declaration. Each change makes another mapping."""

    def prepare(self, function: Callable[..., Any], options: ToolOptions) -> FunctionTool:
        """Prepare a function as a tool. `add` declares the tool.

        Raises:
            UsageError: the name is taken or invalid, or the function cannot be a tool.
        """
        signature = inspect_function(function, injected=self._dependencies.injects, name=options.name)
        name = signature.name
        if name in self.catalog:
            raise UsageError(f"Duplicate tool name {name!r}: give one of the two tools another name=…")
        if not 0 < len(name) <= NAME_LENGTH or not NAME_CHARACTERS.issuperset(name):
            raise UsageError(f"Invalid tool name {name!r}: use 1 to {NAME_LENGTH} of A-Z a-z 0-9 _ - .")
        return FunctionTool(signature, options, self._dependencies, self._threads, show_errors=self.show_errors)

    def add(self, tool: FunctionTool) -> None:
        """Declare a tool that was prepared."""
        self.catalog = MappingProxyType({**self.catalog, tool.name: tool})

    def remove(self, name: str) -> None:
        """Remove a tool. Calls of the tool that run continue.

        Raises:
            UsageError: no tool has that name.
        """
        if name not in self.catalog:
            raise UsageError(f"Unknown tool {name!r}: use the name of a declared tool")
        self.catalog = MappingProxyType({key: tool for key, tool in self.catalog.items() if key != name})

    def definitions(self) -> Iterator[Tool]:
        """Yield the definitions of the declared tools, in the order of declaration."""
        return (tool.definition for tool in self.catalog.values())

    def __len__(self) -> int:
        return len(self.catalog)

    @property
    def threads_in_use(self) -> int:
        """The number of threads that run sync functions now, abandoned threads included."""
        return self._threads.borrowed_tokens


TOOLS: Final = DefinitionList("tools", "tools", Tool, lambda tool: tool.name, "list_tools", "find_tool", ProvidedTool)


class ToolRequests:
    """The handlers of `tools/list` and `tools/call`, in one run of a server."""

    def __init__(self, registry: ToolRegistry, providers: ProviderLists, run: ContextRun) -> None:
        self._registry = registry
        self._providers = providers
        self._run = run

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListToolsResult:
        """Answer `tools/list`: the declared tools, then the tools of the providers."""
        page = await self._providers.page(TOOLS, self._registry.catalog, request, params.cursor)
        return ListToolsResult(tools=page.items, next_cursor=page.next_cursor)

    def call(self, request: InboundRequest, params: CallToolRequestParams) -> Awaitable[Any]:
        """Answer `tools/call`."""
        tool = self._registry.catalog.get(params.name)
        if tool is not None:
            arguments = params.arguments
            if self._registry.ignored_arguments:
                arguments = self._without_ignored(arguments, tool.definition)
            return tool.call(request, arguments, self._run)
        if not self._providers.is_needed:
            raise InvalidParams(f"Unknown tool: {params.name}")
        return self._call_provided(request, params)

    async def task_tool(self, request: InboundRequest, name: str) -> TaskTool | None:
        """Return a tool, as far as its calls may be tasks; None if the tool is unknown.

        Raises:
            RequestFailed: a provider failed, or took too long.
        """
        tool: TaskTool | None = self._registry.catalog.get(name)
        if tool is None and self._providers.has_tasks:
            tool = await self._providers.find(TOOLS, Context(request, self._run), name)
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        return tool

    def _without_ignored(self, arguments: dict[str, Any] | None, tool: Tool) -> dict[str, Any] | None:
        """Return the arguments without those that the server ignores; a tool may declare an argument of such a name."""
        ignored = self._registry.ignored_arguments
        if arguments is None or ignored.isdisjoint(arguments):
            return arguments
        declared = tool.input_schema.get("properties", {})
        return {name: value for name, value in arguments.items() if name not in ignored or name in declared}

    async def _call_provided(self, request: InboundRequest, params: CallToolRequestParams) -> Any:
        ctx, name = Context(request, self._run), params.name
        tool = await self._providers.find(TOOLS, ctx, name)
        if tool is None:
            raise InvalidParams(f"Unknown tool: {name}")
        try:
            value = await tool.call(ctx, self._without_ignored(params.arguments, tool.definition) or {})
            schema = tool.definition.output_schema
            return _provided_converter(name, None if schema is None else dumps(schema)).convert(value)
        except RequestFailed:
            raise
        except Exception as exc:  # noqa: BLE001 - the exception of a tool is its result
            return _failed_result(exc, name, request, show_errors=self._registry.show_errors)


@functools.lru_cache(maxsize=256)  # to compile a schema takes long
def _provided_converter(name: str, output_schema: bytes | None) -> ToolResultConverter:
    owner = f"the tool {name}"
    if output_schema is None:
        return ToolResultConverter(MISSING, owner=owner)
    return ToolResultConverter(Any, owner=owner, schema=loads(output_schema))


# --- failures of tools ----------------------------------------------------------------


def _failed_result(exc: Exception, name: str, request: InboundRequest, *, show_errors: bool) -> CallToolResult:
    """Return the result of a tool that raised an exception.

    Raises:
        RequestFailed: the exception is a group of nothing but `RequestFailed`.
    """
    refused = _only_refusal(exc)
    if refused is not None:
        raise refused
    expected = _tool_errors(exc)
    if expected is not None:
        return _error(expected)
    log.error(events.HANDLER_FAILED, exc_info=exc, tool=name, request=request.serial)
    # The text of an exception can be private to the server; that of a ToolError is written for the model.
    detail = f": {type(exc).__name__}: {exc}" if show_errors else ""
    return _error(f"The tool {name} failed{detail or ' with an unexpected error'}")


def _only_refusal(exc: Exception) -> RequestFailed | None:
    """Return the first `RequestFailed` of a group that holds nothing else: an answer can carry one."""
    if not isinstance(exc, ExceptionGroup) or exc.split(RequestFailed)[1] is not None:
        return None
    first: Exception = exc
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, RequestFailed) else None


def _tool_errors(exc: Exception) -> str | None:
    """Return the text of a ToolError, or of a group that holds nothing else; None for other exceptions."""
    if isinstance(exc, ToolError):
        return str(exc)
    if isinstance(exc, ExceptionGroup):
        texts = [_tool_errors(inner) for inner in exc.exceptions]
        if all(text is not None for text in texts):
            return "; ".join(text for text in texts if text is not None)
    return None


def _error(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)
