"""Pages of a list, and the cursors that lead from one to the next.

server/utilities/pagination of every revision. A cursor names the last item of its page, so it
stays good while other items come and go, and carries a MAC under a key of the server's: one that
is of another server or another list, was tampered with, or whose item is gone, is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

import attrs

from trimcp.errors import InvalidParams
from trimcp.server.keys import Keys

T = TypeVar("T")

CURSOR_BYTES: Final = 16384
"""The longest cursor that is looked at."""
MAC_BYTES: Final = 16
PURPOSE: Final = b"trimcp cursor"
"""What keys for cursors are derived for."""


@attrs.frozen
class Page(Generic[T]):
    """One page, and the cursor for the one after it; None after the last."""

    items: Sequence[T]
    next_cursor: str | None


class Pages:
    """Cuts the lists of one server."""

    def __init__(self, keys: Keys, size: int) -> None:
        """
        Args:
            keys: the server's.
            size: how many items make a page.
        """
        self._keys = keys  # derived from when needed, since secrets may rotate
        self.size = size

    def page(self, items: Mapping[str, T], cursor: str | None, *, kind: str) -> Page[T]:
        """The page of `items` (by key, in their order) that a cursor leads to.

        Args:
            items: all of them.
            cursor: as it came from the client; None for the first page.
            kind: what is listed, so that a cursor of another list is refused.

        Raises:
            InvalidParams: the cursor is not one of this list, or its place is gone.
        """
        if cursor is None and len(items) <= self.size:
            return Page(list(items.values()), None)
        keys = list(items)
        start = 0 if cursor is None else self._after(keys, cursor, kind)
        chosen = keys[start : start + self.size]
        more = start + self.size < len(keys)
        return Page([items[key] for key in chosen], self.seal(kind, chosen[-1]) if more and chosen else None)

    def seal(self, kind: str, place: str) -> str:
        """Make the cursor of a place in a list."""
        encoded = place.encode()
        return base64.urlsafe_b64encode(_mac(self._keys.derive(PURPOSE)[0], kind, encoded) + encoded).decode()

    def unseal(self, kind: str, cursor: str) -> str | None:
        """Return the place that a cursor of this list leads to; None where it is not one of this list."""
        try:
            if len(cursor) > CURSOR_BYTES:
                return None
            sealed = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
            mac, place = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
            if not any(hmac.compare_digest(mac, _mac(key, kind, place)) for key in self._keys.derive(PURPOSE)):
                return None
            return place.decode()
        except (ValueError, binascii.Error):
            return None

    def _after(self, keys: list[str], cursor: str, kind: str) -> int:
        place = self.unseal(kind, cursor)
        try:
            if place is None:
                raise invalid_cursor()
            return keys.index(place) + 1
        except ValueError:
            raise invalid_cursor() from None


def invalid_cursor() -> InvalidParams:
    """The refusal of a cursor that leads nowhere."""
    return InvalidParams("Invalid cursor: list again from the start", {"problems": ["invalid @ $.cursor"]})


def _mac(key: bytes, kind: str, place: bytes) -> bytes:
    return hmac.new(key, kind.encode() + b"\0" + place, hashlib.sha256).digest()[:MAC_BYTES]
