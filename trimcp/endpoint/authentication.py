"""Who sends an HTTP request: the user's `authenticate` function, called with its bound of time.

Owns what such a function may return or raise, and how its challenge becomes a response. The endpoint
calls it for requests, the WebSocket servers for the request that opens a connection.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

from trimcp.actors.pool_call import call_in
from trimcp.endpoint.request_tasks import split_request_error
from trimcp.errors import Unauthenticated
from trimcp.observability import events, log
from trimcp.protocol.principal import Principal, principal_of
from trimcp.transports.http.door import PLAIN, Refusal

if TYPE_CHECKING:
    from trimcp.actors.worker_pool import WorkerPool
    from trimcp.transports.http.door import HttpRequest

Authenticate = Callable[["HttpRequest"], Awaitable[Principal | str | Unauthenticated | None]]
"""Says who sends a request: a `Principal`, its subject alone, or None for an anonymous request. An `Unauthenticated`,
raised or returned, sends the request away with its challenge."""

AUTHENTICATE_TIMEOUT: Final = 30.0
"""Seconds that `authenticate` may take."""

_FAILED: Final = Refusal(500, PLAIN, b"Internal error\n")


async def authenticated(authenticate: Authenticate | None, request: HttpRequest) -> Principal | None:
    """Find out who sends a request, and note it there.

    Raises:
        Unauthenticated: the request is to be sent away.
        TimeoutError: `authenticate` took too long.
        UsageError: `authenticate` returned something else.
    """
    if authenticate is None:
        return None
    with trio.move_on_after(AUTHENTICATE_TIMEOUT):
        found = await authenticate(request)
        if isinstance(found, Unauthenticated):
            raise found
        request.principal = principal_of(found)
        return request.principal
    raise TimeoutError(f"`authenticate` took longer than {AUTHENTICATE_TIMEOUT:g} s")


def challenge(exc: Unauthenticated) -> Refusal:
    """The response that sends a request away, with a `WWW-Authenticate` field for each challenge."""
    fields = [(b"www-authenticate", each.encode("latin-1")) for each in exc.challenges]
    return Refusal(exc.status, (*PLAIN, (b"cache-control", b"no-store"), *fields), f"{exc}\n".encode())


async def admission(authenticate: Authenticate, pool: WorkerPool, request: HttpRequest) -> Refusal | None:
    """Judge a request that opens a WebSocket; None lets it in, and its principal is noted there.

    `authenticate` runs in a worker of the pool: what it leaves behind is no matter of the connection's task.
    """
    try:
        await call_in(pool, functools.partial(authenticated, authenticate, request))
    except Unauthenticated as exc:
        return challenge(exc)
    except BaseException as exc:  # noqa: BLE001 - the boundary of one request
        failure, passing = split_request_error(exc)
        if failure is not None:
            log.error(events.REQUEST_FAILED, exc_info=failure, path=request.path, method=request.method)
        if passing is not None:
            raise passing from None
        return _FAILED
    return None
