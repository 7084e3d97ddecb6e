"""The subscription store: the resources that each legacy session has subscribed to.

server/resources of 2025-03-26 to 2025-11-25, "Subscriptions". A record of its own for each, beside that of the
session: a session may have a thousand of them, and each comes and goes alone.
"""

from __future__ import annotations

import abc


class SubscriptionStore(abc.ABC):
    """Keeps subscriptions for as long as their session lives. The caller bounds their number."""

    @abc.abstractmethod
    async def add(self, session: str, uri: str) -> bool:
        """Keep a subscription. Returns False where it was there already."""

    @abc.abstractmethod
    async def remove(self, session: str, uri: str) -> bool:
        """Forget a subscription. Returns False where there was none."""

    @abc.abstractmethod
    async def uris_of(self, session: str) -> frozenset[str]:
        """Return the URIs that a session has subscribed to; none for an unknown session."""

    @abc.abstractmethod
    async def forget(self, session: str) -> None:
        """Forget the subscriptions of a session, which is over. Idempotent."""
