"""HTTP requests that wait for functions of the user's: each runs in a task of its own.

A connection therefore goes on reading meanwhile, which is how it notices that its client leaves. The task
is then cancelled. Whatever a function of the user's raises ends its request and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from trimcp.endpoint.posting import refuse
from trimcp.endpoint.reply import fields_of
from trimcp.observability import events, log
from trimcp.session.refusals import another_time
from trimcp.transports.http.door import PLAIN
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import BUSY, DRAINING, INTERNAL_ERROR

if TYPE_CHECKING:
    from typing import Any

    from trimcp.transports.http.door import HttpRequest, HttpResponse

Work = Callable[["HttpRequest", "HttpResponse"], Awaitable[None]]
"""Takes a request, and answers it now or later."""


class RequestTasks:
    """The tasks of one endpoint's requests, in its nursery."""

    def __init__(self, nursery: trio.Nursery, most: int) -> None:
        """At most `most` tasks at once; a further request is refused as busy."""
        self._nursery = nursery
        self._most = most
        self._scopes: set[trio.CancelScope] = set()
        self._is_over = False
        self._none_left = trio.Event()

    def start(self, work: Work, request: HttpRequest, response: HttpResponse, *, is_mcp: bool) -> None:
        """Run `work` in a task that is cancelled when the client leaves, until `on_gone` says something else.

        `is_mcp`: whether the errors of the request are those of MCP; if not, they are plain text.
        """
        if len(self._scopes) >= self._most:
            data = another_time("busy")
            _refuse(response, 503, BUSY, f"Busy: {self._most} requests wait to be taken", is_mcp=is_mcp, data=data)
            return
        scope = trio.CancelScope()
        if self._is_over:
            scope.cancel()
        response.on_gone = scope.cancel
        self._scopes.add(scope)
        name = f"trimcp http {request.path}"
        self._nursery.start_soon(self._run, scope, work, request, response, is_mcp, name=name)

    async def _run(
        self, scope: trio.CancelScope, work: Work, request: HttpRequest, response: HttpResponse, is_mcp: bool
    ) -> None:
        try:
            with scope:
                await work(request, response)
            if scope.cancelled_caught:
                _stopped(response, is_mcp=is_mcp)
        except BaseException as exc:  # noqa: BLE001 - the boundary of one request
            failure, passing = split_request_error(exc)
            if failure is not None:
                request_failed(failure, request, response, is_mcp=is_mcp)
            if passing is not None:
                _stopped(response, is_mcp=is_mcp)
                raise passing from None
        finally:
            self._scopes.discard(scope)
            if not self._scopes:
                self._none_left.set()

    async def finish(self, grace: float) -> None:
        """Wait for the tasks, cancel those that still run after so many seconds, and run no others."""
        with trio.move_on_after(grace):
            while self._scopes:
                self._none_left = trio.Event()
                await self._none_left.wait()
        self._is_over = True
        for scope in self._scopes:
            scope.cancel()


def _stopped(response: HttpResponse, *, is_mcp: bool) -> None:
    """Answer a request whose task was cancelled, if its client is there still."""
    data = another_time("draining")
    _refuse(response, 503, DRAINING, "The server is stopping and takes no new work", is_mcp=is_mcp, data=data)


def request_failed(failure: BaseException, request: HttpRequest, response: HttpResponse, *, is_mcp: bool) -> None:
    """Answer a request whose handling failed, and log why; the answer says nothing about it."""
    log.error(events.REQUEST_FAILED, exc_info=failure, path=request.path, method=request.method)
    _refuse(response, 500, INTERNAL_ERROR, "Internal error", is_mcp=is_mcp)


def _refuse(response: HttpResponse, status: int, code: int, text: str, *, is_mcp: bool, data: Any = ABSENT) -> None:
    if is_mcp:
        refuse(response, status, code, text, data)
    else:
        response.respond(status, fields_of(status, PLAIN), f"{text}\n".encode())


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
