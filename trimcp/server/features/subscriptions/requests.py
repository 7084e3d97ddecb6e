"""Answers `resources/subscribe` and `resources/unsubscribe` of the legacy revisions (server/resources)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from trimcp.session.request import InboundRequest
from trimcp.types.payload import EmptyResult

if TYPE_CHECKING:
    from trimcp.server.features.subscriptions.bus import SubscriptionBus
    from trimcp.server.features.subscriptions.grants import Grants
    from trimcp.types.resources import ResourceRequestParams


@runtime_checkable
class KeepsSubscriptions(Protocol):
    """A session that another process may take up: its subscriptions are kept in a store."""

    def subscribed(self, uri: str, *, is_on: bool) -> None:
        """Have it kept that the session is told of the changes of a resource, or no more. Never waits."""
        ...


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
            if isinstance(session, KeepsSubscriptions):
                session.subscribed(uri, is_on=True)
        return EmptyResult()

    async def unsubscribe(self, request: InboundRequest, params: ResourceRequestParams) -> EmptyResult:
        """Answer `resources/unsubscribe`, also where there is nothing to end."""
        session = request.session
        await self._bus.unsubscribe(session, params.uri)
        if isinstance(session, KeepsSubscriptions):
            session.subscribed(params.uri, is_on=False)
        return EmptyResult()
