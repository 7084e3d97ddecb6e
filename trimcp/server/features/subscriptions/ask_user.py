"""Asks the functions of the user what a client may be told of, in a worker of the run.

They run in none of the tasks that other clients depend on, so that a function that raises, or leaves a
scope open, fails its one request. They are synchronous.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Protocol

from trimcp.actors.reply import Reply
from trimcp.errors import RequestFailed
from trimcp.observability import events, log
from trimcp.server.features.subscriptions.register import busy
from trimcp.session.request import InboundRequest
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import INTERNAL_ERROR

if TYPE_CHECKING:
    import trio

    from trimcp.server.features.subscriptions.grants import Granted, Grants
    from trimcp.types.subscriptions import SubscriptionFilter


class Asked(Protocol):
    """The SubscriptionBus, as it is told the answers."""

    def listen_granted(self, request: InboundRequest, granted: Granted) -> None: ...

    def subscription_granted(self, request: InboundRequest, uri: str, reply: Reply[None]) -> None: ...


class AskUser(abc.ABC):
    """`Work` of a pool: one question to the functions of the user, for one request."""

    def __init__(self, request: InboundRequest, grants: Grants, bus: Asked) -> None:
        self.scope: trio.CancelScope | None = None
        self._request = request
        self._grants = grants
        self._bus = bus

    @abc.abstractmethod
    async def run(self) -> None:
        """See `Work`: ask. Never waits."""

    @abc.abstractmethod
    def _refuse(self, error: RequestFailed) -> None:
        """Answer the request with an error."""

    @abc.abstractmethod
    def finished(self) -> bool:
        """See `Work`: tell the bus the answer, unless `failed` was called before."""

    def failed(self, error: BaseException) -> None:
        """See `Work`: refuse the request. It may come after `run`, where that has left a scope open."""
        if isinstance(error, RequestFailed):
            self._refuse(error)
            return
        self._refuse(RequestFailed(INTERNAL_ERROR, "Internal error"))
        log.error(events.HANDLER_FAILED, exc_info=error, method=self._request.method, request=self._request.serial)

    def left(self) -> None:  # noqa: B027 - it has no place to give back
        """See `Work`."""

    def handed_back(self) -> None:
        """See `Work`: the run is over."""
        self._refuse(busy("the server is stopping"))


class AskAboutListen(AskUser):
    """Asks which part of a `subscriptions/listen` is granted."""

    def __init__(self, request: InboundRequest, wanted: SubscriptionFilter, grants: Grants, bus: Asked) -> None:
        super().__init__(request, grants, bus)
        self._wanted = wanted
        self._granted: Granted | None = None

    async def run(self) -> None:
        if not self._request.is_settled:
            self._granted = self._grants.grant(self._request, self._wanted)

    def _refuse(self, error: RequestFailed) -> None:
        self._granted = None
        self._request.refuse(error.code, error.message, ABSENT if error.data is None else error.data)

    def finished(self) -> bool:
        if self._granted is not None:
            self._bus.listen_granted(self._request, self._granted)
        return False


class AskAboutSubscription(AskUser):
    """Asks whether a `resources/subscribe` is granted."""

    def __init__(self, request: InboundRequest, uri: str, reply: Reply[None], grants: Grants, bus: Asked) -> None:
        super().__init__(request, grants, bus)
        self._uri = uri
        self._reply = reply

    async def run(self) -> None:
        self._grants.check_may_subscribe(self._request, self._uri)

    def _refuse(self, error: RequestFailed) -> None:
        self._reply.fail(error)

    def finished(self) -> bool:
        if not self._reply.is_set:
            self._bus.subscription_granted(self._request, self._uri, self._reply)
        return False
