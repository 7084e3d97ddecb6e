"""A client of HTTP that is cheap enough not to be what is measured: plain sockets, prepared bytes, one process.

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

from benchmarks.messages import CLIENT, VERSIONS, Era, call_params
from benchmarks.process import Unusable

HOST: Final = "127.0.0.1"
PATIENCE: Final = 60.0
"""Seconds for an answer to something that is not measured by itself."""
CHUNK: Final = 1 << 18
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
    """A call of a tool in 2026-07-28, which stands alone; of `add` if it is given nothing."""
    params = call_params("modern", tool) | ({"arguments": arguments} if tool not in ("add", "get-sum") else {})
    body = orjson.dumps({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    return post(
        port, body, f"mcp-protocol-version: {VERSIONS['modern']}\r\nmcp-method: tools/call\r\nmcp-name: {tool}\r\n"
    )


def legacy_call(port: int, tool: str, session: str, id: int) -> bytes:
    """A call of the adding tool in a session of 2025-11-25."""
    body = orjson.dumps({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call_params("legacy", tool)})
    return post(port, body, session_fields(session))


def session_fields(session: str) -> str:
    """Header fields of every request of a session."""
    return f"mcp-session-id: {session}\r\nmcp-protocol-version: {VERSIONS['legacy']}\r\n"


class Connection:
    """One kept-alive connection."""

    __slots__ = ("began", "buffer", "sock")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.began = 0.0

    def ask(self, request: bytes) -> bytes:
        """Send a request and wait for the whole response to it."""
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(request)
        return self.response()

    def response(self) -> bytes:
        """Wait for a whole response."""
        data = b""
        while not is_complete(data):
            more = self.sock.recv(CHUNK)
            if not more:
                raise Unusable("the server closed a connection")
            data += more
        return data

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
        """Close it, whatever is on its way."""
        self.sock.close()


def is_complete(data: bytes) -> bool:
    """Whether a response is there to its end."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = data[:end].lower()
    at = head.find(b"content-length: ")
    if at >= 0:
        return len(data) - end - 4 >= int(head[at + 16 :].split(b"\r\n", 1)[0])
    if b"chunked" in head:
        return data.endswith(b"0\r\n\r\n")
    return head.startswith((b"http/1.1 202", b"http/1.1 204"))


def load(
    connections: Sequence[Connection], requests: Iterator[bytes], seconds: float, latencies: list[float]
) -> tuple[int, float]:
    """Keep one request in flight on each connection, for so long; all are answered when it returns.

    Returns:
        Answers within the time, and the time in seconds. Latencies, in seconds, are added to the list.
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
                data = connection.buffer + connection.sock.recv(CHUNK)
                if not is_complete(data):
                    if data == connection.buffer:
                        raise Unusable("the server closed a connection")
                    connection.buffer = data
                    continue
                connection.buffer = b""
                now = clock()
                if b'"result":' not in data or b'"isError":true' in data:
                    raise Unusable(f"not a result: {data[:300]!r}")
                if now < end:
                    count += 1
                    latencies.append(now - connection.began)
                    connection.began = now
                    connection.sock.send(next(requests))
                else:
                    flying -= 1
    return count, seconds


class Session:
    """A session of 2025-11-25, with its standing stream where the server has one."""

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
        """Let go of the stream."""
        self.stream.close()


def calls(port: int, era: Era, tool: str, sessions: Iterable[Session] = ()) -> Iterator[bytes]:
    """Prepared calls without end, round the sessions."""
    if era == "modern":
        return itertools.cycle([modern_call(port, tool)])
    ids = [session.id for session in sessions]
    # More than are in flight at once, so that no id is in use twice.
    prepared = [legacy_call(port, tool, ids[n % len(ids)], 10_000 + n) for n in range(max(ROUND, len(ids)))]
    return itertools.cycle(prepared)
