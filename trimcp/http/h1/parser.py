"""The part of HTTP/1.1 parsing that both ends share: it feeds httptools, which cuts bytes into fields and bodies.

httptools is strict. `RequestParser` and `ResponseParser` refuse messages that it lets pass and an end must not, and
bound the bytes that are kept. The same bytes make the same messages, however they were cut on the way.
"""

from __future__ import annotations

from typing import Any

import httptools


class Stop(Exception):
    """Ends a feed from within a callback: nothing more is read from the connection."""


class MessageParser:
    """Feeds the bytes of one connection to httptools, which calls the `on_…` methods."""

    __slots__ = ("_fed", "_first", "_parser")

    def __init__(self) -> None:
        self._parser: Any = self._make_parser()
        self._first: int | None = None  # the first byte of the connection
        self._fed = 0  # bytes since the head began, or since a piece of the body came

    def _make_parser(self) -> Any:
        """Make the parser of httptools."""
        raise NotImplementedError

    def _upgraded(self) -> None:
        """Go on behind a head that asked for another protocol: httptools has stopped there."""

    def _broken(self, exc: httptools.HttpParserError) -> None:
        """Note that the bytes are not HTTP/1.1. The text of the error has nothing of the bytes in it."""
        raise NotImplementedError

    def _parse(self, data: bytes) -> bool:
        """Parse bytes; return whether the connection goes on."""
        if self._first is None:
            self._first = data[0]
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                data = data[exc.args[0] :]
                self._upgraded()
            except httptools.HttpParserCallbackError as exc:
                if not isinstance(exc.__context__, Stop):
                    raise
                return False
            except httptools.HttpParserError as exc:
                self._broken(exc)
                return False
            else:
                return True
        return True
