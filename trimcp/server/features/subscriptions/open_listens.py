"""The listens in flight: from the check of their bounds to their end in good order. State of the SubscriptionBus alone.

basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.codec.envelope import encode_notification
from trimcp.errors import RequestFailed
from trimcp.server.features.subscriptions.listener import Listener
from trimcp.server.features.subscriptions.register import SubscriptionRegister, busy
from trimcp.session.refusals import another_time
from trimcp.session.request import InboundRequest
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import DRAINING
from trimcp.types.metadata import SUBSCRIPTION_ID

if TYPE_CHECKING:
    from trimcp.server.features.subscriptions.grants import Granted, Grants
    from trimcp.session.limits import Limits
    from trimcp.session.session import Session
    from trimcp.types.subscriptions import SubscriptionFilter

APART: Final = 0.1
"""Seconds between the result of a listen on a shared stream and the notice that it is over. Released clients take
the two in that order only where they do not come at once: a result waits for its task, a notice for none."""


class OpenListens:
    """Requests that stay in flight, each with its listener once it was granted."""

    def __init__(self, limits: Limits, grants: Grants, register: SubscriptionRegister) -> None:
        self._limits = limits
        self._grants = grants
        self._register = register
        self._listeners: dict[InboundRequest, Listener | None] = {}  # None until it was granted
        self._of_session: dict[Session, int] = {}
        self._ends: dict[InboundRequest, float] = {}  # of those that were answered; the first one first

    def __len__(self) -> int:
        return len(self._listeners)

    def open(self, request: InboundRequest, wanted: SubscriptionFilter) -> bool:
        """Refuse a listen, or grant it. Returns whether the functions of the user must be asked before."""
        if request.is_settled:  # cancelled meanwhile
            return False
        try:
            self._check_room(request)
            uris = self._grants.check(request, wanted)
            self._register.check_room(request.session, uris)
            granted = None if self._grants.calls_user(wanted) else self._grants.grant(request, wanted)
        except RequestFailed as exc:
            refuse(request, exc)
            return False
        self._listeners[request] = None
        self._of_session[request.session] = self._of_session.get(request.session, 0) + 1
        if granted is None:
            return True
        self.granted(request, granted)
        return False

    def _check_room(self, request: InboundRequest) -> None:
        limits = self._limits
        if self._of_session.get(request.session, 0) >= limits.listens:
            raise busy(f"{limits.listens} listens of this session are open")
        if len(self._listeners) >= limits.server_listens:
            raise busy(f"{limits.server_listens} listens are open")

    def granted(self, request: InboundRequest, granted: Granted) -> None:
        """Acknowledge a listen, and tell it of changes from now on."""
        if request.is_settled or request not in self._listeners:  # cancelled, or refused, meanwhile
            return
        try:
            self._register.check_room(request.session, len(granted.watched))
        except RequestFailed as exc:
            refuse(request, exc)
            return
        listener = self._listeners[request] = Listener(request, granted.kinds, granted.watched)
        self._register.add_listener(listener)
        listener.acknowledge(granted.filter)

    # --- the end ----------------------------------------------------------------------

    def finish(self, request: InboundRequest) -> None:
        """End a listen in good order: its result and, where that does not end its stream, the cancel after it."""
        from trimcp.types.subscriptions import SubscriptionsListenResult

        if request.is_settled or request not in self._listeners:
            return
        if self._listeners[request] is None:
            request.refuse(DRAINING, "The server is stopping and takes no new work", another_time("draining"))
            return
        if request.outlet.is_shared:
            request.keep()
            self._ends[request] = trio.current_time() + APART
        request.conclude(SubscriptionsListenResult(meta={SUBSCRIPTION_ID: request.id}))

    @property
    def next_end(self) -> float | None:
        """When the first of those that were answered is to end, in Trio's clock; None where none was."""
        return next(iter(self._ends.values()), None)

    def end_answered(self, now: float) -> None:
        """End the listens whose result has left long enough ago."""
        while self._ends:
            request, due = next(iter(self._ends.items()))
            if due > now:
                return
            del self._ends[request]
            self._post_cancelled(request)
            request.let_go()

    def _post_cancelled(self, request: InboundRequest) -> None:
        params = {"requestId": request.id, "reason": "the server is stopping"}
        request.outlet.post(encode_notification("notifications/cancelled", params))

    def forget(self, request: InboundRequest) -> None:
        """Forget a listen that is over, and drop its notices that have not left, if it was cancelled."""
        if self._ends.pop(request, None) is not None:  # the drain is over before its time
            self._post_cancelled(request)
        if request not in self._listeners:  # it was refused
            return
        listener = self._listeners.pop(request)
        left = self._of_session.pop(request.session) - 1
        if left:
            self._of_session[request.session] = left
        if listener is not None:
            self._register.remove_listener(listener)
            if request.cancel_reason is not None:
                listener.take_back()


def refuse(request: InboundRequest, exc: RequestFailed) -> None:
    """Answer a listen with an error."""
    request.refuse(exc.code, exc.message, ABSENT if exc.data is None else exc.data)
