"""The CancellationManager: request to cancel scope, in both directions.

In: a peer's `notifications/cancelled` cancels the scope of the request that it names. Out: a
caller of ours that gives up leaves, in one step and without a wait, and the notice goes out
from here, outside of the cancelled scope.

basic/utilities/cancellation of the legacy revisions, basic/patterns/cancellation of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from trimcp.codec.envelope import encode_notification
from trimcp.observability import events, log
from trimcp.protocol.cancelling import CancelReason
from trimcp.session.calls import Way
from trimcp.session.lane import Lane
from trimcp.session.limits import Limits
from trimcp.session.request import InboundRequest
from trimcp.session.router import Router
from trimcp.types.jsonrpc import RequestId


class CancellationManager:
    """Cancels of one session. It gets a task only while a cancelled handler cleans up."""

    def __init__(self, router: Router, writer: Lane, limits: Limits, nursery: trio.Nursery) -> None:
        self._router = router
        self._writer = writer
        self._limits = limits
        self._nursery = nursery
        self._watching = False
        self._pause: trio.CancelScope | None = None
        self.overstayed = 0
        """Handlers that were still cleaning up when their time for it was over."""

    # --- in ---------------------------------------------------------------------------

    def cancelled(self, params: Mapping[str, Any] | None) -> None:
        """The peer said that it does not wait for a request any more. Whatever is wrong with that is ignored."""
        request_id = None if params is None else params.get("requestId")
        if type(request_id) is not int and type(request_id) is not str:
            log.debug(events.CANCEL_IGNORED, why="it names no request")
            return
        named = self._router.inbound.with_id(request_id)
        if len(named) != 1:
            # None: the answer has crossed the cancel, which is nobody's fault. Several: it is not clear whose.
            why = "no such request is in flight" if not named else "several requests in flight have that id"
            log.debug(events.CANCEL_IGNORED, id=request_id, why=why)
            return
        request = named[0]
        if not request.route.method.cancellable:
            log.debug(events.CANCEL_IGNORED, id=request_id, why=f"{request.method} cannot be cancelled")
            return
        reason = params.get("reason") if params is not None else None
        log.debug(events.REQUEST_CANCELLED, id=request_id, reason=reason)
        self.cancel(request, CancelReason.CANCELLED)
        request.outlet.drop(request.serial)  # progress that has not left must not follow the cancel

    def cancel(self, request: InboundRequest, reason: CancelReason) -> None:
        """Cancel one request of the peer's, and see that it takes no longer than it may to clean up."""
        self._router.cancel(request, reason)
        if request.scope is not None:
            self._see_to_it()

    def cancel_all(self, reason: CancelReason) -> int:
        """Cancel every request of the peer's; return how many that were."""
        number = self._router.cancel_all(reason)
        self._see_to_it()
        return number

    def _see_to_it(self) -> None:
        """Watch over what unwinds, if anything does and nobody watches yet."""
        if not self._watching and len(self._router.inbound):
            self._watching = True
            self._nursery.start_soon(self._watch, name="trimcp cancellation manager")

    async def _watch(self) -> None:
        """Say so when a cancelled handler takes longer than the limit to clean up.

        Trio cannot end a task that shields itself, so saying is all that can be done here;
        its place stays taken, and `Server.run` leaves it behind at the end.
        """
        known: dict[int, float] = {}
        said: set[int] = set()
        while True:
            now = trio.current_time()
            unwinding = {r.serial: r for r in self._router.inbound if r.cancel_reason is not None}
            if not unwinding:
                self._watching = False
                return
            known = {serial: known.get(serial, now) for serial in unwinding}
            said &= set(unwinding)
            for serial, request in unwinding.items():
                if serial not in said and now - known[serial] >= self._limits.cleanup:
                    said.add(serial)
                    self.overstayed += 1
                    log.warning(
                        events.REQUEST_OVERSTAYED, method=request.method, request=serial, seconds=self._limits.cleanup
                    )
            with trio.CancelScope() as self._pause:
                await trio.sleep(self._limits.cleanup)

    def nothing_unwinds(self) -> None:
        """Nothing is in flight any more: the watch need not wait to see that. Of use where many come and go."""
        if self._watching and self._pause is not None:
            self._pause.cancel()

    # --- out --------------------------------------------------------------------------

    def give_up(self, request_id: RequestId, reason: str, via: Way | None) -> None:
        """Tell the peer that nobody waits for the answer to our request any more, by the way that it went."""
        params = {"requestId": request_id, "reason": reason}
        (via or self._writer).post(encode_notification("notifications/cancelled", params))
