"""The register of one peer: its requests in flight, and the places that they have.

Its Router alone calls what changes it. Others read what it publishes, such as how many requests run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from trimcp.actors.reply import Reply
from trimcp.session.batches import Batch
from trimcp.session.peer import Peer
from trimcp.types.jsonrpc import RequestId


class RegisteredRequest(Protocol):
    """A request, as its register sees it."""

    serial: int
    id: RequestId
    size: int

    @property
    def is_settled(self) -> bool:
        """Whether the request was answered, or never will be."""
        ...


R = TypeVar("R", bound=RegisteredRequest)


class InboundRequests(Generic[R]):
    """Holds the requests in flight of one register, by their ids.

    A JSON-RPC id is data: a widely used host sends many requests with one id over HTTP, and each must get its own
    answer. `basic` of every revision forbids this, and on a duplex stream such a request cannot be answered at all.
    """

    __slots__ = ("by_id", "several")

    def __init__(self) -> None:
        self.by_id: dict[RequestId, R] = {}
        """The requests by their ids; of several with one id, the one that came first."""
        self.several: dict[RequestId, list[R]] = {}
        """All requests with an id that several have, so that the usual request does not cost a list."""

    def add(self, request: R) -> None:
        """Add a request."""
        first = self.by_id.setdefault(request.id, request)
        if first is not request:
            self.add_one_more(first, request)

    def add_one_more(self, first: R, request: R) -> None:
        """Add a request with the id of another, the first one."""
        self.several.setdefault(request.id, [first]).append(request)

    def remove(self, request: R) -> bool:
        """Remove a request. Returns False where it was removed before."""
        if self.several and request.id in self.several:
            return self._remove_one_of(self.several[request.id], request)
        if self.by_id.get(request.id) is not request:
            return False
        del self.by_id[request.id]
        return True

    def _remove_one_of(self, same: list[R], request: R) -> bool:
        if request not in same:
            return False
        same.remove(request)
        self.by_id[request.id] = same[0]
        if len(same) == 1:
            del self.several[request.id]
        return True

    def with_id(self, request_id: RequestId) -> list[R]:
        """Return all requests in flight that carry this id: none, one, or several."""
        several = self.several.get(request_id)
        if several is not None:
            return several
        return [self.by_id[request_id]] if request_id in self.by_id else []

    def __len__(self) -> int:
        return len(self.by_id) + sum(len(same) - 1 for same in self.several.values())

    def __iter__(self) -> Iterator[R]:
        """Iterate over a copy, in order of serials: the loop may end requests."""
        requests = list(self.by_id.values())
        if self.several:
            requests = [request for id in self.by_id for request in self.with_id(id)]
            requests.sort(key=lambda request: request.serial)
        return iter(requests)


class RegisterRouter(Protocol[R]):
    """The Router, as its registers and their requests see it."""

    def granted(self, register: Register[R]) -> None:
        """Start the next request of this register: Admission has taken a place for it. Never waits."""
        ...

    def left(self, request: R) -> None:
        """Remove a request that has ended. Never waits."""
        ...


class Register(Generic[R]):
    """Counts and keeps the requests of one session, or of one stateless peer."""

    __slots__ = (
        "_grants",
        "_most_running",
        "abandoned",
        "batches",
        "bytes",
        "draining",
        "idle",
        "in_flight",
        "is_closed",
        "long_lived",
        "peer",
        "refused",
        "router",
        "running",
        "waiting",
    )

    def __init__(self, peer: Peer, router: RegisterRouter[R], most_running: int) -> None:
        """`most_running`: requests of this peer that may run at once."""
        self.peer: Peer = peer
        self.router: RegisterRouter[R] = router
        self._most_running = most_running
        self.in_flight: InboundRequests[R] = InboundRequests()
        """All requests that were accepted and have not ended: they run, wait, or are long-lived."""
        self.waiting: dict[int, R] = {}
        """Requests that wait for a place, by serial; the first one is next."""
        self.long_lived: dict[int, R] = {}
        """Requests that stay in flight without a task, by serial."""
        self.running: int = 0
        """Requests that have a place."""
        self._grants = 0
        """Places granted by Admission that the Router has not seen yet."""
        self.bytes: int = 0
        """Size of the requests that run or wait."""
        self.refused: int = 0
        """Requests refused for lack of room so far."""
        self.abandoned: int = 0
        """Requests without an answer that were in flight, and not cancelled by the peer, when the register closed."""
        self.draining: bool = False
        """Whether new work is refused."""
        self.is_closed: bool = False
        """Whether the session is over."""
        self.batches: list[Batch] = []
        """Batches that are not answered yet (2025-03-26)."""
        self.idle: list[Reply[None]] = []
        """Replies to set when no request is in flight any more."""

    # --- requests in and out ----------------------------------------------------------

    def add_running(self, request: R) -> None:
        """Add a request that has a place."""
        in_flight = self.in_flight
        first = in_flight.by_id.setdefault(request.id, request)  # as `add` does, without its call
        if first is not request:
            in_flight.add_one_more(first, request)
        self.bytes += request.size
        self.running += 1

    def add_waiting(self, request: R) -> None:
        """Add a request that waits for a place."""
        self.in_flight.add(request)
        self.bytes += request.size
        self.waiting[request.serial] = request

    def add_long_lived(self, request: R) -> None:
        """Add a request that stays in flight without a task. It takes no place."""
        self.in_flight.add(request)
        self.long_lived[request.serial] = request

    def next_waiting(self) -> R | None:
        """Give the place that Admission has taken to the request that waits longest; None where none waits."""
        self._grants -= 1
        if not self.waiting:
            return None
        self.running += 1
        return self.waiting.pop(next(iter(self.waiting)))

    def remove_running(self, request: R) -> bool:
        """Remove a request and take back its place. Returns False where it was removed before."""
        in_flight = self.in_flight
        if in_flight.several or in_flight.by_id.get(request.id) is not request:
            if not in_flight.remove(request):
                return False
        else:
            del in_flight.by_id[request.id]  # as `remove` does, without its call
        self.bytes -= request.size
        self.running -= 1
        return True

    def remove_waiting(self, request: R) -> bool:
        """Remove a request that waits for a place. Returns False where it does not."""
        if self.waiting.pop(request.serial, None) is None:
            return False
        self.in_flight.remove(request)
        self.bytes -= request.size
        return True

    def tell_idle(self) -> None:
        """Set the replies in `idle`, if no request is in flight."""
        if not len(self.in_flight):
            idle, self.idle = self.idle, []
            for reply in idle:
                reply.set(None)

    # --- answers that are owed --------------------------------------------------------

    @property
    def unanswered(self) -> int:
        """How many requests will still be answered."""
        return sum(map(self.owes_answer, self.in_flight))

    def owes_answer(self, request: R) -> bool:
        """Whether a request in flight will still be answered.

        A long-lived one will not; nor will one that was answered, and whose handler has left a nursery open.
        """
        return not request.is_settled and request.serial not in self.long_lived

    # --- WaitingRegister, of Admission ------------------------------------------------

    @property
    def wants_place(self) -> bool:
        """Whether a request waits which the cap of the session would let run."""
        running = self.running + self._grants
        return len(self.waiting) > self._grants and running < self._most_running and not self.peer.is_behind()

    def has_room(self) -> bool:
        """Whether a request that arrives may start at once, as far as the session goes."""
        # No property, as `Peer.is_behind`: Python 3.11 calls a method of a class in a third of the time.
        return self.running < self._most_running and not self.waiting and not self.peer.is_behind()

    def start_next(self) -> None:
        """Take note that Admission has taken a place for a request that waits."""
        self._grants += 1
        self.router.granted(self)
