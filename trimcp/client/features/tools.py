"""Tools, for a client: their list, their calls, and the check of their structured output (server/tools)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from trimcp.client.features.arguments import json_values, named_arguments
from trimcp.client.features.client_features import ClientFeatures
from trimcp.client.features.tool_consent import ToolConsent
from trimcp.client.listing import Items, Listing, Page, read_page
from trimcp.client.requests import ClientRequests
from trimcp.codec.revisions import RevisionCodec
from trimcp.errors import (
    ConnectionEnded,
    InvalidPayload,
    InvalidResult,
    RequestFailed,
    RequestTimedOut,
    ToolFailed,
    UsageError,
)
from trimcp.observability import events, log
from trimcp.schema.validation import SchemaRefused, SchemaValidator, UnknownDialect, compile_schema
from trimcp.types.content import ContentBlock, TextContent
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import HEADER_MISMATCH
from trimcp.types.payload import TaskMetadata
from trimcp.types.tools import CallToolRequestParams, CallToolResult, ListToolsResult, Tool

if TYPE_CHECKING:
    from trimcp.session.call import OnProgress


REPR: Final = 100
"""Characters of the text, and of the structured content, that the `repr` of a result shows."""


@attrs.frozen(eq=False, repr=False)
class ToolResult:
    """The result of `Client.call_tool` (server/tools, "Tool Result").

    Attributes:
        content: what the tool returned, block by block, for a model to read.
        structured: the same as a JSON value for programs; None where there is none (`has_structured`
            tells that from a null).
        is_error: whether the tool says that it failed; the content then says how.
        meta: the result's `_meta`.
        raw: the whole result.
    """

    content: list[ContentBlock]
    structured: Any
    has_structured: bool
    is_error: bool
    meta: dict[str, Any] | None
    raw: CallToolResult

    @classmethod
    def of(cls, result: CallToolResult) -> ToolResult:
        """Make a `ToolResult` of the decoded result."""
        has_structured = result.structured_content is not ABSENT
        return cls(
            result.content,
            result.structured_content if has_structured else None,
            has_structured,
            bool(result.is_error),
            result.meta,
            result,
        )

    def __repr__(self) -> str:
        shown = [f"text={self.text!r}" if self.text else f"{len(self.content)} blocks"]
        shown += [f"structured={self.structured!r}"] if self.has_structured else []
        shown += ["is_error=True"] if self.is_error else []
        return f"ToolResult({', '.join(part if len(part) <= REPR else part[:REPR] + '…' for part in shown)})"

    @property
    def text(self) -> str:
        """The text blocks of the content, a line break between two of them; empty if there is none."""
        return "\n".join(block.text for block in self.content if isinstance(block, TextContent))

    def raise_for_error(self) -> ToolResult:
        """Return the result itself, unless the tool failed.

        Raises:
            ToolFailed: it did.
        """
        if self.is_error:
            raise ToolFailed(self.text or "the tool failed and does not say why", self.raw)
        return self


@attrs.frozen
class TaskCall:
    """Holds what makes a call one that may become a task."""

    metadata: TaskMetadata | None
    """Asks for a task (2025-11-25)."""
    stamp: dict[str, Any] | None
    """Declares that the client takes a task (2026-07-28)."""
    decode: Callable[[Mapping[str, Any]], Any]
    """Decodes the result of the tool, or the task in its place."""


class ToolHeaders(Protocol):
    """The arguments of tools that go into header fields as well, over HTTP, as lists of tools declare them."""

    def learn(self, tools: list[Tool]) -> list[Tool]:
        """Take in a page of the list; return its tools that can be called."""
        ...

    def retain(self, names: Collection[str]) -> None:
        """Forget all tools but these."""
        ...


class ToolCalls:
    """Lists and calls the tools of a server."""

    def __init__(self, requests: ClientRequests, features: ClientFeatures) -> None:
        self._requests = requests
        self._consent = None if features.consent is None else ToolConsent(features, self)
        requests.consent = self._consent
        self._outputs = OutputSchemas()
        self._codec: RevisionCodec | None = None
        self._encode: Callable[[Any], dict[str, Any]]
        self._decode: Callable[[Mapping[str, Any]], Any]
        self._left_out: dict[str, str] = {}
        self._reading = trio.Lock()
        self._reads = 0
        """How often a call has read the list, or failed to."""
        self.headers: ToolHeaders | None = None
        """Learns from each list, over HTTP in the modern era."""
        self.task_support: dict[str, str] = {}
        """`optional` or `required`, by the name of the tool, for those that may run as tasks (2025-11-25)."""

    @property
    def is_known(self) -> bool:
        """Whether the list has been read since it last changed."""
        return self._outputs.known

    def forget(self) -> None:
        """Forget the schemas: the list of tools has changed."""
        self._outputs.forget()
        self._left_out.clear()
        if self._consent is not None:
            self._consent.forget()
        self.task_support.clear()

    async def list_all(self, *, fresh: bool = False) -> Items[Tool]:
        """Read the whole list. See `Client.list_tools`."""
        tools: Items[Tool] = await self.iter(fresh=fresh).all()
        names = {tool.name for tool in tools}
        self._outputs.retain(names)
        if self._consent is not None:
            self._consent.retain(names)
        if self.headers is not None:
            self.headers.retain(names)
        self._outputs.known = True
        self._left_out = dict(tools.left_out)
        return tools

    def iter(self, *, fresh: bool) -> Listing[Tool]:
        """Return the list, to be read page after page."""
        return self._requests.listing_of("tools", lambda cursor: self._page(cursor, fresh=fresh))

    async def page(self, cursor: str | None, *, fresh: bool) -> ListToolsResult:
        """Read one page of the list."""
        result: ListToolsResult = (await self._page(cursor, fresh=fresh)).result
        return result

    async def _page(self, cursor: str | None, *, fresh: bool) -> Page:
        page = await read_page(self._requests, "tools/list", cursor, fresh=fresh)
        result: ListToolsResult = page.result
        if self.headers is not None:
            result.tools = self.headers.learn(result.tools)
        self._outputs.learn(result.tools)
        if self._consent is not None:
            self._consent.learn(result.tools)
        for tool in result.tools:
            self._left_out.pop(tool.name, None)
            self.task_support.pop(tool.name, None)
            if tool.execution is not None and tool.execution.task_support in ("optional", "required"):
                self.task_support[tool.name] = tool.execution.task_support
        self._left_out |= page.left_out
        return page

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        returns: Any,
        timeout: float | None,
        on_progress: OnProgress | None,
        meta: Mapping[str, Any] | None,
        task: TaskCall | None = None,
    ) -> Any:
        """Call a tool. See `Client.call_tool`. With `task`, the result may be a task, as `task.decode` makes it."""
        if name in self._left_out:
            raise UsageError(f"the tool {name} cannot be called, its definition is invalid: {self._left_out[name]}")
        requests = self._requests
        if requests.codec is not self._codec:
            self._use(requests.codec)
        params = self._params(name, arguments, None if task is None else task.metadata)
        if meta is not None:
            params["_meta"] = dict(meta)
        decode, stamp = (self._decode, None) if task is None else (task.decode, task.stamp)
        try:
            decoded = await requests.call(
                "tools/call", params, decode, timeout=timeout, on_progress=on_progress, stamp=stamp
            )
        except RequestFailed as exc:
            if exc.code != HEADER_MISMATCH or self.headers is None:
                raise
            # The tool has arguments that go into header fields as well, as the list says; it did not run.
            await self.list_all(fresh=True)
            decoded = await requests.call(
                "tools/call", params, decode, timeout=timeout, on_progress=on_progress, stamp=stamp
            )
        if task is not None and not isinstance(decoded, CallToolResult):
            return decoded
        result = ToolResult.of(decoded)
        if result.has_structured and not self._outputs.known:
            await self._learn_outputs(name)
        return self._checked(name, result, returns)

    async def finished(self, name: str | None, raw: dict[str, Any], returns: Any) -> Any:
        """Return the result of a call that was a task. `name`: of the tool; None: not known, so nothing is checked."""
        result = ToolResult.of(self._requests.decoded(self._requests.codec.result_decoder("tools/call"), raw))
        if name is None:
            return result if returns is None else value_of(result.raise_for_error(), "of the task", returns)
        if result.has_structured and not self._outputs.known:
            await self._learn_outputs(name)
        return self._checked(name, result, returns)

    def _checked(self, name: str, result: ToolResult, returns: Any) -> Any:
        self._outputs.check(name, result)
        if returns is None:
            return result
        return value_of(result.raise_for_error(), name, returns)

    def _params(self, name: str, arguments: Mapping[str, Any] | None, task: TaskMetadata | None) -> dict[str, Any]:
        given = named_arguments(arguments, f"tool {name}")
        try:
            values = None if given is None else json_values(given)
            return self._encode(CallToolRequestParams(name, values, task))
        except InvalidPayload as exc:
            raise InvalidPayload([f"the tool {name}: {problem}" for problem in exc.problems]) from None

    def _use(self, codec: RevisionCodec) -> None:
        self._codec = codec
        self._encode = codec.params_encoder("tools/call")
        self._decode = codec.result_decoder("tools/call")

    async def _learn_outputs(self, name: str) -> None:
        """Read the list once for all calls that wait, for their output schemas. No result is lost where that fails."""
        reads_before = self._reads
        async with self._reading:
            if self._reads != reads_before:
                return
            try:
                await self.list_all()
            except (RequestFailed, RequestTimedOut, ConnectionEnded, InvalidPayload) as exc:
                log.debug(events.RESULT_UNCHECKED, tool=name, why=str(exc))
            self._reads += 1


# --- structured output ----------------------------------------------------------------


class OutputSchemas:
    """Holds the output schemas of a server's tools, and checks results against them."""

    def __init__(self) -> None:
        self._validators: dict[str, SchemaValidator | None] = {}
        self._unknown: dict[str, str] = {}
        self.known: bool = False
        """Whether the list of tools has been read since it last changed."""

    def learn(self, tools: Iterable[Tool]) -> None:
        """Take in the tools of one page."""
        for tool in tools:
            self._unknown.pop(tool.name, None)
            self._validators[tool.name] = None if tool.output_schema is None else self._compile(tool)

    def _compile(self, tool: Tool) -> SchemaValidator | None:
        assert tool.output_schema is not None
        try:
            return compile_schema(tool.output_schema)
        except UnknownDialect as exc:
            self._unknown[tool.name] = str(exc)
            return None
        except SchemaRefused as exc:
            # A schema that cannot be checked is a mistake of the server; its results are still of use.
            log.warning(events.MESSAGE_IGNORED, tool=tool.name, why=f"its output schema is refused: {exc}")
            return None

    def retain(self, names: Collection[str]) -> None:
        """Forget all tools but these, which are the whole list."""
        for kept in (self._validators, self._unknown):
            for name in kept.keys() - names:
                del kept[name]

    def forget(self) -> None:
        """Forget all tools: the list has changed."""
        self._validators.clear()
        self._unknown.clear()
        self.known = False

    def check(self, name: str, result: ToolResult) -> None:
        """Check a result against the output schema of its tool, where that is known.

        Raises:
            InvalidResult: it does not fit the schema, or the schema is in an unknown dialect.
        """
        if name in self._unknown and not result.is_error:
            raise InvalidResult([f"the result of {name} cannot be checked: {self._unknown[name]}"])
        validator = self._validators.get(name)
        if validator is None or result.is_error:
            return
        if not result.has_structured:
            raise InvalidResult([f"the tool {name} declares an output schema, and returned no structured content"])
        if not validator.is_valid(result.structured):
            raise InvalidResult(
                [f"the structured content of {name}: {p}" for p in validator.problems(result.structured)]
            )


def value_of(result: ToolResult, name: str, returns: type[Any]) -> Any:
    """Return the structured content of a result as an object of a type.

    A value that is not an object travels as `{"result": value}`; it is unwrapped.

    Raises:
        InvalidResult: there is none, or it does not fit the type.
        UsageError: JSON cannot become that type.
    """
    from trimcp.schema.builder import value_loader  # heavy, and for typed results alone

    if not result.has_structured:
        if returns is str:
            return result.text
        raise InvalidResult([f"the tool {name} returned no structured content to make a {returns!r} of"])
    build = value_loader(returns)
    structured = result.structured
    try:
        try:
            return build(structured)
        except InvalidResult:
            if isinstance(structured, dict) and structured.keys() == {"result"}:
                return build(structured["result"])
            raise
    except InvalidResult as exc:
        raise InvalidResult([f"the structured content of {name}: {problem}" for problem in exc.problems]) from None
