"""A call: one request that this side makes of the peer, for as long as its caller waits."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, Protocol

import trio

from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.actors.reply import Reply
from trimcp.errors import RequestFailed
from trimcp.framing.headers import request_title
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.protocol.progress import ProgressMeter, Verdict
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import ErrorResponse, RequestId, Response

OnProgress = Callable[[float, float | None, str | None], Awaitable[None] | None]
"""A callback for progress reports: called with the progress, the total and the message."""


class Report(NamedTuple):
    """A report of the peer on a call. Over the rate, the next one may replace it."""

    progress: float
    total: float | None
    message: str | None
    is_over_rate: bool


class Settled(NamedTuple):
    """Marks that the answer of a call is there, behind its reports."""


CallMessage = Report | Settled


def report_key(message: CallMessage) -> str | None:
    """Return the mailbox key of a message: reports over the rate share one, so they replace each other."""
    return "over the rate" if type(message) is Report and message.is_over_rate else None


def progress_queue(limits: Limits) -> tuple[Mailbox[CallMessage], ProgressMeter]:
    """Return the queue of the reports on one call, and the meter of their rate."""
    reports: Mailbox[CallMessage] = Mailbox(limits.progress_backlog + 1, Overflow.DROP_OLDEST, key=report_key)
    return reports, ProgressMeter(limits.progress_rate, limits.progress_burst)


class Call:
    """Holds one request of ours, for as long as its caller waits. Its reply is the raw result."""

    __slots__ = (
        *("_deadline", "_left", "_meter", "_params", "_reports", "_suspended_at", "began", "id", "is_answered"),
        *("last_deadline", "method", "reply", "timeout", "via"),
    )

    def __init__(
        self,
        id: RequestId,
        method: str,
        reports: Mailbox[CallMessage] | None,
        meter: ProgressMeter | None,
        params: dict[str, Any] | None = None,
        via: CallRoute | None = None,
        began: float = 0.0,
    ) -> None:
        self.id: RequestId = id
        self.method: str = method
        self.via: CallRoute | None = via
        """The request of the peer whose handler makes it; None for one of the session itself."""
        self.began: float = began
        """When its caller began to wait, by Trio's clock. Requests that no task waits for have 0."""
        self.reply: Reply[dict[str, Any]] = Reply()
        self.timeout: float | None = None
        self.last_deadline: float | None = None
        self.is_answered: bool = False
        """Whether the answer was read; one that wants progress is settled a little later, behind its reports."""
        self._params = params
        self._reports = reports
        self._meter = meter
        self._deadline: trio.CancelScope | None = None
        self._suspended_at = 0.0
        self._left = math.inf

    @property
    def title(self) -> str:
        """The method, and the name or URI that the request is for."""
        return request_title(self.method, self._params)

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
        """Take the answer, or the error that stands for it. Only the first one counts."""
        is_first = self.reply.fail(error) if error is not None else self.reply.set(result or {})
        if is_first and self._reports is not None:
            self._reports.tell(Settled())

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
        self._reports.tell(Report(progress, total, message, verdict is Verdict.HOLD))

    async def wait(self, on_progress: OnProgress | None) -> None:
        """Wait until the reply is set, and run the callback for each report before it, in order."""
        reports = self._reports
        if reports is None or on_progress is None:
            await self.reply.wait_set()
            return
        while True:
            # An answer that is there is taken even where the callback took longer than the call may.
            message = reports.receive_nowait() if reports.waiting else await reports.receive()
            if type(message) is not Report:
                return
            told = on_progress(message.progress, message.total, message.message)
            if inspect.isawaitable(told):
                await told

    def within(self, scope: trio.CancelScope) -> None:
        """Let progress move the deadline of this scope."""
        self._deadline = scope

    def suspend(self) -> None:
        """Stop the clock of its timeouts: the call waits for something else than the peer."""
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


class CallRoute(Protocol):
    """The stream that a call leaves by: that of a request of the peer, or the session's own."""

    @property
    def takes_posts(self) -> bool:
        """Whether messages before the answer reach the peer."""
        ...

    def write(self, frame: bytes, /) -> None:
        """Post a frame that is never dropped, and write it at once where no frame waits before it."""
        ...

    def post(self, frame: bytes, /) -> None:
        """Post a frame that is never dropped."""
        ...

    def wait_room(self) -> Coroutine[Any, Any, None]:
        """Wait while more bytes wait to leave than the limits allow."""
        ...


class CallWatcher(Protocol):
    """An actor that keeps open calls."""

    def settled(self, call: OpenCall) -> None:
        """Tell the actor that a call has its answer, or will never have one. Never waits."""
        ...


class OpenCall(Call):
    """Holds a request that no task waits for: an actor is told when it is settled."""

    __slots__ = ("_watcher", "error")

    def __init__(self, id: RequestId, method: str, watcher: CallWatcher | None) -> None:
        """`watcher`: the actor to tell; None where the answer is ignored."""
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
