"""What a handler may know and do about the request it serves: one type, in both eras."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from trimcp.errors import UsageError
from trimcp.protocol.cancelling import CancelReason
from trimcp.server.client_view import ClientView
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import RequestId
from trimcp.types.logging import LoggingLevel

if TYPE_CHECKING:
    from trimcp.protocol.profile import ClientProfile
    from trimcp.server.questions import Elicited, Question, Sampled
    from trimcp.server.running import Running
    from trimcp.server.sealed_state import Sealer
    from trimcp.session.calls import Way
    from trimcp.session.delivery import Delivery
    from trimcp.session.job import HandedJob
    from trimcp.session.session import Session
    from trimcp.types.revisions import Revision
    from trimcp.types.roots import Root
    from trimcp.types.sampling import SamplingMessage

T = TypeVar("T")
F = TypeVar("F")

REPORTS_IN_A_TURN = 16
"""Progress reports of one request after which other tasks get a turn, where nothing makes it wait before."""
PING_TIMEOUT = 30.0
"""Seconds that `ctx.ping` waits for the client."""


class Context(ClientView):
    """The request that a handler serves.

    A function gets it by annotating a parameter with it; it is good for as long as the
    request runs. It means the same in every revision.
    """

    __slots__ = ("_request", "_running")

    def __init__(self, request: InboundRequest, running: Running) -> None:
        self._request = request
        self._running = running

    @property
    def request(self) -> InboundRequest:
        """The request below; its attributes may change from one version of trimcp to the next."""
        return self._request

    @property
    def sealer(self) -> Sealer:
        """What seals the state of a request between its rounds."""
        return self._running.sealer

    # --- who asks, and for what -------------------------------------------------------

    @property
    def request_id(self) -> RequestId:
        """The id that the client gave the request. Not unique: for logs only."""
        return self._request.id

    @property
    def method(self) -> str:
        """The method of the request, such as `tools/call`."""
        return self._request.method

    @property
    def params(self) -> Mapping[str, Any]:
        """The params as they came. Do not change them."""
        return self._request.params or {}

    @property
    def meta(self) -> Mapping[str, Any]:
        """The `_meta` of the request as it came; empty if there is none."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def _session(self) -> Session:
        return self._request.session

    @property
    def _profile(self) -> ClientProfile | None:
        return self._request.profile

    @property
    def _revision(self) -> Revision:
        return self._request.revision

    @property
    def _delivery(self) -> Delivery:
        return self._request.delivery

    @property
    def _way(self) -> Way:
        return self._request

    @property
    def _call_way(self) -> Way | None:
        return self._request

    # --- cancellation -----------------------------------------------------------------

    @property
    def cancel_reason(self) -> CancelReason | None:
        """Why the request is being cancelled, for `finally` and `except trio.Cancelled`; None if it is not."""
        return self._request.why_cancelled

    def cleaning_up(self) -> trio.CancelScope:
        """A scope in which a cancelled handler may still await, for `Limits.cleanup` seconds.

        try:
            ...
        finally:
            with ctx.cleaning_up():
                await connection.rollback()
        """
        return trio.move_on_after(self._request.session.limits.cleanup, shield=True)

    # --- progress ---------------------------------------------------------------------

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far the request has come, if it asked to be told.

        A checkpoint, which waits while the client is behind in reading. Reports over
        `Limits.progress_rate` are replaced by the next one; the last one always arrives.

        Args:
            progress: how far, in any unit; it must increase, and a report that does not is dropped.
            total: where it will end, if that is known.
            message: what is going on, for people (not sent in 2024-11-05, which lacks it).

        See basic/utilities/progress (basic/patterns/progress in 2026-07-28).
        """
        request = self._request
        tracker = request.session.progress
        tracker.report(request, progress, total, message)
        if request.reports % REPORTS_IN_A_TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        await tracker.wait_room()
        await request.outlet.wait_room()

    async def close_stream(self, retry: float = 1.0) -> bool:
        """Let go of the HTTP connection that waits for this request: its client comes back for the answer.

        For work that takes long, so that no connection need be held open (basic/transports of 2025-11-25, "Sending
        Messages to the Server"). Nothing is lost: what follows is kept for the client, within
        `Limits.detached`. Does nothing, and returns False, on any other transport and in any other revision.

        Args:
            retry: seconds after which the client is told to come back.
        """
        released = self._request.outlet.release(retry)
        await trio.lowlevel.checkpoint()
        return released

    def track(
        self, items: Iterable[T] | AsyncIterable[T], total: float | None = None, message: str | None = None
    ) -> Tracked[T]:
        """Iterate, with `async for`, and report progress after each item.

        Args:
            items: what to go through, a plain or an async iterable.
            total: how many there are; their length where they have one.
            message: for each report; `{}` in it stands for the item.
        """
        if total is None and isinstance(items, Sized):
            total = len(items)
        return Tracked(self, items, total, message)

    # --- logging ----------------------------------------------------------------------

    def log(self, level: LoggingLevel, data: Any, *, logger: str | None = None) -> None:
        """Send the client a log message, if it asked for that level (server/utilities/logging).

        Does not wait, and may be called from the thread of a sync tool. Never put secrets in it.

        Args:
            level: `debug`, `info`, `notice`, `warning`, `error`, `critical`, `alert` or `emergency`.
            data: any JSON value.
            logger: who says it.

        Raises:
            UsageError: no such level, or the server was made with `logging=False`.
            InvalidPayload: the data are not JSON.
        """
        if not self._running.server.logging:
            raise UsageError("this server was made with logging=False, so it must not send log messages")
        self._running.log_messages.send(self._request, level, data, logger)

    # --- asking the client ------------------------------------------------------------

    async def elicit(self, message: str, form: type[F] | dict[str, Any], *, key: str | None = None) -> Elicited[F]:
        """Have the user fill in a form (client/elicitation; 2025-06-18 and later).

        In 2026-07-28 the request is answered with the question and this function unwinds by
        `trio.Cancelled`; it runs again with the answer. So do nothing before that must not be
        done twice, or do it in `once`.

        Args:
            message: what is asked and why, for people. Never ask for secrets in a form.
            form: a class whose fields are strings, numbers, booleans, `Literal`s or enums of
                strings, or lists of these two; or such a JSON Schema.
            key: what the answer is kept under between rounds; the question itself, if not given.

        Raises:
            CapabilityMissing: the client did not declare that it can.
            UsageError: the form has a field that no form may have, or this is no request from
                which anything may be asked (2026-07-28: tools/call, prompts/get, resources/read).
            InvalidResult, RequestFailed, RequestTimedOut, ConnectionEnded: it did not work out (legacy).
        """
        from trimcp.server.asking import ask
        from trimcp.server.questions import Elicit

        (answer,) = await ask(self, {key: Elicit(message, form)})
        elicited: Elicited[F] = answer
        return elicited

    async def elicit_url(self, message: str, url: str, *, id: str, key: str | None = None) -> Elicited[None]:
        """Have the user visit a web page, for what must not pass through the client (2025-11-25 and later).

        The answer says whether the user agreed to go there, not what came of it. When that is
        known, `Server.notify_elicitation_complete(id)` tells a client of 2025-11-25.

        Args:
            message: what is to be done there and why, for people.
            url: of the page.
            id: a name for the visit that nobody can guess, and the same in every round.
            key: see `elicit`.

        Raises: as `elicit`.
        """
        from trimcp.server.asking import ask
        from trimcp.server.questions import ElicitUrl

        self._running.url_elicitations.add(id, self._request.session)
        (answer,) = await ask(self, {key: ElicitUrl(message, url, id=id)})
        elicited: Elicited[None] = answer
        return elicited

    async def sample(
        self, messages: str | Sequence[str | SamplingMessage], *, key: str | None = None, **options: Any
    ) -> Sampled:
        """Have the client's model say something (client/sampling; deprecated in 2026-07-28).

        Args:
            messages: the conversation; a string is a message of the user's.
            key: see `elicit`.
            options: `max_tokens` (1024), `system_prompt`, `model_preferences`, `temperature`,
                `stop_sequences`, `tools`, `tool_choice`, `include_context`, `metadata`:
                see `trimcp.Sample`.

        Raises: as `elicit`.
        """
        from trimcp.server.asking import ask
        from trimcp.server.questions import Sample

        (answer,) = await ask(self, {key: Sample(messages, **options)})
        sampled: Sampled = answer
        return sampled

    async def roots(self, *, key: str | None = None) -> list[Root]:
        """Ask for the places that the client lets the server work in (client/roots; deprecated in 2026-07-28).

        Raises: as `elicit`.
        """
        from trimcp.server.asking import ask
        from trimcp.server.questions import Roots

        (answer,) = await ask(self, {key: Roots()})
        roots: list[Root] = answer
        return roots

    async def ask(self, **questions: Question[Any]) -> dict[str, Any]:
        """Ask several questions at once; in 2026-07-28 they go out in one round.

            answers = await ctx.ask(
                who=trimcp.Elicit("Who are you?", Person), where=trimcp.Roots()
            )

        Args:
            questions: by name, which is also the key of the answer between rounds.

        Returns:
            The answers by name: what `elicit`, `sample` and `roots` return.

        Raises: as `elicit`.
        """
        from trimcp.server.asking import ask

        return dict(zip(questions, await ask(self, questions), strict=True))

    async def once(self, key: str, step: Callable[[], Awaitable[T] | T]) -> T:
        """Run a step, sync or async, and keep its result between the rounds of the request.

        In 2026-07-28 a function that asks the client runs again for each answer; what must
        not be done again goes in here. The result is a JSON value. In a legacy session, where
        the function runs once, so does the step.

        Nothing is stored on the server: a client that makes the whole request anew has the
        step run anew.
        """
        from trimcp.server.asking import once

        return await once(self, key, step)

    # --- the client -------------------------------------------------------------------

    async def ping(self) -> None:
        """Ask the client whether it is there.

        Raises:
            UsageError: the revision has no such request (2026-07-28).
            ConnectionEnded: it is not.
            RequestTimedOut: it does not say so within 30 seconds.
        """
        if not self._request.revision.server_asks:
            raise UsageError(f"in {self.protocol_version} a server sends no requests, so it cannot ping the client")
        request = self._request
        await request.session.calls.call("ping", None, timeout=PING_TIMEOUT, via=request)

    def start_job(self, work: Callable[[], Awaitable[Any]], *, name: str = "job") -> HandedJob:
        """Start async work, a function without arguments, that outlives the request and ends with the server.

        Raises:
            UsageError: too many such jobs run already.
        """
        return self._running.jobs.start(work, name=name)


class Tracked(Generic[T]):
    """What `Context.track` returns: an async iterator. It holds nothing that would need closing."""

    __slots__ = ("_context", "_done", "_last", "_message", "_next", "_total")

    def __init__(
        self, context: Context, items: Iterable[T] | AsyncIterable[T], total: float | None, message: str | None
    ) -> None:
        self._context = context
        self._next: Any
        if isinstance(items, AsyncIterable):
            self._next = aiter(items).__anext__
        else:
            iterator = iter(items)

            async def following() -> T:
                try:
                    return next(iterator)
                except StopIteration:
                    raise StopAsyncIteration from None

            self._next = following
        self._total = total
        self._message = message
        self._done = 0
        self._last: T | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._done:
            message = None if self._message is None else self._message.format(self._last)
            await self._context.progress(self._done, self._total, message)
        item: T = await self._next()
        self._last = item
        self._done += 1
        return item
