"""The requests that we owe an answer: by serial, with ids and progress tokens as indexes.

A JSON-RPC id is data. A request is known by the serial we give it, so that two requests with one
id (which a widely used host sends over HTTP) never get each other's answer. `basic` of every
revision forbids such ids, and on a duplex stream a second one cannot be answered at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from trimcp.types.jsonrpc import ProgressToken, RequestId


class Owed(Protocol):
    """What the register needs to know of a request."""

    @property
    def serial(self) -> int: ...
    @property
    def id(self) -> RequestId: ...
    @property
    def progress_token(self) -> ProgressToken | None: ...


R = TypeVar("R", bound=Owed)


class Inbound(Generic[R]):
    """The register of one session or exchange. Bounded by whoever admits the requests."""

    __slots__ = ("_by_id", "_by_serial", "_several")

    def __init__(self) -> None:
        self._by_serial: dict[int, R] = {}
        self._by_id: dict[RequestId, R] = {}
        # Only for ids that several have, so that the usual request does not cost a list.
        self._several: dict[RequestId, list[R]] = {}

    def add(self, request: R) -> None:
        """Register a request."""
        self._by_serial[request.serial] = request
        first = self._by_id.setdefault(request.id, request)
        if first is not request:
            self._several.setdefault(request.id, [first]).append(request)

    def remove(self, request: R) -> bool:
        """Forget a request. A second call does nothing, and returns False."""
        if self._by_serial.pop(request.serial, None) is None:
            return False
        same = self._several.get(request.id)
        if same is None:
            del self._by_id[request.id]
            return True
        same.remove(request)
        self._by_id[request.id] = same[0]
        if len(same) == 1:
            del self._several[request.id]
        return True

    def with_id(self, request_id: RequestId) -> list[R]:
        """All requests in flight that carry this id: none, one, or several."""
        several = self._several.get(request_id)
        if several is not None:
            return several
        return [self._by_id[request_id]] if request_id in self._by_id else []

    def __contains__(self, request_id: RequestId) -> bool:
        return request_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_serial)

    def __iter__(self) -> Iterator[R]:
        """Over a copy: the loop may end requests."""
        return iter(list(self._by_serial.values()))
