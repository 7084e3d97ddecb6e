"""The iterator of `Context.track`, which reports progress after each item."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class ReportsProgress(Protocol):
    """The context, as far as it reports progress."""

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> Awaitable[None]:
        """See `Context.progress`."""
        ...


class Tracked(Generic[T]):
    """The async iterator that `Context.track` returns. It needs no closing."""

    __slots__ = ("_context", "_done", "_last", "_message", "_next", "_total")

    def __init__(
        self, context: ReportsProgress, items: Iterable[T] | AsyncIterable[T], total: float | None, message: str | None
    ) -> None:
        self._context = context
        self._next: Any
        if isinstance(items, AsyncIterable):
            self._next = aiter(items).__anext__
        else:
            iterator = iter(items)

            async def following() -> T:
                try:
                    return next(iterator)
                except StopIteration:
                    raise StopAsyncIteration from None

            self._next = following
        self._total = total
        self._message = message
        self._done = 0
        self._last: T | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._done:
            message = None if self._message is None else self._message.format(self._last)
            await self._context.progress(self._done, self._total, message)
        item: T = await self._next()
        self._last = item
        self._done += 1
        return item
