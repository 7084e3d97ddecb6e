"""The requests of this side of one session, until each is answered or given up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from trimcp.session.call import Call
from trimcp.types.jsonrpc import RequestId

GIVEN_UP: Final = 1024
"""Ids of requests that were given up that are remembered, to tell a late answer from an unknown one."""


class OutboundRequests:
    """Holds the requests of this side in one session, until each is answered or given up."""

    __slots__ = ("_given_up", "_waiting", "ids")

    def __init__(self) -> None:
        self.ids: Iterator[RequestId] = itertools.count(1)
        """The ids of requests that are still to be made."""
        self._waiting: dict[RequestId, Call] = {}
        self._given_up: dict[RequestId, None] = {}  # the oldest first

    def new_id(self) -> RequestId:
        """Return the id for the next request."""
        return next(self.ids)

    def add(self, request_id: RequestId, call: Call) -> None:
        """Add a call that waits for an answer to this id."""
        self._waiting[request_id] = call

    def answered(self, request_id: RequestId | None) -> Call | None:
        """Remove and return the call that an answer is for; None where no call waits for it."""
        return None if request_id is None else self._waiting.pop(request_id, None)

    def waiting(self, request_id: RequestId) -> Call | None:
        """Return the call with this id that still waits, if any."""
        return self._waiting.get(request_id)

    def give_up(self, request_id: RequestId) -> bool:
        """Remove a call that does not wait any more. Returns False where it was answered before."""
        if self._waiting.pop(request_id, None) is None:
            return False
        if len(self._given_up) == GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]
        self._given_up[request_id] = None
        return True

    def was_given_up(self, request_id: RequestId | None) -> bool:
        """Whether an answer with this id is late: its call was given up."""
        return request_id in self._given_up

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._waiting.values()))
