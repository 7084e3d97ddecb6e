"""The admission store: places that each principal takes, counted over all nodes. The count is approximate."""

from __future__ import annotations

import abc


class AdmissionStore(abc.ABC):
    """Counts places that are taken for a time."""

    @abc.abstractmethod
    async def take(self, principal: str, place: str, *, most: int, seconds: float) -> bool:
        """Take a place for a principal, or keep it for longer. `place` is a name that the caller chooses.

        Returns False where `most` other places are taken. A place that is not given back is free again after `seconds`.
        """

    @abc.abstractmethod
    async def give(self, principal: str, place: str) -> None:
        """Give a place back. Idempotent."""
