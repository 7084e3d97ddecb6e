"""The pending calls of one session: the requests that this side makes of the peer, and waits for.

A call is a cancel scope: leaving it early tells the peer, without a wait. The Reader hands the answer to the caller
and goes on; what the caller does with it (validation, progress callbacks) happens in the caller's own task, so no
caller can hold up another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import trio

from trimcp.actors.mailbox import Mailbox
from trimcp.codec.envelope import encode_request
from trimcp.errors import ConnectionClosed, ConnectionEnded, InvalidResult, RequestFailed, RequestTimedOut
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.protocol.progress import ProgressMeter
from trimcp.session.call import Call, CallMessage, CallRoute, CallWatcher, OnProgress, OpenCall, progress_queue
from trimcp.session.outbound_requests import OutboundRequests
from trimcp.session.reply_stream import SessionStream
from trimcp.types.jsonrpc import (
    CANCELLED_BY_SERVER,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorResponse,
    RequestId,
    Response,
)

LASTING: Final = ("subscriptions/listen",)
"""Methods that are answered when the server ends them."""
UNREAD: Final = (PARSE_ERROR, INVALID_REQUEST)
"""Codes of errors about a message whose id may not have been readable."""
_DECIMAL: Final = re.compile(r"[1-9][0-9]{0,17}")


class AnswerOrder(Protocol):
    """The ProgressTracker, as calls see it."""

    def answered(self, calls: Calls, call: Call, message: Response | ErrorResponse) -> None:
        """Hand an answer to its call, behind the reports that came before it. Never waits."""
        ...


class CallSender(Protocol):
    """The session, as its calls see it. Its methods never wait."""

    writer: SessionStream

    @property
    def progress(self) -> AnswerOrder:
        """The ProgressTracker of the session."""
        ...

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: CallRoute | None
    ) -> None:
        """Send the frame of a request by `via`, or by the stream of the session."""
        ...

    def give_up_call(self, id: RequestId, why: str, via: CallRoute | None) -> None:
        """Tell the peer, by the route of the request, that no caller waits for the answer any more."""
        ...


class Calls:
    """Makes the calls of one session, and matches answers to them."""

    def __init__(self, session: CallSender, limits: Limits) -> None:
        self._session = session
        self._limits = limits
        self._outbound: OutboundRequests = OutboundRequests()
        self._room = trio.Semaphore(limits.calls)
        self._over: ConnectionEnded | None = None
        self._reporting: dict[RequestId, Call] = {}  # the oldest first

    def name_ids(self, ids: Iterator[RequestId]) -> None:
        """Take the ids of requests from here: several nodes make requests in one session."""
        self._outbound.ids = ids

    async def call(
        self,
        method: str,
        params: dict[str, Any] | None,
        *,
        timeout: float | None,
        most: float | None = None,
        on_progress: OnProgress | None = None,
        cancellable: bool = True,
        via: CallRoute | None = None,
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
            raise ConnectionClosed(f"{method} cannot be asked: the peer takes one answer, and no messages before it")
        began = trio.current_time()
        await self._place(method, timeout, most)
        try:
            over = self._ended()
            if over is not None:  # while it waited for its place
                await trio.lowlevel.checkpoint()
                raise over.again()
            request_id = self._outbound.new_id()
            reports: Mailbox[CallMessage] | None = None
            meter: ProgressMeter | None = None
            if on_progress is not None:
                params = _with_token(params, request_id)
                reports, meter = progress_queue(self._limits)
            frame = encode_request(request_id, method, params)
            call = Call(request_id, method, reports, meter, params, via, began)
            self._outbound.add(request_id, call)
            self._session.send_call(request_id, method, params, frame, via)
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
        if not self._session.writer.is_over:
            try:
                self._room.acquire_nowait()
            except trio.WouldBlock:
                pass
            else:
                return
        with trio.move_on_after(min((t for t in (timeout, most) if t is not None), default=math.inf)):
            await self._room.acquire()
            try:
                while self._session.writer.is_over and self._over is None:
                    await self._session.writer.wait_room()
            except trio.Cancelled:
                self._room.release()
                raise
            return
        raise RequestTimedOut(f"{method} could not be sent within {_passed(timeout, most)}")

    # --- requests without a task that waits -------------------------------------------

    def begin(self, method: str, params: dict[str, Any] | None, watcher: CallWatcher | None) -> OpenCall:
        """Make a request that stays open, without a task: for `subscriptions/listen`, and the probe.

        The actor, if any, is told of its answer, or that there will be none, perhaps before this returns. The
        request is not among those that `Limits.calls` bounds.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        if self._over is not None:
            raise self._over.again()
        call = OpenCall(self._outbound.new_id(), method, watcher)
        frame = encode_request(call.id, method, params)
        self._outbound.add(call.id, call)
        self._session.send_call(call.id, method, params, frame, None)
        return call

    def abandon(self, call: OpenCall, why: str) -> None:
        """Tell the peer that this side gives the request up, unless it was answered. Never waits."""
        if self._outbound.give_up(call.id):
            self._session.give_up_call(call.id, why, None)

    def post(self, method: str, params: dict[str, Any] | None) -> None:
        """Make a request and ignore its answer. Never waits, and never fails."""
        if self._over is not None:
            return
        request_id = self._outbound.new_id()
        self._outbound.add(request_id, OpenCall(request_id, method, None))
        self._outbound.give_up(request_id)
        self._session.send_call(request_id, method, params, encode_request(request_id, method, params), None)

    def open_reports(self, method: str) -> Call:
        """Make a call without a request: its id is a progress token. Over `Limits.calls` of them, the oldest ends."""
        if len(self._reporting) >= self._limits.calls:
            self.close_reports(next(iter(self._reporting.values())))
        call = Call(self._outbound.new_id(), method, *progress_queue(self._limits))
        call.is_answered = True
        self._outbound.add(call.id, call)
        self._reporting[call.id] = call
        return call

    def close_reports(self, call: Call) -> None:
        """Let the caller that waits for reports go on, after those that came before this."""
        if self._reporting.pop(call.id, None) is not None:
            self._outbound.answered(call.id)
            call.settle({}, None)

    def cancelled_by_peer(self, params: Mapping[str, Any] | None) -> bool:
        """Fail the `subscriptions/listen` of ours that a `notifications/cancelled` of the server names.

        Returns False where it names none (basic/patterns/cancellation of 2026-07-28).
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
        via: CallRoute | None,
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
                    raise RequestTimedOut(f"{call.title} was not answered within {_passed(timeout, most)}")
        finally:
            if self._outbound.give_up(call.id) and cancellable and not call.is_answered:
                self._session.give_up_call(call.id, why, via)
        if isinstance(call.reply.error, ConnectionEnded):
            await trio.lowlevel.checkpoint()
        return call.reply.get()

    # --- answers that were read -------------------------------------------------------

    def response(self, message: Response | ErrorResponse) -> None:
        """Take an answer that was read."""
        call = None if message.id is None else self.waiting(message.id)
        if call is None and type(message) is ErrorResponse and message.id is None:
            # The peer could not read the id of what it refuses.
            call = self._only() if message.error.code in UNREAD else None
        if call is None:
            self._answers_none(message.id)
            return
        call.is_answered = True
        if call.wants_progress:
            self._session.progress.answered(self, call, message)
        else:
            self.settle(call, message)

    def settle(self, call: Call, message: Response | ErrorResponse) -> None:
        """Hand an answer to its call."""
        self._outbound.answered(call.id)
        call.answer(message)

    def invalid_response(self, request_id: RequestId | None, problem: str) -> None:
        """Fail the call that an invalid answer is for: the only one in flight, where the answer has no id."""
        call = self._only() if request_id is None else self.waiting(request_id)
        if call is None:
            log.debug(events.RESPONSE_IGNORED, id=request_id, why=problem)
        else:
            self._outbound.answered(call.id)
            call.settle(None, InvalidResult([problem]))

    def _answers_none(self, request_id: RequestId | None) -> None:
        """Ignore an answer to no call, but fail the call whose id it has in another type."""
        if type(request_id) is str and _DECIMAL.fullmatch(request_id) and self.waiting(int(request_id)) is not None:
            self.invalid_response(int(request_id), "The id must be that of the request, an integer. @ $.id")
            return
        why = "it is late" if self._outbound.was_given_up(request_id) else "no call waits for it"
        log.debug(events.RESPONSE_IGNORED, id=request_id, why=why)

    def _only(self) -> Call | None:
        """Return the call that waits, if it is the only one beside listens, which last."""
        waiting = [call for call in self._outbound if call.method not in LASTING and not call.is_answered]
        return waiting[0] if len(waiting) == 1 else None

    def failed(self, request_id: RequestId, error: Exception) -> None:
        """Fail one call, to which no answer will come. An answer that was read counts."""
        call = self.waiting(request_id)
        if call is not None:
            self._outbound.answered(request_id)
            call.settle(None, error)

    def waiting(self, request_id: RequestId) -> Call | None:
        """Return the call with this id, if its answer has not come yet."""
        call = self._outbound.waiting(request_id)
        return None if call is None or call.is_answered else call

    def unanswered(self) -> list[RequestId]:
        """Return the ids of the calls whose answers have not come yet."""
        return [call.id for call in self._outbound if not call.is_answered]

    def reported_on(self, token: RequestId) -> Call | None:
        """Return the call that a report with this token is about, if it is not settled."""
        return self._outbound.waiting(token)

    def fail_all(self, error: ConnectionEnded) -> None:
        """Fail all calls: no answer will come any more, and no request can be made."""
        if self._over is None:
            self._over = error
        for call in list(self._reporting.values()):
            self.close_reports(call)
        for call in self._outbound:
            if not call.is_answered:  # else its answer was read, and comes behind its reports
                self._outbound.answered(call.id)
                call.settle(None, self._over.again())

    def __len__(self) -> int:
        return len(self._outbound)

    def __iter__(self) -> Iterator[Call]:
        """Iterate over a copy, the oldest first."""
        return iter(self._outbound)


def _with_token(params: dict[str, Any] | None, token: RequestId) -> dict[str, Any]:
    params = {} if params is None else params
    return {**params, "_meta": {**params.get("_meta", {}), "progressToken": token}}


def _passed(timeout: float | None, most: float | None) -> str:
    if timeout is None or (most is not None and most <= timeout):
        return f"{most:g} s"
    return f"{timeout:g} s" + ("" if most is None else f" without progress, {most:g} s in all")
