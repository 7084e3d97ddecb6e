"""The handler actors of one supervisor: Tools, Resources, Prompts, Completion; Sampling, Elicitation, Roots.

Each is a mailbox with a pool of workers: requests of a feature wait in its channel, and its workers run the
handlers. An actor is made with the first request of its feature. A duplex session has actors of its own; an
HTTP endpoint has one set for all its sessions and exchanges.
"""

from __future__ import annotations

from trimcp.actors.supervisor import Supervisor
from trimcp.actors.worker_pool import WorkerPool


class HandlerActors:
    """The handler actors that one supervisor owns, by the name of the feature."""

    __slots__ = ("_by_name", "_capacity", "_supervisor")

    def __init__(self, supervisor: Supervisor, capacity: int) -> None:
        """`capacity`: requests of one feature that may wait for a worker: as many as places are handed out."""
        self._supervisor = supervisor
        self._capacity = capacity
        self._by_name: dict[str, WorkerPool] = {}

    def of(self, name: str) -> WorkerPool:
        """Return the handler actor of a feature, such as `tools`."""
        actor = self._by_name.get(name)
        if actor is None:
            actor = self._supervisor.open_pool(name, self._capacity)
            self._by_name[name] = actor
        return actor
