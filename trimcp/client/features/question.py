"""A question of a server's, as a piece of work for the handler actor that answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from trimcp.actors.reply import Reply
from trimcp.actors.worker_pool import WorkerPool
from trimcp.errors import ConnectionClosed

T = TypeVar("T")


class Question:
    """One question, as `Work` of a pool. An exception of its handler is the outcome of this question alone."""

    __slots__ = ("_handler", "reply", "scope")

    def __init__(self, handler: Callable[[], Awaitable[Any]]) -> None:
        """`handler` returns the answer."""
        self._handler = handler
        self.reply: Reply[Any] = Reply()
        self.scope: trio.CancelScope | None = None

    async def run(self) -> None:
        """See `Work`."""
        answer = await self._handler()
        self.reply.set(answer)

    def failed(self, error: BaseException) -> None:
        """See `Work`."""
        self.reply.fail(error if isinstance(error, Exception) else HandlerFailed(error))

    def finished(self) -> bool:
        """See `Work`."""
        self.reply.fail(ConnectionClosed("the client has ended, and with it its questions to the user"))
        return self.scope is not None and self.scope.cancel_called

    def left(self) -> None:
        """See `Work`."""

    def handed_back(self) -> None:
        """See `Work`."""
        self.finished()


class HandlerFailed(RuntimeError):
    """A handler has raised an exception that is no `Exception`, such as `SystemExit`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"the handler raised {type(error).__name__}")
        self.__cause__ = error


async def ask(pool: WorkerPool, handler: Callable[[], Awaitable[T]]) -> T:
    """Have a worker of a pool run a handler; return its answer. Leaving it early cancels the handler.

    Raises:
        Exception: what the handler raises.
    """
    question = Question(handler)
    pool.post(question)
    try:
        answer: T = await question.reply.wait()
    except trio.Cancelled:
        if question.scope is not None:
            question.scope.cancel()
        raise
    return answer
