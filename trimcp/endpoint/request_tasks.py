"""HTTP requests that wait for functions of the user's: each runs in a worker of the endpoint's.

A connection therefore goes on reading meanwhile, which is how it notices that its client leaves. The task
is then cancelled. Whatever a function of the user's raises ends its request and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from trimcp.actors.supervisor import Supervisor
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


class _RequestTask:
    """One request, as `Work` of the pool."""

    __slots__ = ("_is_cancelled", "_is_mcp", "_request", "_response", "_tasks", "_work", "scope")

    def __init__(
        self, tasks: RequestTasks, work: Work, request: HttpRequest, response: HttpResponse, *, is_mcp: bool
    ) -> None:
        self.scope: trio.CancelScope | None = None
        self._tasks = tasks
        self._work = work
        self._request = request
        self._response = response
        self._is_mcp = is_mcp
        self._is_cancelled = False

    def cancel(self) -> None:
        """End it: its client has left, or the server stops."""
        self._is_cancelled = True
        if self.scope is not None:
            self.scope.cancel()

    async def run(self) -> None:
        """See `Work`."""
        if not self._is_cancelled:
            await self._work(self._request, self._response)

    def failed(self, error: BaseException) -> None:
        """See `Work`."""
        request_failed(error, self._request, self._response, is_mcp=self._is_mcp)

    def finished(self) -> bool:
        """See `Work`."""
        if self._is_cancelled:
            _stopped(self._response, is_mcp=self._is_mcp)
        self._tasks.discard(self)
        return self._is_cancelled

    def left(self) -> None:
        """See `Work`."""

    def handed_back(self) -> None:
        """See `Work`."""
        _stopped(self._response, is_mcp=self._is_mcp)
        self._tasks.discard(self)


class RequestTasks:
    """The requests of one endpoint that wait for functions of the user's: a pool of workers."""

    def __init__(self, supervisor: Supervisor, most: int) -> None:
        """At most `most` at once; a further request is refused as busy."""
        self._pool = supervisor.open_pool("http requests", most)
        self._most = most
        self._tasks: set[_RequestTask] = set()
        self._is_over = False
        self._none_left = trio.Event()

    def start(self, work: Work, request: HttpRequest, response: HttpResponse, *, is_mcp: bool) -> None:
        """Run `work` in a worker; it is cancelled when the client leaves, until `on_gone` says something else.

        `is_mcp`: whether the errors of the request are those of MCP; if not, they are plain text.
        """
        if len(self._tasks) >= self._most:
            data = another_time("busy")
            _refuse(response, 503, BUSY, f"Busy: {self._most} requests wait to be taken", is_mcp=is_mcp, data=data)
            return
        task = _RequestTask(self, work, request, response, is_mcp=is_mcp)
        if self._is_over:
            task.cancel()
        response.on_gone = task.cancel
        self._tasks.add(task)
        self._pool.post(task)

    def discard(self, task: _RequestTask) -> None:
        """Forget a request that has ended."""
        self._tasks.discard(task)
        if not self._tasks:
            self._none_left.set()

    async def finish(self, grace: float) -> None:
        """Wait for the requests, cancel those that still run after so many seconds, and run no others."""
        with trio.move_on_after(grace):
            while self._tasks:
                self._none_left = trio.Event()
                await self._none_left.wait()
        self._is_over = True
        for task in list(self._tasks):
            task.cancel()


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
