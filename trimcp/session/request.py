"""A request of the peer, from its acceptance to its one answer or its cancellation, and the routes of requests.

This is the one place where an exception becomes an error answer. A worker of a handler actor runs the request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs
import trio

from trimcp.codec.envelope import encode_error, encode_result
from trimcp.errors import InvalidPayload, RequestFailed, UsageError
from trimcp.framing.headers import request_title
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import ANSWERS, CancelReason
from trimcp.protocol.client_profile import ClientProfile
from trimcp.session.delivery import Delivery
from trimcp.session.job import Job
from trimcp.session.peer import Peer
from trimcp.session.register import Register
from trimcp.session.reply_stream import ReplyStream
from trimcp.session.request_log import log_ended
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, ProgressToken, RequestId
from trimcp.types.methods import Method
from trimcp.types.payload import EmptyResult
from trimcp.types.revisions import LATEST_LEGACY, Revision


class LongLived(Protocol):
    """The actor that keeps requests in flight without a task, such as `subscriptions/listen`.

    `InboundRequest.conclude` and `refuse` answer a request and end it; after `keep()`, `let_go()` ends it.
    """

    def open(self, request: InboundRequest, params: Any) -> None:
        """Keep a request, which the Router has registered. Never waits."""

    def finish(self, request: InboundRequest) -> None:
        """Answer a request with its result, since the session drains. Never waits."""

    def released(self, request: InboundRequest) -> None:
        """Forget a request, which was answered, refused or cancelled. Never waits."""


@attrs.frozen(eq=False, repr=False)
class Route:
    """Holds how one method is served in one revision, compiled before the first request."""

    method: Method
    decode: Callable[[Mapping[str, Any] | None], Any]
    """Raw params to the params object; raises `InvalidPayload`."""
    handle: Callable[[InboundRequest, Any], Awaitable[Any]]
    """Does the work, in a worker of the handler actor."""
    encode: Callable[[Any], dict[str, Any]]
    """The result object to a JSON object; raises `InvalidPayload`."""
    at_once: Callable[[InboundRequest, Any], Any] | None = None
    """Answers in the Router's turn, ahead of all work: `initialize`, `ping`, `server/discover`."""
    keeper: LongLived | None = None
    """Keeps the request in flight without a task. The request takes no place; the keeper has its own bound."""
    actor: str = attrs.field(init=False)
    """The name of the handler actor: the feature, which is the first part of the method's name."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "actor", self.method.name.split("/", 1)[0])


def pong(request: InboundRequest, params: Any) -> EmptyResult:
    """Answer `ping`, in either role (basic/utilities/ping)."""
    return EmptyResult()


async def never(request: InboundRequest, params: Any) -> Any:
    """Stand in for the handler of a method that the Router or a keeper answers."""
    raise AssertionError(f"{request.method} is not answered by a handler")


class InboundRequest(Job):
    """A request in flight: a job that owes its reply stream one answer."""

    __slots__ = (
        *("_has_deadline", "_is_kept", "_prepared", "answer", "code", "id", "is_settled", "params", "profile"),
        *("method", "progress", "progress_token", "received_at", "register", "reply_stream", "reports", "result"),
        *("rounds", "route", "serial", "size"),
    )

    def __init__(
        self,
        register: Register[InboundRequest],
        serial: int,
        id: RequestId,
        params: dict[str, Any] | None,
        route: Route,
        profile: ClientProfile | None,
        reply_stream: ReplyStream,
        progress_token: ProgressToken | None,
        size: int,
        received_at: float,
    ) -> None:
        # Not through super().__init__: one call fewer for each request.
        self.scope: trio.CancelScope | None = None
        self.cancel_reason: CancelReason | None = None
        self.register: Register[InboundRequest] = register
        """The register of the peer. The Router alone changes it."""
        self.serial: int = serial
        """The number of the request on this side, unique in the process; `id` is the peer's, and mere data."""
        self.id: RequestId = id
        self.params: dict[str, Any] | None = params
        self.route: Route = route
        self.method: str = route.method.name
        self.profile: ClientProfile | None = profile
        """The client that asks; None on a client, which a server asks."""
        self.reply_stream: ReplyStream = reply_stream
        self.progress_token: ProgressToken | None = progress_token
        self.size: int = size
        """Bytes of the message."""
        self.received_at: float = received_at
        self.reports: int = 0
        """Progress reports of the handler so far."""
        self.rounds: Any = None
        """The questions of this request to the client; set by `server/context/client_requests.py`."""
        self.result: Any = None
        """What the handler returned."""
        self.code: int | None = None
        """The code of the error that answered the request; None for a result, and before the answer."""
        self.is_settled: bool = False
        """Whether the request was answered, or never will be."""
        self.progress: tuple[float, float | None, str | None] | None = None
        """The last report: progress, total and message."""
        self.answer: bytes | None = None
        """The frame of the answer, before it is sent and until the request has left."""
        self._has_deadline = False
        self._is_kept = False
        self._prepared: bytes | None = None

    @property
    def session(self) -> Peer:
        """The peer that sent the request."""
        return self.register.peer

    @property
    def session_number(self) -> int:
        """The number of the peer's session."""
        return self.register.peer.number

    @property
    def revision(self) -> Revision:
        """The revision that the request is served in."""
        if self.profile is not None:
            return self.profile.revision
        return self.session.revision or LATEST_LEGACY

    @property
    def delivery(self) -> Delivery:
        """Who sent the request, and with which header fields."""
        return self.reply_stream.delivery or self.session.delivery

    # --- Work of a handler actor ------------------------------------------------------

    async def run(self) -> None:
        """Decode, handle, encode. `finished` sends the answer, once the handler has left its task in order."""
        if self.cancel_reason is not None:
            return  # the cancel overtook the request
        route = self.route
        # A function in an attribute is loaded first: to call it by `route.decode(…)` costs Python 3.11 four times that.
        decode, handle, encode = route.decode, route.handle, route.encode
        try:
            params = decode(self.params)
        except InvalidPayload as exc:
            self._refuse_params(exc)
            return
        try:
            result = self.result = await handle(self, params)
            frame = encode_result(self.id, encode(result))
        except RequestFailed as exc:
            self.refuse_failed(exc)
            return
        if len(frame) > self.reply_stream.room:
            self._refuse_too_large(len(frame))
        else:
            self.answer = frame

    def failed(self, error: BaseException) -> None:
        """Answer with an error: the handler raised this, or left its task in disorder. See `Work`."""
        self.answer = None
        self.refuse(INTERNAL_ERROR, "Internal error")
        log.error(events.HANDLER_FAILED, exc_info=error, method=self.method, request=self.serial)

    def finished(self) -> bool:
        """Send the answer, if it was not sent; return whether the scope is used up. See `Work`."""
        reason = self.why_cancelled if self._has_deadline else self.cancel_reason
        if not self.is_settled and reason is None and self.answer is not None:
            self._send_answer(self.answer, None)
        elif not self.is_settled:
            if self.answer is not None:
                log.debug(events.CANCEL_SWALLOWED, method=self.method, request=self.serial)
            self._answer_cancel(reason or CancelReason.SESSION_LOST)  # without one, the session was cancelled
        if log.informs:
            log_ended(self, self.answer)
        if self.rounds is not None:
            self.rounds.ended()
        return reason is not None or self._has_deadline

    def left(self) -> None:
        """Give the place back. See `Work`."""
        self.register.router.left(self)

    def handed_back(self) -> None:
        """End without having run: the handler actor has ended with its supervisor. See `Work`."""
        self.dismiss(self.cancel_reason or CancelReason.SESSION_LOST)
        self.left()

    # --- in the Router's turn ---------------------------------------------------------

    def answer_at_once(self) -> None:
        """Do what `run` does, without a worker, for a route with `at_once`."""
        route = self.route
        assert route.at_once is not None
        try:
            params = route.decode(self.params)
        except InvalidPayload as exc:
            self._refuse_params(exc)
            return
        try:
            frame = encode_result(self.id, route.encode(route.at_once(self, params)))
        except RequestFailed as exc:
            self.refuse_failed(exc)
        except Exception as exc:  # noqa: BLE001 - ours, or of a function of the user's: the session goes on
            self.failed(exc)
        else:
            self.answer = frame
            self.reply_stream.answer(frame)

    def open_long_lived(self, keeper: LongLived) -> None:
        """Register the request and hand it to its keeper, or refuse its params."""
        try:
            params = self.route.decode(self.params)
        except InvalidPayload as exc:
            self._refuse_params(exc)
            return
        self.params = None  # the keeper has the decoded ones
        self.register.add_long_lived(self)
        keeper.open(self, params)

    # --- one answer -------------------------------------------------------------------

    @property
    def why_cancelled(self) -> CancelReason | None:
        """The reason of the cancellation that is under way, if any."""
        reason = self.cancel_reason
        if reason is None and self._has_deadline and self.scope is not None and self.scope.cancel_called:
            reason = self.cancel_reason = CancelReason.DEADLINE
        return reason

    def _settle(self, frame: bytes, code: int | None = None) -> None:
        """Send an answer, with a code an error; or what its cancellation asks for, where it was cancelled."""
        if self.is_settled:
            return
        reason = self.why_cancelled if self._has_deadline else self.cancel_reason
        if reason is not None:
            self._answer_cancel(reason)
            return
        self._send_answer(frame, code)

    def _send_answer(self, frame: bytes, code: int | None) -> None:
        self.is_settled = True
        self.code = code
        self.answer = frame
        if self.reports:
            self.session.progress.answer(self, frame, code)  # behind the reports
        elif code is None:
            self.reply_stream.answer(frame)
        else:
            self.reply_stream.refuse(frame, code)

    def _answer_cancel(self, reason: CancelReason) -> None:
        error = ANSWERS[reason]
        if self._prepared is not None and reason is CancelReason.INPUT_REQUIRED:
            self._send_answer(self._prepared, None)
        elif error is not None:
            code, message = error[0], error[1].format(request=request_title(self.method, self.params))
            self._send_answer(encode_error(self.id, code, message, {"reason": reason.value}, null_id=False), code)
        else:
            self.is_settled = True
            if self.reports:
                self.session.progress.forget(self)
            self.reply_stream.withdraw()

    def refuse(self, code: int, message: str, data: Any = ABSENT) -> None:
        """Answer with an error, without its data where JSON has no form for them."""
        try:
            frame = encode_error(self.id, code, message, data, null_id=False)
        except InvalidPayload:
            frame = encode_error(self.id, code, message, null_id=False)
        self._settle(frame, code)
        if self.route.keeper is not None and not self._is_kept:
            self.left()

    def _refuse_params(self, exc: InvalidPayload) -> None:
        self.refuse(INVALID_PARAMS, f"Invalid params: {exc}", {"problems": exc.problems})

    def refuse_failed(self, exc: RequestFailed) -> None:
        """Answer with the error of a handler, under a code that the revision of the request can send."""
        self.refuse(self.revision.sendable(exc.code), exc.message, ABSENT if exc.data is None else exc.data)

    def _refuse_too_large(self, size: int) -> None:
        most, title = self.session.limits.result_bytes, request_title(self.method, self.params)
        self.refuse(INTERNAL_ERROR, f"The result of {title} has {size} bytes, and the server sends at most {most}")
        log.error(events.HANDLER_FAILED, method=self.method, request=self.serial, bytes=size, most=most)

    def dismiss(self, reason: CancelReason) -> None:
        """End a request that never ran."""
        if not self.is_settled:
            self._answer_cancel(reason)

    def finish(self, reason: CancelReason, result: Any) -> None:
        """Answer with a result, and cancel the handler. A request that is being cancelled keeps its first reason.

        Raises:
            InvalidPayload: the result cannot be encoded; nothing is cancelled then.
        """
        if self.cancel_reason is None:
            frame = encode_result(self.id, self.route.encode(result))
            if len(frame) > self.reply_stream.room:
                self._refuse_too_large(len(frame))
                return
            self._prepared = frame
            self.cancel(reason)

    # --- CallRoute: messages before the answer ----------------------------------------

    def _observe(self, frame: bytes) -> None:
        for trace in self.session.instruments.traces:
            trace.posted(self.session.number, self.serial, frame)

    def post(self, frame: bytes) -> None:
        """Post a message that is never dropped: behind the reports of the request, before its answer."""
        self._observe(frame)
        if self.reports:
            self.session.progress.post(self, frame)
        else:
            self.reply_stream.post(frame)

    def post_log(self, frame: bytes) -> None:
        """Post a log message, which may be dropped: behind the reports of the request, before its answer."""
        self._observe(frame)
        if self.reports:
            self.session.progress.post(self, frame, is_log=True)
        else:
            self.reply_stream.post_log(frame)

    def write(self, frame: bytes) -> None:
        """Post a message that is never dropped, and write it at once where no message waits before it."""
        if self.reports:
            self.session.progress.post(self, frame)
        else:
            self.reply_stream.write(frame)

    async def wait_room(self) -> None:
        """See `CallRoute`."""
        await self.reply_stream.wait_room()

    @property
    def takes_posts(self) -> bool:
        """See `CallRoute`."""
        return self.reply_stream.takes_posts

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

    # --- by its handler ---------------------------------------------------------------

    def limit_time(self, seconds: float) -> None:
        """Cancel the request, with the reason `deadline`, when it runs for longer than this from now on.

        Raises:
            UsageError: the request does not run.
        """
        if self.scope is None:
            raise UsageError("The request does not run: give a deadline to a request that runs")
        self._has_deadline = True
        self.scope.deadline = trio.current_time() + seconds
