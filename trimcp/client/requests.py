"""The requests of a client: stamped, timed, answered from the cache, repeated where the server requires input.

`ClientRequests` makes them, for the calls of every feature.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from trimcp.actors.containment import contained
from trimcp.client.features.elicitation import wait_for_call
from trimcp.client.listing import LISTS, MESSAGES, Listing, Page, read_page
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import InvalidPayload, InvalidResult, RequestFailed
from trimcp.observability.tracing import trace_context
from trimcp.types.input_required import InputRequest, InputRequiredResult
from trimcp.types.methods import METHODS, Method

if TYPE_CHECKING:
    from trimcp.client.cache import ResultCache
    from trimcp.client.features.client_features import ClientFeatures
    from trimcp.session.call import OnProgress
    from trimcp.session.negotiation import Agreement
    from trimcp.session.session import Session

ROUNDS: Final = 20
"""The most rounds of one request; then a server that still requires input is given up."""

Decode = Callable[[Mapping[str, Any]], Any]
"""Makes the result object of a raw result; raises `InvalidPayload`."""


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long a client waits, in seconds; None waits for ever.

    Trio's own scopes (`trio.fail_after`) hold beside them, and end a call at once.
    """

    request: float | None = 60.0
    """For an answer, or, where the caller wants progress, for the next report."""
    most: float | None = 600.0
    """In all, however much progress there is."""
    probe: float | None = None
    """For the answer that shows which era a server speaks; a server that is silent for so long is asked to
    `initialize`. None: 10 seconds, and 30 for a command, which may have to be installed; not more than `request`."""


class ExtendedResults(Protocol):
    """The extensions of a client, as its requests see them: other methods, and other results of core methods."""

    def row(self, method: str) -> Method | None:
        """Return the row of a method that an extension sends."""
        ...

    def decoder(self, method: str, decode: Decode) -> Decode:
        """Return a decoder that reads the results of extensions beside those that `decode` reads."""
        ...

    async def finished(
        self,
        method: str,
        params: Mapping[str, Any],
        result: Any,
        decode: Decode,
        *,
        timeout: float | None,
        on_progress: OnProgress | None,
    ) -> Any:
        """Return the result of the method itself, to which an extension gets from its own result."""
        ...


class CallConsent(Protocol):
    """Has calls of tools agreed to."""

    async def check(self, params: Mapping[str, Any]) -> None:
        """Have a call agreed to, or raise `ConsentRefused`."""
        ...


class ClientRequests:
    """Makes the requests of one client, on the session that there is now."""

    session: Session
    """The session that there is now."""
    agreement: Agreement
    """The agreement with the server for that session."""
    codec: RevisionCodec
    cache: ResultCache | None
    """Keeps results for as long as the server says; None where none are kept."""

    def __init__(self, timeouts: Timeouts, features: ClientFeatures, cache: ResultCache | None) -> None:
        """Make no request before `use`. `features` answers the server where it requires input."""
        self.timeouts: Timeouts = timeouts
        self._features = features
        self._own_cache = cache
        self._extensions: ExtendedResults | None = None
        self.consent: CallConsent | None = None
        """Has each call of a tool agreed to, before its deadline begins."""

    def use(self, session: Session, agreement: Agreement, extensions: ExtendedResults | None) -> None:
        """Make requests on this session from now on, as was agreed upon for it."""
        self.session, self.agreement, self._extensions = session, agreement, extensions
        self.codec = codec_for(agreement.revision)
        # Older servers do not say how long a result is good for.
        self.cache = self._own_cache if agreement.revision.result_type else None

    def forget(self) -> None:
        """Forget all results that are kept: changes may have been missed."""
        if self._own_cache is not None:
            self._own_cache.forget()

    # --- one request ------------------------------------------------------------------

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        fresh: bool = False,
        stamp: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a request, or take its result from the cache. See `Client.request`.

        Args:
            stamp: see `call`; not for results that are kept.
        """
        cache = self.cache
        fetch = None if cache is None else cache.fetch(method, params)
        if cache is None or fetch is None:
            return await self._request(method, params, timeout, on_progress, stamp)
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
        self,
        method: str,
        params: Mapping[str, Any] | None,
        timeout: float | None,
        on_progress: OnProgress | None,
        stamp: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        wait_for_call()
        if self.consent is not None and method == "tools/call":
            await self.consent.check(params or {})
        raw: dict[str, Any] | None = None if params is None else dict(params)
        stamp = stamp or self.agreement.stamp
        if stamp is not None:
            raw = raw or {}
            meta, trace = raw.get("_meta"), trace_context()
            raw["_meta"] = stamp if meta is None and not trace else {**trace, **(meta or {}), **stamp}
        row = METHODS.get(method) if self._extensions is None else self._extensions.row(method) or METHODS.get(method)
        first, most = self._deadlines(row, timeout)
        if on_progress is not None:
            on_progress = contained_progress(on_progress)
        cancellable = row is None or row.cancellable
        try:
            return await self.session.calls.call(
                method, raw, timeout=first, most=most, on_progress=on_progress, cancellable=cancellable
            )
        except RequestFailed as exc:
            if self.cache is not None:
                self.cache.doubted(method, exc)
            raise

    def _deadlines(self, row: Method | None, timeout: float | None) -> tuple[float | None, float | None]:
        if row is not None and row.default_deadline is None:
            return timeout, None  # a listen has no end of its own
        timeouts = self.timeouts
        if timeout is None:
            return timeouts.request, timeouts.most
        most = timeouts.most
        return timeout, None if most is None else max(most, timeout)

    # --- results ----------------------------------------------------------------------

    def decoded(self, decode: Decode, raw: dict[str, Any]) -> Any:
        """Return the result object of a raw result.

        Raises:
            InvalidResult: it breaks the schema.
        """
        try:
            return decode(raw)
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None

    async def page(self, method: str, cursor: str | None, *, fresh: bool) -> Any:
        """Read one page of a list, and return its result object."""
        return (await read_page(self, method, cursor, fresh=fresh)).result

    def listing(self, method: str, *, fresh: bool) -> Listing[Any]:
        """Return the list of a method, to be read page after page."""
        return self.listing_of(LISTS[method].items, lambda cursor: read_page(self, method, cursor, fresh=fresh))

    def listing_of(self, items: str, page: Callable[[str | None], Awaitable[Page]]) -> Listing[Any]:
        """Return a list within the bounds of this client; see `Listing`."""
        most = self.timeouts.most
        return Listing(
            items,
            page,
            most_bytes=MESSAGES * self.session.limits.message_bytes,
            most_seconds=math.inf if most is None else most,
        )

    async def call(
        self,
        method: str,
        params: dict[str, Any],
        decode: Decode,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        fresh: bool = False,
        stamp: dict[str, Any] | None = None,
    ) -> Any:
        """Make a request, and answer the server's questions as often as it requires input. Return the result object.

        Each round has the timeouts of a request of its own; a scope around the call holds over all.
        (basic/patterns/mrtr of 2026-07-28, "Client Requirements")

        Args:
            method: its name.
            params: its params.
            decode: makes the result object.
            timeout: see `Client.request`.
            on_progress: see `Client.request`.
            fresh: see `Client.request`.
            stamp: the members of `_meta` that declare more than the client does otherwise. No extension of the client
                reads the result then: `decode` does.

        Raises:
            InvalidResult: the server requires too much input, or does not say which.
            RequestFailed: a question was refused, by the user or since the client does not offer an answer.
        """
        extensions = self._extensions
        decode_any = decode if extensions is None or stamp is not None else extensions.decoder(method, decode)
        raw = await self.request(method, params, timeout=timeout, on_progress=on_progress, fresh=fresh, stamp=stamp)
        result = self.decoded(decode_any, raw)
        rounds = 0
        while isinstance(result, InputRequiredResult):
            rounds += 1
            if rounds > ROUNDS:
                raise InvalidResult([f"{method}: the server still requires input after {ROUNDS} rounds"])
            again = await self._with_input(method, params, result)
            raw = await self.request(method, again, timeout=timeout, on_progress=on_progress, fresh=fresh, stamp=stamp)
            result = self.decoded(decode_any, raw)
        if extensions is None or decode_any is decode:
            return result
        return await extensions.finished(
            method,
            params,
            result,
            lambda raw: self.decoded(decode, raw),  # type: ignore[arg-type]  # an extension returns a dict
            timeout=timeout,
            on_progress=on_progress,
        )

    async def _with_input(self, method: str, params: dict[str, Any], required: InputRequiredResult) -> dict[str, Any]:
        if required.input_requests is None and required.request_state is None:
            raise InvalidResult([f"{method}: the server requires input, and does not say which"])
        again = dict(params)
        if required.input_requests:
            again["inputResponses"] = await self._features.answer_all(required.input_requests, self.codec)
        if required.request_state is not None:
            again["requestState"] = required.request_state  # unchanged: the server alone reads it
        return again

    async def answer(self, questions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Answer raw input requests that an extension brings. See `Client.answer`."""

        def read(raw: Mapping[str, Any]) -> Any:
            return self.codec.structure(raw, InputRequest)  # type: ignore[arg-type]  # a union is a form as good

        asked = {key: self.decoded(read, dict(question)) for key, question in questions.items()}
        return await self._features.answer_all(asked, self.codec)


def contained_progress(on_progress: OnProgress) -> OnProgress:
    """Wrap a progress callback, so that any exception of it becomes an error of the call."""

    async def report(progress: float, total: float | None, message: str | None) -> None:
        with contained("on_progress"):
            waiting = on_progress(progress, total, message)
            if inspect.isawaitable(waiting):
                await waiting

    return report
