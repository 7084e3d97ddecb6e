"""Places of views: what a person names (a URL, a process, a socket), and requests to it."""

from __future__ import annotations

import ipaddress
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs
import trio

from trimcp.codec.jsontext import loads
from trimcp.errors import ConnectionLost, UsageError
from trimcp.view import sockets

HEAD_BYTES: Final = 16 * 2**10
"""The longest head of an answer. A longer one is an error."""
EVENT_BYTES: Final = 64 * 2**20
"""The longest event. A longer one is an error."""
MOST_LINES: Final = 200
"""Lines of logs that are kept."""
CHUNK: Final = 64 * 2**10
NO_VIEW: Final = "no server of yours has a view: start one with trimcp run FILE --view"


@attrs.frozen
class Place:
    """The address of one view."""

    path: str | None = None
    """Of a Unix socket."""
    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""

    def __str__(self) -> str:
        return self.path if self.path is not None else f"http://{self.host}:{self.port}"

    async def connect(self) -> trio.SocketStream:
        """Open a connection.

        Raises:
            ConnectionLost: no view answers there.
        """
        try:
            if self.path is not None:
                return await trio.open_unix_socket(self.path)
            return await trio.open_tcp_stream(self.host, self.port)
        except OSError as exc:
            raise ConnectionLost(f"no view answers at {self}: {exc.strerror or exc}") from exc


def place_of(word: str | None) -> Place:
    """Return the place of a URL, a process id or a path; without one, the only place there is.

    Raises:
        UsageError: there is no such place, or several may be meant.
    """
    if word is None:
        found = sockets.running()
        if len(found) == 1:
            return Place(str(next(iter(found.values()))))
        if not found:
            raise UsageError(NO_VIEW)
        raise UsageError(f"several servers have a view: name one of the processes {', '.join(map(str, found))}")
    if word.isdecimal():
        path = sockets.path_of(int(word))
        if not path.exists():
            raise UsageError(f"process {word} has no view at {path}: start the server with --view")
        return Place(str(path))
    if not word.startswith("http://"):
        sockets.check_supported()
        return Place(os.path.abspath(word))
    parts = urlsplit(word)
    token = parse_qs(parts.query).get("token", [""])[0]
    host = parts.hostname or ""
    if not _is_loopback(host) or parts.port is None:
        raise UsageError("a view is on loopback: give its URL as the server printed it, or the process id")
    return Place(None, host, parts.port, token)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@attrs.define
class Answer:
    """The head of an answer; the body comes from the stream until its end."""

    status: int
    fields: Mapping[str, str]
    _stream: trio.SocketStream
    _first: bytes

    async def read(self) -> bytes:
        """Return the next piece of the body; no bytes at its end."""
        first, self._first = self._first, b""
        if first:
            await trio.lowlevel.checkpoint()
            return first
        try:
            return bytes(await self._stream.receive_some(CHUNK))
        except trio.BrokenResourceError:
            return b""

    async def read_all(self) -> bytes:
        """Return the rest of the body."""
        pieces: list[bytes] = []
        while data := await self.read():
            pieces.append(data)
        return b"".join(pieces)


@asynccontextmanager
async def asked(
    place: Place, target: str, *, method: str = "GET", body: bytes = b"", kind: str = ""
) -> AsyncIterator[Answer]:
    """Send one request. HTTP/1.0, so that the body ends with the connection and has no chunks.

    Args:
        place: of the view.
        target: the path and the query.
        method: GET, HEAD or POST.
        body: for POST.
        kind: the type of the body.

    Raises:
        ConnectionLost: no view answers there.
    """
    lines = [f"{method} {target} HTTP/1.0", f"host: {'localhost' if place.path else f'{place.host}:{place.port}'}"]
    if place.token:
        lines.append(f"authorization: Bearer {place.token}")
    if method == "POST":
        lines += [f"content-type: {kind}", f"content-length: {len(body)}"]
    stream = await place.connect()
    async with stream:
        try:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            head = b""
            while b"\r\n\r\n" not in head:
                data = await stream.receive_some(CHUNK)
                head += data
                if not data or len(head) > HEAD_BYTES + CHUNK:
                    raise ConnectionLost(f"what answers at {place} is no view")
        except trio.BrokenResourceError as exc:
            raise ConnectionLost(f"the view at {place} closed the connection") from exc
        raw, _, first = head.partition(b"\r\n\r\n")
        status, *fields = raw.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in fields)
        yield Answer(
            int(status.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}, stream, first
        )


class Watched:
    """Holds the state of a view as its stream tells it."""

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, Any]] = {}
        self.now: float = 0.0
        self.lines: deque[dict[str, Any]] = deque(maxlen=MOST_LINES)
        """Of the logs, the newest."""
        self._held = b""

    def feed(self, data: bytes) -> bool:
        """Take bytes of the stream. Returns whether the state has changed.

        Raises:
            ConnectionLost: an event is too long.
        """
        *events, self._held = (self._held + data).split(b"\n\n")
        if len(self._held) > EVENT_BYTES:
            raise ConnectionLost("an event of the view is too long")
        has_changed = False
        for event in events:
            name, _, rest = event.partition(b"\n")
            if rest.startswith(b"data: "):
                has_changed = True
                self._take(loads(rest[6:], max_containers=2**20), is_whole=name == b"event: state")
        return has_changed

    def _take(self, event: dict[str, Any], *, is_whole: bool) -> None:
        if is_whole:
            self.sections = {}
            self.lines.clear()
        for name in event["gone"]:
            self.sections.pop(name, None)
        self.sections.update(event["set"])
        self.now = event["now"]
        self.lines += event["lines"]

    def named(self, prefix: str) -> list[dict[str, Any]]:
        """Return the sections whose names begin so."""
        return [section for name, section in self.sections.items() if name.startswith(prefix)]
