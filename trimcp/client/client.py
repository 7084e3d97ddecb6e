"""`Client`: typed calls on one session with one server. `trimcp.connect` opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

import attrs

from trimcp.client.negotiation import Agreement
from trimcp.client.output import OutputSchemas, value_of
from trimcp.client.results import ToolResult
from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import InvalidPayload, InvalidResult
from trimcp.session.calls import OnProgress
from trimcp.session.session import Session
from trimcp.types.capabilities import ServerCapabilities
from trimcp.types.input_required import InputRequiredResult
from trimcp.types.metadata import Implementation
from trimcp.types.methods import METHODS
from trimcp.types.pagination import PaginatedRequestParams
from trimcp.types.revisions import Era
from trimcp.types.tools import CallToolRequestParams, ListToolsResult, Tool

T = TypeVar("T")

PAGES = 1000
"""The most pages of one list that are read: a server whose list never ends is refused."""


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long a client waits, in seconds; None waits for ever.

    Trio's own scopes (`trio.fail_after`) hold beside them, and end a call at once.
    """

    request: float | None = 60.0
    """For an answer, or, where the caller wants progress, for the next report."""
    most: float | None = 600.0
    """In all, however much progress there is."""
    probe: float = 10.0
    """For the answer that shows which era a server speaks; one that is silent counts as legacy."""


class Client:
    """A session with a server. All of it may be used from any task, by any number at once.

    Every call is a request of its own: leaving it early, by a deadline or a cancel of Trio's,
    tells the server, and does not wait for it. Every call may raise

    * `RequestFailed`: the server answered with an error;
    * `RequestTimedOut`: it did not answer within the timeouts;
    * `ConnectionEnded`: the connection is gone (`ConnectionLost`, `ServerExited`: by the other
      side; `ConnectionClosed`: by this one);
    * `InvalidResult`: its answer breaks the schema.
    """

    def __init__(self, session: Session, agreement: Agreement, timeouts: Timeouts) -> None:
        """Made by `trimcp.connect`."""
        self._session = session
        self._agreement = agreement
        self._timeouts = timeouts
        self._codec: RevisionCodec = codec_for(agreement.revision)
        self._outputs = OutputSchemas()
        self._encode_call = self._codec.params_encoder("tools/call")
        self._decode_call = self._codec.result_decoder("tools/call")

    # --- what the server is -----------------------------------------------------------

    @property
    def protocol_version(self) -> str:
        """The revision that is spoken, such as `2026-07-28`."""
        return self._agreement.revision.version

    @property
    def server_info(self) -> Implementation | None:
        """What the server says it is. Unverified: for display and logs. None where a modern server does not say."""
        return self._agreement.server_info

    @property
    def server_capabilities(self) -> ServerCapabilities:
        """What the server declared that it can do."""
        return self._agreement.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used, for a model to read."""
        return self._agreement.instructions

    @property
    def session(self) -> Session:
        """The session below: `session.snapshot()` shows what it does."""
        return self._session

    # --- requests ---------------------------------------------------------------------

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Make any request, params and result as raw JSON objects. `_meta` is added where the revision wants it.

        Args:
            method: its name.
            params: its params.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: called, or awaited, with progress, total and message of each report, in
                order, before this returns. One that is slow misses reports, not the last one.
        """
        raw: dict[str, Any] | None = None if params is None else dict(params)
        stamp = self._agreement.stamp
        if stamp is not None:
            raw = raw or {}
            meta = raw.get("_meta")
            raw["_meta"] = stamp if meta is None else {**meta, **stamp}
        first, most = self._deadlines(method, timeout)
        return await self._session.calls.call(method, raw, timeout=first, most=most, on_progress=on_progress)

    def _deadlines(self, method: str, timeout: float | None) -> tuple[float | None, float | None]:
        row = METHODS.get(method)
        if row is not None and row.default_deadline is None:
            return timeout, None  # it lasts as long as it lasts
        timeouts = self._timeouts
        if timeout is None:
            return timeouts.request, timeouts.most
        most = timeouts.most
        return timeout, None if most is None else max(most, timeout)

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification. It is not known whether it arrives.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        if self._session.end is not None:
            raise self._session.end
        self._session.writer.post(encode_notification(method, None if params is None else dict(params)))

    async def ping(self) -> None:
        """Ask whether the server is there: by `ping`, or, in 2026-07-28, by `server/discover`."""
        await self.request("ping" if self._agreement.revision.era is Era.LEGACY else "server/discover")

    # --- tools ------------------------------------------------------------------------

    async def list_tools(self) -> list[Tool]:
        """All tools of the server, page after page (server/tools).

        Raises:
            InvalidResult: the list does not end.
        """
        tools: list[Tool] = []
        cursor: str | None = None
        for _ in range(PAGES):
            page = await self.tools_page(cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                self._outputs.known = True
                return tools
        raise InvalidResult([f"the server's list of tools has more than {PAGES} pages"])

    async def tools_page(self, cursor: str | None = None) -> ListToolsResult:
        """One page of the server's tools; `next_cursor` leads to the one after it, None where there is none."""
        params = self._codec.params_encoder("tools/list")(PaginatedRequestParams(cursor=cursor))
        result = self._decoded(self._codec.result_decoder("tools/list"), await self.request("tools/list", params))
        assert isinstance(result, ListToolsResult)
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
        raw = await self.request("tools/call", encoded, timeout=timeout, on_progress=on_progress)
        decoded = self._decoded(self._decode_call, raw)
        if isinstance(decoded, InputRequiredResult):
            raise InvalidResult([f"the tool {name} asks for input, which this client did not offer"])
        result = ToolResult.of(decoded)
        if result.has_structured and not self._outputs.known:
            await self.list_tools()  # once: what the tool promised is in the list
        self._outputs.check(name, result)
        if returns is None:
            return result
        return value_of(result.raise_for_error(), name, returns)

    def _decoded(self, decode: Callable[[Mapping[str, Any]], Any], raw: dict[str, Any]) -> Any:
        try:
            return decode(raw)
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None

    # --- notices and the end ----------------------------------------------------------

    def noticed(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Called by the session for each notification that is not its own."""
        if method == "notifications/tools/list_changed":
            self._outputs.forget()

    def close(self) -> None:
        """End the session at once. May be called from any task, any number of times.

        What waits for an answer raises `ConnectionClosed`.
        """
        self._session.close()
