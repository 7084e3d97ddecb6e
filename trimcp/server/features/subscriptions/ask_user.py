"""Asks the functions of the user what a listen may be told of, in a worker of the run.

They run in none of the tasks that other clients depend on, so that a function that raises, or leaves a
scope open, ends its one request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from trimcp.errors import RequestFailed
from trimcp.observability import events, log
from trimcp.session.request import InboundRequest
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import INTERNAL_ERROR

if TYPE_CHECKING:
    import trio

    from trimcp.server.features.subscriptions.grants import Granted, Grants
    from trimcp.types.subscriptions import SubscriptionFilter


class Granting(Protocol):
    """The SubscriptionBus, as it is told the answer."""

    def grant(self, request: InboundRequest, granted: Granted) -> None: ...


class AskUser:
    """`Work` of the pool of the SubscriptionBus: one listen, of which the user's functions are asked."""

    def __init__(self, request: InboundRequest, wanted: SubscriptionFilter, grants: Grants, bus: Granting) -> None:
        self.scope: trio.CancelScope | None = None
        self._request = request
        self._wanted = wanted
        self._grants = grants
        self._bus = bus
        self._granted: Granted | None = None

    async def run(self) -> None:
        """Ask. The functions are synchronous, so this never waits."""
        if not self._request.is_settled:
            self._granted = self._grants.grant(self._request, self._wanted)

    def failed(self, error: BaseException) -> None:
        """See `Work`: the error answers the request. It may come after `run`, where that left a scope open."""
        self._granted = None
        request = self._request
        if isinstance(error, RequestFailed):
            request.refuse(error.code, error.message, ABSENT if error.data is None else error.data)
            return
        request.refuse(INTERNAL_ERROR, "Internal error")
        log.error(events.HANDLER_FAILED, exc_info=error, method=request.method, request=request.serial)

    def finished(self) -> bool:
        """See `Work`: tell the bus what was granted. Returns False, since the scope was not used."""
        if self._granted is not None:
            self._bus.grant(self._request, self._granted)
        return False

    def left(self) -> None:
        """See `Work`: it has no place to give back."""

    def handed_back(self) -> None:
        """See `Work`: the run is over, and with it the session of the request."""
