"""The ProgressTracker: progress in both directions, in order, and before the answer it belongs to.

Out: the reports of handlers, where the peer's request carried a token; the answer of a request that has
reported passes here too, behind its reports. In: the peer's reports and the answers to our calls that want
progress, to the task that makes the call. The tracker owns the meters, which keep the rate.

basic/utilities/progress of the legacy revisions, basic/patterns/progress of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeGuard

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.reply import Reply
from trimcp.codec.jsontext import dumps
from trimcp.errors import InvalidPayload
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import SILENT, CancelReason
from trimcp.protocol.progress import HOLD, SEND, ProgressMeter
from trimcp.session.call import Call
from trimcp.session.pending_calls import Calls
from trimcp.session.reply_stream import ReplyStream
from trimcp.types.jsonrpc import ErrorResponse, ProgressToken, Response
from trimcp.types.revisions import Revision

CAPACITY: Final = 8192
"""Messages that may wait, beside two for each place of the server. Handlers wait when half of all do."""
CROWDED: Final = CAPACITY * 3 // 4
"""Messages above which a report or a log message is dropped, so that answers always find room."""
RUN: Final = 32
"""Reports of one request that become one message, unless it tells another between them. The next begins another one."""


_HEAD: Final = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%b,"progress":'


class ReportingRequest(Protocol):
    """A request of the peer, as the tracker sees it."""

    serial: int
    reports: int
    progress: tuple[float, float | None, str | None] | None
    is_settled: bool
    cancel_reason: CancelReason | None
    progress_token: ProgressToken | None
    reply_stream: ReplyStream

    @property
    def revision(self) -> Revision:
        """The revision that the request is served in."""
        ...


_Report = tuple[float, float | None, str | None]
"""Progress, total and message."""


class _Reports(NamedTuple):
    """A handler reports: this once, and what it reports further before the tracker wakes."""

    request: ReportingRequest
    reports: list[_Report]


class _Answer(NamedTuple):
    """A request that has reported is answered; with a code, by an error."""

    request: ReportingRequest
    frame: bytes
    code: int | None


class _Post(NamedTuple):
    """A request that has reported posts a message: a log message, which may be dropped, or another one."""

    request: ReportingRequest
    frame: bytes
    is_log: bool


class _Forget(NamedTuple):
    """A request that has reported was cancelled: its reports are dropped."""

    request: ReportingRequest


class _Arrived(NamedTuple):
    """The peer reports on a call of ours."""

    calls: Calls
    params: Mapping[str, Any] | None


class _Answered(NamedTuple):
    """The peer answers a call of ours that wants progress."""

    calls: Calls
    call: Call
    message: Response | ErrorResponse


class _Flush(NamedTuple):
    """Reply when the messages before this one are handled."""

    reply: Reply[None]


_Message = _Reports | _Answer | _Post | _Forget | _Arrived | _Answered | _Flush


class _Reported:
    """Holds the reports of one request of the peer."""

    __slots__ = ("_has_messages", "_head", "_tail", "_text", "_total", "held", "meter", "request")

    def __init__(self, request: ReportingRequest, limits: Limits) -> None:
        self.request: ReportingRequest = request
        self.meter: ProgressMeter = ProgressMeter(limits.progress_rate, limits.progress_burst)
        self.held: _Report | None = None
        """A report over the rate: it waits for the next one to replace it, or for the answer."""
        self._head = _HEAD % dumps(request.progress_token)
        self._has_messages = request.revision.progress_message
        self._total: float | None = None  # of the last report, as the next two
        self._text: str | None = None
        self._tail = b"}}"

    def send(self, reports: Iterable[_Report]) -> None:
        """Post reports. Of one request, they differ in their numbers and messages alone."""
        frames: list[bytes] = []
        for progress, total, text in reports:
            try:
                if total is not self._total or text is not self._text:
                    self._tail = self._encoded_tail(total, text)
                    self._total, self._text = total, text
                if type(progress) is int:
                    frames.append(b"%b%d%b" % (self._head, progress, self._tail))
                else:
                    frames.append(self._head + dumps(progress) + self._tail)
            except (TypeError, OverflowError, InvalidPayload, ValueError) as exc:  # a mistake of the handler
                why = f"it cannot be written as JSON: {exc}"
                log.warning(events.PROGRESS_IGNORED, request=self.request.serial, why=why)
        if frames:
            self.request.reply_stream.post_reports(self.request.serial, frames)

    def _encoded_tail(self, total: float | None, text: str | None) -> bytes:
        """Encode what stands behind the progress."""
        tail = b"}}"
        if text is not None and self._has_messages:
            tail = b',"message":' + dumps(text) + tail
        if total is not None and isfinite(total):
            tail = b',"total":' + (b"%d" % total if type(total) is int else dumps(total)) + tail
        return tail


class ProgressTracker(Actor[_Message]):
    """Carries the progress of one session, or of all stateless peers of an endpoint."""

    name = "progress tracker"

    def __init__(self, owner: Owner, limits: Limits) -> None:
        super().__init__(owner, Mailbox(CAPACITY + 2 * limits.server_requests))
        self._limits = limits
        self._reported: dict[int, _Reported] = {}
        self._newest: _Reports | None = None
        """The newest reports that wait, while their request told nothing else: its next report joins them."""

    # --- functions in front of the messages: none waits, but for `wait_room` ----------

    def report(self, request: ReportingRequest, progress: float, total: float | None, message: str | None) -> bool:
        """Send a report on a request of the peer, or keep it until the rate allows.

        Does nothing where the peer did not ask for progress, where the request was answered or cancelled, or where
        the value does not increase.

        Returns:
            Whether it begins a message to the tracker: the caller looks for room then (`wait_room`).
        """
        if request.progress_token is None or request.is_settled or request.cancel_reason is not None:
            return False
        newest = self._newest
        if newest is not None and newest.request is request and len(newest.reports) < RUN:
            newest.reports.append((progress, total, message))
            request.reports += 1
            request.progress = newest.reports[-1]
            return False
        if self.mailbox.waiting > CROWDED:
            log.debug(events.PROGRESS_IGNORED, request=request.serial, why="too many reports wait")
            return True
        request.reports += 1
        request.progress = report = (progress, total, message)
        self._newest = _Reports(request, [report])
        self.tell(self._newest)
        return True

    async def wait_room(self, request: ReportingRequest) -> None:
        """Wait while many messages wait for the tracker, or to leave by the stream of the request."""
        if self.mailbox.is_over:
            await self.mailbox.wait_room()
        await request.reply_stream.wait_room()

    def answer(self, request: ReportingRequest, frame: bytes, code: int | None) -> None:
        """Answer a request behind its reports; with a code, by an error."""
        self._newest = None
        self.tell(_Answer(request, frame, code))

    def post(self, request: ReportingRequest, frame: bytes, *, is_log: bool = False) -> None:
        """Post a message of a request behind its reports; a log message may be dropped."""
        if is_log and self.mailbox.waiting > CROWDED:
            log.debug(events.LOGS_DROPPED, request=request.serial, why="too many messages wait")
        else:
            self._newest = None
            self.tell(_Post(request, frame, is_log))

    def forget(self, request: ReportingRequest) -> None:
        """Drop the reports of a request that have not left: it was cancelled."""
        self._newest = None
        self.tell(_Forget(request))

    def arrived(self, calls: Calls, params: Mapping[str, Any] | None) -> None:
        """Take a report of the peer on a call of ours."""
        if self.mailbox.waiting > CROWDED:
            log.debug(events.PROGRESS_IGNORED, why="too many reports wait")
        else:
            self.tell(_Arrived(calls, params))

    def answered(self, calls: Calls, call: Call, message: Response | ErrorResponse) -> None:
        """Hand an answer to its call, behind the reports that came before it."""
        self.tell(_Answered(calls, call, message))

    async def flushed(self) -> None:
        """Wait until the messages that were told so far are handled."""
        if self.mailbox.waiting:
            reply: Reply[None] = Reply()
            self.tell(_Flush(reply))
            await reply.wait()

    def _on_reports(self, message: _Reports) -> None:
        if message is self._newest:
            self._newest = None
        request, reports = message
        if request.cancel_reason in SILENT:
            return
        reported = self._reported.get(request.serial)
        if reported is None:
            reported = self._reported[request.serial] = _Reported(request, self._limits)
        sent: list[_Report] = []
        verdicts = reported.meter.weigh_all([report[0] for report in reports], trio.current_time())
        for report, verdict in zip(reports, verdicts, strict=True):
            if verdict is SEND:
                reported.held = None
                sent.append(report)
            elif verdict is HOLD:
                reported.held = report
            else:
                log.debug(events.PROGRESS_IGNORED, request=request.serial, why="it does not increase")
        reported.send(sent)

    def _on_answer(self, message: _Answer) -> None:
        request, frame, code = message
        reported = self._reported.pop(request.serial, None)
        if reported is not None and reported.held is not None:
            reported.send((reported.held,))
        if code is None:
            request.reply_stream.answer(frame)
        else:
            request.reply_stream.refuse(frame, code)

    def _on_post(self, message: _Post) -> None:
        if message.is_log:
            message.request.reply_stream.post_log(message.frame)
        else:
            message.request.reply_stream.post(message.frame)

    def _on_forget(self, message: _Forget) -> None:
        request = message.request
        self._reported.pop(request.serial, None)
        if request.cancel_reason in SILENT:
            request.reply_stream.drop(request.serial)

    def _on_arrived(self, message: _Arrived) -> None:
        """Hand a report of the peer to the call that it is about."""
        calls, params = message
        token = None if params is None else params.get("progressToken")
        if params is None or (type(token) is not int and type(token) is not str):
            log.debug(events.PROGRESS_IGNORED, why="it names no token")
            return
        call = calls.reported_on(token)
        if call is None:
            log.debug(events.PROGRESS_IGNORED, token=token, why="no call waits for it")
            return
        progress, total, text = params.get("progress"), params.get("total"), params.get("message")
        if not _is_number(progress) or not (total is None or _is_number(total)):
            log.debug(events.PROGRESS_IGNORED, token=token, why="its progress or total is not a number")
            return
        call.progressed(progress, total, text if type(text) is str else None)

    def _on_answered(self, message: _Answered) -> None:
        message.calls.settle(message.call, message.message)

    def _on_flush(self, message: _Flush) -> None:
        message.reply.set(None)

    handlers: ClassVar[Mapping[type, Callable[..., None]]] = {
        _Reports: _on_reports,
        _Answer: _on_answer,
        _Post: _on_post,
        _Forget: _on_forget,
        _Arrived: _on_arrived,
        _Answered: _on_answered,
        _Flush: _on_flush,
    }


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) is int or type(value) is float
