"""Answers `resources/subscribe` and `resources/unsubscribe` of the legacy revisions (server/resources)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.session.request import InboundRequest
from trimcp.types.payload import EmptyResult

if TYPE_CHECKING:
    from trimcp.server.features.subscriptions.bus import SubscriptionBus
    from trimcp.server.features.subscriptions.grants import Grants
    from trimcp.types.resources import ResourceRequestParams


class SubscriptionRequests:
    """The handlers of the two requests. They run in the request's worker, and ask the SubscriptionBus."""

    def __init__(self, bus: SubscriptionBus, grants: Grants) -> None:
        self._bus = bus
        self._grants = grants

    async def subscribe(self, request: InboundRequest, params: ResourceRequestParams) -> EmptyResult:
        """Answer `resources/subscribe`. A second one for the same resource changes nothing.

        Raises:
            InvalidParams: the URI is too long, or the client may not.
            RequestFailed: the session has as many subscriptions as it may; the user's function raised it or failed.
        """
        session, uri = request.session, params.uri
        self._grants.check_uris([uri])
        if self._bus.check_room(session, uri):
            await self._bus.subscribe(request, uri)
        return EmptyResult()

    async def unsubscribe(self, request: InboundRequest, params: ResourceRequestParams) -> EmptyResult:
        """Answer `resources/unsubscribe`, also where there is nothing to end."""
        await self._bus.unsubscribe(request.session, params.uri)
        return EmptyResult()
