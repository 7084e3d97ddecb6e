"""What a session serves: the face that a server, or a client, shows to the sessions it owns.

A session knows nothing of tools or sampling. It asks its service which requests it answers in a
revision, and tells it what the peer let it know.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from trimcp.session.limits import Limits
from trimcp.types.methods import Method
from trimcp.types.payload import EmptyResult
from trimcp.types.revisions import Revision

if TYPE_CHECKING:
    from trimcp.session.request import InboundRequest
    from trimcp.session.session import Session


@attrs.frozen
class Route:
    """How one method is served in one revision: everything compiled before the first request."""

    method: Method
    decode: Callable[[Mapping[str, Any] | None], Any]
    """Raw params to the params object; raises `InvalidPayload`."""
    handle: Callable[[InboundRequest, Any], Awaitable[Any]]
    """Does the work, in the request's task."""
    encode: Callable[[Any], dict[str, Any]]
    """The result object to a JSON object; raises `InvalidPayload`."""
    at_once: Callable[[InboundRequest, Any], Any] | None = None
    """Answers without a wait and without a task, for what must never queue behind work:
    `initialize`, `ping`, `server/discover`."""
    keeper: LongLived | None = None
    """Keeps the request in flight without a task, for what is answered by an event: `subscriptions/listen`.
    It takes no place; the keeper has a bound for it."""


class LongLived(Protocol):
    """The actor that keeps requests which stay in flight without a task."""

    def open(self, request: InboundRequest, params: Any) -> None:
        """Take a request that the Router has registered, and answer it later. Never waits."""
        ...

    def finish(self, request: InboundRequest) -> None:
        """Answer a request in good order: its session drains. Never waits."""
        ...

    def released(self, request: InboundRequest) -> None:
        """Forget a request: it was answered, refused or cancelled. Never waits."""
        ...


def pong(request: InboundRequest, params: Any) -> EmptyResult:
    """Answer `ping`, in either role (basic/utilities/ping)."""
    return EmptyResult()


async def never(request: InboundRequest, params: Any) -> Any:
    """The handler of what is answered at once: the Router does not come to it."""
    raise AssertionError(f"{request.method} is answered at once")


class Service(abc.ABC):
    """A server's, or a client's, side of its sessions."""

    role: Literal["server", "client"]
    limits: Limits
    revisions: Sequence[Revision]
    """Those offered, oldest first."""

    @abc.abstractmethod
    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """The requests that are answered in that revision; any other is -32601."""

    @abc.abstractmethod
    def notified(self, session: Session, method: str, params: Mapping[str, Any] | None) -> None:
        """A notification arrived that the session has no use for itself. Must not wait, nor raise."""

    @abc.abstractmethod
    def opened(self, session: Session) -> None:
        """A session began to run."""

    @abc.abstractmethod
    def ended(self, session: Session) -> None:
        """A session is over."""
