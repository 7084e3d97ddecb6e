"""Calls of functions in a worker of a pool, by a task that waits for the result.

For functions of users that are called outside of any request: what the function raises or leaves behind is the
outcome of this call, and hurts no other task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from trimcp.actors.containment import as_error
from trimcp.actors.reply import Reply
from trimcp.actors.worker_pool import WorkerPool

T = TypeVar("T")


class PoolEnded(Exception):
    """The pool ended before the call did."""


class PoolCall:
    """Holds one call, as `Work` of a pool. An exception of its function is the outcome of this call alone."""

    __slots__ = ("_function", "_has_result", "_is_given_up", "_result", "reply", "scope")

    def __init__(self, function: Callable[[], Awaitable[Any]]) -> None:
        """`function` is called in the worker; the reply is its result."""
        self._function = function
        self._is_given_up = False
        self._has_result = False
        self._result: Any = None
        self.reply: Reply[Any] = Reply()
        self.scope: trio.CancelScope | None = None

    def give_up(self) -> None:
        """Cancel the function, or never call it: no task waits any more."""
        self._is_given_up = True
        if self.scope is not None:
            self.scope.cancel()

    async def run(self) -> None:
        """See `Work`."""
        if not self._is_given_up:
            self._result = await self._function()
            self._has_result = True

    def failed(self, error: BaseException) -> None:
        """See `Work`."""
        self.reply.fail(as_error(error, "the function"))

    def finished(self) -> bool:
        """See `Work`."""
        if self._has_result:
            self.reply.set(self._result)  # where the function failed behind it, the reply is set already
        else:
            self.reply.fail(PoolEnded("the pool has ended, and with it the call"))
        return self.scope is not None and self.scope.cancel_called

    def left(self) -> None:
        """See `Work`."""

    def handed_back(self) -> None:
        """See `Work`."""
        self.finished()


async def call_in(pool: WorkerPool, function: Callable[[], Awaitable[T]]) -> T:
    """Call a function in a worker of a pool, and return its result. Leaving the call early cancels the function.

    Raises:
        Exception: the function raised it.
        RuntimeError: the function raised an exception that is no `Exception`, such as `SystemExit`.
        PoolEnded: the pool ended before the function did.
    """
    call = PoolCall(function)
    pool.post(call)
    try:
        result: T = await call.reply.wait()
    except trio.Cancelled:
        call.give_up()
        raise
    return result
