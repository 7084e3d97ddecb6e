"""Calls: the requests that we make of the peer, each waited for by the task that makes it.

A call is a cancel scope: leaving it early tells the peer, without waiting for anybody. The reader
hands the answer to the caller and goes on; whatever it takes to make use of it (validation,
progress callbacks) happens in the caller's own task, so no caller can hold up another.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import trio

from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.actors.reply import Reply
from trimcp.codec.envelope import encode_request
from trimcp.errors import ConnectionClosed, ConnectionEnded, InvalidResult, RequestFailed, RequestTimedOut
from trimcp.observability import events, log
from trimcp.protocol.outbound import Outbound
from trimcp.protocol.progress import Meter, Verdict
from trimcp.session.limits import Limits
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import CANCELLED_BY_SERVER, ErrorResponse, RequestId, Response

if TYPE_CHECKING:
    from trimcp.session.outlet import Stream
    from trimcp.session.progress_tracker import ProgressTracker

OnProgress = Callable[[float, float | None, str | None], Awaitable[None] | None]
"""What a caller passes to hear of progress: called with the progress, the total and the message."""


class _Told(NamedTuple):
    """The peer reports on a call; over the rate, the report replaces an earlier one over the rate that waits."""

    progress: float
    total: float | None
    message: str | None
    is_over_rate: bool


class _Settled(NamedTuple):
    """The answer of a call that wants progress is there, behind the reports."""


_Message = _Told | _Settled


def _key(message: _Message) -> str | None:
    return "over the rate" if type(message) is _Told and message.is_over_rate else None


class Call:
    """One request of ours, for as long as its caller waits. Its reply is the raw result."""

    __slots__ = (
        *("_deadline", "_left", "_meter", "_reports", "_suspended_at"),
        *("id", "is_answered", "last_deadline", "method", "reply", "timeout"),
    )

    def __init__(self, id: RequestId, method: str, reports: Mailbox[_Message] | None, meter: Meter | None) -> None:
        self.id = id
        self.method = method
        self.reply: Reply[dict[str, Any]] = Reply()
        self.timeout: float | None = None
        self.last_deadline: float | None = None
        self.is_answered = False
        """Whether the answer was read; one that wants progress is settled a little later, behind its reports."""
        self._reports = reports
        self._meter = meter
        self._deadline: trio.CancelScope | None = None
        self._suspended_at = 0.0
        self._left = math.inf

    @property
    def wants_progress(self) -> bool:
        """Whether the peer's reports, and the answer behind them, pass the ProgressTracker."""
        return self._reports is not None

    def answer(self, message: Response | ErrorResponse) -> None:
        """Take the answer of the peer."""
        if type(message) is Response:
            self.settle(message.result, None)
        elif type(message) is ErrorResponse:
            error = message.error
            data = error.data if error.data is not ABSENT else None
            self.settle(None, RequestFailed(error.code, error.message, data))

    def settle(self, result: dict[str, Any] | None, error: Exception | None) -> None:
        """Take the answer, or the reason why there will be none. Only the first one counts."""
        is_first = self.reply.fail(error) if error is not None else self.reply.set(result or {})
        if is_first and self._reports is not None:
            self._reports.tell(_Settled())

    def progressed(self, progress: float, total: float | None, message: str | None) -> None:
        """Take a report: it gives the call more time, and waits for the callback."""
        if self._reports is None or self._meter is None or self.reply.is_set:
            return
        now = trio.current_time()
        verdict = self._meter.weigh(progress, now)
        if verdict is Verdict.REFUSE:
            log.debug(events.PROGRESS_IGNORED, token=self.id, why="it does not increase")
            return
        if self._deadline is not None and self.timeout is not None:
            deadline = now + self.timeout
            self._deadline.deadline = deadline if self.last_deadline is None else min(deadline, self.last_deadline)
        self._reports.tell(_Told(progress, total, message, verdict is Verdict.HOLD))

    async def wait(self, on_progress: OnProgress | None) -> None:
        """Wait until the reply is set, and run the callback for each report before it, in order."""
        reports = self._reports
        if reports is None or on_progress is None:
            await self.reply.wait_set()
            return
        while True:
            # An answer that is there is taken even where the callback took longer than the call may.
            message = reports.receive_nowait() if reports.waiting else await reports.receive()
            if type(message) is not _Told:
                return
            told = on_progress(message.progress, message.total, message.message)
            if inspect.isawaitable(told):
                await told

    def within(self, scope: trio.CancelScope) -> None:
        """Let progress move the deadline of this scope."""
        self._deadline = scope

    def suspend(self) -> None:
        """Stop the clock of its timeouts: what it waits for now is not the peer."""
        self._suspended_at = trio.current_time()
        if self._deadline is not None:
            self._left = self._deadline.deadline - self._suspended_at
            self._deadline.deadline = math.inf

    def resume(self) -> None:
        """Let the clock run again."""
        now = trio.current_time()
        if self.last_deadline is not None:
            self.last_deadline += now - self._suspended_at
        if self._deadline is not None:
            self._deadline.deadline = now + self._left


class Way(Protocol):
    """A stream to the peer: that of a request, or the session's own."""

    @property
    def takes_posts(self) -> bool:
        """Whether what is posted reaches the peer."""
        ...

    def write(self, frame: bytes) -> None:
        """Post a frame that is never dropped, and write it at once where nothing waits before it."""
        ...

    def post(self, frame: bytes) -> None:
        """Post a frame that is never dropped."""
        ...

    async def wait_room(self) -> None:
        """Wait while more waits to leave than should."""
        ...


class CallWatcher(Protocol):
    """An actor that keeps open calls."""

    def settled(self, call: OpenCall) -> None:
        """Tell the actor that a call has its answer, or will never have one. Never waits."""
        ...


class OpenCall(Call):
    """A request that no task waits for: an actor is told of its answer, or that there will be none."""

    __slots__ = ("_watcher", "error")

    def __init__(self, id: RequestId, method: str, watcher: CallWatcher | None) -> None:
        """`watcher`: None where nothing depends on the answer."""
        super().__init__(id, method, None, None)
        self.error: Exception | None = None
        self._watcher = watcher

    @property
    def is_settled(self) -> bool:
        """Whether the answer is there, or will never be."""
        return self.reply.is_set

    def settle(self, result: dict[str, Any] | None, error: Exception | None) -> None:
        """See `Call`."""
        if not self.is_settled:
            self.error = error
            super().settle(result, error)
            if self._watcher is not None:
                self._watcher.settled(self)


class CallMedium(Protocol):
    """The session, as its calls see it: how a request of ours leaves, and how it is given up. Neither waits."""

    progress: ProgressTracker
    writer: Stream

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: Way | None
    ) -> None:
        """Send a request: its id, method and params, and all of it as a frame; by `via`, or the session's stream."""
        ...

    def give_up_call(self, id: RequestId, why: str, via: Way | None) -> None:
        """Tell the peer, by the way that the request went, that no caller waits for the answer any more."""
        ...


class Calls:
    """All calls of one session."""

    def __init__(self, medium: CallMedium, limits: Limits) -> None:
        self._medium = medium
        self._limits = limits
        self._outbound: Outbound[Call] = Outbound()
        self._room = trio.Semaphore(limits.calls)
        self._over: ConnectionEnded | None = None

    async def call(
        self,
        method: str,
        params: dict[str, Any] | None,
        *,
        timeout: float | None,
        most: float | None = None,
        on_progress: OnProgress | None = None,
        cancellable: bool = True,
        via: Way | None = None,
    ) -> dict[str, Any]:
        """Make a request and wait for its answer.

        Args:
            method: the method's name.
            params: the raw params; with `on_progress`, a progress token is added to them.
            timeout: seconds without an answer or progress; None waits for ever.
            most: seconds in all, whatever the progress.
            on_progress: called for each report, before the answer is returned.
            cancellable: whether giving up is told to the peer (`initialize` must not be).
            via: the stream that the request goes out by; the session's own, if not given.

        Returns:
            The raw result.

        Raises:
            RequestFailed: the peer answered with an error.
            RequestTimedOut: it did not answer in time.
            ConnectionEnded: the connection is gone; the peer may or may not have acted.
        """
        if self._over is not None:
            # Where a scope around both was cancelled, that is what the caller gets to know.
            await trio.lowlevel.checkpoint()
            raise self._over.again()
        if via is not None and not via.takes_posts:
            await trio.lowlevel.checkpoint()
            raise ConnectionClosed(f"{method} cannot be asked: the peer takes one answer, and no stream before it")
        began = trio.current_time()
        await self._place(method, timeout, most)
        try:
            over = self._ended()
            if over is not None:  # while it waited for its place
                await trio.lowlevel.checkpoint()
                raise over.again()
            request_id = self._outbound.new_id()
            reports: Mailbox[_Message] | None = None
            meter: Meter | None = None
            if on_progress is not None:
                params = _with_token(params, request_id)
                reports = Mailbox(self._limits.progress_backlog + 1, Overflow.DROP_OLDEST, key=_key)
                meter = Meter(self._limits.progress_rate, self._limits.progress_burst)
            frame = encode_request(request_id, method, params)
            call = Call(request_id, method, reports, meter)
            self._outbound.add(request_id, call)
            self._medium.send_call(request_id, method, params, frame, via)
            return await self._wait(call, began, timeout, most, on_progress, cancellable, via)
        finally:
            self._room.release()

    def _ended(self) -> ConnectionEnded | None:
        return self._over

    async def _place(self, method: str, timeout: float | None, most: float | None) -> None:
        """Take one of the places, and wait until what is posted would leave; without a wait, as a rule.

        Raises:
            RequestTimedOut: that took as long as an answer may.
        """
        if not self._medium.writer.is_over:
            try:
                self._room.acquire_nowait()
            except trio.WouldBlock:
                pass
            else:
                return
        with trio.move_on_after(min((t for t in (timeout, most) if t is not None), default=math.inf)):
            await self._room.acquire()
            try:
                while self._medium.writer.is_over and self._over is None:
                    await self._medium.writer.wait_room()
            except trio.Cancelled:
                self._room.release()
                raise
            return
        raise RequestTimedOut(f"{method} could not be sent within {_passed(timeout, most)}")

    # --- requests without anybody who waits -------------------------------------------

    def begin(self, method: str, params: dict[str, Any] | None, watcher: CallWatcher) -> OpenCall:
        """Make a request that stays open, without a task: for `subscriptions/listen`.

        The actor is told of its answer, or that there will be none, perhaps before this returns. The request is
        not among those that `Limits.calls` bounds.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        if self._over is not None:
            raise self._over.again()
        call = OpenCall(self._outbound.new_id(), method, watcher)
        frame = encode_request(call.id, method, params)
        self._outbound.add(call.id, call)
        self._medium.send_call(call.id, method, params, frame, None)
        return call

    def abandon(self, call: OpenCall, why: str) -> None:
        """Tell the peer that the request is not wanted any more, unless it was answered. Never waits."""
        if self._outbound.give_up(call.id):
            self._medium.give_up_call(call.id, why, None)

    def post(self, method: str, params: dict[str, Any] | None) -> None:
        """Make a request whose answer nobody wants to know. Never waits, and never fails."""
        if self._over is not None:
            return
        request_id = self._outbound.new_id()
        self._outbound.add(request_id, OpenCall(request_id, method, None))
        self._outbound.give_up(request_id)
        self._medium.send_call(request_id, method, params, encode_request(request_id, method, params), None)

    def torn_down(self, params: Mapping[str, Any] | None) -> bool:
        """The peer cancels a request of ours, which a server may do to a `subscriptions/listen`.

        Returns whether that is what its notice names (basic/patterns/cancellation of 2026-07-28).
        """
        request_id = None if params is None else params.get("requestId")
        if type(request_id) is not int:  # as ours are
            return False
        call = self._outbound.waiting(request_id)
        if type(call) is not OpenCall or call.method != "subscriptions/listen":
            return False
        self._outbound.give_up(request_id)
        reason = params.get("reason") if params is not None else None
        why = reason if type(reason) is str else "it gives no reason"
        call.settle(None, RequestFailed(CANCELLED_BY_SERVER, f"the server ended the subscription: {why}"))
        return True

    async def _wait(
        self,
        call: Call,
        began: float,
        timeout: float | None,
        most: float | None,
        on_progress: OnProgress | None,
        cancellable: bool,
        via: Way | None,
    ) -> dict[str, Any]:
        why = "the caller was cancelled"
        try:
            if timeout is None and most is None:
                await call.wait(on_progress)
            else:
                call.timeout = timeout
                call.last_deadline = None if most is None else began + most
                first = min(t for t in (timeout, most) if t is not None)
                with trio.CancelScope(deadline=began + first) as scope:
                    call.within(scope)
                    await call.wait(on_progress)
                if not call.reply.is_set:
                    why = "no answer came in time"
                    raise RequestTimedOut(f"{call.method} was not answered within {_passed(timeout, most)}")
        finally:
            if self._outbound.give_up(call.id) and cancellable and not call.is_answered:
                self._medium.give_up_call(call.id, why, via)
        if isinstance(call.reply.error, ConnectionEnded):
            await trio.lowlevel.checkpoint()
        return call.reply.get()

    # --- what the reader brings -------------------------------------------------------

    def response(self, message: Response | ErrorResponse) -> None:
        """Take an answer that was read."""
        call = None if message.id is None else self.waiting(message.id)
        if call is None:
            why = "it is late" if self._outbound.was_given_up(message.id) else "no call waits for it"
            log.debug(events.RESPONSE_IGNORED, id=message.id, why=why)
            return
        call.is_answered = True
        if call.wants_progress:
            self._medium.progress.answered(self, call, message)
        else:
            self.settle(call, message)

    def settle(self, call: Call, message: Response | ErrorResponse) -> None:
        """Hand an answer to its call."""
        self._outbound.answered(call.id)
        call.answer(message)

    def invalid_response(self, request_id: RequestId | None, problem: str) -> None:
        """Fail the call that an invalid answer is for."""
        call = None if request_id is None else self.waiting(request_id)
        if call is not None:
            self._outbound.answered(request_id)
        if call is None:
            log.debug(events.RESPONSE_IGNORED, id=request_id, why=problem)
        else:
            call.settle(None, InvalidResult([problem]))

    def failed(self, request_id: RequestId, error: Exception) -> None:
        """Fail one call: no answer to it will come, though others may. An answer that was read counts."""
        call = self.waiting(request_id)
        if call is not None:
            self._outbound.answered(request_id)
            call.settle(None, error)

    def waiting(self, request_id: RequestId) -> Call | None:
        """Return the call with this id, if its answer has not come yet."""
        call = self._outbound.waiting(request_id)
        return None if call is None or call.is_answered else call

    def reported_on(self, token: RequestId) -> Call | None:
        """Return the call that a report with this token is about, if it is not settled."""
        return self._outbound.waiting(token)

    def fail_all(self, error: ConnectionEnded) -> None:
        """No answer will come any more, and no request can be made."""
        if self._over is None:
            self._over = error
        for call in self._outbound:
            if not call.is_answered:  # else its answer was read, and comes behind its reports
                self._outbound.answered(call.id)
                call.settle(None, self._over.again())

    def __len__(self) -> int:
        return len(self._outbound)


def _with_token(params: dict[str, Any] | None, token: RequestId) -> dict[str, Any]:
    params = {} if params is None else params
    return {**params, "_meta": {**params.get("_meta", {}), "progressToken": token}}


def _passed(timeout: float | None, most: float | None) -> str:
    if timeout is None or (most is not None and most <= timeout):
        return f"{most:g} s"
    return f"{timeout:g} s" + ("" if most is None else f" without progress, {most:g} s in all")
