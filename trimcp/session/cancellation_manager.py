"""The CancellationManager: cancels in both directions, after the Router has marked the request.

In: it owns the time that a cancelled handler has to clean up, and drops the progress of the request that has
not left. Out: a caller of ours that gives up calls it, in one step and without a wait, and the notice to the
peer leaves by the stream that the request took.

basic/utilities/cancellation of the legacy revisions, basic/patterns/cancellation of 2026-07-28.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox
from trimcp.codec.envelope import encode_notification
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.session.call import CallRoute
from trimcp.session.progress_tracker import ProgressTracker
from trimcp.session.register import Register
from trimcp.session.reply_stream import SessionStream
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import RequestId

CAPACITY: Final = 1024
"""Messages that may wait, beside two for each place of the server."""


class _Unwinding(NamedTuple):
    """A request was cancelled while its handler ran."""

    request: InboundRequest


class _Unwound(NamedTuple):
    """A cancelled request has ended."""

    request: InboundRequest


_Message = _Unwinding | _Unwound


class CancellationManager(Actor[_Message]):
    """Carries the cancels of one session, or of all stateless peers of an endpoint."""

    name = "cancellation manager"

    def __init__(self, owner: Owner, progress: ProgressTracker, limits: Limits) -> None:
        super().__init__(owner, Mailbox(CAPACITY + 2 * limits.server_requests))
        self._progress = progress
        self._cleanup = limits.cleanup
        self._unwinding: dict[InboundRequest, float] = {}
        """Cancelled requests whose handlers run, by the time at which their time to clean up is over."""

    # --- functions in front of the messages: none waits -------------------------------

    def unwinding(self, request: InboundRequest) -> None:
        """Watch the time that a cancelled request takes to clean up."""
        self.tell(_Unwinding(request))

    def unwound(self, request: InboundRequest) -> None:
        """Forget a cancelled request, which has ended."""
        if self.mailbox.told:  # otherwise this manager knows of none
            self.tell(_Unwound(request))

    def give_up(self, id: RequestId, why: str, stream: CallRoute | SessionStream) -> None:
        """Tell the peer, by a stream, that no caller waits for the answer to our request any more.

        In the turn of the caller, since the order on the stream counts: a handler that gives a question up, and then
        answers, has its notice before its answer.
        """
        stream.write(encode_notification("notifications/cancelled", {"requestId": id, "reason": why}))

    # --- the actor --------------------------------------------------------------------

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        request = message.request
        if type(message) is _Unwound:
            self._unwinding.pop(request, None)
        else:
            if not request.is_settled:
                self._unwinding[request] = trio.current_time() + self._cleanup
            if request.cancel_reason is CancelReason.CANCELLED and request.reports:
                self._progress.forget(request)  # progress that has not left must not follow the cancel

    async def run(self) -> None:
        """Handle messages, and log each cancelled handler that takes longer than the limit to clean up.

        Trio cannot end a task that shields itself, so a log line is all that can be done here; the place of the
        request stays taken, and `Server.run` leaves the handler behind at the end.
        """
        mailbox = self.mailbox
        while True:
            with trio.CancelScope(deadline=min(self._unwinding.values(), default=math.inf)):
                self.handle(await mailbox.receive())
                while mailbox.waiting:
                    self.handle(mailbox.receive_nowait())
            self._log_overstayed(trio.current_time())

    def _log_overstayed(self, now: float) -> None:
        for request, deadline in list(self._unwinding.items()):
            if now >= deadline:
                del self._unwinding[request]
                log.warning(
                    events.REQUEST_OVERSTAYED, method=request.method, request=request.serial, seconds=self._cleanup
                )


def request_named(params: Mapping[str, Any] | None, register: Register[InboundRequest]) -> InboundRequest | None:
    """Return the request that a `notifications/cancelled` names, if it names one that can be cancelled."""
    request_id = None if params is None else params.get("requestId")
    if type(request_id) is not int and type(request_id) is not str:
        log.debug(events.CANCEL_IGNORED, why="it names no request")
        return None
    named = register.in_flight.with_id(request_id)
    if len(named) != 1:
        # None: the answer has crossed the cancel. Several: it is not clear which one is meant.
        why = "no such request is in flight" if not named else "several requests in flight have that id"
        log.debug(events.CANCEL_IGNORED, id=request_id, why=why)
        return None
    if not named[0].route.method.cancellable:
        log.debug(events.CANCEL_IGNORED, id=request_id, why=f"{named[0].method} cannot be cancelled")
        return None
    return named[0]
