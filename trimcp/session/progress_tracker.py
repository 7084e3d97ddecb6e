"""The ProgressTracker: progress in both directions, in order, and before the result it belongs to.

Out: a handler's reports, while the peer's request carried a token. In: the peer's reports, to the
call that waits for it; the caller's own task runs the callback, so that a callback that takes
its time delays nobody else, and the result comes last.

basic/utilities/progress of the legacy revisions, basic/patterns/progress of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeGuard

import trio

from trimcp.codec.envelope import encode_notification
from trimcp.observability import events, log
from trimcp.protocol.progress import Meter, Verdict
from trimcp.session.limits import Limits
from trimcp.session.request import InboundRequest

if TYPE_CHECKING:
    from trimcp.session.calls import Calls


class ProgressTracker:
    """Progress of one session. It has no task: what it owns changes hands without a wait."""

    __slots__ = ("_calls", "_limits")

    def __init__(self, calls: Calls, limits: Limits) -> None:
        self._calls = calls
        self._limits = limits

    def report(self, request: InboundRequest, progress: float, total: float | None, message: str | None) -> None:
        """Send a report on a request of the peer's, or keep it until the rate allows.

        Nothing happens where the peer did not ask for progress, where the request has been
        answered or cancelled, or where the value does not increase.
        """
        token = request.progress_token
        if token is None or request.is_settled or request.cancel_reason is not None:
            return
        if request.meter is None:
            request.meter = Meter(self._limits.progress_rate, self._limits.progress_burst)
        verdict = request.meter.weigh(progress, trio.current_time())
        if verdict is Verdict.REFUSE:
            log.debug(events.PROGRESS_IGNORED, request=request.serial, why="it does not increase")
            return
        params: dict[str, Any] = {"progressToken": token, "progress": progress}
        if total is not None and isfinite(total):
            params["total"] = total
        if message is not None and request.revision.progress_message:
            params["message"] = message
        frame = encode_notification("notifications/progress", params)
        if verdict is Verdict.HOLD:
            request.held_progress = frame
        else:
            request.held_progress = None
            request.outlet.post_latest(request.serial, frame)

    def arrived(self, params: Mapping[str, Any] | None) -> None:
        """The peer reports on a request of ours."""
        token = None if params is None else params.get("progressToken")
        if params is None or (type(token) is not int and type(token) is not str):
            log.debug(events.PROGRESS_IGNORED, why="it names no token")
            return
        call = self._calls.waiting(token)
        if call is None:
            log.debug(events.PROGRESS_IGNORED, token=token, why="nobody waits for it")
            return
        progress, total, message = params.get("progress"), params.get("total"), params.get("message")
        if not _is_number(progress) or not (total is None or _is_number(total)):
            log.debug(events.PROGRESS_IGNORED, token=token, why="its numbers are none")
            return
        call.progressed(progress, total, message if type(message) is str else None)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) is int or type(value) is float
