"""The Router: the actor that decides whether, in what revision and when a request runs.

It owns the register of requests and their places, and the handshake. Its messages come in the order in which
they were read: requests, cancels, `initialized`, batches, frames that cannot be read. A request that runs goes
to the handler actor of its feature; `ping`, `initialize` and `server/discover` are answered in the Router's
turn, so they take no place and pass all work.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.reply import Reply
from trimcp.codec.envelope import InvalidMessage, encode_error, encode_result
from trimcp.errors import InvalidPayload, RequestFailed
from trimcp.observability import events, log
from trimcp.protocol.cancelling import CancelReason
from trimcp.protocol.lifecycle import Step
from trimcp.session.admission import Admission
from trimcp.session.batches import is_owed, open_batch, read_member
from trimcp.session.cancellation_manager import CancellationManager
from trimcp.session.eras import Eras
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.outlet import Outlet
from trimcp.session.refusals import another_time
from trimcp.session.register import Register
from trimcp.session.request import InboundRequest
from trimcp.session.service import LongLived, Route
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import (
    BUSY,
    DRAINING,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    ErrorData,
    ProgressToken,
    Request,
)

if TYPE_CHECKING:
    from trimcp.session.session import Session

_serials: Final = itertools.count(1)

CAPACITY: Final = 4096
"""Messages that may wait, beside two for each place of the server. A Reader waits when half of all do, so that
places given back always find room."""


class _Arrived(NamedTuple):
    """A request was read."""

    register: Register
    request: Request
    outlet: Outlet
    size: int
    now: float


class _Cancelled(NamedTuple):
    """The peer's `notifications/cancelled` was read."""

    register: Register
    params: Mapping[str, Any] | None


class _Initialized(NamedTuple):
    """The peer's `notifications/initialized` was read."""

    register: Register


class _Unreadable(NamedTuple):
    """A frame was read that is no message; `outlet` is where an answer by its id would leave."""

    register: Register
    error: InvalidMessage
    outlet: Outlet


class _Batched(NamedTuple):
    """An array was read (2025-03-26)."""

    register: Register
    values: list[Any]
    size: int
    now: float


class _Left(NamedTuple):
    """A worker has done with a request, or its keeper has: its place is free."""

    request: InboundRequest


class _Cancel(NamedTuple):
    """This side cancels requests: one, those of an outlet, or all of a register."""

    register: Register
    reason: CancelReason
    request: InboundRequest | None
    outlet: Outlet | None
    reply: Reply[int] | None


class _Drain(NamedTuple):
    """Refuse new work, and say how many requests are in flight now."""

    register: Register
    reply: Reply[int] | None


class _Await(NamedTuple):
    """Say when nothing is in flight any more."""

    register: Register
    reply: Reply[None]


class _Granted(NamedTuple):
    """Admission has taken a place for a request that waits."""

    register: Register


class _Close(NamedTuple):
    """The session is over: cancel all that is in flight."""

    register: Register


_Message = (
    _Arrived
    | _Cancelled
    | _Initialized
    | _Unreadable
    | _Batched
    | _Left
    | _Cancel
    | _Drain
    | _Await
    | _Granted
    | _Close
)


class Router(Actor[_Message]):
    """Requests of one session, or of the stateless peers of an endpoint: from read to ended."""

    name = "router"

    def __init__(
        self,
        owner: Owner,
        eras: Eras,
        actors: HandlerActors,
        admission: Admission,
        cancellation: CancellationManager,
        *,
        in_turn: bool = False,
    ) -> None:
        """
        Args:
            owner: the supervisor.
            eras: reads the revision of each request, and its route.
            actors: the handler actors that requests go to.
            admission: the places shared with other sessions.
            cancellation: is told of requests that unwind.
            in_turn: see `Actor`.
        """
        limits = eras.limits
        super().__init__(
            owner, Mailbox(CAPACITY + 2 * limits.server_requests, max_bytes=limits.message_bytes), in_turn=in_turn
        )
        self._eras = eras
        self._actors = actors
        self._admission = admission
        self._cancellation = cancellation
        self._limits = limits
        self._instruments = eras.instruments
        self._handlers: dict[type, Callable[[Any], None]] = {
            _Arrived: self._accept,
            _Left: self._on_left,
            _Cancelled: self._on_cancelled,
            _Initialized: self._on_initialized,
            _Unreadable: self._on_unreadable,
            _Batched: self._on_batch,
            _Cancel: self._on_cancel,
            _Drain: self._on_drain,
            _Await: self._on_await,
            _Granted: self._on_granted,
            _Close: self._on_close,
        }

    # --- functions in front of the messages: none waits -------------------------------

    def request(self, register: Register, request: Request, outlet: Outlet, size: int, now: float) -> None:
        """Take a request that was read: start it, let it wait, answer it at once, or refuse it.

        Args:
            register: of the peer.
            request: the message.
            outlet: where its answer leaves.
            size: its bytes.
            now: the time at which it was read.
        """
        self.tell(_Arrived(register, request, outlet, size, now), size)

    def cancelled(self, register: Register, params: Mapping[str, Any] | None) -> None:
        """Take a `notifications/cancelled` of the peer's."""
        self.tell(_Cancelled(register, params))

    def initialized(self, register: Register) -> None:
        """Take a `notifications/initialized` of the peer's."""
        self.tell(_Initialized(register))

    def unreadable(self, register: Register, error: InvalidMessage, outlet: Outlet) -> None:
        """Answer a frame that is no message, in the order in which it was read."""
        self.tell(_Unreadable(register, error, outlet))

    def batch(self, register: Register, values: list[Any], size: int, now: float) -> None:
        """Take an array: whether there are batches depends on the handshake, and so on what was read before."""
        self.tell(_Batched(register, values, size, now), size)

    def left(self, request: InboundRequest) -> None:
        """Say that a request has ended and nothing works for it any more."""
        self.tell(_Left(request))

    def cancel(self, register: Register, request: InboundRequest, reason: CancelReason) -> None:
        """Cancel one request."""
        self.tell(_Cancel(register, reason, request, None, None))

    def cancel_outlet(self, register: Register, outlet: Outlet, reason: CancelReason) -> None:
        """Cancel the requests whose answers leave by this outlet."""
        self.tell(_Cancel(register, reason, None, outlet, None))

    def cancel_all(self, register: Register, reason: CancelReason) -> Reply[int]:
        """Cancel all that is in flight; the reply says how many requests that were."""
        reply: Reply[int] = Reply()
        self.tell(_Cancel(register, reason, None, None, reply))
        return reply

    def drain(self, register: Register) -> Reply[int]:
        """Refuse new work from here on; the reply says how many requests are in flight."""
        reply: Reply[int] = Reply()
        self.tell(_Drain(register, reply))
        return reply

    def when_idle(self, register: Register) -> Reply[None]:
        """Return a reply that is set when nothing is in flight any more."""
        reply: Reply[None] = Reply()
        self.tell(_Await(register, reply))
        return reply

    def granted(self, register: Register) -> None:
        """Say that Admission has taken a place for a request that waits."""
        self.tell(_Granted(register))

    def close(self, register: Register) -> None:
        """Cancel all that is in flight, and take nothing more: the session is over."""
        self.tell(_Close(register))

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        self._handlers[type(message)](message)

    # --- in ---------------------------------------------------------------------------

    def _accept(self, message: _Arrived) -> None:
        register, request, outlet, size, now = message
        session = register.session
        # Before all else: any answer by that id, an error too, would settle the first one at the peer.
        if request.id in register.in_flight and outlet.is_shared:
            self._duplicate(session, request, outlet)
            return
        params = request.params
        meta = None if params is None else params.get("_meta")
        profile = self._eras.profile(session, request.method, meta)
        if type(profile) is ErrorData:
            self._refuse(request, outlet, profile.code, profile.message, profile.data, unfit=True)
            return
        route = self._eras.route(session, profile, request.method)  # type: ignore[arg-type]  # ErrorData has left above
        if route == "ignored":
            return
        if type(route) is not Route:
            self._refuse(request, outlet, METHOD_NOT_FOUND, f"Method not found: {request.method}")
            return
        token: ProgressToken | None = None
        if meta is not None and type(meta) is dict:
            token = meta.get("progressToken")
            if token is not None and type(token) is not int and type(token) is not str:
                token = None  # refused, with its path, when the params are decoded
        inbound = InboundRequest(
            session,
            next(_serials),
            request.id,
            params,
            route,
            profile,  # type: ignore[arg-type]  # ErrorData has left above
            outlet,
            token,
            size,
            now,
        )
        if route.at_once is not None:
            self._answer_at_once(inbound, route)
        elif route.keeper is not None:
            self._keep(register, inbound, route, route.keeper)
        else:
            self._admit(register, inbound)

    def _duplicate(self, session: Session, request: Request, outlet: Outlet) -> None:
        """Drop a second request with the id of one in flight: an answer would settle the first one at the peer."""
        log.warning(events.REQUEST_DUPLICATED, id=request.id, method=request.method)
        outlet.withdraw()
        if not session.unreadable_id_is_null:
            text = f"A request with the id {request.id!r} is in flight already"
            session.writer.post(encode_error(None, INVALID_REQUEST, text, null_id=False))

    def _answer_at_once(self, request: InboundRequest, route: Route) -> None:
        assert route.at_once is not None
        try:
            params = route.decode(request.params)
            frame = encode_result(request.id, route.encode(route.at_once(request, params)))
        except InvalidPayload as exc:
            request.refuse(INVALID_PARAMS, f"Invalid params: {exc}", {"problems": exc.problems})
        except RequestFailed as exc:
            request.refuse(exc.code, exc.message, ABSENT if exc.data is None else exc.data)
        except Exception as exc:  # noqa: BLE001 - ours, or a user's that was asked for instructions: the session goes on
            request.refuse(INTERNAL_ERROR, "Internal error")
            log.error(events.HANDLER_FAILED, exc_info=exc, method=request.method)
        else:
            request.outlet.answer(frame)

    def _keep(self, register: Register, request: InboundRequest, route: Route, keeper: LongLived) -> None:
        if register.draining:
            self._refuse_draining(request)
            return
        try:
            params = route.decode(request.params)
        except InvalidPayload as exc:
            request.refuse(INVALID_PARAMS, f"Invalid params: {exc}", {"problems": exc.problems})
            return
        request.params = None  # the keeper has what it needs
        register.in_flight.add(request)
        register.long_lived[request.serial] = request
        keeper.open(request, params)

    # --- places -----------------------------------------------------------------------

    def _admit(self, register: Register, request: InboundRequest) -> None:
        limits = self._limits
        if register.draining or register.is_closed:
            self._refuse_draining(request)
        elif register.bytes + request.size > limits.session_request_bytes and register.bytes:
            self._refuse_busy(register, request, f"requests of {limits.session_request_bytes} bytes")
        elif register.running < limits.session_requests and not register.waiting and self._admission.take():
            self._register(register, request)
            register.running += 1
            self._actors.of(request.route.actor).post(request)
        elif len(register.waiting) < limits.session_waiting:
            self._register(register, request)
            register.waiting.append(request)
            if register.running < limits.session_requests:
                self._admission.enlist(register)
        else:
            what = f"{limits.session_requests} requests, and {limits.session_waiting} more that wait,"
            self._refuse_busy(register, request, what)

    def _register(self, register: Register, request: InboundRequest) -> None:
        register.in_flight.add(request)
        register.bytes += request.size

    def _refuse_draining(self, request: InboundRequest) -> None:
        self._count_refused(request.method, "draining")
        request.refuse(DRAINING, "The server is stopping and takes no new work", another_time("draining"))

    def _refuse_busy(self, register: Register, request: InboundRequest, what: str) -> None:
        register.refused += 1
        if log.is_worth_saying(register.refused):
            count = register.refused
            log.warning(events.REQUEST_REFUSED, method=request.method, id=request.id, reason="busy", count=count)
        self._count_refused(request.method, "busy")
        request.refuse(BUSY, f"Busy: {what} of this session are under way", another_time("busy"))

    def _refuse(
        self, message: Request, outlet: Outlet, code: int, text: str, data: Any = ABSENT, *, unfit: bool = False
    ) -> None:
        self._count_refused(message.method, "unfit")
        if log.debugging():
            log.debug(events.REQUEST_REFUSED, method=message.method, id=message.id, code=code)
        outlet.refuse(encode_error(message.id, code, text, data, null_id=False), code, unfit=unfit)

    def _on_granted(self, message: _Granted) -> None:
        register = message.register
        register.grants -= 1
        if register.waiting:
            register.running += 1
            request = register.waiting.popleft()
            self._actors.of(request.route.actor).post(request)
        else:
            self._admission.release()

    def _on_left(self, message: _Left) -> None:
        request = message.request
        register = request.session.requests
        if not register.in_flight.remove(request):
            return
        if register.long_lived.pop(request.serial, None) is not None:
            assert request.route.keeper is not None
            request.route.keeper.released(request)
        else:
            register.bytes -= request.size
            register.running -= 1
            if register.waiting:
                self._admission.enlist(register)
            self._admission.release()
        if request.cancel_reason is not None:
            self._cancellation.unwound(request)
        if self._instruments.meters:
            self._count(request)
        self._if_idle(register)

    def _count(self, request: InboundRequest) -> None:
        reason = request.cancel_reason
        outcome = reason.value if reason is not None else "ok" if request.code is None else "error"
        seconds = trio.current_time() - request.received_at
        for meter in self._instruments.meters:
            meter.ended(request.method, outcome, seconds, request.size, is_cancelled=reason is not None)

    def _count_refused(self, method: str, reason: str) -> None:
        for meter in self._instruments.meters:
            meter.refused(method, reason)

    def _if_idle(self, register: Register) -> None:
        if register.idle and not len(register.in_flight):
            idle, register.idle = register.idle, []
            for reply in idle:
                reply.set(None)

    # --- the handshake, batches and what cannot be read -------------------------------

    def _on_initialized(self, message: _Initialized) -> None:
        if not message.register.session.handshake.take(Step.INITIALIZED):
            method = "notifications/initialized"
            log.debug(events.MESSAGE_IGNORED, method=method, why="initialize was not answered")

    def _on_batch(self, message: _Batched) -> None:
        register, values, size, now = message
        batch = open_batch(register, values)
        if batch is None:
            return
        share = size // len(values)
        for value in values:
            if is_owed(value):
                batch.expect()
            try:
                member = read_member(value)
            except InvalidMessage as exc:
                self._on_unreadable(_Unreadable(register, exc, batch))
                continue
            if type(member) is Request:
                self._accept(_Arrived(register, member, batch, share, now))
            else:
                register.session.dispatcher.take(member, batch, share, now)
        batch.withdraw()

    def _on_unreadable(self, message: _Unreadable) -> None:
        register, exc, outlet = message
        is_in_flight = exc.id is not None and exc.id in register.in_flight
        register.session.violations.answer(exc, outlet, is_in_flight=is_in_flight)

    # --- cancels ----------------------------------------------------------------------

    def _on_cancelled(self, message: _Cancelled) -> None:
        register, params = message
        request_id = None if params is None else params.get("requestId")
        if type(request_id) is not int and type(request_id) is not str:
            log.debug(events.CANCEL_IGNORED, why="it names no request")
            return
        named = register.in_flight.with_id(request_id)
        if len(named) != 1:
            # None: the answer has crossed the cancel. Several: it is not clear which one is meant.
            why = "no such request is in flight" if not named else "several requests in flight have that id"
            log.debug(events.CANCEL_IGNORED, id=request_id, why=why)
            return
        request = named[0]
        if not request.route.method.cancellable:
            log.debug(events.CANCEL_IGNORED, id=request_id, why=f"{request.method} cannot be cancelled")
            return
        reason = params.get("reason") if params is not None else None
        log.debug(events.REQUEST_CANCELLED, id=request_id, reason=reason)
        self._cancel(register, request, CancelReason.CANCELLED)

    def _on_cancel(self, message: _Cancel) -> None:
        register, reason, request, outlet, reply = message
        if request is not None:
            self._cancel(register, request, reason)
            return
        requests = [each for each in register.in_flight if outlet is None or each.outlet is outlet]
        if reason is CancelReason.SHUTDOWN:  # their keepers were told to finish the long-lived ones
            requests = [each for each in requests if each.serial not in register.long_lived]
        if reply is not None:
            reply.set(sum(map(register.owes_answer, requests)))
        for each in requests:
            self._cancel(register, each, reason)

    def _cancel(self, register: Register, request: InboundRequest, reason: CancelReason) -> None:
        """Mark a request, cancel its scope, and tell the CancellationManager, which sees that it ends."""
        if not request.cancel(reason):
            return
        if request.scope is not None:
            self._cancellation.unwinding(request)
            return
        if request.serial in register.long_lived:
            request.dismiss(reason)
            self.handle(_Left(request))
        elif request in register.waiting:
            # It has no place and no task: it ends here and now.
            register.waiting.remove(request)
            register.in_flight.remove(request)
            register.bytes -= request.size
            request.dismiss(reason)
            self._if_idle(register)

    # --- the end ----------------------------------------------------------------------

    def _on_drain(self, message: _Drain) -> None:
        register = message.register
        register.draining = True
        for request in list(register.long_lived.values()):
            if request.cancel_reason is None:
                assert request.route.keeper is not None
                request.route.keeper.finish(request)
        for request in register.in_flight:
            # Answered, and its handler has left a nursery open: the drain does not wait for that.
            if request.is_settled and request.serial not in register.long_lived:
                self._cancel(register, request, CancelReason.SHUTDOWN)
        if message.reply is not None:
            message.reply.set(register.unanswered)

    def _on_await(self, message: _Await) -> None:
        message.register.idle.append(message.reply)
        self._if_idle(message.register)

    def _on_close(self, message: _Close) -> None:
        register = message.register
        if register.is_closed:
            return
        register.is_closed = register.draining = True
        self._admission.leave(register)
        register.abandoned = sum(
            each.cancel_reason is not CancelReason.CANCELLED and register.owes_answer(each)
            for each in register.in_flight
        )
        for request in register.in_flight:
            self._cancel(register, request, CancelReason.SESSION_LOST)
