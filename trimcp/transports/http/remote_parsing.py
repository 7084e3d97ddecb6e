"""From the bytes of one connection to the responses on it, one after the other.

httptools cuts the bytes into fields and pieces of bodies; what it lets pass and a client must not is
looked at here, and so are the bounds of what may be kept. It knows no connection and no time: the
same bytes make the same response, however they were cut on the way.
"""

from __future__ import annotations

from typing import Final

import httptools

HEAD_BYTES: Final = 64 * 1024
"""Bytes that a head may have, those before it (status 1xx) and the trailers behind a body among them."""
HEAD_FIELDS: Final = 256
"""Fields that a head may have."""

_TLS_ALERT: Final = 0x15
_VERSIONS: Final = ("1.1", "1.0")
_NO_BODY: Final = (204, 304)


class _Stop(Exception):
    """Ends a `feed` from within: nothing more is read from the connection."""


class ResponseParser:
    """Bytes in, a response out: call `begin` for each, `feed` what comes, `end` where nothing more does.

    After `fault` is set, whatever is fed is ignored.
    """

    # The `on_…` methods are called by httptools.

    __slots__ = (
        "_awaits_head",
        "_fed",
        "_first",
        "_is_bodiless",
        "_lines",
        "_parser",
        "_until_end",
        "fault",
        "fields",
        "has_head",
        "is_complete",
        "is_untouched",
        "keeps_alive",
        "pieces",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._first: int | None = None
        self._lines = 0
        self.fault: str | None = None
        """Why the response cannot be understood, as the end of a sentence."""
        self.begin("GET")

    def begin(self, verb: str) -> None:
        """A request was sent; the response to it is what comes next."""
        self._is_bodiless = verb == "HEAD"
        self._awaits_head = True
        self._until_end = False
        self._fed = 0  # bytes since the head began, or since a piece of the body came
        self.pieces: list[bytes] = []
        """What has come of the body, and was not taken."""
        self.status = 0
        self.fields: dict[bytes, bytes] = {}
        """By their names in lower case."""
        self.has_head = False
        self.is_complete = False
        self.is_untouched = True
        """Whether not one byte has come."""
        self.keeps_alive = False
        """Whether the connection can be used again, once the response is complete."""

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        pieces = self.pieces
        if not pieces:
            return b""
        self.pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the body that have come and were not taken."""
        return sum(map(len, self.pieces))

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.fault is not None:
            return
        if self.is_complete:
            self.keeps_alive = False  # it says more than it was asked
            return
        if self._first is None:
            self._first = data[0]
        self.is_untouched = False
        fed = self._fed = self._fed + len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as exc:
            if not isinstance(exc.__context__, _Stop):
                raise  # pragma: no cover - a mistake of this file's
        except httptools.HttpParserError as exc:
            self.keeps_alive = False
            if not self.is_complete:
                self._fail(self._explained(exc))
        # What a read brings beyond the bound is what one read brings, so the bound need not be exact.
        if self._fed == fed > HEAD_BYTES + (len(data) if self.has_head else 0) and not self.is_complete:
            self._fail(f"its head, or what frames its body, is longer than {HEAD_BYTES} bytes")

    def end(self) -> bool:
        """Nothing more comes. Returns whether the response is complete with that."""
        self.keeps_alive = False
        if self._until_end and self.fault is None:
            self.is_complete = True
        return self.is_complete

    def _explained(self, exc: Exception) -> str:
        if self._first == _TLS_ALERT:
            return "it speaks TLS (write https)"
        # What the parser says are sentences of its own, without anything of what it read.
        return f"{exc}"

    def _fail(self, why: str) -> _Stop:
        self.fault = why
        self.keeps_alive = False
        return _Stop()

    def on_message_begin(self) -> None:
        if self.is_complete:
            # Two responses to one request: whose the second is nobody can tell.
            self.keeps_alive = False
            raise _Stop
        self._lines = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._awaits_head:
            return  # trailers
        self._lines += 1
        if self._lines > HEAD_FIELDS:
            raise self._fail(f"its head has more than {HEAD_FIELDS} fields")
        name, value = name.lower(), value.strip()
        fields = self.fields
        fields[name] = value if name not in fields else fields[name] + b", " + value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._parser.get_http_version() not in _VERSIONS:
            raise self._fail("its version is neither 1.1 nor 1.0")
        if status < 200:
            if status == 101:
                raise self._fail("it goes over to another protocol, which it was not asked for")
            return
        fields = self.fields
        coding = fields.get(b"transfer-encoding")
        length = fields.get(b"content-length")
        if coding is not None and (coding.lower() != b"chunked" or length is not None):
            raise self._fail("how long its body is cannot be told")
        self.status = status
        self._awaits_head = False
        self.has_head = True
        self.keeps_alive = self._parser.should_keep_alive()
        if self._is_bodiless or status in _NO_BODY:
            self.is_complete = True
            if coding is not None or length not in (None, b"0"):
                # The parser waits for a body that is told of and does not come.
                self.keeps_alive = False
                raise _Stop
        elif coding is None and length is None:
            self._until_end = True
        encoding = fields.get(b"content-encoding", b"identity")
        if encoding.lower() not in (b"identity", b"") and not self.is_complete:
            raise self._fail("its body is compressed, which it was asked not to do")

    def on_body(self, data: bytes) -> None:
        self._fed = 0
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        if self._awaits_head:  # status 1xx
            self.fields = {}
        else:
            self.is_complete = True
