"""Requests of ASGI: reads heads and connections from scopes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final
from urllib.parse import unquote

from trimcp.http.asgi.response import Message
from trimcp.http.binding import HttpRequest, PeerConnection

IDLE_CONNECTIONS: Final = 1024
"""Connections without a request in progress that are remembered; the one that was idle longest is forgotten."""


class Connections:
    """Finds the connection of a request by the addresses of both ends, since ASGI shows no connections.

    A request over a Unix socket, which has no addresses, counts as a connection of its own.
    """

    def __init__(self) -> None:
        self._busy: dict[Any, tuple[PeerConnection, int]] = {}
        self._idle: OrderedDict[Any, PeerConnection] = OrderedDict()

    def enter(self, scope: Message) -> tuple[Any, PeerConnection]:
        """Return the connection of a request that begins, and the key to `leave` it by."""
        client = scope.get("client")
        if client is None:
            return None, PeerConnection(peer_of(scope))
        key = (tuple(client), tuple(scope.get("server") or ()))
        busy = self._busy.get(key)
        if busy is not None:
            connection, requests = busy
        elif key in self._idle:
            connection, requests = self._idle.pop(key), 0
        else:
            connection, requests = PeerConnection(peer_of(scope)), 0
        self._busy[key] = connection, requests + 1
        return key, connection

    def leave(self, key: Any, connection: PeerConnection) -> None:
        """Note that a request is over, and forget the connection that was idle longest if there are too many."""
        if key is None:
            connection.close()
            return
        requests = self._busy[key][1] - 1
        if requests:
            self._busy[key] = connection, requests
            return
        del self._busy[key]
        self._idle[key] = connection
        if len(self._idle) > IDLE_CONNECTIONS:
            self._idle.popitem(last=False)[1].close()


def peer_of(scope: Message) -> str:
    """Return the other end, for logs."""
    client = scope.get("client")
    if not client:
        return "unix"
    host, port = client[0], client[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def request_of(scope: Message, connection: PeerConnection, method: str | None = None) -> HttpRequest:
    """Read the head of a request from its scope; `method`: for a WebSocket, whose scope has none."""
    fields: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        name = name.lower()
        value = value.strip()
        fields[name] = fields[name] + b", " + value if name in fields else value
    path = scope["path"]
    root = scope.get("root_path")
    return HttpRequest(
        method or scope["method"],
        _relative(path, root, scope.get("raw_path")) if root else path,
        scope.get("query_string", b""),
        fields,
        connection,
        secure=scope.get("scheme") in ("https", "wss"),
        scope=scope,
    )


def _relative(path: str, root: str, raw: bytes | None) -> str:
    """Return the path below the mount of the application.

    In ASGI the path contains the root path, and most servers and frameworks keep to that; some frameworks strip it. The
    raw path is that of the client, so it tells which is the case.
    """
    root = root.rstrip("/")
    if raw is not None:
        whole = unquote(raw.partition(b"?")[0].decode("latin-1"))
        if whole != path and whole == root + path:
            return path
    if path == root or path.startswith(root + "/"):
        return path[len(root) :] or "/"
    return path


def declared_length(request: HttpRequest) -> int:
    """Return the `Content-Length` of a request; 0 without one."""
    value = request.fields.get(b"content-length", b"")
    return int(value) if value.isdigit() else 0


def has_body(request: HttpRequest) -> bool:
    """Return whether there may be a body to read."""
    # In HTTP/2 the head need not announce a body.
    return (
        request.method not in ("GET", "HEAD", "DELETE", "OPTIONS")
        or b"content-length" in request.fields
        or b"transfer-encoding" in request.fields
    )
