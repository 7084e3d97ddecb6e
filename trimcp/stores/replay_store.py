"""The replay store: which proofs were used, so that none is used twice on any node (RFC 9449, section 11.1)."""

from __future__ import annotations

import abc


class ReplayStore(abc.ABC):
    """Remembers keys for a time."""

    @abc.abstractmethod
    async def first_use(self, key: str, seconds: float) -> bool:
        """Remember a key for some seconds. Returns False where it is remembered already."""
