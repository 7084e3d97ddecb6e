"""One request that the peer made: from its acceptance to its one answer, or to its cancellation.

This is the one place where a handler's exception becomes an error answer. The router makes the
request, the crew runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from trimcp.codec.envelope import encode_error, encode_result
from trimcp.errors import InvalidPayload, RequestFailed, UsageError
from trimcp.observability import events, log
from trimcp.protocol.cancelling import ANSWERS, CancelReason
from trimcp.protocol.profile import ClientProfile
from trimcp.session.delivery import Delivery
from trimcp.session.job import Job, parted
from trimcp.session.outlet import Outlet
from trimcp.session.service import Route
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, ProgressToken, RequestId
from trimcp.types.revisions import LATEST_LEGACY, Revision

if TYPE_CHECKING:
    from trimcp.protocol.progress import Meter
    from trimcp.session.session import Session


class InboundRequest(Job):
    """A request in flight: a job that owes its outlet one answer."""

    __slots__ = (
        "_has_deadline",
        "_prepared",
        "_settled",
        "_when_ended",
        "held_progress",
        "id",
        "meter",
        "outlet",
        "params",
        "profile",
        "progress_token",
        "received_at",
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
        when_ended: Callable[[InboundRequest], None],
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
        self.meter: Meter | None = None
        self.held_progress: bytes | None = None
        self.rounds: Any = None
        """What was asked of the client before, and is; kept here by whoever asks."""
        self._has_deadline = False
        self._prepared: bytes | None = None
        self._settled = False
        self._when_ended = when_ended

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
        if self.route.hold is not None:
            return "held"
        return "running" if self.scope is not None else "waiting"

    # --- Work of the crew -------------------------------------------------------------

    async def run(self) -> None:
        """Decode, handle, encode, answer."""
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
        except BaseException as exc:  # noqa: BLE001 - parted into what is the handler's failure and what is not
            failure, passing = parted(exc)
            if failure is not None:
                self._failed(failure)
            if passing is not None:
                raise passing from None
        else:
            if len(frame) > self.outlet.room:
                self._too_large(len(frame))
            else:
                self._settle(frame)

    def ended(self) -> bool:
        """The task is done with it; see `Work`."""
        reason = self.why_cancelled
        if not self._settled:
            # Without a reason it can only be that the whole session is cancelled from outside.
            self._answer_cancel(reason or CancelReason.SESSION_LOST)
        if self.rounds is not None:
            self.rounds.ended()
        self._when_ended(self)
        return reason is not None or self._has_deadline

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
        self._settled = True
        if self.held_progress is not None:
            self.outlet.post_latest(self.serial, self.held_progress)
        if code is None:
            self.outlet.answer(frame)
        else:
            self.outlet.refuse(frame, code)

    def refuse(self, code: int, message: str, data: Any = ABSENT) -> None:
        """Answer with an error."""
        try:
            frame = encode_error(self.id, code, message, data, null_id=False)
        except InvalidPayload:
            # A handler's error whose data JSON has no form for: the error still arrives, without them.
            frame = encode_error(self.id, code, message, null_id=False)
        self._settle(frame, code)

    def dismiss(self, reason: CancelReason) -> None:
        """End a request that never ran."""
        if not self._settled:
            self._answer_cancel(reason)

    def conclude(self, result: Any) -> None:
        """Answer a request that is held, and end it."""
        self._settle(encode_result(self.id, self.route.encode(result)))
        self._when_ended(self)

    def _answer_cancel(self, reason: CancelReason) -> None:
        self._settled = True
        error = ANSWERS[reason]
        if self._prepared is not None and reason is CancelReason.INPUT_REQUIRED:
            self.outlet.answer(self._prepared)
        elif error is None:
            self.outlet.withdraw()
        else:
            code, message = error
            self.outlet.refuse(encode_error(self.id, code, message, {"reason": reason.value}, null_id=False), code)

    def _failed(self, exc: BaseException) -> None:
        self.refuse(INTERNAL_ERROR, "Internal error")
        log.error(events.HANDLER_FAILED, exc_info=exc, method=self.method, request=self.serial)

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
