"""A reply: the one answer to a question to an actor, or to the peer."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Reply(Generic[T]):
    """Holds a value or an exception, which is set once, and for which one task waits."""

    __slots__ = ("_error", "_is_set", "_value", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._waiter: trio.lowlevel.Task | None = None

    @property
    def is_set(self) -> bool:
        """Whether the answer is there."""
        return self._is_set

    def set(self, value: T) -> bool:
        """Give the answer, without waiting. Returns False where there was one already."""
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """Give an exception, which `wait` raises. Returns False where there was an answer already."""
        return self._settle(None, error)

    def _settle(self, value: T | None, error: BaseException | None) -> bool:
        if self._is_set:
            return False
        self._is_set = True
        self._value, self._error = value, error
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            trio.lowlevel.reschedule(waiter)
        return True

    async def wait(self) -> T:
        """Wait for the answer and return it. May be called again, also after a cancelled wait.

        Raises:
            BaseException: the exception that `fail` was given.
            RuntimeError: another task waits already.
        """
        await self.wait_set()
        try:
            return self.get()
        finally:
            del self  # as in `get`

    async def wait_set(self) -> None:
        """Wait until the answer is there.

        Raises:
            RuntimeError: another task waits already.
        """
        if self._is_set:
            await trio.lowlevel.checkpoint()
            return
        if self._waiter is not None:
            raise RuntimeError("Another task waits for this reply already: let one task wait")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._waiter = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def get(self) -> T:
        """Return the answer, which must be there.

        Raises:
            BaseException: the exception that `fail` was given.
        """
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the exception knows this frame: no cycle, so it goes as soon as it has been handled
        return self._value  # type: ignore[return-value]  # set, and not by `fail`

    @property
    def error(self) -> BaseException | None:
        """The exception that `fail` was given; None where there is no answer, or it is a value."""
        return self._error

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED
