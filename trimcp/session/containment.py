"""Contains what functions of users raise: whatever it is, it becomes an error of the one that called.

A function can raise what is neither an error nor Trio's business: a `Cancelled` that it took out of a scope that is
over, GeneratorExit, SystemExit, the CancelledError of another library. Left alone, the first of these would end
the nurseries around it without a word, and the others with all that runs in them.
"""

from __future__ import annotations

import math
from types import TracebackType

import trio


def failure_of(exc: BaseException, owner: str) -> Exception | None:
    """Returns the error that an exception out of a function of the user's stands for.

    Args:
        exc: what the function raised.
        owner: the function, for the message.

    Returns:
        An error itself; a RuntimeError for anything else; None for what must go on its way, which is KeyboardInterrupt,
        and `Cancelled` where a scope around the caller is cancelled.
    """
    if isinstance(exc, Exception):
        return exc
    if is_interrupt(exc):
        return None
    if _holds(exc, trio.Cancelled) and trio.current_effective_deadline() == -math.inf:
        return None
    return RuntimeError(f"{owner} raised {type(exc).__name__}, which is no error: raise an Exception")


def is_interrupt(exc: BaseException | None) -> bool:
    """Whether an exception is KeyboardInterrupt, or a group with one in it: nothing must hide that."""
    return exc is not None and _holds(exc, KeyboardInterrupt)


def is_only(exc: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    """Whether an exception is of one of these kinds, or a group with nothing else in it."""
    if isinstance(exc, BaseExceptionGroup):
        return all(is_only(inner, kinds) for inner in exc.exceptions)
    return isinstance(exc, kinds)


def _holds(exc: BaseException, kind: type[BaseException]) -> bool:
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(kind)[0] is not None
    return isinstance(exc, kind)


class contained:  # noqa: N801 - read as a statement: `with contained("authenticate"):`
    """Raises a RuntimeError in the place of what a function of the user's raised and is no error; see `failure_of`."""

    __slots__ = ("_kinds", "_owner")

    def __init__(self, owner: str, kinds: tuple[type[BaseException], ...] = (BaseException,)) -> None:
        """
        Args:
            owner: names the function, for the message.
            kinds: contained, also in groups of nothing else; what is of another kind goes on its way.
        """
        self._owner = owner
        self._kinds = kinds

    def __enter__(self) -> None:
        """Begins to watch."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None or isinstance(exc, Exception) or not is_only(exc, self._kinds):
            return
        failure = failure_of(exc, self._owner)
        if failure is not None:
            raise failure from exc
