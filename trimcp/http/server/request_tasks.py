"""HTTP requests that wait for functions of the user: each runs in a worker of the endpoint's pool.

So the connection goes on reading meanwhile, and notices that its client leaves. The task is then cancelled. An
exception of the user's function ends its own request and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse
from trimcp.http.server.post_reply import respond_error, with_retry_after
from trimcp.observability import events, log
from trimcp.session.refusals import retry_data
from trimcp.stores.contained import StoreFailed, is_plain
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import BUSY, DRAINING, INTERNAL_ERROR, STORE_UNAVAILABLE

RequestWork = Callable[[HttpRequest, HttpResponse], Awaitable[None]]
"""A function that answers a request, now or later."""


class _RequestTask:
    """One request, as `Work` of the pool."""

    __slots__ = ("_is_cancelled", "_is_mcp", "_request", "_response", "_tasks", "_work", "scope")

    def __init__(
        self, tasks: RequestTasks, work: RequestWork, request: HttpRequest, response: HttpResponse, *, is_mcp: bool
    ) -> None:
        self.scope: trio.CancelScope | None = None
        self._tasks = tasks
        self._work = work
        self._request = request
        self._response = response
        self._is_mcp = is_mcp
        self._is_cancelled = False

    def cancel(self) -> None:
        """Cancel the task: the client has left, or the server stops."""
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
        self._tasks.forget(self)
        return self._is_cancelled

    def left(self) -> None:
        """See `Work`."""

    def handed_back(self) -> None:
        """See `Work`."""
        _stopped(self._response, is_mcp=self._is_mcp)
        self._tasks.forget(self)


class RequestTasks:
    """Runs the requests of one endpoint that wait for functions of the user, in a pool of workers."""

    def __init__(self, supervisor: Supervisor, most: int) -> None:
        """`most`: the requests at once; a further one is refused as busy."""
        self._pool = supervisor.open_pool("http requests", most)
        self._most = most
        self._tasks: set[_RequestTask] = set()
        self._is_over = False
        self._none_left = trio.Event()

    def start(self, work: RequestWork, request: HttpRequest, response: HttpResponse, *, is_mcp: bool) -> None:
        """Run `work` in a worker, and cancel it when the client leaves, until `work` sets `on_gone` itself.

        `is_mcp`: whether the errors of the request are JSON-RPC errors; if not, they are plain text.
        """
        if len(self._tasks) >= self._most:
            text = f"Busy: {self._most} requests wait to be taken"
            _refuse(response, 503, BUSY, text, is_mcp=is_mcp, data=retry_data("busy"))
            return
        task = _RequestTask(self, work, request, response, is_mcp=is_mcp)
        if self._is_over:
            task.cancel()
        response.on_gone = task.cancel
        self._tasks.add(task)
        self._pool.post(task)

    def forget(self, task: _RequestTask) -> None:
        """Forget a request that has ended."""
        self._tasks.discard(task)
        if not self._tasks:
            self._none_left.set()

    async def finish(self, grace: float) -> None:
        """Wait up to `grace` seconds for the requests, cancel the rest, and run no others."""
        with trio.move_on_after(grace):
            while self._tasks:
                self._none_left = trio.Event()
                await self._none_left.wait()
        self._is_over = True
        for task in list(self._tasks):
            task.cancel()


def _stopped(response: HttpResponse, *, is_mcp: bool) -> None:
    """Answer a request whose task was cancelled, if its client is still there."""
    text = "The server is stopping and takes no new work"
    _refuse(response, 503, DRAINING, text, is_mcp=is_mcp, data=retry_data("draining"))


def request_failed(failure: BaseException, request: HttpRequest, response: HttpResponse, *, is_mcp: bool) -> None:
    """Answer a request whose handling failed, and log why; the answer has no details.

    After a failure of a store the answer invites another try. A store that has raised nothing has no traceback.
    """
    refused = isinstance(failure, StoreFailed)
    if refused and is_plain(failure):
        log.error(events.REQUEST_FAILED, why=str(failure), path=request.path, method=request.method)
    else:
        log.error(events.REQUEST_FAILED, exc_info=failure, path=request.path, method=request.method)
    if refused:
        text = "Store unavailable: the server needs it for this request, and it does not answer; try again later"
        _refuse(response, 503, STORE_UNAVAILABLE, text, is_mcp=is_mcp, data=retry_data("store_unavailable"))
    else:
        _refuse(response, 500, INTERNAL_ERROR, "Internal error", is_mcp=is_mcp)


def _refuse(response: HttpResponse, status: int, code: int, text: str, *, is_mcp: bool, data: Any = ABSENT) -> None:
    if is_mcp:
        respond_error(response, status, code, text, data)
    else:
        response.respond(status, with_retry_after(status, PLAIN), f"{text}\n".encode())


def split_request_error(exc: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Split an exception into the failure of one request, and the part that must go on to the supervisor.

    `KeyboardInterrupt` goes on, and `Cancelled` if a scope around the task is cancelled. A stray `Cancelled`,
    `GeneratorExit` and `SystemExit` are failures: a function of the user must not end the endpoint.
    """
    is_cancelled = trio.current_effective_deadline() == -float("inf")

    def passes(each: BaseException) -> bool:
        return isinstance(each, KeyboardInterrupt) or (is_cancelled and isinstance(each, trio.Cancelled))

    if isinstance(exc, BaseExceptionGroup):
        passing, failure = exc.split(lambda each: not isinstance(each, BaseExceptionGroup) and passes(each))
        return failure, passing
    return (None, exc) if passes(exc) else (exc, None)
