"""The work of a call that may become a task, which runs apart from the worker of its request.

At first it runs for its request, as any tool does. When the call becomes a task, the request is answered with the
task, and the work goes on without request, stream and session.
"""

from __future__ import annotations

import itertools
from typing import Any, Final, Protocol

import trio

from trimcp.errors import RequestFailed
from trimcp.framing.headers import request_title
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import ANSWERS, CancelReason
from trimcp.protocol.client_profile import ClientProfile
from trimcp.server.middleware import Handle
from trimcp.session.detached import DetachedPeer
from trimcp.session.request import InboundRequest, Route
from trimcp.types.jsonrpc import DRAINING, INTERNAL_ERROR, TASK_CANCELLED, ProgressToken

_serials: Final = itertools.count(-1, -1)
"""The serials of work that began without a request: no request has a negative one."""


class WorkPlaces(Protocol):
    """The task manager, as work sees it."""

    def left(self, work: TaskWork) -> None:
        """Give the place of some work back. Never waits."""
        ...


class WorkOwner(Protocol):
    """The task of some work, as the work sees it."""

    def work_ended(self) -> None:
        """Take note that the work has ended. Never waits."""
        ...


class TaskWork(InboundRequest):
    """Holds the work of one call: the request of its handler, and `Work` of the pool of tasks."""

    __slots__ = (
        *("_decided", "_decoded", "_handle", "_has_result", "_origin", "_places"),
        *("became", "error", "gone", "has_ended", "result", "stirred"),
    )

    def __init__(self, origin: InboundRequest, handle: Handle, decoded: Any, places: WorkPlaces) -> None:
        """
        Args:
            origin: the request, or what stands for it.
            handle: the handler of the request.
            decoded: its params object.
            places: has the place that the work takes.
        """
        super().__init__(
            origin.register,
            origin.serial,
            origin.id,
            origin.params,
            origin.route,
            origin.profile,
            origin.reply_stream,
            origin.progress_token,
            0,
            origin.received_at,
        )
        self._origin: InboundRequest | None = origin
        self._handle = handle
        self._decoded = decoded
        self._places = places
        self._has_result = False
        self._decided = trio.Event()
        self.result: Any = None
        self.error: RequestFailed | None = None
        self.has_ended: bool = False
        self.gone: trio.Event = trio.Event()
        """Set when the work has ended, and its worker has left it."""
        self.stirred: trio.Event = trio.Event()
        """Set when the work has ended, or wants to be a task."""
        self.became: WorkOwner | None = None
        """The task that the work is done for; None while it is done for its request."""

    @property
    def has_result(self) -> bool:
        """Whether the work has ended with a result, and not with an error."""
        return self._has_result and self.error is None and self.why_cancelled is None

    @property
    def outcome(self) -> Any:
        """The result object of work that has ended.

        Raises:
            RequestFailed: the handler raised it, or the work was cancelled or took too long.
        """
        reason = self.why_cancelled
        if reason is not None:
            code, message = ANSWERS[reason] or (TASK_CANCELLED, "The work was cancelled")
            title = request_title(self.method, self.params)
            raise RequestFailed(code, message.format(request=title), {"reason": reason.value})
        if self.error is not None:
            raise self.error
        if not self._has_result:
            raise RequestFailed(DRAINING, "The server is stopping", {"reason": CancelReason.SHUTDOWN.value})
        return self.result

    # --- becoming a task --------------------------------------------------------------

    async def become_task(self) -> bool:
        """See `Context.become_task`."""
        self.stirred.set()
        await self._decided.wait()
        return self.became is not None

    def stay_call(self) -> None:
        """Go on as the work of the request: the call cannot become a task."""
        self._decided.set()

    def detach(self, task: WorkOwner, peer: DetachedPeer, rounds: Any, *, keeps_progress: bool) -> None:
        """Go on as the work of a task.

        Args:
            task: the task.
            peer: stands for the session from now on.
            rounds: asks the questions of the handler from now on.
            keeps_progress: whether the progress token lives on.
        """
        self.became = task
        self._origin = None
        self.rounds = rounds
        self.reports = 0
        if not keeps_progress:
            self.progress_token: ProgressToken | None = None
        peer.adopt(self)
        self._decided.set()

    def finish(self, reason: CancelReason, result: Any) -> None:
        """End a round of the request. See `InboundRequest`."""
        if self._origin is not None:
            self._origin.finish(reason, result)

    # --- Work -------------------------------------------------------------------------

    async def run(self) -> None:
        """See `Work`."""
        if self.cancel_reason is not None:
            return
        try:
            self.result = await self._handle(self, self._decoded)
            self._has_result = True
        except RequestFailed as exc:
            self.error = exc

    def failed(self, error: BaseException) -> None:
        """See `Work`."""
        self.error = RequestFailed(INTERNAL_ERROR, "Internal error")
        log.error(events.HANDLER_FAILED, exc_info=error, method=self.method, request=self.serial)

    def finished(self) -> bool:
        """See `Work`."""
        is_used_up = self.why_cancelled is not None or self._has_deadline
        self.is_settled = self.has_ended = True
        if self.rounds is not None:
            self.rounds.ended()
        self.stirred.set()
        if self.became is not None:
            self.became.work_ended()
        return is_used_up

    def left(self) -> None:
        """See `Work`."""
        self._places.left(self)
        self.gone.set()

    def handed_back(self) -> None:
        """See `Work`."""
        self.finished()
        self.left()


def origin_of_stored(
    peer: DetachedPeer, params: dict[str, Any], route: Route, profile: ClientProfile | None
) -> InboundRequest:
    """Make what stands for the request of a task that runs again."""
    return InboundRequest(
        peer.register, next(_serials), "", params, route, profile, peer.reply_stream, None, 0, trio.current_time()
    )
