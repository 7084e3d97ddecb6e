"""Calls of tools: the part of `Client` that lists and calls them (server/tools)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from trimcp.client.output import OutputSchemas, value_of
from trimcp.client.requester import Listing, Requester
from trimcp.client.results import ToolResult
from trimcp.errors import ConnectionEnded, InvalidPayload, RequestFailed, RequestTimedOut
from trimcp.observability import events, log
from trimcp.types.jsonrpc import HEADER_MISMATCH
from trimcp.types.tools import CallToolRequestParams, ListToolsResult, Tool

if TYPE_CHECKING:
    from trimcp.client.http.mirror import Mirror
    from trimcp.session.calls import OnProgress

T = TypeVar("T")


class ToolCalls(Requester):
    """What a client asks about tools."""

    _outputs: OutputSchemas
    _mirror: Mirror | None = None
    _encode_call: Callable[[Any], dict[str, Any]]
    _decode_call: Callable[[Mapping[str, Any]], Any]

    def use_mirror(self, mirror: Mirror) -> None:
        """Over HTTP: what is learned of parameters that go into header fields too."""
        self._mirror = mirror

    async def list_tools(self, *, fresh: bool = False) -> list[Tool]:
        """All tools of the server, page after page (server/tools).

        Args:
            fresh: ask the server also where an earlier list may still be used.

        Raises:
            InvalidResult: the list does not end.
        """
        tools = await self.iter_tools(fresh=fresh).all()
        names = {tool.name for tool in tools}
        self._outputs.retain(names)
        if self._mirror is not None:
            self._mirror.retain(names)
        self._outputs.known = True
        return tools

    def iter_tools(self, *, fresh: bool = False) -> Listing[Tool]:
        """The same one by one: `async for tool in client.iter_tools()`; pages are read as needed."""

        async def page(cursor: str | None) -> ListToolsResult:
            return await self.tools_page(cursor, fresh=fresh)

        return Listing(page, lambda page: page.tools, "tools")

    async def tools_page(self, cursor: str | None = None, *, fresh: bool = False) -> ListToolsResult:
        """One page of the server's tools; `next_cursor` leads to the one after it, None where there is none."""
        result: ListToolsResult = await self._page("tools/list", cursor, fresh=fresh)
        if self._mirror is not None:
            result.tools = self._mirror.learn(result.tools)
        self._outputs.learn(result.tools)
        return result

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult: ...

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: type[T],
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> T: ...

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: Any = None,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a tool (server/tools, "Calling Tools").

        Args:
            name: of the tool.
            arguments: by name, as JSON values.
            returns: a type (a class of attrs, a dataclass, a TypedDict, a pydantic model, `int`,
                `list[str]`, …) to make the structured content into.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: see `request`.
            meta: further keys for the request's `_meta`.

        Returns:
            The result, also where the tool says that it failed (`is_error`); with `returns`, an
            object of that type.

        Raises:
            ToolFailed: with `returns`, the tool says that it failed.
            InvalidResult: the structured content breaks the schema that the tool declared, or
                does not fit `returns`.
        """
        encoded = self._encode_call(CallToolRequestParams(name, None if arguments is None else dict(arguments)))
        if meta is not None:
            encoded["_meta"] = dict(meta)
        try:
            decoded = await self._call(encoded, timeout, on_progress)
        except RequestFailed as exc:
            if exc.code != HEADER_MISMATCH or self._mirror is None:
                raise
            # The tool has parameters that go into header fields as well, which the list says; it did not run.
            await self.list_tools(fresh=True)
            decoded = await self._call(encoded, timeout, on_progress)
        result = ToolResult.of(decoded)
        if result.has_structured and not self._outputs.known:
            await self._learn_outputs(name)
        self._outputs.check(name, result)
        if returns is None:
            return result
        return value_of(result.raise_for_error(), name, returns)

    async def _call(self, encoded: dict[str, Any], timeout: float | None, on_progress: OnProgress | None) -> Any:
        return await self.in_rounds("tools/call", encoded, self._decode_call, timeout=timeout, on_progress=on_progress)

    async def _learn_outputs(self, name: str) -> None:
        """Read the list once: what the tool promised is in it. A result that is here is not lost for want of it."""
        try:
            await self.list_tools()
        except (RequestFailed, RequestTimedOut, ConnectionEnded, InvalidPayload) as exc:
            log.debug(events.RESULT_UNCHECKED, tool=name, why=str(exc))
