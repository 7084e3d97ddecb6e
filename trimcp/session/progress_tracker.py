"""The ProgressTracker: progress in both directions, in order, and before the answer it belongs to.

Out: the reports of handlers, where the peer's request carried a token; the answer of a request that has
reported passes here too, behind its reports. In: the peer's reports and the answers to our calls that want
progress, to the task that makes the call. The tracker owns the meters, which keep the rate.

basic/utilities/progress of the legacy revisions, basic/patterns/progress of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.reply import Reply
from trimcp.codec.envelope import encode_notification
from trimcp.observability import events, log
from trimcp.protocol.cancelling import SILENT
from trimcp.protocol.progress import Meter, Verdict
from trimcp.session.limits import Limits

if TYPE_CHECKING:
    from trimcp.session.calls import Call, Calls
    from trimcp.session.request import InboundRequest
    from trimcp.types.jsonrpc import ErrorResponse, Response

CAPACITY: Final = 8192
"""Messages that may wait, beside two for each place of the server. Handlers wait when half of that do; a report is
dropped where three quarters of that wait, so that answers always find room."""


class _Report(NamedTuple):
    """A handler reports."""

    request: InboundRequest
    progress: float
    total: float | None
    message: str | None


class _Answer(NamedTuple):
    """A request that has reported is answered; with a code, by an error."""

    request: InboundRequest
    frame: bytes
    code: int | None


class _Post(NamedTuple):
    """A request that has reported posts another message: a log message, which may be dropped, or any other."""

    request: InboundRequest
    frame: bytes
    is_log: bool


class _Forget(NamedTuple):
    """A request that has reported was cancelled: its reports are dropped."""

    request: InboundRequest


class _Arrived(NamedTuple):
    """The peer reports on a request of ours."""

    calls: Calls
    params: Mapping[str, Any] | None


class _Answered(NamedTuple):
    """The peer answers a request of ours that wants progress."""

    calls: Calls
    call: Call
    message: Response | ErrorResponse


class _Flush(NamedTuple):
    """Say when the messages before this one are handled."""

    reply: Reply[None]


_Message = _Report | _Answer | _Post | _Forget | _Arrived | _Answered | _Flush


class _Reported:
    """The reports of one request of the peer's."""

    __slots__ = ("held", "meter")

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.held: bytes | None = None
        """A report over the rate: it waits for the next one to replace it, or for the answer."""


class ProgressTracker(Actor[_Message]):
    """The progress of one session, or of all stateless peers of an endpoint."""

    name = "progress tracker"

    def __init__(self, owner: Owner, limits: Limits) -> None:
        super().__init__(owner, Mailbox(CAPACITY + 2 * limits.server_requests))
        self._limits = limits
        self._reported: dict[int, _Reported] = {}

    # --- functions in front of the messages: none waits, but for `wait_room` ----------

    def report(self, request: InboundRequest, progress: float, total: float | None, message: str | None) -> None:
        """Send a report on a request of the peer's, or keep it until the rate allows.

        Nothing happens where the peer did not ask for progress, where the request has been answered or
        cancelled, or where the value does not increase.
        """
        if request.progress_token is None or request.is_settled or request.cancel_reason is not None:
            return
        if self._is_crowded:
            log.debug(events.PROGRESS_IGNORED, request=request.serial, why="too many reports wait")
            return
        request.reports += 1
        self.tell(_Report(request, progress, total, message))

    async def wait_room(self) -> None:
        """Wait while many messages wait for the tracker."""
        await self.mailbox.wait_room()

    def answer(self, request: InboundRequest, frame: bytes, code: int | None) -> None:
        """Answer a request behind its reports; with a code, by an error."""
        self.tell(_Answer(request, frame, code))

    def post(self, request: InboundRequest, frame: bytes, *, is_log: bool = False) -> None:
        """Post a message of a request behind its reports; a log message may be dropped."""
        if is_log and self._is_crowded:
            log.debug(events.LOGS_DROPPED, request=request.serial, why="too many messages wait")
        else:
            self.tell(_Post(request, frame, is_log))

    def forget(self, request: InboundRequest) -> None:
        """Drop the reports of a request that have not left: it was cancelled."""
        self.tell(_Forget(request))

    def arrived(self, calls: Calls, params: Mapping[str, Any] | None) -> None:
        """Take a report of the peer's on a request of ours."""
        if self._is_crowded:
            log.debug(events.PROGRESS_IGNORED, why="too many reports wait")
        else:
            self.tell(_Arrived(calls, params))

    @property
    def _is_crowded(self) -> bool:
        return self.mailbox.waiting * 4 > CAPACITY * 3

    def answered(self, calls: Calls, call: Call, message: Response | ErrorResponse) -> None:
        """Hand an answer to its call, behind the reports that came before it."""
        self.tell(_Answered(calls, call, message))

    async def flushed(self) -> None:
        """Wait until the messages that were told so far are handled."""
        if self.mailbox.waiting:
            reply: Reply[None] = Reply()
            self.tell(_Flush(reply))
            await reply.wait()

    # --- the actor --------------------------------------------------------------------

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        match message:
            case _Report(request, progress, total, text):
                self._report(request, progress, total, text)
            case _Answer(request, frame, code):
                self._answer(request, frame, code)
            case _Post(request, frame, is_log):
                _post(request, frame, is_log)
            case _Forget(request):
                self._forget(request)
            case _Arrived(calls, params):
                _hand_on(calls, params)
            case _Answered(calls, call, answer):
                calls.settle(call, answer)
            case _Flush(reply):
                reply.set(None)

    def _report(self, request: InboundRequest, progress: float, total: float | None, message: str | None) -> None:
        if request.cancel_reason in SILENT:
            return
        reported = self._reported.get(request.serial)
        if reported is None:
            meter = Meter(self._limits.progress_rate, self._limits.progress_burst)
            reported = self._reported[request.serial] = _Reported(meter)
        verdict = reported.meter.weigh(progress, trio.current_time())
        if verdict is Verdict.REFUSE:
            log.debug(events.PROGRESS_IGNORED, request=request.serial, why="it does not increase")
            return
        params: dict[str, Any] = {"progressToken": request.progress_token, "progress": progress}
        if total is not None and isfinite(total):
            params["total"] = total
        if message is not None and request.revision.progress_message:
            params["message"] = message
        frame = encode_notification("notifications/progress", params)
        if verdict is Verdict.HOLD:
            reported.held = frame
        else:
            reported.held = None
            request.outlet.post_report(request.serial, frame)

    def _answer(self, request: InboundRequest, frame: bytes, code: int | None) -> None:
        reported = self._reported.pop(request.serial, None)
        if reported is not None and reported.held is not None:
            request.outlet.post_report(request.serial, reported.held)
        if code is None:
            request.outlet.answer(frame)
        else:
            request.outlet.refuse(frame, code)

    def _forget(self, request: InboundRequest) -> None:
        self._reported.pop(request.serial, None)
        if request.cancel_reason in SILENT:
            request.outlet.drop(request.serial)


def _post(request: InboundRequest, frame: bytes, is_log: bool) -> None:
    if is_log:
        request.outlet.post_log(frame)
    else:
        request.outlet.post(frame)


def _hand_on(calls: Calls, params: Mapping[str, Any] | None) -> None:
    """Hand a report of the peer's to the call that it is about."""
    token = None if params is None else params.get("progressToken")
    if params is None or (type(token) is not int and type(token) is not str):
        log.debug(events.PROGRESS_IGNORED, why="it names no token")
        return
    call = calls.reported_on(token)
    if call is None:
        log.debug(events.PROGRESS_IGNORED, token=token, why="no call waits for it")
        return
    progress, total, message = params.get("progress"), params.get("total"), params.get("message")
    if not _is_number(progress) or not (total is None or _is_number(total)):
        log.debug(events.PROGRESS_IGNORED, token=token, why="its numbers are none")
        return
    call.progressed(progress, total, message if type(message) is str else None)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) is int or type(value) is float
