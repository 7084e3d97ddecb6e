"""`Client`: typed calls on one session with one server. `trimcp.connect` opens it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import trio

from trimcp.client.cache import Cache
from trimcp.client.features.elicitation import wait_for_call
from trimcp.client.handlers import Handlers, RootsSource
from trimcp.client.negotiation import Agreement
from trimcp.client.output import OutputSchemas
from trimcp.client.prompts import PromptCalls
from trimcp.client.resources import ResourceCalls
from trimcp.client.rounds import answers_to, in_rounds
from trimcp.client.subscription_calls import SubscriptionCalls
from trimcp.client.tools import ToolCalls
from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import RequestFailed, UsageError
from trimcp.observability.tracing import trace_context
from trimcp.session.calls import OnProgress
from trimcp.session.containment import contained
from trimcp.session.session import Session
from trimcp.types.capabilities import ServerCapabilities
from trimcp.types.input_required import InputRequiredResult
from trimcp.types.metadata import Implementation
from trimcp.types.methods import METHODS, Method
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.actors.supervisor import Supervisor
    from trimcp.client.extensions import ClientExtensions
    from trimcp.client.notices import ExtensionNotice
    from trimcp.client.notification_handlers import NotificationHandlers
    from trimcp.types.extensions import ExtensionMethod

P = TypeVar("P")
R = TypeVar("R")

ROOTS_CHANGED: Final = "notifications/roots/list_changed"


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


class Client(ToolCalls, ResourceCalls, PromptCalls, SubscriptionCalls):
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
        supervisor: Supervisor,
        agreement: Agreement,
        timeouts: Timeouts,
        handlers: Handlers,
        cache: Cache | None = None,
        extensions: ClientExtensions | None = None,
    ) -> None:
        """Made by `trimcp.connect`. `supervisor`: owns the actors of the client."""
        self._supervisor = supervisor
        self._handlers = handlers
        self._timeouts = timeouts
        self._own_cache = cache
        self._own_extensions = extensions
        self._outputs = OutputSchemas()
        self._notification_handlers: NotificationHandlers | None = None
        self._speak(session, agreement)

    def _speak(self, session: Session, agreement: Agreement) -> None:
        """From now on, speak on that session what was agreed upon for it."""
        self._session = session
        self._agreement = agreement
        # Older servers say nothing of how long a result is good for.
        self._cache = self._own_cache if agreement.revision.result_type else None
        self._extensions = None if self._own_extensions is None else self._own_extensions.agreed(agreement.revision)
        self._codec: RevisionCodec = codec_for(agreement.revision)
        self._encode_call = self._codec.params_encoder("tools/call")
        self._decode_call = self._codec.result_decoder("tools/call")

    async def reconnected(
        self, session: Session | None = None, agreement: Agreement | None = None, *, anew: bool = False
    ) -> None:
        """There is a connection again, after `stay`: ask again for all that was to be told, and forget what is kept.

        Readers of notices get an `Interrupted` once the server has agreed.

        Args:
            session: the one that there is now; the same as before, if not given.
            agreement: what is spoken on it; the same as before, if not given.
            anew: whether the server has forgotten what it was asked before, though the session is the same.
        """
        self._speak(session or self._session, agreement or self._agreement)
        self._outputs.forget()
        if self._own_cache is not None:
            self._own_cache.forget()
        await self._resume(anew=anew)

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
        wait_for_call()
        raw: dict[str, Any] | None = None if params is None else dict(params)
        stamp = self._agreement.stamp
        if stamp is not None:
            raw = raw or {}
            meta, trace = raw.get("_meta"), trace_context()
            raw["_meta"] = stamp if meta is None and not trace else {**trace, **(meta or {}), **stamp}
        row = METHODS.get(method) if self._extensions is None else self._extensions.row(method) or METHODS.get(method)
        first, most = self._deadlines(row, timeout)
        if on_progress is not None:
            on_progress = _contained(on_progress)
        cancellable = row is None or row.cancellable
        try:
            return await self._session.calls.call(
                method, raw, timeout=first, most=most, on_progress=on_progress, cancellable=cancellable
            )
        except RequestFailed as exc:
            if self._cache is not None:
                self._cache.doubted(method, exc)
            raise

    def _deadlines(self, row: Method | None, timeout: float | None) -> tuple[float | None, float | None]:
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
        self._session.writer.write(encode_notification(method, None if params is None else dict(params)))

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

        extensions = self._extensions
        decode_any = decode if extensions is None else extensions.decoder(method, decode)

        def decoded(raw: dict[str, Any]) -> Any:
            return self._decoded(decode_any, raw)

        result = decoded(await send(params))
        if isinstance(result, InputRequiredResult):
            result = await in_rounds(send, params, result, decoded, self._codec, self._handlers)
        if extensions is None or decode_any is decode:
            return result
        from trimcp.client.extension import UnfinishedCall

        call = UnfinishedCall(method=method, params=params, timeout=timeout, on_progress=on_progress)
        return await extensions.finished(self, call, result, lambda raw: self._decoded(decode, raw))

    # --- extensions -------------------------------------------------------------------

    @property
    def extensions(self) -> Mapping[str, Mapping[str, Any]]:
        """The extensions that the server declared, known here or not: their settings, by identifier."""
        from trimcp.types.extensions import declared_in

        return declared_in(self._agreement.capabilities)

    async def call(
        self,
        method: ExtensionMethod[P, R],
        params: P,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> R:
        """Make a request of an extension that this client was given.

        Args:
            method: as the extension declares it.
            params: an object of its class of params.
            timeout: see `request`.
            on_progress: see `request`.

        Returns:
            An object of its class of results.

        Raises:
            UsageError: none of `connect(extensions=…)` sends it in the revision that is spoken, or the server did
                not declare the extension: do what the core of the protocol does.
        """
        if self._extensions is None:
            raise UsageError(f"{method.name} is of an extension: connect(extensions=…) gives it to the client")
        encode, decode = self._extensions.codecs_of(method, self.extensions)
        result: R = await self.in_rounds(method.name, encode(params), decode, timeout=timeout, on_progress=on_progress)
        return result

    async def answer(self, questions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Answer input requests of 2026-07-28 that an extension brings, by the functions that `connect` was given.

        Args:
            questions: by key, as raw JSON objects.

        Returns:
            The input responses by key, as raw JSON objects.

        Raises:
            InvalidResult: one is no input request, or there are too many.
            RequestFailed: one was refused, by the user or since the client does not offer it.
        """
        from trimcp.types.input_required import InputRequest

        def read(raw: Mapping[str, Any]) -> Any:
            return self._codec.structure(raw, InputRequest)  # type: ignore[arg-type]  # a union is a form as good

        asked = {key: self._decoded(read, dict(question)) for key, question in questions.items()}
        return await answers_to(asked, self._codec, self._handlers)

    # --- roots ------------------------------------------------------------------------

    def set_roots(self, roots: RootsSource) -> None:
        """Let the server work in other folders from now on, or have other folders given by another function.

        A server of the legacy era is told that they have changed, once for all changes that it has not
        read of. One of 2026-07-28 asks anew whenever it needs to know. It does not wait. (client/roots)

        Args:
            roots: as `connect(roots=…)` takes them. The same function again says that it gives others now.

        Raises:
            UsageError: `connect` was given no roots, so the server was told that there are none to ask for; or
                one of these is no folder.
        """
        if self._handlers.roots is None:
            raise UsageError("connect(roots=[]) declares that there may be roots; this client did not")
        self._handlers.set_roots(roots)
        if self._agreement.revision.server_asks and self._session.end is None:
            self._session.writer.post_latest(ROOTS_CHANGED, encode_notification(ROOTS_CHANGED, None))

    # --- notices and the end ----------------------------------------------------------

    def noticed(self, method: str, params: Mapping[str, Any] | None, known: ExtensionNotice | None = None) -> None:
        """Called by the session for each notification that is not its own."""
        if method == "notifications/tools/list_changed":
            self._outputs.forget()
        if self._cache is not None:
            self._cache.noticed(method, params)
        notice = None if self._extensions is None else self._extensions.notice_of(method, params)
        if notice is not None:
            self._call_handlers(notice)
        super().noticed(method, params, notice)

    def _call_handlers(self, notice: ExtensionNotice) -> None:
        """Have the functions called that hear a notification of an extension."""
        handlers = () if self._extensions is None else self._extensions.hearers(notice.method)
        if not handlers:
            return
        if self._notification_handlers is None:
            from trimcp.client.notification_handlers import NotificationHandlers

            actor = NotificationHandlers(self._supervisor, self, self._session.limits.notices)
            self._notification_handlers = self._supervisor.add(actor)
        self._notification_handlers.call(notice.method, notice.params, handlers)

    def close(self) -> None:
        """End the session at once. May be called from any task, any number of times.

        What waits for an answer raises `ConnectionClosed`.
        """
        self._session.close()


def _contained(on_progress: OnProgress) -> OnProgress:
    """Makes an error of whatever else a progress callback raises: it runs in the caller's task, as the call itself."""

    async def told(progress: float, total: float | None, message: str | None) -> None:
        with contained("on_progress"):
            waiting = on_progress(progress, total, message)
            if inspect.isawaitable(waiting):
                await waiting

    return told
