"""HTTP requests that wait for functions of the user's: each runs in a task of its own.

A connection therefore goes on reading meanwhile, which is how it notices that its client leaves. The task
is then cancelled. Whatever a function of the user's raises ends its request and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from trimcp.endpoint.posting import refuse
from trimcp.observability import events, log
from trimcp.types.jsonrpc import INTERNAL_ERROR

if TYPE_CHECKING:
    from trimcp.transports.http.door import HttpRequest, HttpResponse

Work = Callable[["HttpRequest", "HttpResponse"], Awaitable[None]]
"""Takes a request, and answers it now or later."""


class RequestTasks:
    """The tasks of one endpoint's requests, in its nursery."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start(self, work: Work, request: HttpRequest, response: HttpResponse) -> None:
        """Run `work` in a task that is cancelled when the client leaves, until `on_gone` says something else."""
        scope = trio.CancelScope()
        response.on_gone = scope.cancel
        self._nursery.start_soon(self._run, scope, work, request, response, name=f"trimcp http {request.path}")

    async def _run(self, scope: trio.CancelScope, work: Work, request: HttpRequest, response: HttpResponse) -> None:
        try:
            with scope:
                await work(request, response)
        except BaseException as exc:  # noqa: BLE001 - the boundary of one request
            failure, passing = split_request_error(exc)
            if failure is not None:
                request_failed(failure, request, response)
            if passing is not None:
                raise passing from None


def request_failed(failure: BaseException, request: HttpRequest, response: HttpResponse) -> None:
    """Answer a request whose handling failed, and log why; the answer says nothing about it."""
    log.error(events.REQUEST_FAILED, exc_info=failure, path=request.path, method=request.method)
    refuse(response, 500, INTERNAL_ERROR, "Internal error")


def split_request_error(exc: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Split an exception into the failure of one request, and what must go on to the supervisor.

    The latter are `KeyboardInterrupt`, and `Cancelled` where a scope around the task is cancelled. A stray
    `Cancelled`, `GeneratorExit` and `SystemExit` are failures: a user's function must not end the endpoint.
    """
    is_cancelled = trio.current_effective_deadline() == -float("inf")

    def passes(each: BaseException) -> bool:
        return isinstance(each, KeyboardInterrupt) or (is_cancelled and isinstance(each, trio.Cancelled))

    if isinstance(exc, BaseExceptionGroup):
        passing, failure = exc.split(lambda each: not isinstance(each, BaseExceptionGroup) and passes(each))
        return failure, passing
    return (None, exc) if passes(exc) else (exc, None)
