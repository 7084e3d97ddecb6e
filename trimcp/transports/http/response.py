"""The response of one request that came through the direct door: framing, and when it is over.

It adds what belongs to the connection (length or chunks, whether the connection goes on) and hands
the bytes to the connection's `Output`. What happens after the last of them is the connection's.
"""

from __future__ import annotations

import abc
from typing import Final

from trimcp.transports.http import answers
from trimcp.transports.http.door import Fields, HttpResponse
from trimcp.transports.http.output import Output
from trimcp.transports.http.parsing import Incoming

_NEW: Final = 0
_BEGUN: Final = 1
_OVER: Final = 2


class Owner(abc.ABC):
    """What a response needs of its connection."""

    __slots__ = ("is_last", "output")

    output: Output
    is_last: bool
    """Whether the connection ends after the response that is on its way."""

    @abc.abstractmethod
    def finished(self, *, cut: bool) -> None:
        """The response is over; `cut`: it was broken off, so that nothing may follow it."""


class DirectResponse(HttpResponse):
    """See `HttpResponse`. HTTP/1.0 gets a stream that ends with its connection, since it knows no chunks;
    such a peer cannot tell that a response was broken off."""

    __slots__ = ("_has_body", "_held", "_incoming", "_is_chunked", "_owner", "_state")

    def __init__(self, owner: Owner, incoming: Incoming) -> None:
        super().__init__()
        self._owner = owner
        self._incoming = incoming
        self._state = _NEW
        self._held = b""  # a head that waits for the first piece
        self._has_body = True
        self._is_chunked = True

    @property
    def is_clogged(self) -> bool:
        return self._owner.output.is_clogged

    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        if self._state != _NEW or self.is_gone:
            return
        self._state = _OVER
        if self.further:
            fields = (*fields, *self.further)
        self._owner.output.send(whole(self._owner, self._incoming, status, fields, body))
        self._finish(cut=False)

    def begin(self, status: int, fields: Fields) -> None:
        if self._state != _NEW or self.is_gone:
            return
        self._state = _BEGUN
        incoming, owner = self._incoming, self._owner
        self._has_body = incoming.method != "HEAD" and not answers.has_no_body(status)
        self._is_chunked = not incoming.is_old
        if incoming.is_old and self._has_body:
            owner.is_last = True
        framing = connection_field(owner, incoming)
        if self._is_chunked and not answers.has_no_body(status):
            framing += answers.CHUNKED
        self._held = answers.head(status, (*fields, *self.further) if self.further else fields, framing)

    def write(self, data: bytes) -> None:
        if self._state != _BEGUN or self.is_gone:
            return
        if not self._has_body or not data:
            data = b""
        elif self._is_chunked:
            data = answers.chunk(data)
        self._leave(data)

    def end(self) -> None:
        if self._state != _BEGUN or self.is_gone:
            return
        self._state = _OVER
        self._leave(answers.LAST_CHUNK if self._is_chunked and self._has_body else b"")
        self._finish(cut=False)

    def finish(self, data: bytes) -> None:
        if self._state != _BEGUN or self.is_gone:
            return
        self._state = _OVER
        if not self._has_body:
            data = b""
        elif self._is_chunked:
            data = answers.chunk(data) + answers.LAST_CHUNK if data else answers.LAST_CHUNK
        self._leave(data)
        self._finish(cut=False)

    def abort(self) -> None:
        if self._state == _OVER or self.is_gone:
            return
        self._state = _OVER
        self._finish(cut=True)

    def _leave(self, data: bytes) -> None:
        held, self._held = self._held, b""
        if held or data:
            self._owner.output.send(held + data)

    def _finish(self, *, cut: bool) -> None:
        self.on_gone = self.on_clear = None
        self._owner.finished(cut=cut)

    def cleared(self) -> None:
        """All that was written has left."""
        if self.on_clear is not None:
            self.on_clear()


def whole(owner: Owner, incoming: Incoming | None, status: int, fields: Fields, body: bytes) -> bytes:
    """A whole response, to a request or, where it is None, to what could not be understood as one."""
    framing = answers.length_field(status, len(body)) + connection_field(owner, incoming)
    head = answers.head(status, fields, framing)
    if (incoming is not None and incoming.method == "HEAD") or answers.has_no_body(status):
        return head
    return head + body


def connection_field(owner: Owner, incoming: Incoming | None) -> bytes:
    """Say whether the connection goes on, where that does not go without saying."""
    if owner.is_last or incoming is None or not incoming.keeps_alive:
        owner.is_last = True
        return answers.CLOSE
    return answers.KEEP_ALIVE if incoming.is_old else b""
