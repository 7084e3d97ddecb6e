"""Pages of a list, and the cursors that lead from one to the next.

server/utilities/pagination of every revision. A cursor names the last item of its page, so it
stays good while items come and go; it is opaque to clients, and one that is not ours, or whose
item is gone, is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from trimcp.errors import InvalidParams

T = TypeVar("T")

CURSOR_BYTES = 4096
"""The longest cursor that is looked at."""


@attrs.frozen
class Page(Generic[T]):
    """One page, and the cursor for the one after it; None after the last."""

    items: Sequence[T]
    next_cursor: str | None


def page_of(items: dict[str, T], cursor: str | None, size: int, *, kind: str) -> Page[T]:
    """The page of `items` (by key, in their order) that a cursor leads to.

    Args:
        items: all of them.
        cursor: as it came from the client; None for the first page.
        size: how many make a page.
        kind: what is listed, so that a cursor of another list is refused.

    Raises:
        InvalidParams: the cursor is not one of this list, or its place is gone.
    """
    keys = list(items)
    start = 0 if cursor is None else _after(keys, cursor, kind)
    chosen = keys[start : start + size]
    more = start + size < len(keys)
    return Page([items[key] for key in chosen], _cursor(kind, chosen[-1]) if more and chosen else None)


def _cursor(kind: str, key: str) -> str:
    return base64.urlsafe_b64encode(f"{kind}\0{key}".encode()).decode()


def _after(keys: list[str], cursor: str, kind: str) -> int:
    try:
        if len(cursor) > CURSOR_BYTES:
            raise ValueError
        said, _, key = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode().partition("\0")
        if said != kind:
            raise ValueError
        return keys.index(key) + 1
    except (ValueError, binascii.Error):
        raise InvalidParams("Invalid cursor: list again from the start", {"problems": ["invalid @ $.cursor"]}) from None
