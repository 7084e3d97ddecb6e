"""What of an HTTP endpoint its user decides: keyword arguments, the same for both doors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from trimcp.endpoint.authentication import Authenticate
    from trimcp.endpoint.security import Cors
    from trimcp.stores.event_store import EventStore
    from trimcp.stores.session_store import SessionStore
    from trimcp.stores.subscription_store import SubscriptionStore


class HttpOptions(TypedDict, total=False):
    """The keyword arguments that `Server.serve_http`, `Server.serve_hypercorn` and `Server.asgi` share."""

    path: str
    """The one path of the endpoint, `/mcp` if not given; in an application that it is mounted in, below where it is
    mounted."""
    hosts: Sequence[str]
    """Values of `Host` that are served, such as `example.com` or `*.example.com:8443`, beside the names of loopback
    where the server is bound to that. See `Guard` for what is served where none are given."""
    origins: Sequence[str]
    """Origins of web pages that may send requests, such as `https://app.example.com`, beside the server's own."""
    cors: Cors | None
    """Which pages of other origins may read responses; none, if not given."""
    sse: bool
    """Whether clients of 2024-11-05 are served on `/sse` and `/messages` (HTTP+SSE); not, if not given."""
    health: bool
    """Whether `GET /health/live` and `/health/ready` are answered; not, if not given."""
    authenticate: Authenticate | None
    """An async function that is called with each request and says who sends it: a `Principal`, its subject alone as
    a string, None for an anonymous request, or `Unauthenticated`. Sessions, request states and limits belong to the
    subject and client that it names."""
    registry: SessionStore | None
    """Where the records of legacy sessions are kept; in this process, if not given. See `SessionStore`."""
    subscriptions: SubscriptionStore | None
    """Where the subscriptions of legacy sessions are kept; in this process, if not given. See `SubscriptionStore`."""
    store: EventStore | None
    """Where events are kept for clients that lose a connection; in this process, if not given. See `EventStore`."""
