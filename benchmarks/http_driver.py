"""Loads a server over HTTP at little cost of its own: plain sockets, prepared bytes, one process.

It looks at a response no more than it must: its status, where it ends, and whether it holds a result.
It waits for readiness itself (epoll, so Linux), has one request in flight on each connection, and sends
the next as soon as the last one is answered.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from benchmarks.messages import ADD, CLIENT, METADATA, VERSIONS, Era, call_params
from benchmarks.process import Unusable

HOST: Final = "127.0.0.1"
PATIENCE: Final = 60.0
"""Seconds until a request that is not measured must be answered."""
CHUNK: Final = 1 << 18
EDGE: Final = 512
FEW: Final = 4
"""How many bytes at each end of a part, and parts at each end of a long response, are checked."""
LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
ROUND: Final = 1024
"""Requests that are prepared for one session, each with an id of its own."""


def post(port: int, body: bytes, fields: str = "") -> bytes:
    """The bytes of one POST to the endpoint."""
    head = (
        f"POST /mcp HTTP/1.1\r\nhost: {HOST}:{port}\r\ncontent-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\n{fields}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def modern_call(port: int, tool: str, id: int = 1, **arguments: Any) -> bytes:
    """A stateless call of a tool in 2026-07-28; of `add` by default."""
    given = ADD if tool in ("add", "get-sum") else arguments
    return request(port, "modern", "tools/call", {"name": tool, "arguments": given}, id=id)


def legacy_call(port: int, tool: str, session: str, id: int) -> bytes:
    """A call of the adding tool in a session of 2025-11-25."""
    return request(port, "legacy", "tools/call", call_params("legacy", tool), id=id, session=session)


def session_fields(session: str) -> str:
    """Header fields of every request of a session."""
    return f"mcp-session-id: {session}\r\nmcp-protocol-version: {VERSIONS['legacy']}\r\n"


def request(
    port: int, era: Era, method: str, params: dict[str, Any], *, id: int = 1, session: str = "", progress: bool = False
) -> bytes:
    """A request of an era: with its metadata and headers, or in a session."""
    meta = dict(METADATA) if era == "modern" else {}
    if progress:
        meta["progressToken"] = id
    if meta:
        params = {**params, "_meta": meta}
    body = orjson.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    if era == "legacy":
        return post(port, body, session_fields(session))
    name = params.get("name", params.get("uri"))
    fields = f"mcp-protocol-version: {VERSIONS['modern']}\r\nmcp-method: {method}\r\nmcp-name: {name}\r\n"
    return post(port, body, fields)


class Response:
    """Finds the end of a response as its bytes arrive, and looks at each byte once."""

    __slots__ = ("_chunked", "_head", "_missing", "parts")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._head = b""
        self._missing = 0
        self._chunked = False

    def feed(self, data: bytes) -> bool:
        """Add bytes; True if the response is there to its end."""
        if not self.parts:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return False
            data = self._head
            head = data[:end].lower()
            at = head.find(b"content-length: ")
            self._chunked = b"\r\ntransfer-encoding: chunked" in head
            if at >= 0:
                self._missing = int(head[at + 16 :].split(b"\r\n", 1)[0]) + end + 4
            elif not self._chunked and not head.startswith((b"http/1.1 202", b"http/1.1 204")):
                raise Unusable(f"a response without an end: {data[:200]!r}")
        self.parts.append(data)
        if self._chunked:
            tail = data if len(data) > len(LAST_CHUNK) else b"".join(self.parts[-2:])
            return tail.endswith(LAST_CHUNK)
        self._missing -= len(data)
        return self._missing <= 0

    def whole(self) -> bytes:
        """All of its bytes."""
        return b"".join(self.parts)

    def check(self) -> None:
        """Check the beginning and the end for a result, because long responses take time.

        Raises:
            Unusable: it holds something else.
        """
        parts = self.parts if len(self.parts) <= 2 * FEW else [*self.parts[:FEW], *self.parts[-FEW:]]
        edges = b"".join([part if len(part) <= 2 * EDGE else part[:EDGE] + part[-EDGE:] for part in parts])
        if b'"result":' not in edges or b'"isError":true' in edges:
            raise Unusable(f"not a result: {self.whole()[:400]!r}")


class Connection:
    """One kept-alive connection."""

    __slots__ = ("began", "response", "sock")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.response = Response()
        self.began = 0.0

    def ask(self, request: bytes) -> bytes:
        """Send a request and wait for the whole response to it."""
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(request)
        response = Response()
        while True:
            data = self.sock.recv(CHUNK)
            if not data:
                raise Unusable("the server closed a connection")
            if response.feed(data):
                return response.whole()

    def listen(self, request: bytes) -> None:
        """Send a GET, and wait for the head of the stream that it opens."""
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(CHUNK)
            if not more:
                raise Unusable("the server closed a stream")
            data += more
        if not data.startswith(b"HTTP/1.1 200"):
            raise Unusable(f"no stream: {data[:100]!r}")

    def close(self) -> None:
        """Close the connection, in any state."""
        self.sock.close()


def load(
    connections: Sequence[Connection], requests: Iterator[bytes], seconds: float, latencies: list[float]
) -> tuple[int, float]:
    """Keep one request in flight on each connection, for some seconds; all are answered when it returns.

    Returns:
        All answers, and the time until the last one in seconds. Latencies, in seconds, are added to the list.
    """
    clock = time.perf_counter
    poll = select.epoll()
    by_descriptor: dict[int, Connection] = {}
    for connection in connections:
        connection.sock.setblocking(False)
        by_descriptor[connection.sock.fileno()] = connection
        poll.register(connection.sock, select.EPOLLIN)
    began = now = clock()
    end = began + seconds
    for connection in connections:
        connection.began = clock()
        connection.sock.send(next(requests))
    flying, count = len(connections), 0
    with contextlib.closing(poll):
        while flying:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise Unusable("the server does not answer")
            for descriptor, _ in ready:
                connection = by_descriptor[descriptor]
                data = connection.sock.recv(CHUNK)
                if not data:
                    raise Unusable("the server closed a connection")
                response = connection.response
                if not response.feed(data):
                    continue
                connection.response = Response()
                now = clock()
                response.check()
                count += 1
                latencies.append(now - connection.began)
                if now < end:
                    connection.began = now
                    connection.sock.send(next(requests))
                else:
                    flying -= 1
    return count, now - began


@contextlib.contextmanager
def connected(port: int, number: int) -> Iterator[list[Connection]]:
    """Open connections, for one burst: servers close those that are idle for some seconds."""
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(contextlib.closing(Connection(port))) for _ in range(number)]


class Session:
    """A session of 2025-11-25, with its GET stream."""

    def __init__(self, port: int, through: Connection) -> None:
        params = {"protocolVersion": VERSIONS["legacy"], "capabilities": {}, "clientInfo": CLIENT}
        hello = orjson.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        head = through.ask(post(port, hello)).partition(b"\r\n\r\n")[0]
        fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
        if b"mcp-session-id" not in fields:
            raise Unusable(f"no session: {head[:200]!r}")
        self.id = fields[b"mcp-session-id"].decode()
        own = session_fields(self.id)
        through.ask(post(port, b'{"jsonrpc":"2.0","method":"notifications/initialized"}', own))
        self.stream = Connection(port)
        self.stream.listen(
            f"GET /mcp HTTP/1.1\r\nhost: {HOST}:{port}\r\naccept: text/event-stream\r\n{own}\r\n".encode()
        )

    def close(self) -> None:
        """Close the stream."""
        self.stream.close()


def calls(port: int, era: Era, tool: str, sessions: Iterable[Session] = ()) -> Iterator[bytes]:
    """Prepared calls without end, over all sessions in turn."""
    if era == "modern":
        return itertools.cycle([modern_call(port, tool)])
    ids = [session.id for session in sessions]
    # More than are in flight at once, so that no id is in use twice.
    prepared = [legacy_call(port, tool, ids[n % len(ids)], 10_000 + n) for n in range(max(ROUND, len(ids)))]
    return itertools.cycle(prepared)
