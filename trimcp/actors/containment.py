"""Contains what functions of users raise: any exception becomes an error of the task that called the function.

A function can raise an exception that is neither an error nor Trio's business: a `Cancelled` that it took out of a
scope that is over, GeneratorExit, SystemExit, the CancelledError of another library. Without containment, the first of
these would end the nurseries around it silently, and the others would end everything that runs in them.

`unwrapped` is for the blocks of users: their exceptions leave the nurseries of trimcp as they were raised.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

import trio

T = TypeVar("T")


def as_error(exc: BaseException, owner: str) -> Exception:
    """Return an exception itself where it is an error, else a RuntimeError that names `owner`, the function."""
    if isinstance(exc, Exception):
        return exc
    error = RuntimeError(f"{owner} raised {type(exc).__name__}: raise an Exception")
    error.__cause__ = exc
    return error


def is_interrupt(exc: BaseException | None) -> bool:
    """Whether an exception is KeyboardInterrupt, or a group with one in it. It must always reach the program."""
    return exc is not None and _holds(exc, KeyboardInterrupt)


def is_only(exc: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    """Whether an exception is of one of these kinds, or a group of nothing else."""
    if isinstance(exc, BaseExceptionGroup):
        return all(is_only(inner, kinds) for inner in exc.exceptions)
    return isinstance(exc, kinds)


def _holds(exc: BaseException, kind: type[BaseException]) -> bool:
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(kind)[0] is not None
    return isinstance(exc, kind)


class contained:  # noqa: N801 - read as a statement: `with contained("authenticate"):`
    """Raises a RuntimeError in the place of an exception of a user's function that is no error.

    KeyboardInterrupt passes, and so does `Cancelled` where a scope around the caller is cancelled.
    """

    __slots__ = ("_kinds", "_owner")

    def __init__(self, owner: str, kinds: tuple[type[BaseException], ...] = (BaseException,)) -> None:
        """
        Args:
            owner: names the function, for the message.
            kinds: the exceptions to contain, also in groups of nothing else; other kinds pass.
        """
        self._owner = owner
        self._kinds = kinds

    def __enter__(self) -> None:
        """Begin to watch."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None or isinstance(exc, Exception) or not is_only(exc, self._kinds) or is_interrupt(exc):
            return
        if _holds(exc, trio.Cancelled) and trio.current_effective_deadline() == -math.inf:
            return
        raise as_error(exc, self._owner)


class _Block:
    """Ends an exception of a block, and keeps it."""

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        """Begin to watch."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(exc, (Exception, SystemExit, KeyboardInterrupt)):
            return False
        self.error = exc
        return True


class _Unwrapped:
    """Raises the exception of its block when the nurseries around the block have ended."""

    __slots__ = ("_block",)

    def __enter__(self) -> AbstractContextManager[None, bool]:
        self._block = _Block()
        return self._block

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._block.error is not None and not is_interrupt(exc):
            raise self._block.error


def unwrapped() -> AbstractContextManager[AbstractContextManager[None, bool], None]:
    """Raise the exception of an inner block as itself: the nurseries in between would put it in a group.

        with unwrapped() as block:
            async with trio.open_nursery() as nursery:
                with block:
                    yield
                nursery.cancel_scope.cancel()

    It is not lost where a scope around it is cancelled. A KeyboardInterrupt that comes out of the nurseries has
    precedence over it.
    """
    return _Unwrapped()


async def answer_of(function: Callable[..., Awaitable[T] | T], *args: Any) -> T:
    """Call a function of the user; wait for its value if it is async, or wraps an async function."""
    value: Any = function(*args)
    answer: T = await value if inspect.isawaitable(value) else value
    return answer


async def run_watched(watch: Callable[..., Awaitable[None]], run: Callable[[], Awaitable[T]]) -> T | None:
    """Run a function beside a watch that may cancel it; return None then.

    Args:
        watch: gets the cancel scope of both and a `task_status`, which it tells when it watches.
        run: begins then; its exceptions leave as themselves, not in a group.
    """
    result: T | None = None
    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            await nursery.start(watch, nursery.cancel_scope)
            with block:
                result = await run()
            nursery.cancel_scope.cancel()
    return result
