"""`Client`: typed calls on one session with one server. `trimcp.connect` opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

from trimcp.client.cache import Cache
from trimcp.client.handlers import Handlers
from trimcp.client.negotiation import Agreement
from trimcp.client.news import News
from trimcp.client.output import OutputSchemas
from trimcp.client.prompts import PromptCalls
from trimcp.client.resources import ResourceCalls
from trimcp.client.rounds import in_rounds
from trimcp.client.tools import ToolCalls
from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import RequestFailed
from trimcp.session.calls import OnProgress
from trimcp.session.session import Session
from trimcp.types.capabilities import ServerCapabilities
from trimcp.types.input_required import InputRequiredResult
from trimcp.types.metadata import Implementation
from trimcp.types.methods import METHODS
from trimcp.types.revisions import Era


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


class Client(ToolCalls, ResourceCalls, PromptCalls, News):
    """A session with a server. All of it may be used from any task, by any number at once.

    Every call is a request of its own: leaving it early, by a deadline or a cancel of Trio's,
    tells the server, and does not wait for it. Every call may raise

    * `RequestFailed`: the server answered with an error;
    * `RequestTimedOut`: it did not answer within the timeouts;
    * `ConnectionEnded`: the connection is gone (`ConnectionLost`, `ServerExited`: by the other
      side; `ConnectionClosed`: by this one);
    * `InvalidResult`: its answer breaks the schema.
    """

    def __init__(
        self,
        session: Session,
        agreement: Agreement,
        timeouts: Timeouts,
        handlers: Handlers,
        cache: Cache | None = None,
    ) -> None:
        """Made by `trimcp.connect`."""
        self._handlers = handlers
        self._session = session
        self._agreement = agreement
        self._timeouts = timeouts
        # Older servers say nothing of how long a result is good for.
        self._cache = cache if agreement.revision.result_type else None
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
    def cache(self) -> Cache | None:
        """The results that the server lets this client keep; None where none are kept."""
        return self._cache

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
        fresh: bool = False,
    ) -> dict[str, Any]:
        """Make any request, params and result as raw JSON objects. `_meta` is added where the revision wants it.

        Args:
            method: its name.
            params: its params.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: called, or awaited, with progress, total and message of each report, in
                order, before this returns. One that is slow misses reports, not the last one.
            fresh: ask the server also where an earlier result may still be used.
        """
        cache = self._cache
        fetch = None if cache is None else cache.fetch(method, params)
        if cache is None or fetch is None:
            return await self._request(method, params, timeout, on_progress)
        kept = None if fresh else cache.kept(fetch)
        if kept is not None:
            await trio.lowlevel.checkpoint()
            return kept
        result: dict[str, Any] | None = None
        cache.start(fetch)
        try:
            answer = await self._request(method, params, timeout, on_progress)
            result = answer
        finally:
            cache.finish(fetch, result)
        return answer

    async def _request(
        self, method: str, params: Mapping[str, Any] | None, timeout: float | None, on_progress: OnProgress | None
    ) -> dict[str, Any]:
        raw: dict[str, Any] | None = None if params is None else dict(params)
        stamp = self._agreement.stamp
        if stamp is not None:
            raw = raw or {}
            meta = raw.get("_meta")
            raw["_meta"] = stamp if meta is None else {**meta, **stamp}
        first, most = self._deadlines(method, timeout)
        try:
            return await self._session.calls.call(method, raw, timeout=first, most=most, on_progress=on_progress)
        except RequestFailed as exc:
            if self._cache is not None:
                self._cache.doubted(method, exc)
            raise

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
            raise self._session.end.again()
        self._session.writer.post(encode_notification(method, None if params is None else dict(params)))

    async def ping(self) -> None:
        """Ask whether the server is there: by `ping`, or, in 2026-07-28, by `server/discover`."""
        await self.request("ping" if self._agreement.revision.era is Era.LEGACY else "server/discover", fresh=True)

    # --- several rounds ---------------------------------------------------------------

    async def in_rounds(
        self,
        method: str,
        params: dict[str, Any],
        decode: Callable[[Mapping[str, Any]], Any],
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        fresh: bool = False,
    ) -> Any:
        """Make a request that the server may answer with questions, and answer those; return the result object."""

        async def send(params: dict[str, Any]) -> dict[str, Any]:
            return await self.request(method, params, timeout=timeout, on_progress=on_progress, fresh=fresh)

        def decoded(raw: dict[str, Any]) -> Any:
            return self._decoded(decode, raw)

        first = decoded(await send(params))
        if not isinstance(first, InputRequiredResult):
            return first
        return await in_rounds(send, params, first, decoded, self._codec, self._handlers)

    # --- notices and the end ----------------------------------------------------------

    def noticed(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Called by the session for each notification that is not its own."""
        if method == "notifications/tools/list_changed":
            self._outputs.forget()
        if self._cache is not None:
            self._cache.noticed(method, params)
        super().noticed(method, params)

    def close(self) -> None:
        """End the session at once. May be called from any task, any number of times.

        What waits for an answer raises `ConnectionClosed`.
        """
        self._session.close()
