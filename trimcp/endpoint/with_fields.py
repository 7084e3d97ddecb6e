"""A response with further header fields: those that CORS adds to every response of a request."""

from __future__ import annotations

from collections.abc import Callable

from trimcp.transports.http.door import Fields, HttpResponse


class WithFields(HttpResponse):
    """Hands everything on to the response of a door."""

    __slots__ = ("_fields", "_response")

    def __init__(self, response: HttpResponse, fields: Fields) -> None:
        self._response = response
        self._fields = fields

    @property
    def on_gone(self) -> Callable[[], None] | None:
        return self._response.on_gone

    @on_gone.setter
    def on_gone(self, tell: Callable[[], None] | None) -> None:
        self._response.on_gone = tell

    @property
    def on_clear(self) -> Callable[[], None] | None:
        return self._response.on_clear

    @on_clear.setter
    def on_clear(self, tell: Callable[[], None] | None) -> None:
        self._response.on_clear = tell

    @property
    def is_gone(self) -> bool:  # type: ignore[override]  # the other's, not one of its own
        return self._response.is_gone

    @property
    def is_clogged(self) -> bool:
        return self._response.is_clogged

    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        self._response.respond(status, (*fields, *self._fields), body)

    def begin(self, status: int, fields: Fields) -> None:
        self._response.begin(status, (*fields, *self._fields))

    def write(self, data: bytes) -> None:
        self._response.write(data)

    def end(self) -> None:
        self._response.end()

    def finish(self, data: bytes) -> None:
        self._response.finish(data)

    def abort(self) -> None:
        self._response.abort()
