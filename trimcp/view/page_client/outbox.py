"""The events for one page: written at once while the page reads, else kept up to a bound."""

from __future__ import annotations

import itertools
from typing import Any, Final

import trio

from trimcp.codec.jsontext import dumps
from trimcp.http.binding import HttpResponse

WAITING_BYTES: Final = 16 * 2**20
"""Bytes of events that wait for a page. A page for which more wait is dropped."""
COMMENT: Final = b": \n\n"


class PageOutbox:
    """Sends events to one page. Its functions never wait."""

    def __init__(self, response: HttpResponse, scope: trio.CancelScope) -> None:
        """
        Args:
            response: the stream of the page.
            scope: of the client; cancelled when the page leaves, or is dropped.
        """
        self._response = response
        self._scope = scope
        self._waiting: dict[object, bytes] = {}
        self._bytes = 0
        self._numbers = itertools.count()
        response.on_clear = self._write_on
        response.on_gone = scope.cancel

    def post(self, event: str, *, newest: object = None, **members: Any) -> None:
        """Send an event.

        Args:
            event: its name.
            newest: takes the place of an event with the same key that still waits.
            members: its data.
        """
        data = b"event: %s\ndata: %s\n\n" % (event.encode(), dumps(members))
        if not self._waiting and not self._response.is_clogged:
            self._response.write(data)
            return
        key = next(self._numbers) if newest is None else newest
        self._bytes += len(data) - len(self._waiting.get(key, b""))
        self._waiting[key] = data
        if self._bytes > WAITING_BYTES:
            self._forget()
            self._response.abort()
            self._scope.cancel()

    def keep_open(self) -> None:
        """Send a comment, unless the page is behind: proxies end a stream without bytes."""
        if not self._waiting and not self._response.is_clogged:
            self._response.write(COMMENT)

    def end(self) -> None:
        """End the stream."""
        self._forget()
        self._response.end()

    def _write_on(self) -> None:
        waiting = b"".join(self._waiting.values())
        self._forget()
        if waiting:
            self._response.write(waiting)

    def _forget(self) -> None:
        self._waiting.clear()
        self._bytes = 0
