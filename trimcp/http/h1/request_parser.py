"""Parses the bytes of one connection into requests, within the bounds of `HttpLimits`.

`request_checks` refuses requests that httptools lets pass and a server must not. Nothing here knows connections or
time.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from trimcp.errors import UsageError
from trimcp.http.binding import Refusal
from trimcp.http.h1 import request_checks as heads
from trimcp.http.h1.repeated_head import RepeatedHead, repeatable
from trimcp.limits import HttpLimits

try:
    import httptools

    from trimcp.http.h1.parser import MessageParser, Stop
except ImportError as _missing:  # pragma: no cover
    raise UsageError.not_installed("httptools", "http") from _missing

_CHUNK_OVERHEAD: Final = 32
"""Bytes of framing that each chunk may have on average: its size, and extensions, which are ignored."""
_TLS_HANDSHAKE: Final = 0x16
TLS_SPOKEN: Final = heads.refusal(400, "This is a port for plain HTTP, and TLS was spoken to it.")
HTTP_2_SPOKEN: Final = heads.refusal(400, "This is a port for HTTP/1.1, and HTTP/2 was spoken to it.")
LINES_SPOKEN: Final = heads.refusal(400, "This is a port for HTTP, and lines of JSON were sent to it.")
OTHER_PROTOCOLS: Final = (TLS_SPOKEN, HTTP_2_SPOKEN, LINES_SPOKEN)
_SYNTHETIC: Final = b"POST / HTTP/1.1\r\nhost: a\r\n%s\r\n\r\n"


class IncomingRequest:
    """A request whose head has arrived. Its body may still be on its way."""

    __slots__ = (
        "_body",
        "body_bytes",
        "expects_continue",
        "fields",
        "is_complete",
        "is_judged",
        "is_old",
        "is_refused",
        "keeps_alive",
        "length",
        "method",
        "path",
        "query",
    )

    def __init__(self) -> None:
        self.method: str = ""
        self.path: str = ""
        self.query: bytes = b""
        self.fields: dict[bytes, bytes] = {}
        self.length: int | None = 0
        """Bytes of the body, by its Content-Length; None where it comes in chunks."""
        self.is_old: bool = False
        """Whether it is HTTP/1.0."""
        self.keeps_alive: bool = True
        self.expects_continue: bool = False
        self.is_complete: bool = False
        self.is_judged: bool = False
        """For the connection: whether the handler has checked its head."""
        self.is_refused: bool = False
        """For the connection: whether it was refused by its head alone, so that its body is dropped."""
        self.body_bytes: int = 0
        self._body: bytes | bytearray = b""

    def add(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self.body_bytes += len(data)
        if self.is_refused:
            return
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                # Not a list of pieces: a body in chunks of a byte each would be kept at fifty times its size.
                self._body = bytearray(self._body)
            self._body += data

    def repeated(self, length: bytes, body: bytes) -> IncomingRequest:
        """Make the next request with the same head, which is here with its body; `length`: its Content-Length."""
        made = IncomingRequest()
        made.method, made.path, made.query = self.method, self.path, self.query
        # The same object for the same head: nothing changes the fields of a request.
        fields = made.fields = self.fields
        if fields[b"content-length"] != length:
            made.fields = {**fields, b"content-length": length}
        made.length = made.body_bytes = len(body)
        made._body = body
        made.is_complete = True
        return made

    def drop(self) -> None:
        """Drop the body, also the part that is still to arrive."""
        self.is_refused = True
        self._body = b""

    @property
    def body(self) -> bytes:
        """The part of the body that has arrived."""
        return bytes(self._body)


class RequestParser(MessageParser):
    """Puts the requests that arrive into `queue`, which the connection empties from its left.

    Once `fault` or `is_over` is set, further bytes are ignored.
    """

    __slots__ = (
        "_body",
        "_body_limit",
        "_chunks",
        "_good_host",
        "_good_target",
        "_head",
        "_is_muted",
        "_is_upgrading",
        "_known",
        "_limits",
        "_lines",
        "_overhead",
        "_target",
        "fault",
        "is_over",
        "queue",
    )

    def __init__(self, limits: HttpLimits, body_limit: int) -> None:
        """`body_limit`: bytes that a body may have; a longer one is a fault."""
        super().__init__()
        self._limits = limits
        self._body_limit = body_limit
        self._head: IncomingRequest | None = None
        self._body: IncomingRequest | None = None
        self._target = b""
        self._lines: list[tuple[bytes, bytes]] = []  # names and values, as they came
        self._chunks = 0
        self._overhead = 0  # bytes of a chunked body beside its data
        self._is_upgrading = False
        self._is_muted = False
        self._good_host: tuple[str, bytes | None] | None = None
        self._good_target: tuple[bytes, bytes, bytes | None, tuple[str, bytes]] | None = None
        self._known: tuple[RepeatedHead, IncomingRequest] | None = None
        self.queue: deque[IncomingRequest] = deque()
        self.fault: Refusal | None = None
        """The response to bytes that are not a valid request. The complete requests of `queue` are answered before."""
        self.is_over: bool = False
        """Whether the last request said that it is the last."""

    @property
    def in_head(self) -> bool:
        """Whether a head has begun to arrive, and is not complete."""
        return self._head is not None

    def feed(self, data: bytes) -> None:
        """Parse bytes that have arrived."""
        if self.fault is not None or self.is_over:
            return
        is_first = self._head is None and self._body is None
        if is_first:
            if self._known is not None and self._repeats(*self._known, data):
                return
            self._fed = 0
        queued = len(self.queue)
        fed = self._fed = self._fed + len(data)
        if not self._parse(data):
            return
        if is_first and len(self.queue) == queued + 1:
            self._remember(data)
        if self._head is not None:
            if fed == self._fed and fed > self._limits.head_bytes:
                self._head, self.fault = None, _HEAD_TOO_LONG
        elif self._body is not None and self._body.length is None:
            self._overhead += len(data)
            allowed = self._limits.head_bytes + len(data)
            if self._fed > allowed or self._overhead > allowed + _CHUNK_OVERHEAD * self._chunks + self._body.body_bytes:
                self.fault = _CHUNKS_TOO_LONG

    def _repeats(self, head: RepeatedHead, known: IncomingRequest, data: bytes) -> bool:
        """Queue a whole request whose head repeats that of an earlier one. Returns False for other bytes."""
        found = head.match(data)
        if found is None or len(found[1]) > self._body_limit:
            return False
        self.queue.append(known.repeated(*found))
        return True

    def _remember(self, data: bytes) -> None:
        """Remember the head of a whole request, if a repetition of it would mean the same to httptools."""
        known = self.queue[-1]
        self._known = None
        if (
            known.is_complete
            and known.keeps_alive
            and not (known.is_old or known.expects_continue or known.is_refused or b"upgrade" in known.fields)
            and known.length
            and 2 * (len(data) - known.length) <= self._limits.head_bytes
        ):
            head = repeatable(data, known.length)
            if head is not None:
                self._known = head, known.repeated(known.fields[b"content-length"], b"")  # without its body

    def _make_parser(self) -> Any:
        return httptools.HttpRequestParser(self)

    def _broken(self, exc: httptools.HttpParserError) -> None:
        if not self.is_over:
            self._head = None
            self.fault = self._explained(str(exc))

    def _explained(self, problem: str) -> Refusal:
        if self._first == _TLS_HANDSHAKE:
            return TLS_SPOKEN
        if "PRI" in problem:
            return HTTP_2_SPOKEN
        if self._first in (0x7B, 0x5B):  # the braces of JSON
            return LINES_SPOKEN
        if problem == "Invalid HTTP version":
            return _WRONG_VERSION
        return heads.refusal(400, f"This is not a request of HTTP/1.1: {problem}.")

    def _upgraded(self) -> None:
        # Another protocol is not granted, which is said by not mentioning it. httptools has skipped the body.
        self._parser = self._make_parser()
        self._is_upgrading = False
        incoming = self._body
        if incoming is not None:
            framing = b"transfer-encoding: chunked"
            if incoming.length is not None:
                framing = b"content-length: %d" % incoming.length
            self._is_muted = True
            self._parser.feed_data(_SYNTHETIC % framing)
            self._is_muted = False

    def _fail(self, fault: Refusal) -> Stop:
        self._head = None
        self.fault = fault
        return Stop()

    def on_message_begin(self) -> None:
        """Begin a message."""
        if self._is_muted:
            return
        if self.is_over:
            raise Stop
        self._head = IncomingRequest()
        self._target = b""
        self._lines.clear()

    def on_url(self, piece: bytes) -> None:
        """Take a piece of the target."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of a head or of trailers."""
        # Nothing more, since it is called for each field. Trailers come here as well, and are ignored.
        self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head, which is complete."""
        head = self._head
        if self._is_muted or head is None:
            return
        self._take_fields(head)
        parser = self._parser
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise self._fail(_WRONG_VERSION)
        method = parser.get_method()
        fields = head.fields
        head.method = method.decode("ascii")
        head.is_old = version == "1.0"
        head.keeps_alive = parser.should_keep_alive()
        head.path, head.query = self._path_and_query(version, method, fields.get(b"host"))
        length = heads.judge_framing(version, fields, self._body_limit)
        if isinstance(length, Refusal):
            raise self._fail(length)
        head.length = length
        if b"expect" in fields:
            refused = heads.judge_expectation(fields)
            if refused is not None:
                raise self._fail(refused)
            head.expects_continue = not head.is_old
        self._is_upgrading = parser.should_upgrade()
        self._head = None
        self._body = head
        self._fed = self._overhead = self._chunks = 0
        self.queue.append(head)

    def _take_fields(self, head: IncomingRequest) -> None:
        lines = self._lines
        fields = head.fields
        size = len(self._target)
        for name, value in lines:
            size += len(name) + len(value) + 4
            name = name.lower()
            value = value.strip()
            if name not in fields:
                fields[name] = value
            elif name == b"host":
                raise self._fail(_TWO_HOSTS)
            else:
                fields[name] += b", " + value
        if size > self._limits.head_bytes or len(lines) > self._limits.head_fields:
            raise self._fail(_HEAD_TOO_LONG)
        lines.clear()

    def _path_and_query(self, version: str, method: bytes, host: bytes | None) -> tuple[str, bytes]:
        # The requests of a connection are much alike.
        if self._good_host != (version, host):
            refused = heads.judge_host(version, host)
            if refused is not None:
                raise self._fail(refused)
            self._good_host = version, host
        good, target = self._good_target, self._target
        if good is not None and good[0] == target and good[1] == method and good[2] == host:
            return good[3]
        found = heads.judge_target(method, target, host)
        if isinstance(found, Refusal):
            raise self._fail(found)
        self._good_target = target, method, host, found
        return found

    def on_chunk_header(self) -> None:
        """Note that a chunk begins."""
        self._fed = 0
        self._chunks += 1

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        incoming = self._body
        if incoming is not None:
            self._fed = 0
            incoming.add(data)
            if incoming.body_bytes > self._body_limit:
                raise self._fail(heads.too_long(self._body_limit))

    def on_message_complete(self) -> None:
        """End the message."""
        incoming = self._body
        if self._is_muted or incoming is None or (self._is_upgrading and incoming.length != 0):
            return
        self._fed = 0
        self._body = None
        incoming.is_complete = True
        self.is_over = not incoming.keeps_alive


_HEAD_TOO_LONG: Final = heads.refusal(431, "The head of the request is too long.")
_CHUNKS_TOO_LONG: Final = heads.refusal(400, "The framing of the chunked body is too long.")
_WRONG_VERSION: Final = heads.refusal(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
_TWO_HOSTS: Final = heads.refusal(400, "A request must have one Host field.")
