"""`Context`: the request that a handler serves, and the means to report, log and ask. The same in every revision."""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sized,
)
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from trimcp.actors.loop import is_in_task
from trimcp.errors import UsageError
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.server.context.client_questions import ClientQuestions
from trimcp.server.context.client_view import ContextRun
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import RequestId
from trimcp.types.utilities import LoggingLevel

if TYPE_CHECKING:
    from trimcp.protocol.client_profile import ClientProfile
    from trimcp.session.call import CallRoute
    from trimcp.session.delivery import Delivery
    from trimcp.session.job import ServerJob
    from trimcp.session.peer import Peer
    from trimcp.types.revisions import Revision

T = TypeVar("T")

REPORTS_IN_A_TURN = 32
"""Progress reports of one request after which other tasks get a turn, if the request did not wait before."""
PING_TIMEOUT = 30.0
"""Seconds that `ctx.ping` waits for the client."""


class _Reported:
    """What `ctx.progress` returns in a thread, where the report is sent already."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


class Context(ClientQuestions):
    """Holds the request that a handler serves.

    A function gets it as the parameter that is annotated with it. Use it only while the request runs. It means the same
    in every revision.
    """

    __slots__ = ("_reports", "_request", "_run")

    def __init__(self, request: InboundRequest, run: ContextRun) -> None:
        self._reports = 0  # since other tasks had a turn
        self._request = request
        self._run = run

    @property
    def request(self) -> InboundRequest:
        """The request inside the engine. Its attributes may change from one version of trimcp to the next."""
        return self._request

    # --- the request ------------------------------------------------------------------

    @property
    def request_id(self) -> RequestId:
        """The id that the client gave the request. It is not unique: use it for logs only."""
        return self._request.id

    @property
    def request_number(self) -> int:
        """The number of the request on this side, as trimcp's own log has it."""
        return self._request.serial

    @property
    def method(self) -> str:
        """The method of the request, such as `tools/call`."""
        return self._request.method

    @property
    def params(self) -> Mapping[str, Any]:
        """The params as the client sent them. Do not change them."""
        return self._request.params or {}

    @property
    def meta(self) -> Mapping[str, Any]:
        """The `_meta` of the request as the client sent it; empty if there is none."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def _session(self) -> Peer:
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
    def _notify_route(self) -> CallRoute:
        return self._request

    @property
    def _call_route(self) -> CallRoute | None:
        return self._request

    # --- cancellation -----------------------------------------------------------------

    @property
    def cancel_reason(self) -> CancelReason | None:
        """The reason why the request is cancelled, for `finally` and `except trio.Cancelled`; None if it is not."""
        return self._request.why_cancelled

    def cleaning_up(self) -> trio.CancelScope:
        """Return a scope in which a cancelled handler may still await, for `Limits.cleanup` seconds.

        try:
            ...
        finally:
            with ctx.cleaning_up():
                await connection.rollback()
        """
        return trio.move_on_after(self._request.session.limits.cleanup, shield=True)

    # --- progress ---------------------------------------------------------------------

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> Awaitable[None]:
        """Send the client the progress of the request, if the client asked for it.

        Await it in an async function. A sync function, which runs in a thread, calls it without `await`. A checkpoint,
        which waits while the client is behind in reading. Reports over `Limits.progress_rate` are replaced by the next
        one; the last one always arrives.

        Args:
            progress: the progress so far, in any unit. It must increase: other reports are dropped.
            total: the progress at the end, if that is known.
            message: a text for people (not sent in 2024-11-05, which lacks it).

        See basic/utilities/progress (basic/patterns/progress in 2026-07-28).
        """
        if not is_in_task():
            trio.from_thread.run(self.progress, progress, total, message)
            return _Reported()
        request = self._request
        self._reports += 1
        begins = request.register.peer.progress.report(request, progress, total, message)
        if begins or self._reports >= REPORTS_IN_A_TURN:
            return self._wait_turn()
        return trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC105  # the caller awaits it

    async def _wait_turn(self) -> None:
        """Give other tasks a turn after many reports, and wait while the client is behind in reading."""
        if self._reports < REPORTS_IN_A_TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            self._reports = 0
            await trio.lowlevel.checkpoint()
        request = self._request
        await request.register.peer.progress.wait_room(request)

    async def close_stream(self, retry: float = 1.0) -> bool:
        """Close the HTTP connection that waits for this request: the client reconnects for the answer.

        Use it for work that takes long, so that no connection stays open (basic/transports of 2025-11-25, "Sending
        Messages to the Server"). Nothing is lost: later messages are kept for the client, within `Limits.detached`. On
        any other transport and in any other revision it does nothing, and returns False.

        Args:
            retry: seconds after which the client should reconnect.
        """
        released = self._request.reply_stream.release(retry)
        await trio.lowlevel.checkpoint()
        return released

    def track(
        self, items: Iterable[T] | AsyncIterable[T], total: float | None = None, message: str | None = None
    ) -> Tracked[T]:
        """Iterate, with `async for`, and report progress after each item.

        Args:
            items: a plain or an async iterable.
            total: the number of items; their length, if they have one.
            message: the message of each report; `{}` in it stands for the item.
        """
        if total is None and isinstance(items, Sized):
            total = len(items)
        return Tracked(self, items, total, message)

    # --- logging ----------------------------------------------------------------------

    def log(self, level: LoggingLevel, data: Any, *, logger: str | None = None) -> None:
        """Send the client a log message, if the client asked for that level (server/utilities/logging).

        Does not wait, and may be called from the thread of a sync tool. Never put secrets in it.

        Args:
            level: `debug`, `info`, `notice`, `warning`, `error`, `critical`, `alert` or `emergency`.
            data: any JSON value.
            logger: the name of the logger.

        Raises:
            UsageError: there is no such level, or the server was made with `logging=False`.
            InvalidPayload: the data are not JSON.
        """
        self._run.log(self._request, level, data, logger)

    # --- tasks and jobs ---------------------------------------------------------------

    async def become_task(self) -> bool:
        """Make the call of a tool a task: the client gets its id, and asks for the result later.

        For a tool that was declared with `task="optional"` or `task="required"`. In 2026-07-28 such a call becomes a
        task here, or after `Limits.task_after` seconds: what is asked before is an input round, what is asked later is
        an input request of the task. In 2025-11-25 the client decides when it calls, so this only tells.

        Returns:
            Whether the call is a task. It is not where the client takes no tasks, where the tool is not declared so,
            and, with `task="optional"`, where the store does not answer: then the call goes on as any other.
        """
        return await self._request.become_task()

    # --- the client -------------------------------------------------------------------

    async def ping(self) -> None:
        """Send the client a ping, and wait for the answer.

        Raises:
            UsageError: the revision has no such request (2026-07-28).
            ConnectionEnded: the client is gone.
            RequestTimedOut: the client did not answer within 30 seconds.
        """
        if not self._request.revision.server_asks:
            raise UsageError(
                f"A server cannot ping the client in {self.protocol_version}: servers send no requests there"
            )
        request = self._request
        await request.session.calls.call("ping", None, timeout=PING_TIMEOUT, via=request)

    def start_job(self, work: Callable[[], Awaitable[Any]], *, name: str = "job") -> ServerJob:
        """Start an async function without arguments that outlives the request and ends with the server.

        Raises:
            UsageError: as many jobs as the limits allow run already.
        """
        return self._run.jobs.start(work, name=name)


class Tracked(Generic[T]):
    """The async iterator that `Context.track` returns. It needs no closing."""

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
