"""The handler actors of one supervisor: Tools, Resources, Prompts, Completion; Sampling, Elicitation, Roots.

Each is a mailbox with a pool of workers: requests of a feature wait in its channel, and its workers run the
handlers. An actor is made with the first request of its feature. A duplex session has actors of its own; an
HTTP endpoint has one set for all its sessions and stateless requests.
"""

from __future__ import annotations

from trimcp.actors.supervisor import Supervisor
from trimcp.actors.worker_pool import WorkerPool


class HandlerActors(dict[str, WorkerPool]):
    """Makes and holds the handler actors of one supervisor, by the name of the feature, such as `tools`."""

    __slots__ = ("_capacity", "_supervisor")

    def __init__(self, supervisor: Supervisor, capacity: int) -> None:
        """`capacity`: requests of one feature that may wait for a worker: as many as places are handed out."""
        super().__init__()
        self._supervisor = supervisor
        self._capacity = capacity

    def __missing__(self, name: str) -> WorkerPool:
        """Make the handler actor of a feature with its first request."""
        actor = self[name] = self._supervisor.open_pool(name, self._capacity)
        return actor
