"""The requests that we wait on: their ids, and which answer belongs to which.

Ids count up from 1 for each session and are never used again (`basic` of every revision).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from trimcp.types.jsonrpc import RequestId

C = TypeVar("C")

GIVEN_UP: Final = 1024
"""How many ids of requests that were given up are remembered, to tell a late answer from one for nobody."""


class Outbound(Generic[C]):
    """The register of one session's own requests."""

    __slots__ = ("_given_up", "_given_up_order", "_next_id", "_waiting")

    def __init__(self) -> None:
        self._next_id = 0
        self._waiting: dict[RequestId, C] = {}
        self._given_up: set[RequestId] = set()
        self._given_up_order: deque[RequestId] = deque()

    def new_id(self) -> int:
        """The id for the next request."""
        self._next_id += 1
        return self._next_id

    def add(self, request_id: RequestId, call: C) -> None:
        """Wait for an answer to this id."""
        self._waiting[request_id] = call

    def answered(self, request_id: RequestId | None) -> C | None:
        """Take the call that an answer is for; None where nobody waits for it (any more)."""
        return None if request_id is None else self._waiting.pop(request_id, None)

    def waiting(self, request_id: RequestId) -> C | None:
        """The call with this id that still waits, if any."""
        return self._waiting.get(request_id)

    def give_up(self, request_id: RequestId) -> bool:
        """Stop waiting. Returns False where the answer was there already."""
        if self._waiting.pop(request_id, None) is None:
            return False
        if len(self._given_up_order) == GIVEN_UP:
            self._given_up.discard(self._given_up_order.popleft())
        self._given_up.add(request_id)
        self._given_up_order.append(request_id)
        return True

    def was_given_up(self, request_id: RequestId | None) -> bool:
        """Whether an answer with this id is merely late."""
        return request_id in self._given_up

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[C]:
        return iter(list(self._waiting.values()))
