"""Pages of a list, and the cursors that lead from one page to the next.

A cursor names the last item of its page, so it stays valid while other items come and go. It carries a MAC under a
key of the server. A cursor of another server or list, one that was changed, and one whose item is gone are refused.
server/utilities/pagination of every revision.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

import attrs

from trimcp.errors import InvalidParams
from trimcp.stores.memory_secrets import MemorySecretStore

T = TypeVar("T")

CURSOR_BYTES: Final = 16384
"""The most bytes of a cursor that is read."""
MAC_BYTES: Final = 16
PURPOSE: Final = b"trimcp cursor"
"""The purpose for which the keys of cursors are derived."""


@attrs.frozen(eq=False, repr=False)
class Page(Generic[T]):
    """One page of a list, and the cursor of the next page; None on the last page."""

    items: list[T]
    next_cursor: str | None


class Paginator:
    """Cuts the lists of one server into pages."""

    def __init__(self, keys: MemorySecretStore, size: int) -> None:
        """
        Args:
            keys: the secrets of the server.
            size: the number of items on a page.
        """
        self._keys = keys  # cursor keys are derived when needed, since secrets may rotate
        self.size: int = size

    def page(self, items: Mapping[str, T], cursor: str | None, *, label: str) -> Page[T]:
        """Return the page that a cursor leads to.

        Args:
            items: all items by key, in their order.
            cursor: the cursor that the client sent; None for the first page.
            label: the name of the list, so that a cursor of another list is refused.

        Raises:
            InvalidParams: the cursor is invalid for this list, or its place is gone.
        """
        if cursor is None and len(items) <= self.size:
            return Page(list(items.values()), None)
        keys = list(items)
        if cursor is not None:
            keys = keys_after(keys, self.unseal(label, cursor))
        chosen = keys[: self.size]
        is_last = len(keys) <= self.size
        return Page([items[key] for key in chosen], None if is_last else self.seal(label, chosen[-1]))

    def seal(self, label: str, place: str) -> str:
        """Make the cursor of a place in a list."""
        encoded = place.encode()
        return base64.urlsafe_b64encode(_mac(self._keys.current.derive(PURPOSE)[0], label, encoded) + encoded).decode()

    def unseal(self, label: str, cursor: str) -> str | None:
        """Return the place that a cursor leads to; None if the cursor is invalid for this list."""
        try:
            if len(cursor) > CURSOR_BYTES:
                return None
            sealed = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
            mac, place = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
            if not any(hmac.compare_digest(mac, _mac(key, label, place)) for key in self._keys.current.derive(PURPOSE)):
                return None
            return place.decode()
        except (ValueError, binascii.Error):
            return None


def keys_after(keys: list[str], place: str | None) -> list[str]:
    """Return the keys of a list that come after one of them.

    Raises:
        InvalidParams: that key is gone.
    """
    if place not in keys:
        raise invalid_cursor()
    return keys[keys.index(place) + 1 :]


def invalid_cursor() -> InvalidParams:
    """Make the error for a cursor that leads to no place."""
    return InvalidParams("Invalid cursor: list again from the start", {"problems": ["invalid @ $.cursor"]})


def _mac(key: bytes, label: str, place: bytes) -> bytes:
    return hmac.new(key, label.encode() + b"\0" + place, hashlib.sha256).digest()[:MAC_BYTES]
