"""Parses the bytes of one connection into responses, one after the other.

It refuses responses that httptools lets pass and a client must not, and bounds the bytes that are kept. Nothing here
knows connections or time.
"""

from __future__ import annotations

from typing import Any, Final

import httptools

from trimcp.http.h1.parser import MessageParser, Stop
from trimcp.http.h1.request_head import COMPRESSED

HEAD_BYTES: Final = 64 * 1024
"""Bytes that a head may have, with the heads before it (status 1xx) and the trailers behind a body."""
HEAD_FIELDS: Final = 256
"""Fields that a head may have."""

_TLS_ALERT: Final = 0x15
_VERSIONS: Final = ("1.1", "1.0")
_NO_BODY: Final = (204, 304)


class ResponseParser(MessageParser):
    """Parses one response after the other: `begin` for each, `feed` for bytes, `end` at the end of input.

    Once `fault` is set, further bytes are ignored.
    """

    __slots__ = (
        "_awaits_head",
        "_is_bodiless",
        "_lines",
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
        super().__init__()
        self._lines = 0
        self.fault: str | None = None
        """Why the bytes are no valid response, as the end of a sentence."""
        self.begin("GET")

    def begin(self, verb: str) -> None:
        """Expect the response to a request with this HTTP method."""
        self._is_bodiless = verb == "HEAD"
        self._awaits_head = True
        self._until_end = False
        self._fed = 0
        self.pieces: list[bytes] = []
        """Pieces of the body that have arrived, and were not taken."""
        self.status: int = 0
        self.fields: dict[bytes, bytes] = {}
        """Header fields, by their names in lower case."""
        self.has_head: bool = False
        self.is_complete: bool = False
        self.is_untouched: bool = True
        """Whether no byte has arrived."""
        self.keeps_alive: bool = False
        """Whether the connection can be used again, once the response is complete."""

    def take(self) -> bytes:
        """Take the part of the body that has arrived since the last call."""
        pieces = self.pieces
        if not pieces:
            return b""
        self.pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the body that have arrived and were not taken."""
        return sum(map(len, self.pieces))

    def feed(self, data: bytes) -> None:
        """Parse bytes that have arrived."""
        if self.fault is not None:
            return
        if self.is_complete:
            self.keeps_alive = False  # bytes that belong to no request
            return
        self.is_untouched = False
        fed = self._fed = self._fed + len(data)
        self._parse(data)
        # The bound may be exceeded by the bytes of one read.
        if self._fed == fed > HEAD_BYTES + (len(data) if self.has_head else 0) and not self.is_complete:
            self._fail(f"its head, or what frames its body, is longer than {HEAD_BYTES} bytes")

    def end(self) -> bool:
        """Take the end of input; return whether the response is complete with that."""
        self.keeps_alive = False
        if self._until_end and self.fault is None:
            self.is_complete = True
        return self.is_complete

    def _make_parser(self) -> Any:
        return httptools.HttpResponseParser(self)

    def _broken(self, exc: httptools.HttpParserError) -> None:
        self.keeps_alive = False
        if not self.is_complete:
            self._fail("it speaks TLS (write https)" if self._first == _TLS_ALERT else str(exc))

    def _fail(self, why: str) -> Stop:
        self.fault = why
        self.keeps_alive = False
        return Stop()

    def on_message_begin(self) -> None:
        """Begin a message."""
        if self.is_complete:
            # A second response to one request belongs to no request.
            self.keeps_alive = False
            raise Stop
        self._lines = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of a head or of trailers."""
        if not self._awaits_head:
            return  # trailers
        self._lines += 1
        if self._lines > HEAD_FIELDS:
            raise self._fail(f"its head has more than {HEAD_FIELDS} fields")
        name, value = name.lower(), value.strip()
        fields = self.fields
        fields[name] = value if name not in fields else fields[name] + b", " + value

    def on_headers_complete(self) -> None:
        """Check the head, which is complete."""
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
                # httptools would wait for a body that the head tells of and that never comes.
                self.keeps_alive = False
                raise Stop
        elif coding is None and length is None:
            self._until_end = True
        encoding = fields.get(b"content-encoding", b"identity")
        if encoding.lower() not in (b"identity", b"") and not self.is_complete:
            raise self._fail(COMPRESSED)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._fed = 0
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        """End the message."""
        if self._awaits_head:  # status 1xx
            self.fields = {}
        else:
            self.is_complete = True
