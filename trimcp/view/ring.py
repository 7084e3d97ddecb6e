"""The ring: the last items of one kind, numbered, within a bound of items and one of bytes."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Ring(Generic[T]):
    """Keeps the newest items. Over a bound, the oldest are removed."""

    __slots__ = ("_bytes", "_items", "_most", "_most_bytes", "last")

    def __init__(self, most: int, most_bytes: int) -> None:
        self._items: deque[tuple[int, T]] = deque()
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self.last: int = 0
        """The number of the newest item; 0 before the first."""

    def add(self, item: T, size: int) -> None:
        """Add an item, which counts for so many bytes."""
        self.last += 1
        self._items.append((size, item))
        self._bytes += size
        while len(self._items) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._items.popleft()[0]

    def since(self, number: int, most: int) -> list[tuple[int, T]]:
        """Return the newest items after a number with their numbers, at most so many, the oldest first."""
        found: list[tuple[int, T]] = []
        for at, (_, item) in zip(range(self.last, number, -1), reversed(self._items), strict=False):
            if len(found) == most:
                break
            found.append((at, item))
        return found[::-1]

    def all(self) -> list[tuple[int, T]]:
        """Return all items with their numbers, the oldest first."""
        return self.since(0, self._most)

    def item(self, number: int) -> T | None:
        """Return the item with a number; None where it was removed, or never was."""
        at = number - self.last - 1
        return self._items[at][1] if -len(self._items) <= at < 0 else None
