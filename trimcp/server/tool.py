"""One tool: a function, prepared when it is declared, so that a call costs little more than the function.

server/tools of every revision.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import attrs
import trio

from trimcp.errors import RequestFailed, ToolError, UsageError
from trimcp.framing.header_params import HeaderParams, header_params
from trimcp.observability import events, log
from trimcp.server.arguments import ArgumentBinder, InvalidArguments
from trimcp.server.context import Context
from trimcp.server.dependencies import Injection, swallowed
from trimcp.server.requirements import NEEDS, Requirement, check
from trimcp.server.results import ResultShaper
from trimcp.server.signature import ToolSignature
from trimcp.session.request import InboundRequest
from trimcp.types.content import TextContent
from trimcp.types.metadata import Icon
from trimcp.types.tools import CallToolResult, Tool, ToolAnnotations


@attrs.frozen(kw_only=True)
class ToolOptions:
    """What a declaration says of a tool beyond its function."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    annotations: ToolAnnotations | None = None
    icons: Sequence[Icon] | None = None
    meta: dict[str, Any] | None = None
    input_schema: dict[str, Any] | None = None
    requires: Sequence[Requirement] = ()
    """What the client must have declared; checked before the function runs."""
    timeout: float | None = None
    """Seconds that one call may take, from its start, waiting for its turn included."""
    limit: int | None = None
    """Calls that run at once, of all sessions; further ones wait."""


class ToolFunction:
    """A tool and how it is called."""

    def __init__(
        self,
        signature: ToolSignature,
        options: ToolOptions,
        injection: Injection | None,
        *,
        threads: trio.CapacityLimiter,
        show_errors: bool,
    ) -> None:
        """
        Raises:
            UsageError: the options contradict each other, or the function has no JSON Schema.
        """
        if options.timeout is not None and not options.timeout > 0:
            raise UsageError(f"the timeout of the tool {signature.name} must be more than 0 seconds")
        if options.limit is not None and options.limit < 1:
            raise UsageError(f"the limit of the tool {signature.name} must be at least 1")
        unknown = [requirement for requirement in options.requires if requirement not in NEEDS]
        if unknown:
            raise UsageError(f"a tool cannot require {', '.join(unknown)}; there are {', '.join(NEEDS)}")
        self.name = signature.name
        self.function = signature.function
        self._binder = ArgumentBinder(signature, schema=options.input_schema)
        self.header_params = _header_params(signature.name, self._binder.schema)
        """The parameters that clients mirror into header fields over HTTP; None where none is."""
        self._shaper = ResultShaper(signature.returns, owner=f"{signature.name}()")
        self._injection = injection
        self._is_async = signature.is_async
        self._threads = threads
        self._show_errors = show_errors
        self._requires = tuple(options.requires)
        self._timeout = options.timeout
        self._places = None if options.limit is None else trio.Semaphore(options.limit)
        self.definition = Tool(
            name=self.name,
            title=options.title,
            description=options.description or signature.description,
            input_schema=self._binder.schema,
            output_schema=self._shaper.output_schema,
            annotations=options.annotations,
            icons=None if options.icons is None else list(options.icons),
            meta=options.meta,
        )

    async def call(
        self, request: InboundRequest, arguments: Mapping[str, Any] | None, context: Callable[[InboundRequest], Context]
    ) -> Any:
        """Call the function for a request, and shape what it returns.

        Raises:
            RequestFailed: the function raised one, to be answered as a protocol error.
        """
        for requirement in self._requires:
            check(request, requirement)
        try:
            kwargs = self._binder.bind(arguments)
        except InvalidArguments as exc:
            # A result rather than a protocol error, so that a model gets to see it and can mend its call.
            return _error(f"Invalid arguments for {self.name}: {exc}")
        if self._timeout is not None:
            request.limit_time(self._timeout)
        try:
            if self._places is None and self._injection is None and self._is_async:
                value = await self.function(**kwargs)
            else:
                value = await self._call_otherwise(request, kwargs, context)
            return self._shaper.shape(value)
        except RequestFailed:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever a tool raises is its result
            return failed_result(exc, self.name, request, show_errors=self._show_errors)

    async def _call_otherwise(
        self, request: InboundRequest, kwargs: dict[str, Any], context: Callable[[InboundRequest], Context]
    ) -> Any:
        """The call of a function that has a limit, wants something injected, or needs a thread."""
        async with AsyncExitStack() as stack:
            if self._places is not None:
                await stack.enter_async_context(self._places)
            if self._injection is not None:
                await self._injection.fill(kwargs, context(request), stack)
            if self._is_async:
                return await self.function(**kwargs)
            # The thread is abandoned when the request is cancelled; it keeps its place among the
            # threads until it ends, so abandoned ones are bounded too.
            return await trio.to_thread.run_sync(
                functools.partial(self.function, **kwargs), limiter=self._threads, abandon_on_cancel=True
            )
        raise await swallowed(self.name)


def failed_result(exc: Exception, name: str, request: InboundRequest, *, show_errors: bool) -> CallToolResult:
    """The result of a tool that raised.

    Raises:
        RequestFailed: it raised a group of nothing but those.
    """
    refused = _only_refusal(exc)
    if refused is not None:
        raise refused
    expected = _tool_errors(exc)
    if expected is not None:
        return _error(expected)
    log.error(events.HANDLER_FAILED, exc_info=exc, tool=name, request=request.serial)
    # The text of an exception may be meant for this side alone; a ToolError is meant for the model.
    detail = f": {type(exc).__name__}: {exc}" if show_errors else ""
    return _error(f"The tool {name} failed{detail or ' with an unexpected error'}")


def _header_params(name: str, schema: dict[str, Any]) -> HeaderParams | None:
    try:
        return header_params(schema)
    except UsageError as exc:
        raise UsageError(f"{name}(): {exc}") from None


def _only_refusal(exc: Exception) -> RequestFailed | None:
    """The first `RequestFailed` of a group of nothing but those: an answer can carry one."""
    if not isinstance(exc, ExceptionGroup) or exc.split(RequestFailed)[1] is not None:
        return None
    first: Exception = exc
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, RequestFailed) else None


def _tool_errors(exc: Exception) -> str | None:
    """The text of a ToolError, or of a group of nothing but those; None for anything else."""
    if isinstance(exc, ToolError):
        return str(exc)
    if isinstance(exc, ExceptionGroup):
        texts = [_tool_errors(inner) for inner in exc.exceptions]
        if all(text is not None for text in texts):
            return "; ".join(text for text in texts if text is not None)
    return None


def _error(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)
