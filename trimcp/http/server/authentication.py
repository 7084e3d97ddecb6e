"""The authentication of HTTP requests by the user's `authenticate` function.

The endpoint authenticates each request; the WebSocket servers, the request that opens a connection.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from trimcp.actors.pool_call import call_in
from trimcp.actors.worker_pool import WorkerPool
from trimcp.errors import Unauthenticated
from trimcp.http.binding import PLAIN, HttpRequest, Refusal
from trimcp.http.server.request_tasks import split_request_error
from trimcp.observability import events, log
from trimcp.protocol.principal import Principal, principal_of

Authenticate = Callable[[HttpRequest], Awaitable[Principal | str | Unauthenticated | None]]
"""Returns the sender of a request: a `Principal`, its subject alone, or None for an anonymous request. An
`Unauthenticated`, raised or returned, refuses the request with its challenge."""

AUTHENTICATE_TIMEOUT: Final = 30.0
"""Seconds that `authenticate` may take."""

_FAILED: Final = Refusal(500, PLAIN, b"Internal error\n")


async def authenticated(authenticate: Authenticate | None, request: HttpRequest) -> Principal | None:
    """Call `authenticate`, and note the sender in `request.principal`.

    Raises:
        Unauthenticated: the request is refused.
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
    """Make the response to an unauthenticated request, with a `WWW-Authenticate` field for each challenge."""
    fields = [(b"www-authenticate", each.encode("latin-1")) for each in exc.challenges]
    fields += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in exc.headers.items()]
    return Refusal(exc.status, (*PLAIN, (b"cache-control", b"no-store"), *fields), f"{exc}\n".encode())


async def admission(authenticate: Authenticate, pool: WorkerPool, request: HttpRequest) -> Refusal | None:
    """Authenticate a request that opens a WebSocket; return None if it may, and note its principal in it.

    `authenticate` runs in a worker of the pool, so that scopes it leaves open do not reach the connection's task.
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
