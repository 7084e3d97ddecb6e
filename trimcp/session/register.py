"""The register of one peer's requests: in flight, waiting for a place, and how many were refused.

Its Router alone writes it. Others read what it publishes: how many requests run, which are in flight.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from trimcp.actors.reply import Reply
from trimcp.protocol.inbound import Inbound

if TYPE_CHECKING:
    from trimcp.session.outlet import Batch
    from trimcp.session.request import InboundRequest
    from trimcp.session.session import Session


class Granting(Protocol):
    """The Router, as its registers see it."""

    def granted(self, register: Register) -> None:
        """A place is free for a request that waits in this register. Never waits."""
        ...


class Register:
    """The requests of one session, or of one stateless peer."""

    __slots__ = (
        "abandoned",
        "batches",
        "bytes",
        "draining",
        "grants",
        "idle",
        "in_flight",
        "is_closed",
        "long_lived",
        "most_running",
        "refused",
        "router",
        "running",
        "session",
        "waiting",
    )

    def __init__(self, session: Session, router: Granting, most_running: int) -> None:
        self.session = session
        self.router = router
        self.most_running = most_running
        self.in_flight: Inbound[InboundRequest] = Inbound()
        """All that were accepted and have not ended: they run, wait, or are long-lived."""
        self.waiting: deque[InboundRequest] = deque()
        """Those that wait for a place."""
        self.long_lived: dict[int, InboundRequest] = {}
        """Those that stay in flight without a task, by serial."""
        self.running = 0
        """Those that have a place."""
        self.grants = 0
        """Places granted by Admission that the Router has not seen yet."""
        self.bytes = 0
        """Of the requests that run or wait."""
        self.refused = 0
        """Requests refused for want of room, so far."""
        self.abandoned = 0
        """Requests without an answer that were in flight, and not cancelled by the peer, when the register closed."""
        self.draining = False
        """Whether new work is refused."""
        self.is_closed = False
        """Whether the session is over."""
        self.batches: list[Batch] = []
        """Batches that are not answered yet (2025-03-26)."""
        self.idle: list[Reply[None]] = []
        """Set when nothing is in flight any more."""

    @property
    def unanswered(self) -> int:
        """How many requests will get an answer that they have not got yet."""
        return sum(map(self.owes_answer, self.in_flight))

    def owes_answer(self, request: InboundRequest) -> bool:
        """Whether a request in flight is still to be answered.

        Long-lived ones are not; nor are those whose worker waits for a nursery that their handler has left open.
        """
        return not request.is_settled and request.serial not in self.long_lived

    # --- Waiting, of Admission --------------------------------------------------------

    @property
    def wants_place(self) -> bool:
        """Whether a request waits that the cap of the session would let run."""
        return len(self.waiting) > self.grants and self.running + self.grants < self.most_running

    def start_next(self) -> None:
        """Admission has taken a place for one of the requests that wait."""
        self.grants += 1
        self.router.granted(self)
