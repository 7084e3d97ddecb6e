"""Responses that pass on to another response, and tell the access log or a wire tap what passes."""

from __future__ import annotations

import abc

from trimcp.http.binding import Fields, HttpResponse
from trimcp.observability.wire_tap import ExchangeTap


class ObservedResponse(HttpResponse):
    """Passes on to another response. Subclasses are told of its head, its body and its end."""

    __slots__ = ("_inner", "_is_over")

    def __init__(self, inner: HttpResponse) -> None:
        super().__init__()
        self._inner = inner
        self._is_over = False
        inner.on_gone = self.gone
        inner.on_clear = self._clear

    @abc.abstractmethod
    def _begun(self, status: int, fields: Fields) -> None:
        """Take note of the head."""

    @abc.abstractmethod
    def _written(self, data: bytes) -> None:
        """Take note of a piece of the body."""

    @abc.abstractmethod
    def _ended(self, *, gone: bool, cut: bool) -> None:
        """Take note of the end, once. `gone`: the peer has gone before; `cut`: this side has broken it off."""

    @property
    def is_clogged(self) -> bool:
        """See `HttpResponse`."""
        return self._inner.is_clogged

    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        """See `HttpResponse`."""
        self._inner.further = self.further
        self._inner.respond(status, fields, body)
        self._begun(status, fields)
        self._written(body)
        self._over()

    def begin(self, status: int, fields: Fields) -> None:
        """See `HttpResponse`."""
        self._inner.further = self.further
        self._inner.begin(status, fields)
        self._begun(status, fields)

    def write(self, data: bytes) -> None:
        """See `HttpResponse`."""
        self._inner.write(data)
        self._written(data)

    def end(self) -> None:
        """See `HttpResponse`."""
        self._inner.end()
        self._over()

    def finish(self, data: bytes) -> None:
        """See `HttpResponse`."""
        self._inner.finish(data)
        self._written(data)
        self._over()

    def abort(self) -> None:
        """See `HttpResponse`."""
        self._inner.abort()
        self._over(cut=True)

    def gone(self) -> None:
        """See `HttpResponse`."""
        self._over(gone=True)
        super().gone()

    def _clear(self) -> None:
        if self.on_clear is not None:
            self.on_clear()

    def _over(self, *, gone: bool = False, cut: bool = False) -> None:
        if not self._is_over:
            self._is_over = True
            self._ended(gone=gone, cut=cut)


class TappedResponse(ObservedResponse):
    """Tells a wire tap of the response."""

    __slots__ = ("_tap",)

    def __init__(self, inner: HttpResponse, tap: ExchangeTap) -> None:
        super().__init__(inner)
        self._tap = tap

    def _begun(self, status: int, fields: Fields) -> None:
        named = {name.lower(): value.decode("latin-1") for name, value in fields}
        media_type = named.get(b"content-type", "").partition(";")[0].strip().lower()
        self._tap.answered(status, media_type, named.get(b"mcp-session-id"))

    def _written(self, data: bytes) -> None:
        self._tap.piece(bytes(data))

    def _ended(self, *, gone: bool, cut: bool) -> None:
        self._tap.ended(left=gone)
