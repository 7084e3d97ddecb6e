"""The service of a session: what a server, or a client, shows to the sessions that it owns.

A session knows nothing of tools or sampling. It asks its service which requests it answers in a
revision, and hands it the notifications that are not the session's own.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from trimcp.observability.instruments import Instruments
from trimcp.session.limits import Limits
from trimcp.types.methods import Method
from trimcp.types.payload import EmptyResult
from trimcp.types.revisions import Revision

if TYPE_CHECKING:
    from trimcp.session.request import InboundRequest
    from trimcp.session.session import Session


class LongLived(Protocol):
    """The actor that keeps requests which stay in flight without a task: `subscriptions/listen`.

    It answers with `InboundRequest.conclude` or `refuse`, which end the request, unless it has said `keep()`: then
    `let_go()` ends it.
    """

    def open(self, request: InboundRequest, params: Any) -> None:
        """Keep a request, which the Router has registered. Never waits."""
        ...

    def finish(self, request: InboundRequest) -> None:
        """Answer a request in good order, since the session drains. Never waits."""
        ...

    def released(self, request: InboundRequest) -> None:
        """Forget a request: it is over, answered, refused or cancelled. Never waits."""
        ...


@attrs.frozen
class Route:
    """How one method is served in one revision: everything compiled before the first request."""

    method: Method
    decode: Callable[[Mapping[str, Any] | None], Any]
    """Raw params to the params object; raises `InvalidPayload`."""
    handle: Callable[[InboundRequest, Any], Awaitable[Any]]
    """Does the work, in a worker of the handler actor."""
    encode: Callable[[Any], dict[str, Any]]
    """The result object to a JSON object; raises `InvalidPayload`."""
    at_once: Callable[[InboundRequest, Any], Any] | None = None
    """Answers in the Router's turn, for what must never queue behind work: `initialize`, `ping`, `server/discover`."""
    keeper: LongLived | None = None
    """Keeps the request in flight without a task. The request takes no place; the keeper has a bound for it."""
    actor: str = attrs.field(init=False)
    """The name of the handler actor: the feature, which is the first part of the method's name."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "actor", self.method.name.split("/", 1)[0])


def pong(request: InboundRequest, params: Any) -> EmptyResult:
    """Answer `ping`, in either role (basic/utilities/ping)."""
    return EmptyResult()


async def never(request: InboundRequest, params: Any) -> Any:
    """Stand in for the handler of a request that the Router or a keeper answers."""
    raise AssertionError(f"{request.method} is not answered by a handler")


class Service(abc.ABC):
    """A server's, or a client's, side of its sessions."""

    role: Literal["server", "client"]
    limits: Limits
    revisions: Sequence[Revision]
    """Those offered, oldest first."""
    instruments: Instruments
    """Counts its requests, while a meter is open."""

    @abc.abstractmethod
    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """The requests that are answered in that revision; any other is -32601."""

    @abc.abstractmethod
    def notified(self, session: Session, method: str, params: Mapping[str, Any] | None) -> None:
        """Take a notification that the session has no use for itself. Must not wait, nor raise."""

    @abc.abstractmethod
    def opened(self, session: Session) -> None:
        """A session began to run."""

    @abc.abstractmethod
    def ended(self, session: Session) -> None:
        """A session is over."""
