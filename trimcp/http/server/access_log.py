"""The access log of an endpoint: a line for each HTTP request, when its response has ended.

An endpoint without `access_log=True` makes none of this.
"""

from __future__ import annotations

import trio

from trimcp.http.binding import Fields, HttpRequest, HttpResponse
from trimcp.http.server.observed_response import ObservedResponse
from trimcp.observability import events, log


def log_access(request: HttpRequest, status: int, size: int, since: float | None = None, *, gone: bool = False) -> None:
    """Log a request and its answer. The query is left out, since it may hold secrets."""
    principal = request.principal
    log.access(
        events.HTTP_ANSWERED,
        peer=request.connection.peer,
        principal="" if principal is None else principal.subject,
        method=request.method,
        path=request.path,
        status=status,
        bytes=size,
        ms=0.0 if since is None else round((trio.current_time() - since) * 1000, 1),
        gone=gone,
    )


class LoggedResponse(ObservedResponse):
    """Logs a request once its response is over."""

    __slots__ = ("_request", "_since", "_size", "_status")

    def __init__(self, inner: HttpResponse, request: HttpRequest) -> None:
        super().__init__(inner)
        self._request = request
        self._since = trio.current_time()
        self._status = 0
        self._size = 0

    def _begun(self, status: int, fields: Fields) -> None:
        self._status = status

    def _written(self, data: bytes) -> None:
        self._size += len(data)

    def _ended(self, *, gone: bool, cut: bool) -> None:
        log_access(self._request, self._status, self._size, self._since, gone=gone or cut)
