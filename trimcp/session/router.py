"""The Router: the actor that decides whether, in which revision and when a request runs.

It changes the registers of requests, their places, and the handshake. Its messages come in the order in which they
were read: requests, cancels, `initialized`, batches, invalid messages. A request that runs goes to the handler actor
of its feature; `ping`, `initialize` and `server/discover` are answered in the Router's turn, so they take no place
and pass all work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.loop import current_clock
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.reply import Reply
from trimcp.codec.envelope import InvalidMessage
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.protocol.lifecycle import Step
from trimcp.session.acceptance import Acceptance, RouterService
from trimcp.session.admission import Admission
from trimcp.session.batches import Batch, batch_refusal, is_owed, read_member
from trimcp.session.cancellation_manager import CancellationManager, request_named
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.refusals import RequestCounter, answer_invalid, refuse_message
from trimcp.session.register import Register
from trimcp.session.reply_stream import ReplyStream
from trimcp.session.request import InboundRequest
from trimcp.session.request_log import log_ended
from trimcp.session.traced_request import TracedRequest
from trimcp.types.jsonrpc import INVALID_REQUEST, Request

CAPACITY: Final = 4096
"""Messages that may wait, beside two for each place of the server. A Reader waits when half of all do, so that
places given back always find room."""

Requests = Register[InboundRequest]
"""The register of one peer."""
Arrived = Sequence[tuple[Request, int]]
"""Requests that were read together, each with its bytes."""
_Arrived = tuple[Requests, Arrived, ReplyStream, float]
"""Requests were read: the parameters of `Router.requests`. A plain tuple, since a class costs a request 4 % more."""


class _Cancelled(NamedTuple):
    """The peer's `notifications/cancelled` was read."""

    register: Requests
    params: Mapping[str, Any] | None


class _Initialized(NamedTuple):
    """The peer's `notifications/initialized` was read."""

    register: Requests


class _Invalid(NamedTuple):
    """An invalid message was read; `reply_stream` is where an answer by its id would leave."""

    register: Requests
    error: InvalidMessage
    reply_stream: ReplyStream


class _Batched(NamedTuple):
    """An array was read (2025-03-26)."""

    register: Requests
    values: list[Any]
    size: int
    now: float


class _Cancel(NamedTuple):
    """This side cancels the requests of a reply stream, the one with a serial, or all of a register."""

    register: Requests
    reason: CancelReason
    reply_stream: ReplyStream | None
    reply: Reply[int] | None
    serial: int | None = None


class _Drain(NamedTuple):
    """Refuse new work, and reply how many requests are in flight now."""

    register: Requests
    reply: Reply[int]


class _Await(NamedTuple):
    """Reply when no request is in flight any more."""

    register: Requests
    reply: Reply[None]


class _Granted(NamedTuple):
    """Admission has taken a place for a request that waits."""

    register: Requests


class _Close(NamedTuple):
    """The session is over: cancel all that is in flight."""

    register: Requests


_FromPeer = _Arrived | _Cancelled | _Initialized | _Invalid | _Batched
_Message = _FromPeer | InboundRequest | _Cancel | _Drain | _Await | _Granted | _Close
"""An `InboundRequest` is its own message that it has ended."""


class Router(Actor[_Message]):
    """Takes the requests of one session, or of the stateless peers of an endpoint, from read to ended."""

    name = "router"

    def __init__(
        self,
        owner: Owner,
        service: RouterService,
        actors: HandlerActors,
        admission: Admission,
        cancellation: CancellationManager,
        *,
        in_turn: bool = False,
    ) -> None:
        """
        Args:
            owner: the supervisor.
            service: which requests are served, and within which limits.
            actors: the handler actors that requests go to.
            admission: the places shared with other sessions.
            cancellation: is told of cancelled requests whose handlers run.
            in_turn: see `Actor`.
        """
        limits = service.limits
        super().__init__(
            owner, Mailbox(CAPACITY + 2 * limits.server_requests, max_bytes=limits.message_bytes), in_turn=in_turn
        )
        self._actors = actors
        self._admission = admission
        self._cancellation = cancellation
        self._limits = limits
        self._instruments = service.instruments
        self._read_clock = current_clock()
        self._counter = RequestCounter(service.instruments)
        self._acceptance = Acceptance(service, self._counter)

    # --- functions in front of the messages: none waits -------------------------------

    def requests(self, register: Requests, requests: Arrived, reply_stream: ReplyStream, size: int, now: float) -> None:
        """Take requests that were read together: start each, let it wait, answer it at once, or refuse it.

        Args:
            register: of the peer.
            requests: the messages.
            reply_stream: where their answers leave.
            size: the bytes of all.
            now: the time at which they were read.
        """
        self.tell_now((register, requests, reply_stream, now), size)

    def cancelled(self, register: Requests, params: Mapping[str, Any] | None) -> None:
        """Take a `notifications/cancelled` of the peer."""
        self.tell_now(_Cancelled(register, params))

    def initialized(self, register: Requests) -> None:
        """Take a `notifications/initialized` of the peer."""
        self.tell_now(_Initialized(register))

    def invalid(self, register: Requests, error: InvalidMessage, reply_stream: ReplyStream) -> None:
        """Answer an invalid message, in the order in which it was read."""
        self.tell_now(_Invalid(register, error, reply_stream))

    def batch(self, register: Requests, values: list[Any], size: int, now: float) -> None:
        """Take an array: whether there are batches depends on what was read before."""
        self.tell_now(_Batched(register, values, size, now), size)

    def left(self, request: InboundRequest) -> None:
        """See `RegisterRouter`. At once while others run; the wake for the last one keeps the process awake a while."""
        is_last = self._admission.free >= self._admission.most - 1
        (self.tell if is_last else self.tell_now)(request)

    def cancel_reply_stream(self, register: Requests, reply_stream: ReplyStream, reason: CancelReason) -> None:
        """Cancel the requests whose answers leave by this reply stream."""
        self.tell(_Cancel(register, reason, reply_stream, None))

    def cancel_in_flight(self, register: Requests, reason: CancelReason, serial: int | None = None) -> Reply[int]:
        """Cancel all requests in flight, or that with a serial; the reply is how many will be answered for it."""
        reply: Reply[int] = Reply()
        self.tell(_Cancel(register, reason, None, reply, serial))
        return reply

    def drain(self, register: Requests) -> Reply[int]:
        """Refuse new work from here on; the reply is how many requests are in flight."""
        reply: Reply[int] = Reply()
        self.tell(_Drain(register, reply))
        return reply

    def when_idle(self, register: Requests) -> Reply[None]:
        """Return a reply that is set when no request is in flight any more."""
        reply: Reply[None] = Reply()
        self.tell(_Await(register, reply))
        return reply

    def granted(self, register: Requests) -> None:
        """See `RegisterRouter`."""
        self.tell(_Granted(register))

    def close(self, register: Requests) -> None:
        """Cancel all requests in flight, and refuse more: the session is over."""
        self.tell(_Close(register))

    # --- in ---------------------------------------------------------------------------

    def _on_arrived(self, message: _Arrived) -> None:
        register, requests, reply_stream, now = message
        accept, admission, actors, limits = self._acceptance.accept, self._admission, self._actors, self._limits
        for read, size in requests:
            request = accept(register, read, reply_stream, size, now)
            if request is None:
                continue
            route = request.route
            if route.at_once is not None:
                request.answer_at_once()
                self._counter.answered_at_once(request)
            elif register.draining:  # also where it is closed
                self._counter.draining(request)
            elif route.keeper is not None:
                request.open_long_lived(route.keeper)
            elif register.bytes + size > limits.session_request_bytes and register.bytes:
                self._counter.busy(request, f"requests of {limits.session_request_bytes} bytes")
            elif register.has_room() and admission.take():
                register.add_running(request)
                actors[route.actor].post(request)
            elif len(register.waiting) < limits.session_waiting:
                register.add_waiting(request)
                if register.wants_place:
                    admission.enlist(register)
            else:
                most = f"{limits.session_requests} requests, and {limits.session_waiting} that wait,"
                self._counter.busy(request, most)

    def _on_granted(self, message: _Granted) -> None:
        request = message.register.next_waiting()
        if request is None:
            self._admission.release()
        else:
            self._actors[request.route.actor].post(request)

    # --- out --------------------------------------------------------------------------

    def _on_left(self, request: InboundRequest) -> None:
        register = request.register
        keeper = request.route.keeper
        if not (register.remove_running(request) if keeper is None else register.in_flight.remove(request)):
            return
        if keeper is None:
            if register.waiting:
                self._admission.enlist(register)
            self._admission.release()
        else:
            del register.long_lived[request.serial]
            keeper.released(request)
            if log.informs:
                log_ended(request)
        if request.cancel_reason is not None:
            self._cancellation.unwound(request)
        count_ended = self._instruments.ended
        if count_ended is not None:
            read_clock = self._read_clock
            count_ended(request, read_clock())
        if register.idle:
            register.tell_idle()

    # --- the handshake, batches and invalid messages ----------------------------------

    def _on_initialized(self, message: _Initialized) -> None:
        if not message.register.peer.handshake.take(Step.INITIALIZED):
            log.debug(events.MESSAGE_IGNORED, method="notifications/initialized", why="initialize was not answered")

    def _on_batch(self, message: _Batched) -> None:
        register, values, size, now = message
        peer = register.peer
        register.batches = [batch for batch in register.batches if not batch.is_complete]
        refusal = batch_refusal(values, peer.revision, self._limits, under_way=len(register.batches))
        if refusal is not None:
            log.debug(events.BATCH_REFUSED, why=refusal)
            refuse_message(peer, INVALID_REQUEST, refusal)
            return
        batch = Batch(peer.writer, self._limits.result_bytes)
        register.batches.append(batch)
        share = size // len(values)
        for value in values:
            if is_owed(value):
                batch.expect()
            try:
                member = read_member(value)
            except InvalidMessage as exc:
                self._on_invalid(_Invalid(register, exc, batch))
                continue
            if type(member) is Request:
                self._on_arrived((register, ((member, share),), batch, now))
            else:
                peer.take(member, batch, share, now)
        batch.withdraw()

    def _on_invalid(self, message: _Invalid) -> None:
        register, exc, reply_stream = message
        is_in_flight = exc.id is not None and exc.id in register.in_flight.by_id
        answer_invalid(register.peer, exc, reply_stream, is_in_flight=is_in_flight)

    # --- cancels ----------------------------------------------------------------------

    def _on_cancelled(self, message: _Cancelled) -> None:
        register, params = message
        request = request_named(params, register)
        if request is not None:
            log.debug(events.REQUEST_CANCELLED, id=request.id, reason=(params or {}).get("reason"))
            self._cancel(register, request, CancelReason.CANCELLED)

    def _on_cancel(self, message: _Cancel) -> None:
        register, reason, reply_stream, reply, serial = message
        requests = [each for each in register.in_flight if reply_stream is None or each.reply_stream is reply_stream]
        if serial is not None:
            requests = [each for each in requests if each.serial == serial]
        if reason is CancelReason.SHUTDOWN:  # their keepers were told to finish the long-lived ones
            requests = [each for each in requests if each.serial not in register.long_lived]
        if reply is not None:
            reply.set(sum(map(register.owes_answer, requests)))
        for each in requests:
            self._cancel(register, each, reason)

    def _cancel(self, register: Requests, request: InboundRequest, reason: CancelReason) -> None:
        """Mark a request, cancel its scope, and tell the CancellationManager, which sees that it ends."""
        if not request.cancel(reason):
            return
        if request.scope is not None:
            self._cancellation.unwinding(request)
            return
        if request.serial in register.long_lived:
            request.dismiss(reason)
            self._on_left(request)
        elif register.remove_waiting(request):  # it has no place and no task: it ends here and now
            request.dismiss(reason)
            register.tell_idle()

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
        message.reply.set(register.unanswered)

    def _on_await(self, message: _Await) -> None:
        message.register.idle.append(message.reply)
        message.register.tell_idle()

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

    handlers: ClassVar[Mapping[type, Callable[..., None]]] = {
        tuple: _on_arrived,
        InboundRequest: _on_left,
        TracedRequest: _on_left,
        _Cancelled: _on_cancelled,
        _Initialized: _on_initialized,
        _Invalid: _on_invalid,
        _Batched: _on_batch,
        _Cancel: _on_cancel,
        _Drain: _on_drain,
        _Await: _on_await,
        _Granted: _on_granted,
        _Close: _on_close,
    }
