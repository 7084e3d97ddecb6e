"""One request that the peer made: from its acceptance to its one answer, or to its cancellation.

This is the one place where a handler's exception becomes an error answer. The Router makes the
request, a worker of a handler actor runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from trimcp.codec.envelope import encode_error, encode_result
from trimcp.errors import InvalidPayload, RequestFailed, UsageError
from trimcp.observability import events, log
from trimcp.protocol.cancelling import ANSWERS, CancelReason
from trimcp.protocol.profile import ClientProfile
from trimcp.session.delivery import Delivery
from trimcp.session.job import Job
from trimcp.session.outlet import Outlet
from trimcp.session.service import Route
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, ProgressToken, RequestId
from trimcp.types.revisions import LATEST_LEGACY, Revision

if TYPE_CHECKING:
    from trimcp.session.session import Session


class InboundRequest(Job):
    """A request in flight: a job that owes its outlet one answer."""

    __slots__ = (
        "_frame",
        "_has_deadline",
        "_is_kept",
        "_prepared",
        "_settled",
        "code",
        "id",
        "outlet",
        "params",
        "profile",
        "progress_token",
        "received_at",
        "reports",
        "rounds",
        "route",
        "serial",
        "session",
        "size",
    )

    def __init__(
        self,
        session: Session,
        serial: int,
        id: RequestId,
        params: dict[str, Any] | None,
        route: Route,
        profile: ClientProfile | None,
        outlet: Outlet,
        progress_token: ProgressToken | None,
        size: int,
        received_at: float,
    ) -> None:
        # Not through super().__init__: one call fewer for each request.
        self.scope: trio.CancelScope | None = None
        self.cancel_reason: CancelReason | None = None
        self.session = session
        self.serial = serial
        """Ours, unique in the process; `id` is the peer's, and mere data."""
        self.id = id
        self.params = params
        self.route = route
        self.profile = profile
        """The client that asks; None on a client, which a server asks."""
        self.outlet = outlet
        self.progress_token = progress_token
        self.size = size
        self.received_at = received_at
        self.reports = 0
        """Progress reports that its handler has told so far."""
        self.rounds: Any = None
        """The rounds of questions to the client before this one, and this one; kept here by its owner."""
        self.code: int | None = None
        """The code of the error that answered it; None where it was answered by a result, or not yet."""
        self._frame: bytes | None = None
        self._has_deadline = False
        self._is_kept = False
        self._prepared: bytes | None = None
        self._settled = False

    @property
    def method(self) -> str:
        """The name of the method."""
        return self.route.method.name

    @property
    def revision(self) -> Revision:
        """The revision that the request is served in."""
        if self.profile is not None:
            return self.profile.revision
        return self.session.revision or LATEST_LEGACY

    @property
    def delivery(self) -> Delivery:
        """Who sent it, and with which header fields."""
        return self.outlet.delivery or self.session.delivery

    @property
    def is_settled(self) -> bool:
        """Whether it was answered, or will never be."""
        return self._settled

    @property
    def state(self) -> str:
        """Where it stands, for people."""
        if self.cancel_reason is not None:
            return f"cancelled: {self.cancel_reason.value}"
        if self.route.keeper is not None:
            return "long-lived"
        return "running" if self.scope is not None else "waiting"

    # --- Work of a handler actor ------------------------------------------------------

    async def run(self) -> None:
        """Decode, handle, encode. The answer is sent when the handler has left nothing behind: see `finished`."""
        if self.cancel_reason is not None:
            return  # the cancel overtook the request
        route = self.route
        try:
            params = route.decode(self.params)
        except InvalidPayload as exc:
            self.refuse(INVALID_PARAMS, f"Invalid params: {exc}", {"problems": exc.problems})
            return
        try:
            result = await route.handle(self, params)
            frame = encode_result(self.id, route.encode(result))
        except RequestFailed as exc:
            self.refuse(self.revision.sendable(exc.code), exc.message, ABSENT if exc.data is None else exc.data)
            return
        if len(frame) > self.outlet.room:
            self._too_large(len(frame))
        else:
            self._frame = frame

    def failed(self, error: BaseException) -> None:
        """Answer with an error: the handler raised this, or left its task in disorder. See `Work`."""
        self._frame = None
        self.refuse(INTERNAL_ERROR, "Internal error")
        log.error(events.HANDLER_FAILED, exc_info=error, method=self.method, request=self.serial)

    def finished(self) -> bool:
        """Send the answer, if it was not sent; return whether the scope is used up. See `Work`."""
        reason = self.why_cancelled if self._has_deadline else self.cancel_reason
        if not self._settled:
            if reason is None and self._frame is not None:
                self._send_answer(self._frame, None)
            else:
                # Without a reason it can only be that the whole session is cancelled from outside.
                self._answer_cancel(reason or CancelReason.SESSION_LOST)
            self._frame = None
        if self.rounds is not None:
            self.rounds.ended()
        return reason is not None or self._has_deadline

    def left(self) -> None:
        """Give the place back. See `Work`."""
        self.session.router.left(self)

    def handed_back(self) -> None:
        """End without having run: the handler actor has ended with its supervisor. See `Work`."""
        self.dismiss(self.cancel_reason or CancelReason.SESSION_LOST)
        self.session.router.left(self)

    @property
    def why_cancelled(self) -> CancelReason | None:
        """The reason of the cancellation that is under way, if any."""
        reason = self.cancel_reason
        if reason is None and self._has_deadline and self.scope is not None and self.scope.cancel_called:
            reason = self.cancel_reason = CancelReason.DEADLINE
        return reason

    # --- one answer -------------------------------------------------------------------

    def _settle(self, frame: bytes, code: int | None = None) -> None:
        """Send the answer (with a code, it is an error), unless the request was cancelled in a way that wants
        none or another."""
        if self._settled:
            return
        reason = self.why_cancelled if self._has_deadline else self.cancel_reason
        if reason is not None:
            self._answer_cancel(reason)
            return
        self._send_answer(frame, code)

    def _send_answer(self, frame: bytes, code: int | None) -> None:
        self._settled = True
        self.code = code
        if self.reports:
            self.session.progress.answer(self, frame, code)  # behind the reports
        elif code is None:
            self.outlet.answer(frame)
        else:
            self.outlet.refuse(frame, code)

    def post(self, frame: bytes) -> None:
        """Post a message that belongs to the request and is never dropped: behind its reports, before its answer."""
        if self.reports:
            self.session.progress.post(self, frame)
        else:
            self.outlet.post(frame)

    def post_log(self, frame: bytes) -> None:
        """Post a log message, which may be dropped: behind the reports of the request, before its answer."""
        if self.reports:
            self.session.progress.post(self, frame, is_log=True)
        else:
            self.outlet.post_log(frame)

    def write(self, frame: bytes) -> None:
        """Post a message that is never dropped, and write it at once where nothing waits before it. See `Way`."""
        if self.reports:
            self.session.progress.post(self, frame)
        else:
            self.outlet.write(frame)

    async def wait_room(self) -> None:
        """Wait while more waits to leave than should. See `Way`."""
        await self.outlet.wait_room()

    @property
    def takes_posts(self) -> bool:
        """Whether anything may precede the answer. See `Way`."""
        return self.outlet.takes_posts

    def refuse(self, code: int, message: str, data: Any = ABSENT) -> None:
        """Answer with an error."""
        try:
            frame = encode_error(self.id, code, message, data, null_id=False)
        except InvalidPayload:
            # A handler's error whose data JSON has no form for: the error still arrives, without them.
            frame = encode_error(self.id, code, message, null_id=False)
        self._settle(frame, code)
        if self.route.keeper is not None and not self._is_kept:
            self.left()

    def dismiss(self, reason: CancelReason) -> None:
        """End a request that never ran."""
        if not self._settled:
            self._answer_cancel(reason)

    # --- long-lived requests, by their keeper -----------------------------------------

    def conclude(self, result: Any) -> None:
        """Answer a long-lived request, and end it unless it is kept."""
        self._settle(encode_result(self.id, self.route.encode(result)))
        if not self._is_kept:
            self.left()

    def keep(self) -> None:
        """Let the request stay in flight behind its answer, until `let_go`."""
        self._is_kept = True

    def let_go(self) -> None:
        """End a request that was kept."""
        self._is_kept = False
        self.left()

    def _answer_cancel(self, reason: CancelReason) -> None:
        error = ANSWERS[reason]
        if self._prepared is not None and reason is CancelReason.INPUT_REQUIRED:
            self._send_answer(self._prepared, None)
        elif error is not None:
            code, message = error
            frame = encode_error(self.id, code, message, {"reason": reason.value}, null_id=False)
            self._send_answer(frame, code)
        else:
            self._settled = True
            if self.reports:
                self.session.progress.forget(self)
            self.outlet.withdraw()

    def _too_large(self, size: int) -> None:
        most = self.session.limits.result_bytes
        self.refuse(INTERNAL_ERROR, f"The result has {size} bytes, and the server sends at most {most}")
        log.error(events.HANDLER_FAILED, method=self.method, request=self.serial, bytes=size, most=most)

    def finish(self, reason: CancelReason, result: Any) -> None:
        """Answer with a result, and cancel the handler, which has nothing more to say.

        A request that is being cancelled already stays so, with its first reason.

        Raises:
            InvalidPayload: the result cannot be encoded; nothing is cancelled then.
        """
        if self.cancel_reason is None:
            frame = encode_result(self.id, self.route.encode(result))
            if len(frame) > self.outlet.room:
                self._too_large(len(frame))
                return
            self._prepared = frame
            self.cancel(reason)

    # --- what a handler may do to it --------------------------------------------------

    def limit_time(self, seconds: float) -> None:
        """Cancel the request, with the reason `deadline`, when it runs for longer than this from now on.

        Raises:
            UsageError: the request does not run.
        """
        if self.scope is None:
            raise UsageError("only a request that runs can be given a deadline")
        self._has_deadline = True
        self.scope.deadline = trio.current_time() + seconds
