"""From the bytes of one connection to its requests.

httptools cuts the bytes into fields and pieces of bodies, and is strict about both; what it lets
pass and a server must not is looked at in `heads`. This file owns what joins them, and the bounds
of what may be kept. It knows no connection and no time: the same bytes make the same requests,
however they were cut on the way.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from trimcp.errors import UsageError
from trimcp.transports.http import heads
from trimcp.transports.http.door import Refusal
from trimcp.transports.http.limits import HttpLimits

try:
    import httptools
except ImportError as missing:  # pragma: no cover
    raise UsageError("to serve HTTP, install trimcp[http]: it brings httptools") from missing

_CHUNK_OVERHEAD: Final = 32
"""Bytes of framing that each chunk may have on average: its size, and extensions that nobody reads."""
_TLS_HANDSHAKE: Final = 0x16
_SYNTHETIC: Final = b"POST / HTTP/1.1\r\nhost: a\r\n%s\r\n\r\n"


class Incoming:
    """A request whose head is there. Its body may still be on its way."""

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
        self.method = ""
        self.path = ""
        self.query = b""
        self.fields: dict[bytes, bytes] = {}
        self.length: int | None = 0
        """What the body was said to have; None where it comes in chunks."""
        self.is_old = False
        """Whether it is HTTP/1.0."""
        self.keeps_alive = True
        self.expects_continue = False
        self.is_complete = False
        self.is_judged = False
        """For the connection: whether the handler has looked at its head."""
        self.is_refused = False
        """For the connection: whether it was answered by its head alone, so that its body is dropped."""
        self.body_bytes = 0
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

    def drop(self) -> None:
        """Keep nothing of the body."""
        self.is_refused = True
        self._body = b""

    @property
    def body(self) -> bytes:
        """What has arrived of the body."""
        return bytes(self._body)


class _Stop(Exception):
    """Ends a `feed` from within: the connection reads nothing more."""


class RequestParser:
    """Bytes in, requests out, in `queue`, which the connection empties from its left.

    After `fault` is set, or `is_over`, whatever is fed is ignored.
    """

    # The `on_…` methods are called by httptools.

    def __init__(self, limits: HttpLimits, body_limit: int) -> None:
        """`body_limit`: bytes that a body may have; a longer one is a fault."""
        self._limits = limits
        self._body_limit = body_limit
        self._parser = httptools.HttpRequestParser(self)
        self._first: int | None = None
        self._head: Incoming | None = None
        self._body: Incoming | None = None
        self._target = b""
        self._lines: list[tuple[bytes, bytes]] = []  # names and values, as they came
        self._chunks = 0
        self._fed = 0  # bytes fed since the head began, or since a chunk did
        self._overhead = 0  # of a chunked body, beside what it carries
        self._is_upgrading = False
        self._is_muted = False
        self._good_host: tuple[str, bytes | None] | None = None
        self._good_target: tuple[bytes, bytes, bytes | None, tuple[str, bytes]] | None = None
        self.queue: deque[Incoming] = deque()
        self.fault: Refusal | None = None
        """The answer to what cannot be understood. It comes after those for all of `queue` that is complete."""
        self.is_over = False
        """Whether the last request said that it is the last."""

    @property
    def in_head(self) -> bool:
        """Whether a head has begun, and is not complete."""
        return self._head is not None

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.fault is not None or self.is_over:
            return
        if self._first is None:
            self._first = data[0]
        if self._head is None and self._body is None:
            self._fed = 0
        fed = self._fed = self._fed + len(data)
        try:
            self._parse(data)
        except _Stop:
            return
        if self._head is not None:
            if fed == self._fed and fed > self._limits.head_bytes:
                self._head, self.fault = None, _HEAD_TOO_LONG
        elif self._body is not None and self._body.length is None:
            self._overhead += len(data)
            allowed = self._limits.head_bytes + len(data)
            if self._fed > allowed or self._overhead > allowed + _CHUNK_OVERHEAD * self._chunks + self._body.body_bytes:
                self.fault = _CHUNKS_TOO_LONG

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                # What is asked for beside the request is not granted, which is told by not mentioning it.
                data = data[exc.args[0] :]
                self._go_on_without_upgrade()
            except httptools.HttpParserCallbackError as exc:
                if isinstance(exc.__context__, _Stop):
                    raise exc.__context__ from None
                raise
            except httptools.HttpParserError as exc:
                if not self.is_over:
                    self._head = None
                    self.fault = self._explained(exc)
                raise _Stop from None
            else:
                return

    def _explained(self, exc: Exception) -> Refusal:
        said = str(exc)
        if self._first == _TLS_HANDSHAKE:
            return heads.refusal(400, "This is a port for plain HTTP, and TLS was spoken to it.")
        if "PRI" in said:
            return heads.refusal(400, "This is a port for HTTP/1.1, and HTTP/2 was spoken to it.")
        if said == "Invalid HTTP version":
            return _WRONG_VERSION
        # What the parser says are sentences of its own, without anything of what it read.
        return heads.refusal(400, f"This is not a request of HTTP/1.1: {said}.")

    def _go_on_without_upgrade(self) -> None:
        """Begin anew behind a head that asked for another protocol: the parser has skipped the body."""
        self._parser = httptools.HttpRequestParser(self)
        self._is_upgrading = False
        incoming = self._body
        if incoming is not None:
            framing = b"transfer-encoding: chunked"
            if incoming.length is not None:
                framing = b"content-length: %d" % incoming.length
            self._is_muted = True
            self._parser.feed_data(_SYNTHETIC % framing)
            self._is_muted = False

    def _fail(self, fault: Refusal) -> _Stop:
        self._head = None
        self.fault = fault
        return _Stop()

    def on_message_begin(self) -> None:
        if self._is_muted:
            return
        if self.is_over:
            raise _Stop
        self._head = Incoming()
        self._target = b""
        self._lines.clear()

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        # Nothing more, since it is called for each field. Trailers come here as well, and nobody reads them.
        self._lines.append((name, value))

    def on_headers_complete(self) -> None:
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

    def _take_fields(self, head: Incoming) -> None:
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
        # All requests of a connection ask for much the same.
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
        self._fed = 0
        self._chunks += 1

    def on_body(self, data: bytes) -> None:
        incoming = self._body
        if incoming is not None:
            self._fed = 0
            incoming.add(data)
            if incoming.body_bytes > self._body_limit:
                raise self._fail(heads.too_long(self._body_limit))

    def on_message_complete(self) -> None:
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
