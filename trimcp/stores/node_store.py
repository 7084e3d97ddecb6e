"""The node store: the processes that serve together, and whether each still lives.

A node is one run of a server. It joins under a number that no node had before, its *incarnation*, and renews a lease.
The incarnation is the fence of all that belongs to the node: its event streams and its tasks. A node whose lease has
run out counts as dead, and other nodes settle what it left behind, even if it comes back.
"""

from __future__ import annotations

import abc
from collections.abc import Collection
from typing import Final

LEASE: Final = 15.0
"""Seconds that a node counts as alive after it joined or renewed its lease, by default."""


class NodeStore(abc.ABC):
    """Keeps the leases of nodes.

    It may raise any exception, and take long: trimcp gives each call a deadline.

    Attributes:
        lease: seconds that a node counts as alive after it joined or renewed; the same for all nodes.
    """

    lease: float = LEASE

    @abc.abstractmethod
    async def join(self) -> int:
        """Take a new incarnation, above every earlier one, from 1 on; its lease begins."""

    @abc.abstractmethod
    async def renew(self, incarnation: int) -> bool:
        """Begin the lease anew. Returns False, and changes nothing, where it has run out: the node counts as dead."""

    @abc.abstractmethod
    async def alive(self, incarnations: Collection[int]) -> frozenset[int]:
        """Return those of the given incarnations whose lease has not run out."""

    @abc.abstractmethod
    async def dead(self) -> frozenset[int]:
        """Return incarnations whose lease has run out and that have not left: their work is to be settled."""

    @abc.abstractmethod
    async def leave(self, incarnation: int) -> None:
        """Forget a node that has ended, or whose work is settled. Idempotent."""
